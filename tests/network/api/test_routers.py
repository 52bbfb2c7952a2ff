"""Routers, floating IPs, agents, and the document hosts converge to."""

from typing import Any

import pytest

from kilonova.network import parts
from kilonova.network.agent.copy import Copy
from kilonova.network.wanted import device_name


async def connected(net: Any) -> dict[str, Any]:
    """A router between demo's network and the outside."""
    outside, _ = await net.outside()
    network, subnet = await net.lan()
    router = await net.create("routers", {"name": "r", "external_gateway_info": {"network_id": outside["id"]}})
    await net.demo.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]})
    port = await net.create("ports", {"network_id": network["id"]})
    return {"outside": outside, "network": network, "subnet": subnet, "router": router, "port": port}


async def test_a_router_is_connected_both_ways_and_taken_apart(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    network, subnet = await net.lan()
    router = await net.create("routers", {"name": "r"})
    assert (router["external_gateway_info"], router["routes"], router["ha"]) == (None, [], False)
    url = f"/v2.0/routers/{router['id']}"
    gateway = {"router": {"external_gateway_info": {"network_id": outside["id"]}}}
    info = body_of(await net.demo.put(url, json=gateway))["router"]["external_gateway_info"]
    assert (info["enable_snat"], info["external_fixed_ips"][0]["ip_address"]) == (True, "172.24.4.10")
    added = body_of(await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": subnet["id"]}))
    assert added["subnet_id"] == subnet["id"]
    port = body_of(await net.demo.get(f"/v2.0/ports/{added['port_id']}"))["port"]
    assert (port["device_owner"], port["fixed_ips"][0]["ip_address"]) == ("network:router_interface", "10.0.0.1")
    assert (await net.demo.delete(f"/v2.0/ports/{port['id']}")).status_code == 409
    assert body_of(await net.demo.delete(url), 409)["NeutronError"]["type"] == "RouterInUse"
    again = await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": subnet["id"]})
    assert "already has a port" in body_of(again, 400)["NeutronError"]["message"]
    body_of(await net.demo.put(f"{url}/remove_router_interface", json={"subnet_id": subnet["id"]}))
    gone = await net.demo.put(f"{url}/remove_router_interface", json={"subnet_id": subnet["id"]})
    assert body_of(gone, 404)["NeutronError"]["type"] == "RouterInterfaceNotFoundForSubnet"
    cleared = body_of(await net.demo.put(url, json={"router": {"external_gateway_info": None}}))["router"]
    assert cleared["external_gateway_info"] is None
    assert (await net.demo.delete(url)).status_code == 204
    assert (await net.demo.delete(f"/v2.0/networks/{network['id']}")).status_code == 204
    left = body_of(await net.admin.get("/v2.0/ports"))["ports"]
    assert left == []


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"distributed": True}, 400, "not served"),
        ({"ha": True}, 400, "not served"),
        ({"external_gateway_info": {"network_id": "nothing"}}, 404, "could not be found"),
        ({"colour": "red"}, 400, "unknown field"),
    ],
)
async def test_a_router_that_cannot_be_is_refused(net: Any, fields: Any, status: int, sentence: str) -> None:
    assert sentence in (await net.create("routers", fields, status=status))["message"]


async def test_a_gateway_needs_an_external_network_and_snat_an_administrator(net: Any) -> None:
    network, _ = await net.lan()
    wanted = {"external_gateway_info": {"network_id": network["id"]}}
    assert "not an external network" in (await net.create("routers", wanted, status=400))["message"]
    outside, _ = await net.outside()
    wanted = {"external_gateway_info": {"network_id": outside["id"], "enable_snat": False}}
    await net.create("routers", wanted, status=403)
    made = await net.create("routers", wanted, by="admin")
    assert made["external_gateway_info"]["enable_snat"] is False


