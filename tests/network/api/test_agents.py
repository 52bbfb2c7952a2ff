"""Agents, what they carry, zones, and addresses in use."""

from datetime import timedelta
from typing import Any

import pytest


async def two_hosts(net: Any, body_of: Any) -> dict[str, dict[str, str]]:
    """Host → agent type → agent id."""
    for host in ("node1", "node2"):
        await net.agent(host)
    found: dict[str, dict[str, str]] = {}
    for each in body_of(await net.admin.get("/v2.0/agents"))["agents"]:
        found.setdefault(each["host"], {})[each["agent_type"]] = each["id"]
    return found


async def carried(net: Any, body_of: Any, agent_id: str, what: str) -> list[str]:
    plural = what.partition("-")[2]
    return [each["id"] for each in body_of(await net.admin.get(f"/v2.0/agents/{agent_id}/{what}"))[plural]]


async def test_the_hosts_that_carry_networks_and_routers_are_told(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    router = await net.create("routers", {})
    agent, _ = await net.agent()
    await agent.agent.pass_once()
    for url, kind in (
        (f"/v2.0/networks/{network['id']}/dhcp-agents", "DHCP agent"),
        (f"/v2.0/routers/{router['id']}/l3-agents", "L3 agent"),
    ):
        (found,) = body_of(await net.admin.get(url))["agents"]
        assert (found["agent_type"], found["host"]) == (kind, "node1")
        assert (await net.demo.get(url)).status_code == 403
        what, wanted = ("dhcp-networks", network) if kind == "DHCP agent" else ("l3-routers", router)
        assert await carried(net, body_of, found["id"], what) == [wanted["id"]]


async def test_users_see_a_list_without_agents_and_no_agent(net: Any, body_of: Any) -> None:
    hosts = await two_hosts(net, body_of)
    assert body_of(await net.demo.get("/v2.0/agents")) == {"agents": []}
    assert (await net.demo.get(f"/v2.0/agents/{hosts['node1']['L3 agent']}")).status_code == 403


async def test_a_disabled_agent_takes_nothing_new(net: Any, body_of: Any) -> None:
    hosts = await two_hosts(net, body_of)
    for agent_id in hosts["node1"].values():
        body_of(await net.admin.put(f"/v2.0/agents/{agent_id}", json={"agent": {"admin_state_up": False}}))
    router = await net.create("routers", {})
    await net.lan()
    for host in ("node1", "node2"):
        await net.told(host)
    (l3,) = body_of(await net.admin.get(f"/v2.0/routers/{router['id']}/l3-agents"))["agents"]
    assert l3["host"] == "node2"
    assert len(await carried(net, body_of, hosts["node2"]["DHCP agent"], "dhcp-networks")) == 1


async def test_routers_and_networks_are_moved_by_hand(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    router = await net.create("routers", {})
    hosts = await two_hosts(net, body_of)
    await net.told("node1")
    for kind, what, key, wanted_id in (
        ("L3 agent", "l3-routers", "router_id", router["id"]),
        ("DHCP agent", "dhcp-networks", "network_id", network["id"]),
    ):
        first, second = (f"/v2.0/agents/{hosts[host][kind]}/{what}" for host in ("node1", "node2"))
        assert (await net.admin.post(second, json={key: wanted_id})).status_code == 409
        assert (await net.admin.delete(f"{second}/{wanted_id}")).status_code == 409
        assert (await net.admin.delete(f"{first}/{wanted_id}")).status_code == 204
        await net.told("node1")
        assert await carried(net, body_of, hosts["node1"][kind], what) == []
        assert (await net.admin.post(second, json={key: wanted_id})).status_code == 201
        assert await carried(net, body_of, hosts["node2"][kind], what) == [wanted_id]
        assert (await net.demo.post(second, json={key: wanted_id})).status_code == 403
    wrong = f"/v2.0/agents/{hosts['node1']['Metadata agent']}"
    assert (await net.admin.post(f"{wrong}/l3-routers", json={"router_id": router["id"]})).status_code == 409
    assert (await net.admin.post(f"{wrong}/dhcp-networks", json={"network_id": network["id"]})).status_code == 404
    ports = body_of(await net.admin.get("/v2.0/ports?device_owner=network:dhcp"))["ports"]
    assert [each["binding:host_id"] for each in ports] == ["node2"]
    assert (await net.told("node2")).networks[0].dhcp is not None


async def test_hints_keep_networks_and_routers_in_their_zone(net: Any, body_of: Any) -> None:
    await net.create("networks", {"availability_zone_hints": ["nova"]}, status=404)
    await net.agent()
    router = await net.create("routers", {"availability_zone_hints": ["nova"]})
    assert router["availability_zone_hints"] == ["nova"]
    assert (await net.create("routers", {"availability_zone_hints": ["mars"]}, status=404))["type"] == (
        "AvailabilityZoneNotFound"
    )
    zones = body_of(await net.demo.get("/v2.0/availability_zones"))["availability_zones"]
    assert zones == [
        {"name": "nova", "resource": "network", "state": "available"},
        {"name": "nova", "resource": "router", "state": "available"},
    ]
    one = body_of(await net.demo.get("/v2.0/availability_zones?resource=router"))["availability_zones"]
    assert [each["resource"] for each in one] == ["router"]


QUERIES = [
    ("host=node1", 4),
    ("host=node1&binary=neutron-l3-agent", 1),
    ("agent_type=DHCP%20agent", 2),
    ("alive=True", 8),
    ("alive=false", 0),
    ("admin_state_up=true", 8),
    ("limit=3", 3),
    ("sort_key=host&sort_dir=desc&limit=1", 1),
]


async def test_agents_are_filtered_and_paged(net: Any, body_of: Any) -> None:
    await two_hosts(net, body_of)
    for query, count in QUERIES:
        assert len(body_of(await net.admin.get(f"/v2.0/agents?{query}"))["agents"]) == count, query
    body_of(await net.admin.get("/v2.0/agents?colour=red"), 400)


async def test_addresses_in_use_are_counted(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan("10.0.0.0/28")
    six = {"network_id": network["id"], "ip_version": 6, "cidr": "fd00::/64"}
    await net.create("subnets", six)
    await net.create("ports", {"network_id": network["id"]})
    url = "/v2.0/network-ip-availabilities"
    shown = body_of(await net.admin.get(f"{url}/{network['id']}"))["network_ip_availability"]
    assert (shown["used_ips"], shown["network_name"]) == (2, "lan")
    four = shown["subnet_ip_availability"][0]
    assert (four["subnet_id"], four["total_ips"], four["used_ips"]) == (subnet["id"], 13, 1)
    (listed,) = body_of(await net.admin.get(f"{url}?ip_version=4"))["network_ip_availabilities"]
    assert listed["total_ips"] == 13
    assert body_of(await net.admin.get(f"{url}?project_id=nobody"))["network_ip_availabilities"] == []
    assert (await net.demo.get(url)).status_code == 403
    assert (await net.admin.get(f"{url}/nothing")).status_code == 404


async def test_what_is_not_served_is_404_in_the_service_s_own_format(net: Any, body_of: Any) -> None:
    for path in ("/v2.0/qos/policies", "/v2.0/trunks", "/v2.0/rbac-policies", "/v2.0/nothing", "/v3"):
        assert body_of(await net.admin.get(path), 404)["NeutronError"]["type"] == "HTTPNotFound"
    assert body_of(await net.admin.get("/v2.0/service-providers")) == {"service_providers": []}


async def test_a_report_that_changes_nothing_writes_nothing(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    agent, _ = await net.agent()
    for number in range(3):
        fields = {"network_id": network["id"], "binding:host_id": "node1", "device_id": f"s{number}"}
        await net.create("ports", {**fields, "device_owner": "compute:nova"}, by="admin")
    for _ in range(2):
        await agent.agent.pass_once()
    before = net.service.database.writes
    await agent.agent.pass_once()
    assert net.service.database.writes == before
    ports = body_of(await net.admin.get("/v2.0/ports"))["ports"]
    assert {each["status"] for each in ports} == {"ACTIVE"}


async def test_ports_of_a_stopped_router_have_all_they_want(net: Any, body_of: Any) -> None:
    _, subnet = await net.lan()
    router = await net.create("routers", {"admin_state_up": False})
    url = f"/v2.0/routers/{router['id']}"
    added = body_of(await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": subnet["id"]}))
    agent, driver = await net.agent()
    for _ in range(2):
        await agent.agent.pass_once()
    assert (await driver.observe()).routers == ()
    assert body_of(await net.demo.get(f"/v2.0/ports/{added['port_id']}"))["port"]["status"] == "ACTIVE"


async def test_how_far_a_hosts_clock_is_off_is_told_with_its_agents(
    net: Any, body_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await net.agent("node2")
    agent, _ = await net.agent("node1")
    await agent.agent.pass_once()
    skews = await clock_skews(net, body_of)
    assert abs(skews["node1"]) < 1
    assert skews["node2"] is None
    ours = net.service.clock.now
    monkeypatch.setattr(net.service.clock, "now", lambda: ours() - timedelta(minutes=5), raising=False)
    await agent.agent.pass_once()
    assert 299 < (await clock_skews(net, body_of))["node1"] < 302


async def clock_skews(net: Any, body_of: Any) -> dict[str, Any]:
    agents = body_of(await net.admin.get("/v2.0/agents"))["agents"]
    assert all(each["configurations"]["bridge_mappings"] == {"provider": "br"} for each in agents)
    return {each["host"]: each["configurations"].get("clock_skew_seconds") for each in agents}
