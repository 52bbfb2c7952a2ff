"""The parts of a cloud with volumes that are real files: made of an image, copied, kept in snapshots, put back."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import worlds
from tests.block_storage.conftest import NEWEST
from tests.conftest import body_of

IMAGE = b"\x07" * 65_536


@pytest.fixture
async def cloud(
    identity: Any, public_directory: Callable[[str], Path]
) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    """A client of the project demo, and the directory of the volumes."""
    directory, cloud = public_directory("cloud"), identity.cloud
    options = {"volume_driver": "file", "file_volumes_path": str(directory), "max_over_subscription_ratio": "auto"}
    options |= {"backup_posix_path": str(directory / ".backups"), "state_path": str(directory / ".state")}
    cloud.settings["DEFAULT"] = options
    parts = worlds.block_storage
    await cloud.add_all(worlds.image.API, parts.API, parts.SCHEDULER, parts.VOLUME, parts.BACKUP)
    working = [asyncio.create_task(each()) for each in cloud.work]
    async with await identity.client_for(cloud.apps["block-storage"], "demo") as client:
        client.headers.update(NEWEST)
        yield client, directory
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def settled(client: httpx.AsyncClient, path: str, *, gone: bool = False) -> dict[str, Any]:
    """The thing at a path once no operation runs on it."""
    async with asyncio.timeout(60):
        while True:
            response = await client.get(path)
            if response.status_code == 404 and gone:
                return {}
            shown: dict[str, Any] = next(iter(body_of(response).values()))
            if shown["status"] in ("available", "error") and not gone:
                return shown
            await asyncio.sleep(0.05)


async def make(client: httpx.AsyncClient, **fields: Any) -> str:
    async with asyncio.timeout(60):
        # The agent registers when the scheduler answers.
        while not body_of(await client.get("/v3/os-availability-zone"))["availabilityZoneInfo"][0]["zoneState"][
            "available"
        ]:
            await asyncio.sleep(0.05)
    volume = body_of(await client.post("/v3/volumes", json={"volume": {"size": 1, **fields}}), 202)["volume"]
    shown = await settled(client, f"/v3/volumes/{volume['id']}")
    assert shown["status"] == "available", body_of(await client.get("/v3/messages"))
    return str(volume["id"])


def first_byte(directory: Path, volume_id: str) -> int:
    command = ["qemu-io", "-f", "qcow2", "-c", "read -v 0 1", directory / f"volume-{volume_id}"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1], 16)


def write(directory: Path, volume_id: str, byte: int) -> None:
    path = directory / f"volume-{volume_id}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 0 64k", path], check=True, capture_output=True)


async def test_a_volume_lives_from_its_image_to_its_end(cloud: tuple[httpx.AsyncClient, Path], identity: Any) -> None:
    client, directory = cloud
    async with await identity.client_for(identity.cloud.apps["image"], "demo") as images:
        fields = {"name": "tiny", "disk_format": "raw", "container_format": "bare"}
        image_id = body_of(await images.post("/v2/images", json=fields), 201)["id"]
        headers = {"content-type": "application/octet-stream"}
        body_of(await images.put(f"/v2/images/{image_id}/file", content=IMAGE, headers=headers), 204)
    volume_id = await make(client, imageRef=image_id)
    assert first_byte(directory, volume_id) == IMAGE[0]
    snapshot = {"snapshot": {"volume_id": volume_id}}
    snapshot_id = body_of(await client.post("/v3/snapshots", json=snapshot), 202)["snapshot"]["id"]
    assert (await settled(client, f"/v3/snapshots/{snapshot_id}"))["status"] == "available"
    write(directory, volume_id, 9)
    copy, restored = await make(client, source_volid=volume_id), await make(client, snapshot_id=snapshot_id)
    assert [first_byte(directory, each) for each in (copy, restored)] == [9, IMAGE[0]]
    action = f"/v3/volumes/{volume_id}/action"
    body_of(await client.post(action, json={"revert": {"snapshot_id": snapshot_id}}), 202)
    await settled(client, f"/v3/volumes/{volume_id}")
    assert first_byte(directory, volume_id) == IMAGE[0]
    body_of(await client.post(action, json={"os-extend": {"new_size": 2}}), 202)
    assert (await settled(client, f"/v3/volumes/{volume_id}"))["size"] == 2
    for each in (copy, restored, volume_id):
        body_of(await client.delete(f"/v3/volumes/{each}?cascade=true"), 202)
        await settled(client, f"/v3/volumes/{each}", gone=True)
    assert [path.name for path in directory.iterdir() if not path.name.startswith(".")] == []


async def backed_up(client: httpx.AsyncClient, volume_id: str, **fields: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        # The service registers when the scheduler answers.
        while True:
            answer = await client.post("/v3/backups", json={"backup": {"volume_id": volume_id, **fields}})
            backup = await settled(client, f"/v3/backups/{body_of(answer, 202)['backup']['id']}")
            if backup["fail_reason"] != "No backup service is up and enabled.":
                return backup


async def test_volumes_and_snapshots_are_backed_up_and_restored(cloud: tuple[httpx.AsyncClient, Path]) -> None:
    client, directory = cloud
    volume_id = await make(client)
    write(directory, volume_id, 5)
    snapshot = {"snapshot": {"volume_id": volume_id}}
    snapshot_id = body_of(await client.post("/v3/snapshots", json=snapshot), 202)["snapshot"]["id"]
    await settled(client, f"/v3/snapshots/{snapshot_id}")
    write(directory, volume_id, 9)
    full = await backed_up(client, volume_id)
    write(directory, volume_id, 11)
    part = await backed_up(client, volume_id, incremental=True)
    kept = await backed_up(client, volume_id, snapshot_id=snapshot_id)
    assert [each["fail_reason"] for each in (full, part, kept)] == [None, None, None]
    for backup, byte in ((full, 9), (part, 11), (kept, 5)):
        body = {"restore": {"volume_id": volume_id}}
        body_of(await client.post(f"/v3/backups/{backup['id']}/restore", json=body), 202)
        assert (await settled(client, f"/v3/volumes/{volume_id}"))["status"] == "available"
        assert first_byte(directory, volume_id) == byte
    assert first_byte(directory, await make(client, backup_id=part["id"])) == 11
    chunk = next(path for path in (directory / ".backups/volumebackups" / full["id"]).iterdir() if "-" in path.name)
    chunk.write_bytes(b"n" + bytes(4 << 20))
    answer = await client.post(f"/v3/backups/{full['id']}/restore", json={"restore": {"name": "damaged"}})
    damaged_id = body_of(answer, 202)["restore"]["volume_id"]
    assert (await settled(client, f"/v3/volumes/{damaged_id}"))["status"] == "error"
    told = [each["user_message"] for each in body_of(await client.get("/v3/messages"))["messages"]]
    assert any(chunk.name in each and "is damaged" in each for each in told), told
    for backup in (part, full, kept):
        body_of(await client.delete(f"/v3/backups/{backup['id']}"), 202)
        await settled(client, f"/v3/backups/{backup['id']}", gone=True)
    assert list((directory / ".backups/volumebackups").iterdir()) == []


async def test_a_volume_is_uploaded_and_made_again_of_its_image(
    cloud: tuple[httpx.AsyncClient, Path], identity: Any
) -> None:
    client, directory = cloud
    volume_id = await make(client)
    write(directory, volume_id, 7)
    asked = {"os-volume_upload_image": {"image_name": "of-a-volume", "disk_format": "vmdk"}}
    told = body_of(await client.post(f"/v3/volumes/{volume_id}/action", json=asked), 202)["os-volume_upload_image"]
    assert (await settled(client, f"/v3/volumes/{volume_id}"))["status"] == "available"
    async with await identity.client_for(identity.cloud.apps["image"], "demo") as images:
        image = body_of(await images.get(f"/v2/images/{told['image_id']}"))
    assert (image["status"], image["disk_format"], image["virtual_size"]) == ("active", "vmdk", 1 << 30)
    again = await make(client, imageRef=image["id"])
    assert first_byte(directory, again) == 7
    assert [path for path in (directory / ".state" / "conversion").rglob("*") if path.suffix] == []
