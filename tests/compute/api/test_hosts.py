"""Services, hypervisors and zones: a host that registers is all three at once."""

from typing import Any

from kilonova.compute.agent.contract import UPTIME
from kilonova.compute.servers import servers
from kilonova.kit.agents import NoArguments

MANAGE = {"by": "admin"}


async def service_of(nova: Any, host: str = "node1") -> dict[str, Any]:
    (service,) = (await nova.call("GET", f"/os-services?host={host}", **MANAGE))["services"]
    found: dict[str, Any] = service
    return found


async def test_a_registered_host_is_service_hypervisor_zone_and_provider(nova: Any) -> None:
    assert (await nova.call("GET", "/os-hypervisors", **MANAGE))["hypervisors"] == []
    await nova.register_host()
    service = await service_of(nova)
    assert (service["binary"], service["zone"], service["state"], service["status"]) == (
        "nova-compute",
        "nova",
        "up",
        "enabled",
    )
    assert (service["forced_down"], service["disabled_reason"]) == (False, None)
    (hypervisor,) = (await nova.call("GET", "/os-hypervisors/detail", **MANAGE))["hypervisors"]
    assert hypervisor == {
        "id": hypervisor["id"],
        "hypervisor_hostname": "node1.example.org",
        "hypervisor_type": "QEMU",
        "hypervisor_version": 7_002_000,
        "host_ip": "10.0.0.31",
        "state": "up",
        "status": "enabled",
        "uptime": None,
        "service": {"id": service["id"], "host": "node1", "disabled_reason": None},
    }
    (provider,) = await nova.service.placement.providers()
    assert (provider.uuid, provider.name) == (hypervisor["id"], "node1.example.org")
    inventory = await nova.service.placement.inventory(hypervisor["id"])
    assert {name: entry.total for name, entry in inventory.items()} == {
        "VCPU": 4,
        "MEMORY_MB": 8192,
        "DISK_GB": 40,
    }


async def test_registering_again_changes_the_same_host(nova: Any) -> None:
    await nova.register_host()
    before = await service_of(nova)
    await nova.register_host(vcpus=8)
    after = await service_of(nova)
    assert after["id"] == before["id"]
    (hypervisor,) = (await nova.call("GET", "/os-hypervisors", **MANAGE))["hypervisors"]
    assert (await nova.service.placement.inventory(hypervisor["id"]))["VCPU"].total == 8


async def test_control_services_are_listed_beside_the_hosts(nova: Any) -> None:
    await nova.register_host()
    listed = (await nova.call("GET", "/os-services", **MANAGE))["services"]
    assert [(each["binary"], each["host"], each["zone"]) for each in listed] == [
        ("nova-compute", "node1", "nova"),
        ("nova-conductor", "controller", "internal"),
    ]
    by_binary = (await nova.call("GET", "/os-services?binary=nova-conductor", **MANAGE))["services"]
    assert [each["host"] for each in by_binary] == ["controller"]
    assert (await nova.call("GET", "/os-services?host=elsewhere", **MANAGE))["services"] == []
    assert "colour" in await nova.refused("GET", "/os-services?colour=blue", 400, **MANAGE)


async def test_a_host_that_does_not_answer_is_down(nova: Any) -> None:
    await nova.register_host()
    for _question in range(4):
        await nova.service.here.liveness.ask([("nova-compute", "node1")])
    assert (await service_of(nova))["state"] == "down"
    assert (await nova.call("GET", "/os-hypervisors", **MANAGE))["hypervisors"][0]["state"] == "down"


async def test_a_service_is_disabled_with_a_reason_enabled_and_forced_down(nova: Any) -> None:
    await nova.register_host()
    url = f"/os-services/{(await service_of(nova))['id']}"
    change = {"status": "disabled", "disabled_reason": "new disk"}
    changed = (await nova.call("PUT", url, json=change, **MANAGE))["service"]
    assert (changed["status"], changed["disabled_reason"]) == ("disabled", "new disk")
    assert changed == await service_of(nova)
    (hypervisor,) = (await nova.call("GET", "/os-hypervisors/detail", **MANAGE))["hypervisors"]
    assert (hypervisor["status"], hypervisor["service"]["disabled_reason"]) == ("disabled", "new disk")
    changed = (await nova.call("PUT", url, json={"status": "enabled", "forced_down": "true"}, **MANAGE))["service"]
    assert (changed["status"], changed["disabled_reason"], changed["forced_down"]) == ("enabled", None, True)
    assert changed["state"] == "down"
    changed = (await nova.call("PUT", url, json={"forced_down": False}, **MANAGE))["service"]
    assert (changed["forced_down"], changed["state"]) == (False, "up")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "No updates were requested"),
    ({"status": "broken"}, "status"),
    ({"disabled_reason": "because"}, "goes with the status disabled"),
    ({"status": "enabled", "disabled_reason": "because"}, "goes with the status disabled"),
    ({"status": "disabled", "disabled_reason": ""}, "length >= 1"),
    ({"forced_down": "perhaps"}, "forced_down"),
    ({"zone": "west"}, "unknown field `zone`"),
]


