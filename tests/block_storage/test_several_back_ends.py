"""A cloud with two back ends in one process: files, and a real volume group behind a real tgtd."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from kilonova.kit.connectors import IscsiConnection
from tests import worlds
from tests.block_storage.conftest import NEWEST
from tests.block_storage.test_on_files import settled
from tests.conftest import body_of
from tests.storage_hosts import Initiator, Tgtd, free_port, volume_group

pytestmark = pytest.mark.root


@pytest.fixture
async def cloud(
    identity: Any, public_directory: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Clients by the name of their user."""
    directory, cloud = public_directory("cloud"), identity.cloud
    tgtd = Tgtd(directory, free_port())
    monkeypatch.setattr("kilonova.block_storage.agent.drivers.lvm.volume_group.MAPPER", directory / "none")
    monkeypatch.setenv("TGT_IPC_SOCKET", str(directory / "tgt"))
    with volume_group(directory) as group:
        tgtd.start()
        cloud.settings["DEFAULT"] = {"enabled_backends": ["files", "blocks"]}
        cloud.settings["files"] = {"volume_driver": "file", "file_volumes_path": str(directory / "volumes")}
        cloud.settings["blocks"] = {
            "volume_driver": "lvm",
            "volume_group": group.name,
            "lvm_conf_file": str(group.config_file),
            "volumes_dir": str(directory / "records"),
            "target_ip_address": "127.0.0.1",
            "target_port": tgtd.port,
        }
        parts = worlds.block_storage
        await cloud.add_all(worlds.image.API, parts.API, parts.SCHEDULER, parts.VOLUME)
        working = [asyncio.create_task(each()) for each in cloud.work]
        clients = {who: await identity.client_for(cloud.apps["block-storage"], who) for who in ("demo", "admin")}
        for each in clients.values():
            each.headers.update(NEWEST)
        try:
            yield clients
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            for each in clients.values():
                await each.aclose()
            assert await tgtd.targets.find_all() == set() and await group.find_all() == {}
            tgtd.stop()


async def up(admin: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while len(body_of(await admin.get("/v3/os-services"))["services"]) < 3:
            await asyncio.sleep(0.05)


async def test_a_type_chooses_the_back_end_and_an_attachment_opens_its_volume(
    cloud: dict[str, httpx.AsyncClient],
) -> None:
    client, admin = cloud["demo"], cloud["admin"]
    await up(admin)
    made = {}
    for name in ("files", "blocks"):
        specs = {"volume_backend_name": name}
        body_of(await admin.post("/v3/types", json={"volume_type": {"name": name, "extra_specs": specs}}))
        body = {"volume": {"size": 1, "volume_type": name}}
        made[name] = body_of(await client.post("/v3/volumes", json=body), 202)["volume"]["id"]
    for name, volume_id in made.items():
        await settled(client, f"/v3/volumes/{volume_id}")
        host = body_of(await admin.get(f"/v3/volumes/{volume_id}"))["volume"]["os-vol-host-attr:host"]
        assert f"@{name}#" in host
    volume_id = made["blocks"]
    asked = {"attachment": {"volume_uuid": volume_id, "connector": {"host": "node1"}}}
    attachment = body_of(await client.post("/v3/attachments", json=asked))["attachment"]
    info = attachment["connection_info"]
    told = {**info, "kind": info["driver_volume_type"]}
    initiator = Initiator(msgspec.convert(told, IscsiConnection))
    await asyncio.to_thread(initiator.io, "write -P 5 0 64k")
    body_of(await client.delete(f"/v3/attachments/{attachment['id']}"))
    with pytest.raises(subprocess.CalledProcessError):
        await asyncio.to_thread(initiator.io, "read 0 64k")
    body_of(await client.post(f"/v3/volumes/{volume_id}/action", json={"os-extend": {"new_size": 2}}), 202)
    assert (await settled(client, f"/v3/volumes/{volume_id}"))["size"] == 2
    body_of(await client.post("/v3/snapshots", json={"snapshot": {"volume_id": volume_id}}), 202)
    async with asyncio.timeout(60):
        while not (told_of := body_of(await client.get("/v3/messages"))["messages"]):
            await asyncio.sleep(0.05)
    assert "no device-mapper: logical volumes have no snapshots here" in told_of[0]["user_message"]
    for each in made.values():
        body_of(await client.delete(f"/v3/volumes/{each}?cascade=true"), 202)
        await settled(client, f"/v3/volumes/{each}", gone=True)