async def test_interfaces_are_refused_when_they_cannot_work(net: Any, body_of: Any) -> None:
    _, first = await net.lan("10.0.0.0/24")
    _, overlapping = await net.lan("10.0.0.0/25")
    _, bare = await net.lan("10.2.0.0/24", gateway_ip=None)
    router = await net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}/add_router_interface"
    body_of(await net.demo.put(url, json={"subnet_id": first["id"]}))
    for body, status in (
        ({"subnet_id": overlapping["id"]}, 400),
        ({"subnet_id": bare["id"]}, 400),
        ({"subnet_id": "nothing"}, 404),
        ({}, 400),
        ({"subnet_id": first["id"], "port_id": "x"}, 400),
    ):
        body_of(await net.demo.put(url, json=body), status)
    assert (await net.other.put(url, json={"subnet_id": bare["id"]})).status_code == 404


async def test_extra_routes_need_a_reachable_next_hop(net: Any, body_of: Any) -> None:
    made = await connected(net)
    url = f"/v2.0/routers/{made['router']['id']}"
    route = {"destination": "10.99.0.0/16", "nexthop": "10.0.0.50"}
    assert body_of(await net.demo.put(url, json={"router": {"routes": [route]}}))["router"]["routes"] == [route]
    far = {"destination": "10.99.0.0/16", "nexthop": "10.77.0.1"}
    body_of(await net.demo.put(url, json={"router": {"routes": [far]}}), 400)


async def test_routes_are_added_and_removed_beside_others(net: Any, body_of: Any) -> None:
    made = await connected(net)
    url = f"/v2.0/routers/{made['router']['id']}"
    one, two = ({"destination": f"10.9{n}.0.0/16", "nexthop": "10.0.0.50"} for n in (8, 9))
    for verb, routes, left in (
        ("add", [one], [one]),
        ("add", [one, two], [one, two]),
        ("remove", [one], [two]),
        ("remove", [one], [two]),
    ):
        answer = await net.demo.put(f"{url}/{verb}_extraroutes", json={"router": {"routes": routes}})
        assert body_of(answer)["router"]["routes"] == left, verb
    needed = await net.demo.put(f"{url}/remove_router_interface", json={"subnet_id": made["subnet"]["id"]})
    assert body_of(needed, 409)["NeutronError"]["type"] == "RouterInterfaceInUseByRoute"
    for routes in (
        [{"destination": "10.97.0.0/16", "nexthop": "10.0.0.1"}],
        [{"destination": "10.97.0.0/16", "nexthop": "nowhere"}],
        [{"destination": "10.97.0.1/16", "nexthop": "10.0.0.50"}],
        [{"destination": "fd00::/64", "nexthop": "10.0.0.50"}],
        [{"nexthop": "10.0.0.50"}],
        [two, two],
    ):
        body_of(await net.demo.put(f"{url}/add_extraroutes", json={"router": {"routes": routes}}), 400)
    many = [{"destination": f"10.200.{n}.0/24", "nexthop": "10.0.0.50"} for n in range(30)]
    over = await net.demo.put(f"{url}/add_extraroutes", json={"router": {"routes": many}})
    assert body_of(over, 409)["NeutronError"]["type"] == "OverQuota"
    assert (await net.other.put(f"{url}/add_extraroutes", json={"router": {"routes": []}})).status_code == 404


async def test_a_shared_network_s_gateway_address_is_not_for_anybody_s_router(net: Any, body_of: Any) -> None:
    outside, shared = await net.outside()
    router = await net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}/add_router_interface"
    refused = body_of(await net.demo.put(url, json={"subnet_id": shared["id"]}), 400)["NeutronError"]
    assert "is not owned by project making the request" in refused["message"]
    given = {"network_id": outside["id"], "project_id": router["project_id"]}
    reserved = await net.create("ports", {**given, "fixed_ips": [{"ip_address": "172.24.4.2"}]}, by="admin")
    refused = body_of(await net.demo.put(url, json={"port_id": reserved["id"]}), 400)["NeutronError"]
    assert "outside the allocation pools" in refused["message"]
    assert body_of(await net.demo.get(f"/v2.0/ports/{reserved['id']}"))["port"]["device_id"] == ""
    own = await net.create("ports", {"network_id": outside["id"]})
    assert body_of(await net.demo.put(url, json={"port_id": own["id"]}))["subnet_id"] == shared["id"]
    by_admin = await net.create("routers", {}, by="admin")
    url = f"/v2.0/routers/{by_admin['id']}/add_router_interface"
    body_of(await net.admin.put(url, json={"subnet_id": shared["id"]}))


