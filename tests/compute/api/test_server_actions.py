"""Pausing, suspending, locking, resetting: what each commits, and who and what is refused."""

from typing import Any

import pytest

from kilonova.compute.api import server_actions
from kilonova.compute.app import SERVER_ACTIONS
from kilonova.compute.tables import tasks


@pytest.mark.parametrize(
    ("action", "state", "program", "wanted", "task_state"),
    [
        ("pause", "active", "pause", "paused", "pausing"),
        ("unpause", "paused", "unpause", "running", "unpausing"),
        ("suspend", "active", "suspend", "suspended", "suspending"),
        ("resume", "suspended", "resume", "running", "resuming"),
    ],
)
async def test_a_wish_is_committed_with_its_task_in_its_states_only(
    nova: Any, action: str, state: str, program: str, wanted: str, task_state: str
) -> None:
    server = await nova.insert_server(vm_state=state)
    url = f"/servers/{server.id}"
    await nova.refused("POST", f"{url}/action", 404, by="other", json={action: None})
    await nova.refused("POST", f"{url}/action", 403, by="reader", json={action: None})
    await nova.call("POST", f"{url}/action", 202, json={action: None})
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == task_state
    assert (await nova.server(server.id)).wanted_power == wanted
    assert f"task_state {task_state}" in await nova.refused("POST", f"{url}/action", 409, json={action: None})
    (done,) = (await nova.call("GET", f"{url}/os-instance-actions?limit=1"))["instanceActions"]
    assert done["action"] == program
    for other_state in {"active", "paused", "suspended", "stopped", "error"} - {state}:
        wrong = await nova.insert_server(vm_state=other_state)
        told = await nova.refused("POST", f"/servers/{wrong.id}/action", 409, json={action: None})
        assert told == f"Cannot '{action}' instance {wrong.id} while it is in vm_state {other_state}"


@pytest.mark.parametrize(("state", "status"), [("paused", "PAUSED"), ("suspended", "SUSPENDED")])
async def test_the_states_are_shown_and_filtered_by(nova: Any, state: str, status: str) -> None:
    server = await nova.insert_server(vm_state=state)
    await nova.insert_server()
    assert (await nova.call("GET", f"/servers/{server.id}"))["server"]["status"] == status
    found = (await nova.call("GET", f"/servers?status={status}"))["servers"]
    assert [each["id"] for each in found] == [server.id]
    await nova.call("POST", f"/servers/{server.id}/action", 202, json={"reboot": {"type": "HARD"}})
    assert (await nova.server(server.id)).wanted_power == "running"


async def test_a_hard_reboot_replaces_what_is_under_way_but_no_delete(nova: Any) -> None:
    server = await nova.insert_server()
    url, hard = f"/servers/{server.id}", {"reboot": {"type": "HARD"}}
    for action in ({"pause": None}, hard):
        await nova.call("POST", f"{url}/action", 202, json=action)
    async with nova.service.database.reading() as tx:
        found = await tasks.of_subject(tx, server.id)
    assert [(task.program, task.outcome) for task in found][:2] == [("reboot_hard", None), ("pause", "superseded")]
    assert (await nova.server(server.id)).reboot_count == 1
    await nova.call("DELETE", url, 204)
    assert "task_state deleting" in await nova.refused("POST", f"{url}/action", 409, json=hard)