async def test_a_change_that_cannot_be_meant_is_400(nova: Any) -> None:
    await nova.register_host()
    url = f"/os-services/{(await service_of(nova))['id']}"
    for change, sentence in REFUSED:
        assert sentence in await nova.refused("PUT", url, 400, json=change, **MANAGE), change


async def test_a_service_is_named_by_uuid(nova: Any) -> None:
    change = {"status": "enabled"}
    assert await nova.refused("PUT", "/os-services/1", 400, json=change, **MANAGE) == "Invalid uuid 1"
    missing = "0b6c9f0e-0000-4000-8000-000000000000"
    sentence = await nova.refused("PUT", f"/os-services/{missing}", 404, json=change, **MANAGE)
    assert sentence == f"Service {missing} could not be found."


async def test_before_2_53_services_have_numbers_and_change_by_action(nova: Any) -> None:
    await nova.register_host()
    old = {"by": "admin", "version": "2.52"}
    service = (await nova.call("GET", "/os-services?host=node1", **old))["services"][0]
    assert service["id"] == 1
    assert "forced_down" not in (await nova.call("GET", "/os-services", by="admin", version="2.10"))["services"][0]
    who = {"host": "node1", "binary": "nova-compute"}
    reason = {**who, "disabled_reason": "new disk"}
    changed = await nova.call("PUT", "/os-services/disable-log-reason", json=reason, **old)
    assert changed == {"service": {**reason, "status": "disabled"}}
    assert (await service_of(nova))["disabled_reason"] == "new disk"
    enabled = await nova.call("PUT", "/os-services/enable", json=who, **old)
    assert enabled == {"service": {**who, "status": "enabled"}}
    assert (await service_of(nova))["status"] == "enabled"
    await nova.call("PUT", "/os-services/disable", json=who, **old)
    forced = await nova.call("PUT", "/os-services/force-down", json={**who, "forced_down": True}, **old)
    assert forced == {"service": {**who, "forced_down": True}}
    assert (await service_of(nova))["state"] == "down"
    await nova.refused("PUT", "/os-services/force-down", 400, json=who, **old)
    await nova.refused("PUT", "/os-services/force-down", 404, by="admin", version="2.10", json=who)
    await nova.refused("PUT", "/os-services/explode", 404, json=who, **old)
    await nova.refused("PUT", "/os-services/disable-log-reason", 400, json=who, **old)
    await nova.refused("PUT", "/os-services/enable", 404, json={**who, "host": "node9"}, **old)
    conductor = {"host": "controller", "binary": "nova-conductor"}
    assert "Only nova-compute" in await nova.refused("PUT", "/os-services/disable", 400, json=conductor, **old)


async def test_hypervisors_show_use_before_2_88_and_numbers_before_2_53(nova: Any) -> None:
    await nova.register_host()
    await nova.insert_server()
    newest = (await nova.call("GET", "/os-hypervisors/detail", **MANAGE))["hypervisors"][0]
    assert not {"vcpus", "cpu_info", "running_vms"} & set(newest)
    shown = (await nova.call("GET", f"/os-hypervisors/{newest['id']}", by="admin", version="2.87"))["hypervisor"]
    assert (shown["vcpus"], shown["vcpus_used"]) == (4, 1)
    assert (shown["memory_mb"], shown["memory_mb_used"], shown["free_ram_mb"]) == (8192, 512, 7680)
    assert (shown["local_gb"], shown["local_gb_used"], shown["free_disk_gb"]) == (40, 1, 39)
    assert (shown["running_vms"], shown["cpu_info"]["model"]) == (1, "qemu64")
    assert "uptime" not in shown
    older = (await nova.call("GET", "/os-hypervisors/1", by="admin", version="2.27"))["hypervisor"]
    assert (older["id"], older["service"]["id"]) == (1, 1)
    assert older["cpu_info"] == '{"arch": "x86_64", "model": "qemu64"}'
    await nova.refused("GET", f"/os-hypervisors/{newest['id']}", 404, by="admin", version="2.52")
    assert await nova.refused("GET", "/os-hypervisors/1", 400, **MANAGE) == "Invalid uuid 1"
    missing = "0b6c9f0e-0000-4000-8000-000000000000"
    assert missing in await nova.refused("GET", f"/os-hypervisors/{missing}", 404, **MANAGE)


