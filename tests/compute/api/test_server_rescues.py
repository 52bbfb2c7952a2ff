"""rescue and unrescue: what each commits, which password it answers, and who and what is refused."""

from typing import Any

import pytest

from kilonova.compute.tables import tasks

MISSING = "5a6b9b56-0000-4f9c-a1b1-4d0c8c7c0f11"


async def newest_task(nova: Any, server_id: str) -> Any:
    async with nova.service.database.reading() as tx:
        return (await tasks.of_subject(tx, server_id))[0]


@pytest.mark.parametrize("state", ["active", "stopped", "error"])
async def test_a_rescue_is_committed_with_its_task(nova: Any, state: str) -> None:
    server = await nova.insert_server(vm_state=state, config_drive=True)
    image_id = await nova.image(hw_rescue_device="disk", hw_rescue_bus="scsi")
    url, body = f"/servers/{server.id}", {"rescue": {"adminPass": "secret", "rescue_image_ref": image_id}}
    await nova.refused("POST", f"{url}/action", 404, by="other", json=body)
    await nova.refused("POST", f"{url}/action", 403, by="reader", json=body)
    assert await nova.call("POST", f"{url}/action", json=body) == {"adminPass": "secret"}
    row, task = await nova.server(server.id), await newest_task(nova, server.id)
    assert row.rescue["image"]["id"] == image_id
    assert (row.rescue["bus"], row.rescue["is_stable"], row.rescue["has_config_drive"]) == ("scsi", True, True)
    assert (row.reboot_count, row.reboot_type, row.wanted_power) == (1, "HARD", "running")
    assert (task.program, task.args["admin_password"]) == ("rescue", "secret")
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "rescuing"
    assert "task_state rescuing" in await nova.refused("POST", f"{url}/action", 409, json=body)


async def test_without_an_image_its_own_one_does_and_a_password_is_made_up(nova: Any) -> None:
    server = await nova.insert_server()
    answer = await nova.call("POST", f"/servers/{server.id}/action", json={"rescue": None})
    assert len(answer["adminPass"]) >= 12
    row = await nova.server(server.id)
    assert (row.rescue["image"], row.rescue["is_stable"]) == (server.image, False)
    assert not row.rescue["has_config_drive"]
    assert "admin_password" not in (await newest_task(nova, server.id)).args


async def test_a_rescued_server_is_shown_as_one_and_can_be_unrescued(nova: Any) -> None:
    rescue = {"image": {}, "number": 1, "device": "disk", "bus": "virtio", "is_stable": True, "has_config_drive": False}
    server = await nova.insert_server(vm_state="rescued", rescue=rescue)
    url = f"/servers/{server.id}"
    assert (await nova.call("GET", url))["server"]["status"] == "RESCUE"
    assert [each["id"] for each in (await nova.call("GET", "/servers?status=RESCUE"))["servers"]] == [server.id]
    for action in ("pause", "os-stop", "createImage"):
        body = {action: {"name": "copy"} if action == "createImage" else None}
        assert "vm_state rescued" in await nova.refused("POST", f"{url}/action", 409, json=body)
    await nova.refused("POST", f"{url}/action", 403, by="reader", json={"unrescue": None})
    await nova.call("POST", f"{url}/action", 202, json={"unrescue": None})
    row = await nova.server(server.id)
    assert (row.rescue, row.reboot_count) == (None, 1)
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "unrescuing"


async def test_in_other_states_it_is_refused(nova: Any) -> None:
    for state in ("paused", "suspended", "rescued"):
        server = await nova.insert_server(vm_state=state)
        told = await nova.refused("POST", f"/servers/{server.id}/action", 409, json={"rescue": None})
        assert told == f"Cannot 'rescue' instance {server.id} while it is in vm_state {state}"
    server = await nova.insert_server()
    told = await nova.refused("POST", f"/servers/{server.id}/action", 409, json={"unrescue": None})
    assert "vm_state active" in told
    nowhere = await nova.insert_server(vm_state="error", host=None)
    await nova.refused("POST", f"/servers/{nowhere.id}/action", 409, json={"rescue": None})
    locked = await nova.insert_server(locked=True, locked_by="owner")
    await nova.refused("POST", f"/servers/{locked.id}/action", 409, json={"rescue": None})
    await nova.refused("POST", f"/servers/{MISSING}/action", 404, json={"rescue": None})


async def test_bad_wishes_are_refused(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    for body in ({"adminPass": "x" * 256}, {"rescue_image_ref": "cirros"}, {"image": MISSING}, "now"):
        await nova.refused("POST", url, 400, json={"rescue": body})
    told = await nova.refused("POST", url, 400, json={"rescue": {"rescue_image_ref": MISSING}})
    assert "could not be found" in told
    empty = await nova.image(upload=False)
    assert "not active" in await nova.refused("POST", url, 400, json={"rescue": {"rescue_image_ref": empty}})
    floppy = await nova.image(hw_rescue_device="floppy")
    assert "floppy" in await nova.refused("POST", url, 400, json={"rescue": {"rescue_image_ref": floppy}})
    assert (await nova.server(server.id)).rescue is None


async def test_a_state_that_is_reset_ends_a_rescue(nova: Any) -> None:
    server = await nova.insert_server(vm_state="rescued", rescue={"number": 1})
    await nova.call(
        "POST", f"/servers/{server.id}/action", 202, by="admin", json={"os-resetState": {"state": "active"}}
    )
    assert (await nova.server(server.id)).rescue is None
