"""A back end that opens a way for each attachment hears of each that ends."""

from typing import Any

import pytest

from kilonova.block_storage import attachments
from tests.block_storage.api.test_attaching import CONNECTOR, reserve
from tests.block_storage.conftest import World
from tests.conftest import body_of


@pytest.fixture
async def strict(bare: World) -> World:
    """A cloud whose one back end hears of attachments that end."""
    await bare.add_backend(storage_protocol="iSCSI")
    return bare


def ways(world: World, volume_id: str) -> set[str]:
    return world.backend.attachments.get(volume_id, set())


async def test_a_way_is_the_attachments_and_ends_with_it(strict: World) -> None:
    volume_id = (await strict.make())["id"]
    made = (await reserve(strict, volume_id, connector=CONNECTOR))["attachment"]
    assert ways(strict, volume_id) == {made["id"]}
    url = f"/v3/attachments/{made['id']}"
    body_of(await strict.client.put(url, json={"attachment": {"connector": CONNECTOR}}))
    assert ways(strict, volume_id) == {made["id"]}
    for who, status in ((strict.other, 404), (strict.reader, 403)):
        assert (await who.delete(url)).status_code == status
    assert ways(strict, volume_id) == {made["id"]}
    body_of(await strict.admin.delete(url))
    assert ways(strict, volume_id) == set()


async def test_what_was_reserved_alone_is_let_go_as_well(strict: World) -> None:
    volume_id = (await strict.make())["id"]
    made = (await reserve(strict, volume_id))["attachment"]
    body_of(await strict.admin.delete(f"/v3/attachments/{made['id']}"))
    assert ways(strict, volume_id) == set()


async def test_an_attachment_stays_while_its_back_end_cannot_be_told(strict: World) -> None:
    volume_id = (await strict.make())["id"]
    made = (await reserve(strict, volume_id, connector=CONNECTOR))["attachment"]
    served = strict.silence()
    refusal = await strict.admin.delete(f"/v3/attachments/{made['id']}")
    assert refusal.status_code == 503 and "back end cannot be asked" in refusal.text
    bus: Any = strict.service.bus
    bus._servers["cinder-volume.node1@fake"] = served
    body_of(await strict.admin.delete(f"/v3/attachments/{made['id']}"))
    assert ways(strict, volume_id) == set()


async def test_what_a_back_end_refuses_is_not_taken(strict: World) -> None:
    volume_id = (await strict.make())["id"]
    kept = strict.backend.volumes.pop(volume_id)
    assert "There is no volume" in str(await reserve(strict, volume_id, 400, connector=CONNECTOR))
    strict.backend.volumes[volume_id] = kept
    assert (await strict.shown(volume_id))["status"] == "available"
    served = strict.silence()
    assert "cannot be asked" in str(await reserve(strict, volume_id, 503, connector=CONNECTOR))
    assert (await strict.shown(volume_id))["status"] == "available" and served


async def test_the_way_of_an_attachment_that_is_deleted_meanwhile_is_closed(
    strict: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = (await strict.make())["id"]
    made = (await reserve(strict, volume_id))["attachment"]
    url = f"/v3/attachments/{made['id']}"
    find, seen = attachments.find, []

    async def find_deleted(tx: Any, attachment_id: str, project_id: str | None) -> Any:
        seen.append(attachment_id)
        if len(seen) == 2:
            # The back end has been asked by now.
            assert ways(strict, volume_id) == {made["id"]}
            await tx.remove(attachments.attachments, id=attachment_id)
        return await find(tx, attachment_id, project_id)

    monkeypatch.setattr(attachments, "find", find_deleted)
    body_of(await strict.client.put(url, json={"attachment": {"connector": CONNECTOR}}), 404)
    assert ways(strict, volume_id) == set()


async def test_a_host_that_names_no_attachment_has_a_way_of_its_own(strict: World) -> None:
    volume_id = (await strict.make())["id"]
    body_of(await strict.act(volume_id, "os-reserve"), 202)
    connect, part = [{"connector": {**CONNECTOR, "host": host}} for host in ("node1", "node2")]
    for _ in range(2):
        info = body_of(
            await strict.admin.post(f"/v3/volumes/{volume_id}/action", json={"os-initialize_connection": connect})
        )
        assert info["connection_info"]["driver_volume_type"] == "file"
    assert len(ways(strict, volume_id)) == 1
    body_of(await strict.act(volume_id, "os-terminate_connection", part, by=strict.admin), 202)
    assert len(ways(strict, volume_id)) == 1
    for _ in range(2):
        body_of(await strict.act(volume_id, "os-terminate_connection", connect, by=strict.admin), 202)
    assert ways(strict, volume_id) == set()
    body_of(await strict.act(volume_id, "os-initialize_connection", part, by=strict.admin))
    body_of(await strict.act(volume_id, "os-force_detach", {}, by=strict.admin), 202)
    assert ways(strict, volume_id) == set()