async def test_hypervisors_list_the_servers_they_hold_when_asked(nova: Any) -> None:
    await nova.register_host("node1")
    await nova.register_host("node2")
    server = await nova.insert_server()
    listed = (await nova.call("GET", "/os-hypervisors?with_servers=true", **MANAGE))["hypervisors"]
    assert listed[0]["servers"] == [{"uuid": server.id, "name": "instance-00000001"}]
    assert listed[1]["servers"] == []
    older = (await nova.call("GET", "/os-hypervisors?with_servers=1", by="admin", version="2.74"))["hypervisors"]
    assert ["servers" in each for each in older] == [True, False]
    plain = (await nova.call("GET", "/os-hypervisors?with_servers=false", **MANAGE))["hypervisors"]
    assert not any("servers" in each for each in plain)
    assert "with_servers" in await nova.refused("GET", "/os-hypervisors?with_servers=x", 400, **MANAGE)


async def test_hypervisors_are_found_by_name_and_come_in_pages(nova: Any) -> None:
    for name in ("node1", "node2", "other1"):
        await nova.register_host(name)

    def names(body: Any) -> list[str]:
        return [each["hypervisor_hostname"].partition(".")[0] for each in body["hypervisors"]]

    pattern = "/os-hypervisors?hypervisor_hostname_pattern=node"
    assert names(await nova.call("GET", pattern, **MANAGE)) == ["node1", "node2"]
    await nova.refused("GET", "/os-hypervisors?hypervisor_hostname_pattern=zzz", 404, **MANAGE)
    await nova.refused("GET", f"{pattern}&limit=1", 400, **MANAGE)
    for version in ("2.33", "2.52", "latest"):
        first = await nova.call("GET", "/os-hypervisors/detail?limit=2", by="admin", version=version)
        assert names(first) == ["node1", "node2"]
        link = first["hypervisors_links"][0]["href"].partition("/v2.1")[2]
        assert names(await nova.call("GET", link, by="admin", version=version)) == ["other1"]
    assert len(names(await nova.call("GET", "/os-hypervisors?limit=2", by="admin", version="2.32"))) == 3
    assert "marker [x]" in await nova.refused("GET", "/os-hypervisors?marker=x", 400, **MANAGE)
    assert "colour" in await nova.refused("GET", "/os-hypervisors?colour=blue", 400, **MANAGE)


async def test_zones_are_available_while_an_enabled_host_is_in_them(nova: Any) -> None:
    await nova.register_host("node1")
    await nova.register_host("node2", zone="west")
    url = f"/os-services/{(await service_of(nova, 'node1'))['id']}"
    await nova.call("PUT", url, json={"status": "disabled"}, **MANAGE)
    zones = (await nova.call("GET", "/os-availability-zone"))["availabilityZoneInfo"]
    assert zones == [
        {"zoneName": "west", "zoneState": {"available": True}, "hosts": None},
        {"zoneName": "nova", "zoneState": {"available": False}, "hosts": None},
    ]
    detail = (await nova.call("GET", "/os-availability-zone/detail", **MANAGE))["availabilityZoneInfo"]
    assert [each["zoneName"] for each in detail] == ["internal", "west", "nova"]
    alive = detail[1]["hosts"]["node2"]["nova-compute"]
    assert (alive["active"], alive["available"]) == (True, True)
    assert detail[2]["hosts"] is None
    assert set(detail[0]["hosts"]["controller"]) == {"nova-conductor"}


async def test_statistics_sum_the_enabled_hosts_up_to_2_87(nova: Any) -> None:
    for host in ("node1", "node2", "node3"):
        await nova.register_host(host)
    await nova.insert_server()
    url = f"/os-services/{(await service_of(nova, 'node3'))['id']}"
    await nova.call("PUT", url, json={"status": "disabled"}, **MANAGE)
    summed = await nova.call("GET", "/os-hypervisors/statistics", by="admin", version="2.87")
    assert summed["hypervisor_statistics"] == {
        "count": 2,
        "vcpus": 8,
        "vcpus_used": 1,
        "memory_mb": 16384,
        "memory_mb_used": 512,
        "free_ram_mb": 15872,
        "local_gb": 80,
        "local_gb_used": 1,
        "free_disk_gb": 79,
        "disk_available_least": 79,
        "current_workload": 0,
        "running_vms": 1,
    }
    await nova.refused("GET", "/os-hypervisors/statistics", 404, by="admin", version="2.88")