async def test_a_port_of_somebody_else_does_not_become_the_network_owner_s_router_s(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    theirs = await net.identity.project_id("other")
    guest = await net.create("ports", {"network_id": network["id"], "project_id": theirs}, by="admin")
    router = await net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}/add_router_interface"
    body_of(await net.demo.put(url, json={"port_id": guest["id"]}), 403)
    shown = body_of(await net.other.get(f"/v2.0/ports/{guest['id']}"))["port"]
    assert (shown["device_id"], shown["port_security_enabled"]) == ("", True)
    assert shown["security_groups"] == guest["security_groups"] != []


async def test_a_floating_ip_is_moved_named_and_listed(net: Any, body_of: Any) -> None:
    made = await connected(net)
    fields = {"floating_network_id": made["outside"]["id"], "port_id": made["port"]["id"], "dns_name": "WWW"}
    floating = await net.create("floatingips", {**fields, "dns_domain": "example.org.", "tags": ["t"]})
    assert (floating["dns_name"], floating["tags"]) == ("www", ["t"])
    url = f"/v2.0/floatingips/{floating['id']}"
    for query in (f"port_id={made['port']['id']}", f"router_id={made['router']['id']}", "fixed_ip_address=10.0.0.2"):
        assert len(body_of(await net.demo.get(f"/v2.0/floatingips?{query}"))["floatingips"]) == 1
    assert body_of(await net.demo.get("/v2.0/floatingips?status=ERROR"))["floatingips"] == []
    described = body_of(await net.demo.put(url, json={"floatingip": {"description": "mine"}}))["floatingip"]
    assert (described["description"], described["port_id"]) == ("mine", made["port"]["id"])
    theirs, _ = await net.lan("10.3.0.0/24")
    other = await net.create("ports", {"network_id": theirs["id"]}, by="admin")
    body_of(await net.demo.put(url, json={"floatingip": {"port_id": other["id"]}}), 400)
    for wrong in (
        {"fixed_ip_address": "10.0.0.9"},
        {"dns_name": "www.example.org."},
        {"dns_domain": "example.org"},
    ):
        body = {"floating_network_id": made["outside"]["id"], **wrong}
        assert (await net.create("floatingips", body, status=400))["type"] == "InvalidInput"


async def test_a_floating_ip_is_down_while_nobody_carries_its_router(net: Any, body_of: Any) -> None:
    made = await connected(net)
    fields = {"floating_network_id": made["outside"]["id"], "port_id": made["port"]["id"]}
    floating = await net.create("floatingips", fields)
    agent, _ = await net.agent()
    (l3,) = body_of(await net.admin.get("/v2.0/agents?agent_type=L3 agent"))["agents"]
    url = f"/v2.0/agents/{l3['id']}/l3-routers"

    async def status() -> str:
        await agent.agent.pass_once()
        shown = body_of(await net.demo.get(f"/v2.0/floatingips/{floating['id']}"))["floatingip"]
        return str(shown["status"])

    assert (floating["status"], await status()) == ("DOWN", "ACTIVE")
    assert (await net.admin.delete(f"{url}/{made['router']['id']}")).status_code == 204
    assert await status() == "DOWN"
    assert (await net.admin.post(url, json={"router_id": made["router"]["id"]})).status_code == 201
    assert await status() == "ACTIVE"


