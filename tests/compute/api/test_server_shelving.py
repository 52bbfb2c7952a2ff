"""shelve, shelveOffload, unshelve: what each commits, where a server may come back to, and who and what is refused."""

from datetime import timedelta
from typing import Any

import pytest

from kilonova.compute.servers import overdue
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.tables import tasks

MISSING = "5a6b9b56-0000-4f9c-a1b1-4d0c8c7c0f11"


async def newest_task(nova: Any, server_id: str) -> Any:
    async with nova.service.database.reading() as tx:
        return (await tasks.of_subject(tx, server_id))[0]


async def images(nova: Any) -> list[dict[str, Any]]:
    listed = nova.body_of(await (await nova.imaging("admin")).get("/v2/images?image_type=snapshot"), 200)
    found: list[dict[str, Any]] = listed["images"]
    return found


async def offloaded(nova: Any, **values: Any) -> Any:
    root = {"image": {"id": MISSING, "disk_format": "qcow2", "size_bytes": 1, "sha512": ""}, "is_used": True}
    fields = {"vm_state": "shelved_offloaded", "host": None, "node_id": None, "root_image": root, **values}
    return await nova.insert_server(**fields)


@pytest.mark.parametrize("state", ["active", "stopped", "paused", "suspended"])
async def test_a_shelving_makes_an_image_that_waits_for_the_disk(nova: Any, state: str) -> None:
    server = await nova.insert_server(vm_state=state)
    url, body = f"/servers/{server.id}", {"shelve": None}
    await nova.refused("POST", f"{url}/action", 404, by="other", json=body)
    await nova.refused("POST", f"{url}/action", 403, by="reader", json=body)
    await nova.call("POST", f"{url}/action", 202, json=body)
    (image,) = await images(nova)
    assert (image["name"], image["status"], image["owner"]) == ("web-shelved", "queued", server.project_id)
    task = await newest_task(nova, server.id)
    assert (task.program, task.args["image_id"], task.args["is_offloaded"]) == ("shelve", image["id"], True)
    assert (await nova.server(server.id)).wanted_power == "stopped"
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "shelving"
    assert "task_state shelving" in await nova.refused("POST", f"{url}/action", 409, json=body)


async def test_in_other_states_nothing_is_made(nova: Any) -> None:
    for state in ("error", "rescued", "shelved", "shelved_offloaded"):
        server = await nova.insert_server(vm_state=state)
        told = await nova.refused("POST", f"/servers/{server.id}/action", 409, json={"shelve": None})
        assert told == f"Cannot 'shelve' instance {server.id} while it is in vm_state {state}"
    locked = await nova.insert_server(locked=True, locked_by="owner")
    await nova.refused("POST", f"/servers/{locked.id}/action", 409, json={"shelve": None})
    await nova.refused("POST", f"/servers/{MISSING}/action", 404, json={"shelve": None})
    assert await images(nova) == []