MANAGED = [
    ("GET", "/os-aggregates"),
    ("GET", "/os-services"),
    ("GET", "/os-hypervisors"),
    ("GET", "/os-hypervisors/detail"),
    ("GET", "/os-hypervisors/0b6c9f0e-0000-4000-8000-000000000000"),
    ("GET", "/os-availability-zone/detail"),
    ("PUT", "/os-services/0b6c9f0e-0000-4000-8000-000000000000"),
]


async def test_hosts_are_for_administrators(nova: Any) -> None:
    for method, path in MANAGED:
        await nova.refused(method, path, 403, json={"status": "enabled"} if method == "PUT" else None)


async def test_a_service_is_deleted_with_its_provider_once_it_holds_no_servers(nova: Any) -> None:
    await nova.register_host("node1", zone="west")
    await nova.register_host("node2")
    first, second = await service_of(nova), await service_of(nova, "node2")
    held = await nova.insert_server(host="node1")
    url = f"/os-services/{first['id']}"
    assert "hosting instances" in await nova.refused("DELETE", url, 409, **MANAGE)
    async with nova.service.database.transaction() as tx:
        await servers.change(tx, held.id, nova.service.clock.now(), host=None)
    await nova.refused("DELETE", url, 403)
    await nova.call("DELETE", url, 204, **MANAGE)
    assert (await nova.call("GET", "/os-services?host=node1", **MANAGE))["services"] == []
    assert [each.name for each in await nova.service.placement.providers()] == ["node2.example.org"]
    assert (await nova.call("GET", "/os-aggregates", **MANAGE))["aggregates"][0]["hosts"] == []
    await nova.refused("DELETE", url, 404, **MANAGE)
    await nova.refused("DELETE", "/os-services/nonsense", 400, **MANAGE)
    old = (await nova.call("GET", "/os-services?host=node2", by="admin", version="2.52"))["services"][0]
    await nova.call("DELETE", f"/os-services/{old['id']}", 204, by="admin", version="2.52")
    await nova.refused("DELETE", f"/os-services/{second['id']}", 404, **MANAGE)


async def test_a_hypervisor_is_searched_and_tells_its_servers_and_how_long_it_is_up(nova: Any) -> None:
    for host in ("node1", "node2"):
        await nova.register_host(host)
    server = await nova.insert_server(host="node1")
    old = {"by": "admin", "version": "2.52"}
    found = (await nova.call("GET", "/os-hypervisors/node2/search", **old))["hypervisors"]
    assert found == [{"id": 2, "hypervisor_hostname": "node2.example.org", "state": "up", "status": "enabled"}]
    first, second = (await nova.call("GET", "/os-hypervisors/node/servers", **old))["hypervisors"]
    assert first["servers"] == [{"uuid": server.id, "name": "instance-00000001"}]
    assert "servers" not in second
    for what in ("search", "servers"):
        assert "No hypervisor matching" in await nova.refused("GET", f"/os-hypervisors/other/{what}", 404, **old)
        await nova.refused("GET", f"/os-hypervisors/node1/{what}", 403, version="2.52")
        await nova.refused("GET", f"/os-hypervisors/node1/{what}", 404, by="admin", version="2.53")
    assert "does not answer" in await nova.refused("GET", "/os-hypervisors/1/uptime", 400, **old)

    async def uptime(_asked: NoArguments) -> str:
        return " 08:00:00 up 3 min,  0 users,  load average: 0.1, 0.2, 0.3"

    stop = nova.service.bus.serve("nova-compute.node1", dict([UPTIME.served_by(uptime)]))
    shown = (await nova.call("GET", "/os-hypervisors/1/uptime", **old))["hypervisor"]
    assert (shown["hypervisor_hostname"], shown["uptime"].split(",")[0]) == ("node1.example.org", " 08:00:00 up 3 min")
    newest = (await nova.call("GET", "/os-hypervisors", **MANAGE))["hypervisors"][0]
    shown = (await nova.call("GET", f"/os-hypervisors/{newest['id']}", **MANAGE))["hypervisor"]
    assert shown["uptime"].startswith(" 08:00:00 up")
    await nova.refused("GET", f"/os-hypervisors/{newest['id']}/uptime", 404, **MANAGE)
    stop()