async def test_a_floating_ip_serves_a_port_and_lets_go_of_it(net: Any, body_of: Any) -> None:
    made = await connected(net)
    floating = await net.create("floatingips", {"floating_network_id": made["outside"]["id"]})
    assert (floating["status"], floating["port_id"]) == ("DOWN", None)
    url = f"/v2.0/floatingips/{floating['id']}"
    body = {"floatingip": {"port_id": made["port"]["id"]}}
    bound = body_of(await net.demo.put(url, json=body))["floatingip"]
    assert (bound["fixed_ip_address"], bound["router_id"]) == ("10.0.0.2", made["router"]["id"])
    assert bound["port_details"]["mac_address"] == made["port"]["mac_address"]
    second = {"floating_network_id": made["outside"]["id"], "port_id": made["port"]["id"]}
    assert (await net.create("floatingips", second, status=409))["type"] == "FloatingIPPortAlreadyAssociated"
    router_url = f"/v2.0/routers/{made['router']['id']}"
    needed = await net.demo.put(f"{router_url}/remove_router_interface", json={"subnet_id": made["subnet"]["id"]})
    assert body_of(needed, 409)["NeutronError"]["type"] == "RouterInterfaceInUseByFloatingIP"
    cut = await net.demo.put(router_url, json={"router": {"external_gateway_info": {}}})
    assert body_of(cut, 409)["NeutronError"]["type"] == "RouterExternalGatewayInUseByFloatingIp"
    await net.demo.delete(f"/v2.0/ports/{made['port']['id']}")
    freed = body_of(await net.demo.get(url))["floatingip"]
    assert (freed["port_id"], freed["router_id"]) == (None, None)
    assert (await net.other.get(url)).status_code == 404
    assert (await net.demo.delete(url)).status_code == 204


async def test_a_port_keeps_the_address_that_has_a_floating_ip(net: Any, body_of: Any) -> None:
    made = await connected(net)
    fields = {"floating_network_id": made["outside"]["id"], "port_id": made["port"]["id"]}
    floating = await net.create("floatingips", fields)
    url, here = f"/v2.0/ports/{made['port']['id']}", {"subnet_id": made["subnet"]["id"]}
    for wanted in ([], [{"ip_address": "10.0.0.77"}], [{**here, "ip_address": "10.0.0.77"}]):
        refused = body_of(await net.demo.put(url, json={"port": {"fixed_ips": wanted}}), 400)["NeutronError"]
        assert floating["floating_ip_address"] in refused["message"]
        assert body_of(await net.demo.get(url))["port"]["fixed_ips"] == made["port"]["fixed_ips"]
    for wanted in ([here], [{"ip_address": "10.0.0.2"}, {"ip_address": "10.0.0.77"}]):
        body_of(await net.demo.put(url, json={"port": {"fixed_ips": wanted}}))
    released = {"floatingip": {"port_id": None}}
    body_of(await net.demo.put(f"/v2.0/floatingips/{floating['id']}", json=released))
    body_of(await net.demo.put(url, json={"port": {"fixed_ips": [{"ip_address": "10.0.0.77"}]}}))