async def test_an_image_whose_task_is_refused_is_deleted_again(nova: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await nova.insert_server()
    create = nova.service.image.create

    async def create_slowly(*arguments: Any) -> Any:
        made = await create(*arguments)
        await nova.call("POST", f"/servers/{server.id}/action", 202, json={"pause": None})
        return made

    monkeypatch.setattr(nova.service.image, "create", create_slowly)
    assert "pausing" in await nova.refused("POST", f"/servers/{server.id}/action", 409, json={"shelve": None})
    assert await images(nova) == []


async def test_a_server_stays_on_its_host_as_long_as_the_operator_says(nova: Any) -> None:
    nova.service.options = ServerOptions(shelved_offload_seconds=3600)
    server = await nova.insert_server()
    await nova.call("POST", f"/servers/{server.id}/action", 202, json={"shelve": None})
    assert "is_offloaded" not in (await newest_task(nova, server.id)).args
    now = nova.service.clock.now()
    old, young = [
        await nova.insert_server(vm_state="shelved", left_at=now - timedelta(seconds=age)) for age in (3601, 3500)
    ]
    await overdue.look(nova.service.here)
    assert (await newest_task(nova, old.id)).program == "shelve_offload"
    assert (await newest_task(nova, young.id)).program == "build"
    nova.service.options = ServerOptions(shelved_offload_seconds=-1)
    await overdue.look(nova.service.here)
    assert (await newest_task(nova, young.id)).program == "build"


async def test_an_administrator_offloads_what_is_shelved(nova: Any) -> None:
    server = await nova.insert_server(vm_state="shelved")
    url, body = f"/servers/{server.id}", {"shelveOffload": None}
    assert (await nova.call("GET", url))["server"]["status"] == "SHELVED"
    await nova.refused("POST", f"{url}/action", 403, json=body)
    await nova.call("POST", f"{url}/action", 202, by="admin", json=body)
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "shelving_offloading"
    other = await nova.insert_server()
    await nova.refused("POST", f"/servers/{other.id}/action", 409, by="admin", json=body)


async def test_unshelving_takes_it_back(nova: Any) -> None:
    for server in (await nova.insert_server(vm_state="shelved"), await offloaded(nova, requested_host="gone")):
        url, body = f"/servers/{server.id}", {"unshelve": None}
        await nova.refused("POST", f"{url}/action", 404, by="other", json=body)
        await nova.refused("POST", f"{url}/action", 403, by="reader", json=body)
        await nova.call("POST", f"{url}/action", 202, json=body)
        row = await nova.server(server.id)
        assert (row.wanted_power, row.requested_host) == ("running", None)
        assert (await newest_task(nova, server.id)).program == "unshelve"
        assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "unshelving"
    other = await nova.insert_server()
    told = await nova.refused("POST", f"/servers/{other.id}/action", 409, json={"unshelve": None})
    assert "vm_state active" in told


async def test_an_offloaded_server_is_shown_and_listed(nova: Any) -> None:
    server = await offloaded(nova)
    shown = (await nova.call("GET", f"/servers/{server.id}", by="admin"))["server"]
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("SHELVED_OFFLOADED", None)
    found = (await nova.call("GET", "/servers?status=SHELVED_OFFLOADED"))["servers"]
    assert [each["id"] for each in found] == [server.id]
    for action in ("os-start", "reboot", "createImage", "rebuild"):
        body = {"reboot": {"type": "HARD"}, "createImage": {"name": "x"}, "rebuild": {"imageRef": MISSING}}
        await nova.refused("POST", f"/servers/{server.id}/action", 409, json={action: body.get(action)})


@pytest.mark.parametrize("version", ["2.77", "2.91"])
async def test_it_may_come_back_to_a_zone(nova: Any, version: str) -> None:
    await nova.register_host("node1", "east")
    server = await offloaded(nova)
    url = f"/servers/{server.id}/action"
    told = await nova.refused("POST", url, 400, version=version, json={"unshelve": {"availability_zone": "west"}})
    assert told == "The requested availability zone is not available: west."
    await nova.call("POST", url, 202, version=version, json={"unshelve": {"availability_zone": "east"}})
    assert (await nova.server(server.id)).requested_zone == "east"
    on_host = await nova.insert_server(vm_state="shelved")
    zoned = {"unshelve": {"availability_zone": "east"}}
    assert "on its host" in await nova.refused(
        "POST", f"/servers/{on_host.id}/action", 409, version=version, json=zoned
    )


async def test_it_may_be_unpinned_and_come_back_to_a_host(nova: Any) -> None:
    await nova.register_host("node1", "east")
    await nova.register_host("node2", "west")
    free = await offloaded(nova, requested_zone="east")
    await nova.call("POST", f"/servers/{free.id}/action", 202, json={"unshelve": {"availability_zone": None}})
    assert (await nova.server(free.id)).requested_zone is None
    server = await offloaded(nova, requested_zone="east")
    url = f"/servers/{server.id}/action"
    await nova.refused("POST", url, 403, json={"unshelve": {"host": "node1"}})
    told = await nova.refused("POST", url, 400, by="admin", json={"unshelve": {"host": "node9"}})
    assert told == "Compute host node9 could not be found."
    told = await nova.refused("POST", url, 409, by="admin", json={"unshelve": {"host": "node2"}})
    assert told == "Host node2 is in the zone west, and the server is for east."
    both = {"unshelve": {"availability_zone": None, "host": "node2"}}
    await nova.call("POST", url, 202, by="admin", json=both)
    row = await nova.server(server.id)
    assert (row.requested_zone, row.requested_host) == (None, "node2")


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("2.77", {}),
        ("2.77", {"availability_zone": None}),
        ("2.77", {"host": "node1"}),
        ("2.90", {"availability_zone": ""}),
        ("2.91", {}),
        ("2.91", {"host": None}),
        ("2.91", {"host": "a b"}),
        ("2.91", {"zone": "east"}),
        ("2.91", "now"),
    ],
)
async def test_bad_wishes_are_refused(nova: Any, version: str, body: Any) -> None:
    server = await offloaded(nova)
    await nova.refused("POST", f"/servers/{server.id}/action", 400, version=version, json={"unshelve": body})


async def test_before_2_77_the_body_means_nothing(nova: Any) -> None:
    server = await offloaded(nova)
    body = {"unshelve": {"availability_zone": "nowhere"}}
    await nova.call("POST", f"/servers/{server.id}/action", 202, version="2.76", json=body)
    assert (await nova.server(server.id)).requested_zone is None