async def test_a_server_is_locked_by_its_owner_and_unlocked(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    await nova.refused("POST", f"{url}/action", 403, by="reader", json={"lock": None})
    await nova.call("POST", f"{url}/action", 202, json={"lock": {"locked_reason": "in use"}})
    shown = (await nova.call("GET", url))["server"]
    assert (shown["locked"], shown["locked_reason"]) == (True, "in use")
    assert [each["id"] for each in (await nova.call("GET", "/servers?locked=true"))["servers"]] == [server.id]
    for action in ("pause", "suspend", "os-stop", "forceDelete"):
        told = await nova.refused("POST", f"{url}/action", 409, json={action: None})
        assert told == f"Instance {server.id} is locked"
    await nova.call("POST", f"{url}/action", 202, by="admin", json={"pause": None})
    await nova.call("POST", f"{url}/action", 202, json={"unlock": None})
    shown = (await nova.call("GET", url))["server"]
    assert (shown["locked"], shown["locked_reason"]) == (False, None)


async def test_what_an_administrator_has_locked_its_owner_does_not_unlock(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    await nova.call("POST", url, 202, by="admin", json={"lock": {"locked_reason": "audit"}})
    await nova.call("POST", url, 202, json={"lock": {"locked_reason": "mine"}})
    assert (await nova.server(server.id)).locked_reason == "audit"
    told = await nova.refused("POST", url, 403, json={"unlock": None})
    assert "os-lock-server:unlock:unlock_override" in told
    await nova.call("POST", url, 202, by="admin", json={"unlock": None})
    assert not (await nova.server(server.id)).locked


async def test_a_lock_has_a_reason_from_2_73_on(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    await nova.call("POST", url, 202, version="2.72", json={"lock": {"locked_reason": "ignored"}})
    assert (await nova.server(server.id)).locked_reason is None
    for body in ({"locked_reason": ""}, {"locked_reason": "x" * 256}, {"why": "x"}, "now"):
        await nova.refused("POST", url, 400, json={"lock": body})


async def test_an_administrator_resets_the_state_and_ends_what_runs(nova: Any) -> None:
    server = await nova.insert_server(building=True)
    url = f"/servers/{server.id}"
    await nova.refused("POST", f"{url}/action", 403, json={"os-resetState": {"state": "error"}})
    await nova.refused("POST", f"{url}/action", 400, by="admin", json={"os-resetState": {"state": "stopped"}})
    await nova.refused("POST", f"{url}/action", 400, by="admin", json={"os-resetState": {}})
    for state, status in (("error", "ERROR"), ("active", "ACTIVE")):
        await nova.call("POST", f"{url}/action", 202, by="admin", json={"os-resetState": {"state": state}})
        shown = (await nova.call("GET", url))["server"]
        assert (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None)
    async with nova.service.database.reading() as tx:
        (task,) = await tasks.of_subject(tx, server.id)
    assert (task.outcome, task.active_subject) == ("superseded", None)


async def test_a_forced_delete_is_a_delete(nova: Any) -> None:
    server = await nova.insert_server(building=True)
    url = f"/servers/{server.id}"
    await nova.refused("POST", f"{url}/action", 404, by="other", json={"forceDelete": None})
    await nova.call("POST", f"{url}/action", 202, json={"forceDelete": None})
    assert (await nova.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "deleting"


async def test_an_action_that_there_is_not_is_refused_after_what_it_is_asked_of(nova: Any) -> None:
    server = await nova.insert_server()
    missing = "0b6c9f0e-0000-4000-8000-000000000000"
    body: dict[str, Any] = {"danceNow": {}}
    await nova.refused("POST", f"/servers/{missing}/action", 404, json=body)
    await nova.refused("POST", f"/servers/{server.id}/action", 404, by="other", json=body)
    await nova.refused("POST", f"/servers/{server.id}/action", 403, by="reader", json=body)
    told = await nova.refused("POST", f"/servers/{server.id}/action", 400, json=body)
    assert told == "There is no such action: danceNow."


UPSTREAM = (
    "addFixedIp addFloatingIp addSecurityGroup changePassword confirmResize createBackup createImage evacuate "
    "forceDelete injectNetworkInfo lock migrate os-getConsoleOutput os-getRDPConsole os-getSPICEConsole "
    "os-getSerialConsole os-getVNCConsole os-migrateLive os-resetState os-start os-stop pause reboot rebuild "
    "removeFixedIp removeFloatingIp removeSecurityGroup rescue resetNetwork resize restore resume revertResize shelve "
    "shelveOffload suspend trigger_crash_dump unlock unpause unrescue unshelve"
).split()


def test_each_action_upstream_has_is_here_or_is_said_not_to_be() -> None:
    served = {each.key for each in SERVER_ACTIONS}
    assert set(UPSTREAM) <= served | set(server_actions.GONE)


async def test_an_action_that_is_no_more_is_gone_and_one_of_another_version_is_not_found(nova: Any) -> None:
    server = await nova.insert_server()
    url, missing = f"/servers/{server.id}/action", "/servers/0b6c9f0e-0000-4000-8000-000000000000/action"
    for body, status, word in (
        ({"resetNetwork": None}, 410, "DHCP"),
        ({"addFixedIp": {"networkId": server.id}}, 404, "not part of version 2.104"),
    ):
        assert word in await nova.refused("POST", url, status, json=body)
        await nova.refused("POST", missing, 404, json=body)
        await nova.refused("POST", url, 403, by="reader", json=body)


async def test_an_administrator_has_the_host_look_at_the_ports_again(nova: Any) -> None:
    server = await nova.insert_server()
    url, body = f"/servers/{server.id}", {"injectNetworkInfo": None}
    await nova.refused("POST", f"{url}/action", 403, json=body)
    await nova.call("POST", f"{url}/action", 202, by="admin", json=body)
    (action, _created) = (await nova.call("GET", f"{url}/os-instance-actions"))["instanceActions"]
    assert action["action"] == "inject_network_info"
    stopped = await nova.insert_server(vm_state="stopped")
    await nova.refused("POST", f"/servers/{stopped.id}/action", 409, by="admin", json=body)
