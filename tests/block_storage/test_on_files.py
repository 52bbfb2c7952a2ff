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
    cloud.settings["DEFAULT"] = options
    parts = worlds.block_storage
    await cloud.add_all(worlds.image.API, parts.API, parts.SCHEDULER, parts.VOLUME)
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
