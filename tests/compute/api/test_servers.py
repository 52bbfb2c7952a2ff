"""A server: shown, changed, deleted, acted on, and what was done to it. Rows stand in for what a build leaves."""

from datetime import timedelta
from typing import Any

import pytest

from kilonova.compute.agent.contract import CONSOLE_LOG, ConsoleLogArguments
from kilonova.compute.servers import servers
from kilonova.compute.tables import tasks

ADMINS_FIELDS = {
    "OS-EXT-SRV-ATTR:host",
    "OS-EXT-SRV-ATTR:hypervisor_hostname",
    "OS-EXT-SRV-ATTR:instance_name",
    "host_status",
}
MISSING = "0b6c9f0e-0000-4000-8000-000000000000"
PORTS = [
    {
        "id": "p1",
        "network_id": "n1",
        "network_name": "lan",
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": ["10.0.0.5", "2001:db8::5"],
        "floating_ips": ["172.24.4.9"],
        "preserve": False,
    }
]


async def test_a_running_server_is_shown_whole(nova: Any) -> None:
    server = await nova.insert_server(ports=PORTS, metadata={"role": "front"}, availability_zone="nova")
    shown = (await nova.call("GET", f"/servers/{server.id}"))["server"]
    assert (shown["id"], shown["name"], shown["status"]) == (server.id, "web", "ACTIVE")
    assert (shown["tenant_id"], shown["user_id"]) == (server.project_id, server.user_id)
    assert (shown["metadata"], shown["progress"], shown["key_name"]) == ({"role": "front"}, 0, None)
    assert (shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:task_state"], shown["OS-EXT-STS:power_state"]) == (
        "active",
        None,
        1,
    )
    mac = {"OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}
    assert shown["addresses"] == {
        "lan": [
            {"version": 4, "addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed", **mac},
            {"version": 6, "addr": "2001:db8::5", "OS-EXT-IPS:type": "fixed", **mac},
            {"version": 4, "addr": "172.24.4.9", "OS-EXT-IPS:type": "floating", **mac},
        ]
    }
    assert shown["flavor"] == {
        "original_name": "m1.tiny",
        "vcpus": 1,
        "ram": 512,
        "disk": 1,
        "ephemeral": 0,
        "swap": 0,
        "extra_specs": {"hw:cpu_policy": "shared"},
    }
    assert shown["image"]["properties"] == {"hw_disk_bus": "virtio"}
    assert (shown["OS-EXT-AZ:availability_zone"], shown["config_drive"], shown["locked"]) == ("nova", "", False)
    assert shown["created"].endswith("Z")
    assert len(shown["hostId"]) == 56
    assert not ADMINS_FIELDS & set(shown)
    assert "fault" not in shown


async def test_administrators_see_where_it_is(nova: Any) -> None:
    await nova.register_host()
    server = await nova.insert_server(user_data=b"#!")
    shown = (await nova.call("GET", f"/servers/{server.id}", by="admin"))["server"]
    assert set(shown) >= ADMINS_FIELDS
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-SRV-ATTR:instance_name"]) == ("node1", "instance-00000001")
    assert (shown["OS-EXT-SRV-ATTR:user_data"], shown["host_status"]) == ("IyE=", "UP")
    service = (await nova.call("GET", "/os-services?host=node1", by="admin"))["services"][0]
    await nova.call("PUT", f"/os-services/{service['id']}", by="admin", json={"status": "disabled"})
    shown = (await nova.call("GET", f"/servers/{server.id}", by="admin"))["server"]
    assert shown["host_status"] == "MAINTENANCE"


KNOWN: list[tuple[str, set[str], set[str]]] = [
    ("2.1", {"locked", "host_status", "description", "tags", "OS-EXT-SRV-ATTR:hostname"}, {"OS-EXT-SRV-ATTR:host"}),
    ("2.3", {"locked"}, {"OS-EXT-SRV-ATTR:reservation_id", "OS-EXT-SRV-ATTR:hostname"}),
    ("2.9", {"host_status"}, {"locked"}),
    ("2.16", {"description"}, {"host_status"}),
    ("2.19", {"tags"}, {"description"}),
    ("2.26", {"trusted_image_certificates"}, {"tags"}),
    ("2.63", {"server_groups"}, {"trusted_image_certificates"}),
    ("2.71", {"locked_reason"}, {"server_groups"}),
    ("2.73", {"pinned_availability_zone"}, {"locked_reason"}),
    ("2.96", {"scheduler_hints"}, {"pinned_availability_zone"}),
    ("2.100", set(), {"scheduler_hints"}),
]


async def test_a_version_shows_what_it_knows(nova: Any) -> None:
    server = await nova.insert_server()
    for version, gone, there in KNOWN:
        shown = (await nova.call("GET", f"/servers/{server.id}", by="admin", version=version))["server"]
        assert not gone & set(shown), version
        assert there <= set(shown), version
        (listed,) = (await nova.call("GET", "/servers/detail?all_tenants=1", by="admin", version=version))["servers"]
        assert set(listed) == set(shown) - {"server_groups"}, version


async def test_a_users_view_gains_the_host_name_with_2_90(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    assert "OS-EXT-SRV-ATTR:hostname" not in (await nova.call("GET", url, version="2.89"))["server"]
    assert (await nova.call("GET", url, version="2.90"))["server"]["OS-EXT-SRV-ATTR:hostname"] == "web"


async def test_the_flavor_is_a_link_before_2_47_and_images_have_no_properties_before_2_98(nova: Any) -> None:
    server = await nova.insert_server()
    link = {"rel": "bookmark", "href": "http://service.local/flavors/1"}
    old = (await nova.call("GET", f"/servers/{server.id}", version="2.46"))["server"]
    assert old["flavor"] == {"id": "1", "links": [link]}
    assert set(old["image"]) == {"id", "links"}
    assert "properties" not in (await nova.call("GET", f"/servers/{server.id}", version="2.97"))["server"]["image"]


async def test_a_building_server_hides_its_addresses(nova: Any) -> None:
    server = await nova.insert_server(building=True, ports=PORTS)
    shown = (await nova.call("GET", f"/servers/{server.id}"))["server"]
    assert (shown["status"], shown["addresses"], shown["hostId"]) == ("BUILD", {}, "")
    listed = (await nova.call("GET", f"/servers/{server.id}/ips"))["addresses"]
    assert listed["lan"][0] == {"version": 4, "addr": "10.0.0.5"}
    assert await nova.call("GET", f"/servers/{server.id}/ips/lan") == listed
    await nova.refused("GET", f"/servers/{server.id}/ips/wan", 404)


async def test_a_failed_server_shows_its_fault_and_details_to_administrators(nova: Any) -> None:
    now = nova.service.clock.now()
    fault = servers.fault("No valid host was found.", now, details="node1 is disabled")
    server = await nova.insert_server(vm_state="error", host=None, fault=fault)
    shown = (await nova.call("GET", f"/servers/{server.id}"))["server"]
    assert shown["status"] == "ERROR"
    assert shown["fault"] == {
        "code": 500,
        "message": "No valid host was found.",
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    shown = (await nova.call("GET", f"/servers/{server.id}", by="admin"))["server"]
    assert shown["fault"]["details"] == "node1 is disabled"


async def test_two_projects_cannot_tell_that_they_share_a_host(nova: Any) -> None:
    ours, theirs = await nova.insert_server(), await nova.insert_server("other")
    first = (await nova.call("GET", f"/servers/{ours.id}"))["server"]["hostId"]
    second = (await nova.call("GET", f"/servers/{theirs.id}", by="other"))["server"]["hostId"]
    assert first != second


async def test_another_projects_server_is_not_there(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", url, None),
        ("PUT", url, {"server": {"name": "mine"}}),
        ("DELETE", url, None),
        ("POST", f"{url}/action", {"os-stop": None}),
        ("POST", f"{url}/action", {"os-getConsoleOutput": {}}),
        ("GET", f"{url}/ips", None),
        ("GET", f"{url}/os-instance-actions", None),
        ("GET", f"{url}/os-instance-actions/req-build", None),
    ]
    for method, path, json in calls:
        sentence = await nova.refused(method, path, 404, by="other", json=json)
        assert sentence == f"Instance {server.id} could not be found."
        missing = await nova.refused(method, path.replace(server.id, MISSING), 404, by="other", json=json)
        assert missing == f"Instance {MISSING} could not be found."
    assert (await nova.server(server.id)).name == "web"


async def test_readers_see_and_do_not_touch(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    await nova.call("GET", url, by="reader")
    await nova.call("GET", f"{url}/ips", by="reader")
    await nova.call("GET", f"{url}/os-instance-actions", by="reader")
    await nova.refused("PUT", url, 403, by="reader", json={"server": {"name": "x"}})
    await nova.refused("DELETE", url, 403, by="reader")
    for action in ({"os-stop": None}, {"reboot": {"type": "SOFT"}}, {"os-getConsoleOutput": {}}):
        await nova.refused("POST", f"{url}/action", 403, by="reader", json=action)
    assert (await nova.server(server.id)).vm_state == "active"


async def test_a_server_is_changed(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    change = {
        "name": "front",
        "description": "the front end",
        "accessIPv4": "192.0.2.7",
        "accessIPv6": "2001:db8::7",
        "hostname": "front.example.org",
        "OS-DCF:diskConfig": "AUTO",
    }
    shown = (await nova.call("PUT", url, json={"server": change}))["server"]
    hostname = change.pop("hostname")
    assert {**shown, **change} == shown
    assert shown["OS-EXT-SRV-ATTR:hostname"] == hostname
    assert shown == (await nova.call("GET", url))["server"]
    cleared = (await nova.call("PUT", url, json={"server": {"description": None}}))["server"]
    assert (cleared["description"], cleared["name"]) == (None, "front")


async def test_a_changed_server_is_shown_whole_from_2_75_on(nova: Any) -> None:
    server = await nova.insert_server(ports=PORTS)
    change = {"server": {"name": "x"}}
    old = (await nova.call("PUT", f"/servers/{server.id}", version="2.74", json=change))["server"]
    assert old["addresses"]["lan"][0] == {"version": 4, "addr": "10.0.0.5"}
    assert not [name for name in old if name.startswith("OS-EXT")]
    assert "key_name" not in old


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "latest", "length >= 1"),
    ({"name": " x"}, "latest", "matching regex"),
    ({"accessIPv4": "::1"}, "latest", "accessIPv4"),
    ({"accessIPv6": "x"}, "latest", "accessIPv6"),
    ({"hostname": "a.b"}, "2.93", "2.94"),
    ({"hostname": "front"}, "2.89", "'hostname' was unexpected"),
    ({"description": "x"}, "2.18", "'description' was unexpected"),
    ({"pinned_availability_zone": None}, "2.103", "'pinned_availability_zone' was unexpected"),
    ({"status": "ACTIVE"}, "latest", "unknown field `status`"),
]


async def test_a_change_that_cannot_be_meant_is_400(nova: Any) -> None:
    server = await nova.insert_server()
    for change, version, sentence in REFUSED:
        body = {"server": change}
        told = await nova.refused("PUT", f"/servers/{server.id}", 400, version=version, json=body)
        assert sentence in told, change


async def test_a_server_is_pinned_to_the_zone_it_is_in_and_unpinned(nova: Any) -> None:
    server = await nova.insert_server(availability_zone="nova")
    url = f"/servers/{server.id}"

    async def pin(zone: str | None) -> Any:
        return (await nova.call("PUT", url, json={"server": {"pinned_availability_zone": zone}}))["server"]

    assert (await pin("nova"))["pinned_availability_zone"] == "nova"
    other = {"server": {"pinned_availability_zone": "west"}}
    assert "unpin first" in await nova.refused("PUT", url, 409, json=other)
    assert (await pin(None))["pinned_availability_zone"] is None
    assert "current availability zone 'nova'" in await nova.refused("PUT", url, 409, json=other)


async def test_deleting_starts_the_end_of_a_server_whatever_runs(nova: Any) -> None:
    server = await nova.insert_server(building=True)
    url = f"/servers/{server.id}"
    await nova.call("DELETE", url, 204)
    shown = (await nova.call("GET", url))["server"]
    assert shown["OS-EXT-STS:task_state"] == "deleting"
    await nova.call("DELETE", url, 204)
    async with nova.service.database.reading() as tx:
        found = await tasks.of_subject(tx, server.id)
    assert [(task.program, task.outcome) for task in found] == [("destroy", None), ("build", "superseded")]


async def test_a_locked_server_is_left_alone_except_by_administrators(nova: Any) -> None:
    server = await nova.insert_server(locked=True)
    url = f"/servers/{server.id}"
    assert "is locked" in await nova.refused("DELETE", url, 409)
    assert "is locked" in await nova.refused("POST", f"{url}/action", 409, json={"os-stop": None})
    await nova.call("DELETE", url, 204, by="admin")


@pytest.mark.parametrize(
    ("action", "state", "program", "wanted"),
    [
        ({"os-stop": None}, "active", "stop", "stopped"),
        ({"os-stop": {}}, "error", "stop", "stopped"),
        ({"os-start": None}, "stopped", "start", "running"),
        ({"reboot": {"type": "SOFT"}}, "active", "reboot", "running"),
        ({"reboot": {"type": "Hard"}}, "stopped", "reboot_hard", "running"),
        ({"reboot": {"type": "hard"}}, "error", "reboot_hard", "running"),
    ],
)
async def test_an_action_commits_the_wish_and_its_task(
    nova: Any, action: Any, state: str, program: str, wanted: str
) -> None:
    server = await nova.insert_server(vm_state=state)
    await nova.call("POST", f"/servers/{server.id}/action", 202, json=action)
    row = await nova.server(server.id)
    assert row.wanted_power == wanted
    assert row.reboot_count == (1 if program.startswith("reboot") else 0)
    async with nova.service.database.reading() as tx:
        task = await tasks.active(tx, server.id)
    assert task is not None
    assert task.program == program


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ({"os-stop": None}, "stopped"),
        ({"os-start": None}, "active"),
        ({"os-start": None}, "error"),
        ({"reboot": {"type": "SOFT"}}, "stopped"),
        ({"reboot": {"type": "SOFT"}}, "error"),
    ],
)
async def test_an_action_its_state_does_not_allow_is_409(nova: Any, action: Any, state: str) -> None:
    server = await nova.insert_server(vm_state=state)
    sentence = await nova.refused("POST", f"/servers/{server.id}/action", 409, json=action)
    assert sentence.endswith(f"instance {server.id} while it is in vm_state {state}")
    async with nova.service.database.reading() as tx:
        assert await tasks.active(tx, server.id) is None


async def test_one_operation_at_a_time(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    await nova.call("POST", url, 202, json={"os-stop": None})
    sentence = await nova.refused("POST", url, 409, json={"reboot": {"type": "SOFT"}})
    assert "task_state powering-off" in sentence
    building = await nova.insert_server(building=True)
    sentence = await nova.refused("POST", f"/servers/{building.id}/action", 409, json={"os-stop": None})
    assert building.id in sentence


NO_ACTIONS: list[tuple[Any, str]] = [
    ({}, "exactly one action"),
    ({"os-start": None, "os-stop": None}, "exactly one action"),
    ({"explode": None}, "There is no such action: explode"),
    ({"reboot": {"type": "GENTLE"}}, "reboot"),
    ({"reboot": None}, "reboot"),
    ({"os-getConsoleOutput": {"length": "many"}}, "length"),
    ({"os-getConsoleOutput": {"length": -2}}, "length"),
    ({"os-getConsoleOutput": {"colour": 1}}, "unknown field"),
]


async def test_an_action_that_cannot_be_meant_is_400(nova: Any) -> None:
    server = await nova.insert_server()
    for body, sentence in NO_ACTIONS:
        assert sentence in await nova.refused("POST", f"/servers/{server.id}/action", 400, json=body), body


async def test_the_console_is_read_on_the_host(nova: Any) -> None:
    asked: list[ConsoleLogArguments] = []

    async def console_log(arguments: ConsoleLogArguments) -> str:
        asked.append(arguments)
        return "one\ntwo\x00\x1b[0m\n"

    stop = nova.service.bus.serve("nova-compute.node1", dict([CONSOLE_LOG.served_by(console_log)]))
    server = await nova.insert_server()
    url = f"/servers/{server.id}/action"
    for length in (None, "20", 20, -1):
        answer = await nova.call("POST", url, json={"os-getConsoleOutput": {"length": length}})
        assert answer == {"output": "one\ntwo[0m\n"}
    assert [each.length_lines for each in asked] == [None, 20, 20, None]
    assert {each.server_id for each in asked} == {server.id}
    stop()
    sentence = await nova.refused("POST", url, 409, json={"os-getConsoleOutput": {}})
    assert "node1" in sentence
    building = await nova.insert_server(building=True)
    sentence = await nova.refused("POST", f"/servers/{building.id}/action", 409, json={"os-getConsoleOutput": {}})
    assert "on no host yet" in sentence


async def test_actions_tell_what_was_done_the_newest_first(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    response = await (await nova.api("demo")).post(f"/v2.1{url}/action", json={"os-stop": None})
    stop_id = response.headers["x-openstack-request-id"]
    listed = (await nova.call("GET", f"{url}/os-instance-actions"))["instanceActions"]
    assert [(each["action"], each["request_id"], each["message"]) for each in listed] == [
        ("stop", stop_id, None),
        ("create", "req-build", None),
    ]
    assert {(each["user_id"], each["project_id"]) for each in listed} == {(server.user_id, server.project_id)}
    created = (await nova.call("GET", f"{url}/os-instance-actions/req-build"))["instanceAction"]
    (event,) = created["events"]
    assert (event["event"], event["result"]) == ("conductor_schedule_and_build_instances", "Success")
    stopping = (await nova.call("GET", f"{url}/os-instance-actions/{stop_id}"))["instanceAction"]
    assert [(each["finish_time"], each["result"]) for each in stopping["events"]] == [(None, None)]
    sentence = await nova.refused("GET", f"{url}/os-instance-actions/req-none", 404)
    assert "req-none" in sentence


async def test_events_show_more_to_administrators_and_to_newer_versions(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/os-instance-actions/req-build"

    async def fields(version: str, by: str = "demo") -> set[str]:
        action = (await nova.call("GET", url, by=by, version=version))["instanceAction"]
        return set(action["events"][0]) if "events" in action else set()

    plain = {"event", "start_time", "finish_time", "result"}
    assert await fields("2.50") == set()
    assert await fields("2.50", "admin") == {*plain, "traceback"}
    assert await fields("2.51") == plain
    assert await fields("2.62") == {*plain, "hostId"}
    assert await fields("2.62", "admin") == {*plain, "traceback", "host", "hostId"}
    assert await fields("2.84") == {*plain, "hostId"}
    assert await fields("2.84", "admin") == {*plain, "traceback", "host", "hostId", "details"}
    shown = (await nova.call("GET", url, by="admin"))["instanceAction"]["events"][0]
    assert (shown["host"], shown["details"]) == ("node1", "running on node1")
    action = (await nova.call("GET", url, version="2.57"))["instanceAction"]
    assert "updated_at" not in action


async def test_actions_come_in_pages_and_by_time_from_2_58_on(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/os-instance-actions"
    await nova.call("POST", f"/servers/{server.id}/action", 202, json={"os-stop": None})

    def actions(body: Any) -> list[str]:
        return [each["action"] for each in body["instanceActions"]]

    first = await nova.call("GET", f"{url}?limit=1")
    assert actions(first) == ["stop"]
    second = await nova.call("GET", first["links"][0]["href"].partition("/v2.1")[2])
    assert actions(second) == ["create"]
    assert "links" not in second
    moment = (nova.service.clock.now() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert actions(await nova.call("GET", f"{url}?changes-since={moment}")) == ["stop"]
    assert actions(await nova.call("GET", f"{url}?changes-before={moment}")) == ["create"]
    assert "colour" in await nova.refused("GET", f"{url}?colour=blue", 400)
    assert "changes-before" in await nova.refused("GET", f"{url}?changes-before={moment}", 400, version="2.65")
    assert "marker [x]" in await nova.refused("GET", f"{url}?marker=x", 400)
    assert len(actions(await nova.call("GET", f"{url}?limit=1", version="2.57"))) == 2


async def test_a_deleted_server_is_gone_but_its_actions_stay(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    async with nova.service.database.transaction() as tx:
        await servers.forget(tx, server, nova.service.clock.now())
    await nova.refused("GET", url, 404)
    await nova.refused("DELETE", url, 404)
    assert (await nova.call("GET", "/servers"))["servers"] == []
    listed = await nova.call("GET", f"{url}/os-instance-actions", version="2.21")
    assert [each["action"] for each in listed["instanceActions"]] == ["create"]
    await nova.call("GET", f"{url}/os-instance-actions/req-build", by="reader")
    await nova.refused("GET", f"{url}/os-instance-actions", 404, version="2.20")
    await nova.refused("GET", f"{url}/os-instance-actions", 404, by="other")


async def test_events_of_the_network_service_are_taken_one_by_one(nova: Any) -> None:
    placed, waiting = await nova.insert_server(), await nova.insert_server(building=True)
    plugged = {"name": "network-vif-plugged", "tag": "p1"}
    events = [
        {**plugged, "server_uuid": placed.id, "status": "completed"},
        {**plugged, "server_uuid": waiting.id},
        {**plugged, "server_uuid": MISSING},
        {"name": "volume-extended", "server_uuid": placed.id},
    ]
    body = {"events": events}
    answer = await nova.call("POST", "/os-server-external-events", 207, by="admin", json=body)
    assert [each["code"] for each in answer["events"]] == [200, 422, 404, 400]
    assert [each["status"] for each in answer["events"]] == ["completed", "failed", "failed", "failed"]
    good = {"events": [{"name": "network-changed", "server_uuid": placed.id}]}
    answer = await nova.call("POST", "/os-server-external-events", 200, by="admin", json=good)
    assert "tag" not in answer["events"][0]
    await nova.refused("POST", "/os-server-external-events", 403, json=good)
    bad: Any
    for bad in ([], [{"name": "party", "server_uuid": placed.id}], [{"name": "network-changed", "server_uuid": "x"}]):
        await nova.refused("POST", "/os-server-external-events", 400, by="admin", json={"events": bad})