async def test_a_fixed_address_is_not_chosen_for_no_port(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    floating = await net.create("floatingips", {"floating_network_id": outside["id"]})
    url, alone = f"/v2.0/floatingips/{floating['id']}", {"floatingip": {"fixed_ip_address": "10.0.0.2"}}
    refused = body_of(await net.demo.put(url, json=alone), 400)["NeutronError"]
    assert "without a port_id" in refused["message"]


async def test_a_floating_ip_needs_an_external_network_and_a_way_there(net: Any) -> None:
    network, _ = await net.lan()
    inside = {"floating_network_id": network["id"]}
    assert "not a valid external network" in (await net.create("floatingips", inside, status=400))["message"]
    outside, _ = await net.outside()
    port = await net.create("ports", {"network_id": network["id"]})
    lost = {"floating_network_id": outside["id"], "port_id": port["id"]}
    assert (await net.create("floatingips", lost, status=404))["type"] == "ExternalGatewayForFloatingIPNotFound"
    chosen = {"floating_network_id": outside["id"], "floating_ip_address": "172.24.4.15"}
    await net.create("floatingips", chosen, status=403)
    made = await net.create("floatingips", chosen, by="admin")
    assert made["floating_ip_address"] == "172.24.4.15"


async def test_an_agent_gets_what_its_host_needs_and_its_report_makes_ports_active(net: Any, body_of: Any) -> None:
    made = await connected(net)
    agent, driver = await net.agent()
    binding = {"port": {"binding:host_id": "node1", "device_id": "server", "device_owner": "compute:nova"}}
    body_of(await net.admin.put(f"/v2.0/ports/{made['port']['id']}", json=binding))
    await agent.agent.pass_once()
    wanted = driver.wanted
    assert [port.id for port in wanted.ports] == [made["port"]["id"]]
    assert [router.id for router in wanted.routers] == [made["router"]["id"]]
    lan = next(each for each in wanted.networks if each.id == made["network"]["id"])
    assert lan.dhcp is not None
    assert made["port"]["mac_address"] in {host.mac_address for host in lan.dhcp.hosts}
    assert {group.id for group in wanted.security_groups} == set(made["port"]["security_groups"])
    port = body_of(await net.admin.get(f"/v2.0/ports/{made['port']['id']}"))["port"]
    assert port["status"] == "ACTIVE"
    assert port["binding:vif_details"]["bridge_name"] == device_name("brq", made["network"]["id"])
    assert body_of(await net.demo.get(f"/v2.0/routers/{made['router']['id']}"))["router"]["status"] == "ACTIVE"


async def test_what_has_not_changed_is_not_told_again(net: Any) -> None:
    made = await connected(net)
    copy = Copy(net.service.bus, "node1", parts.ALL)
    assert not await copy.catch_up(), "nobody is told anything who has not registered"
    await net.agent()
    assert await copy.catch_up()
    copy.was_seen()
    assert await copy.catch_up()
    assert (copy.is_new, bool(copy.touched)) == (False, False)
    port = await net.create("ports", {"network_id": made["network"]["id"]})
    assert await copy.catch_up()
    assert list(copy.touched.before) == [("leases", made["network"]["id"], port["id"])]


async def test_a_mapped_physical_network_names_the_operators_bridge(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    await net.agent()
    binding = {"network_id": outside["id"], "binding:host_id": "node1"}
    port = await net.create("ports", binding, by="admin")
    assert port["binding:vif_details"]["bridge_name"] == "br"


async def test_agents_are_listed_as_the_four_operators_know(net: Any, body_of: Any) -> None:
    await net.agent()
    agents = body_of(await net.admin.get("/v2.0/agents"))["agents"]
    assert {each["binary"] for each in agents} == {
        "neutron-linuxbridge-agent",
        "neutron-dhcp-agent",
        "neutron-l3-agent",
        "neutron-metadata-agent",
    }
    assert all(each["alive"] and each["host"] == "node1" for each in agents)
    assert body_of(await net.demo.get("/v2.0/agents"))["agents"] == []
    url = f"/v2.0/agents/{agents[0]['id']}"
    changed = await net.admin.put(url, json={"agent": {"admin_state_up": False}})
    assert body_of(changed)["agent"]["admin_state_up"] is False
    assert (await net.admin.delete(url)).status_code == 204
    assert (await net.admin.get(url)).status_code == 404


async def test_extensions_and_versions_are_told(net: Any, body_of: Any) -> None:
    extensions = body_of(await net.demo.get("/v2.0/extensions"))["extensions"]
    assert {"router", "security-group", "external-net"} <= {each["alias"] for each in extensions}
    assert body_of(await net.demo.get("/v2.0/extensions/router"))["extension"]["alias"] == "router"
    assert (await net.demo.get("/v2.0/extensions/bgp")).status_code == 404
    del net.demo.headers["x-auth-token"]
    assert body_of(await net.demo.get("/"))["versions"][0]["id"] == "v2.0"
    assert body_of(await net.demo.get("/v2.0"))["resources"]
