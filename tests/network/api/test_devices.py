"""Whose a port is: a change of its device or its owner leaves it as if it had been made so."""

from typing import Any

import pytest

HELD = ("network:router_interface", "network:router_gateway", "network:floatingip", "network:dhcp")


async def port_of(net: Any, body_of: Any, owner: str) -> Any:
    """A port that the network service made for itself, by way of demo's router, network or floating IP."""
    outside, _ = await net.outside()
    _, subnet = await net.lan()
    gateway = {"external_gateway_info": {"network_id": outside["id"]}}
    router = await net.create("routers", gateway)
    url = f"/v2.0/routers/{router['id']}/add_router_interface"
    body_of(await net.demo.put(url, json={"subnet_id": subnet["id"]}))
    await net.create("floatingips", {"floating_network_id": outside["id"]})
    agent, _ = await net.agent()
    await agent.agent.pass_once()
    found = body_of(await net.admin.get(f"/v2.0/ports?device_owner={owner}"))["ports"]
    assert found, owner
    return found[0]


@pytest.mark.parametrize("owner", HELD)
async def test_what_the_network_service_made_for_itself_never_changes_hands(net: Any, body_of: Any, owner: str) -> None:
    port = await port_of(net, body_of, owner)
    other = await net.create("routers", {}, by="other")
    url = f"/v2.0/ports/{port['id']}"
    for change in ({"device_id": other["id"]}, {"device_id": ""}, {"device_owner": ""}, {"device_owner": "compute:x"}):
        for caller in (net.demo, net.admin):
            refused = await caller.put(url, json={"port": change})
            # A gateway's and a floating IP's port are no project's: to others than administrators there are none.
            assert refused.status_code in ((409,) if caller is net.admin else (404, 409)), (change, refused.text)
    same = {"device_id": port["device_id"], "device_owner": owner, "name": "named"}
    shown = body_of(await net.admin.put(url, json={"port": same}))["port"]
    assert {**shown, **same} == shown


@pytest.mark.parametrize("owner", HELD)
async def test_nobody_makes_a_port_that_is_the_network_service_s(net: Any, body_of: Any, owner: str) -> None:
    network, _ = await net.lan()
    router = await net.create("routers", {})
    plugged = {"device_owner": owner, "device_id": router["id"]}
    await net.create("ports", {"network_id": network["id"], **plugged}, status=403)
    refused = await net.create("ports", {"network_id": network["id"], **plugged}, by="admin", status=400)
    assert "makes for itself" in refused["message"]
    port = await net.create("ports", {"network_id": network["id"]})
    url = f"/v2.0/ports/{port['id']}"
    body_of(await net.demo.put(url, json={"port": plugged}), 403)
    body_of(await net.admin.put(url, json={"port": plugged}), 400)
    assert body_of(await net.demo.get(url))["port"] == port


async def test_port_security_stays_on_where_the_network_is_somebody_else_s(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    fields = {"network_id": outside["id"]}
    await net.create("ports", {**fields, "port_security_enabled": False, "security_groups": []}, status=403)
    await net.create("ports", {**fields, "allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}]}, status=403)
    port = await net.create("ports", fields)
    url = f"/v2.0/ports/{port['id']}"
    off = {"port_security_enabled": False, "security_groups": []}
    for change in (off, {"allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}]}, {"device_owner": "network:x", **off}):
        body_of(await net.demo.put(url, json={"port": change}), 403)
    router = await net.create("routers", {})
    routed = f"/v2.0/routers/{router['id']}"
    body_of(await net.demo.put(f"{routed}/add_router_interface", json={"port_id": port["id"]}))
    body_of(await net.demo.put(url, json={"port": {"device_owner": "", "device_id": ""}}), 409)
    body_of(await net.demo.put(f"{routed}/remove_router_interface", json={"port_id": port["id"]}))
    body_of(await net.demo.get(url), 404)


async def test_a_port_that_leaves_its_device_leaves_the_device_s_host(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    agent, driver = await net.agent()
    first = {"device_id": "first", "device_owner": "compute:nova", "binding:host_id": "node1"}
    port = await net.create("ports", {"network_id": network["id"], **first}, by="admin")
    url = f"/v2.0/ports/{port['id']}"
    await agent.agent.pass_once()
    assert [each.id for each in driver.wanted.ports] == [port["id"]]
    body_of(await net.admin.put(url, json={"port": {"device_id": "second"}}))
    shown = body_of(await net.admin.get(url))["port"]
    assert (shown["binding:host_id"], shown["binding:vif_type"], shown["status"]) == ("", "unbound", "DOWN")
    await agent.agent.pass_once()
    assert driver.wanted.ports == ()
    third = {"device_id": "third", "binding:host_id": "node1"}
    assert body_of(await net.admin.put(url, json={"port": third}))["port"]["binding:host_id"] == "node1"


async def test_a_member_neither_binds_a_port_nor_takes_it_off_its_host(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    url = f"/v2.0/ports/{port['id']}"
    bound = {"binding:host_id": "node1", "binding:profile": {"a": 1}}
    body_of(await net.admin.put(url, json={"port": bound}))
    for change in ({"binding:host_id": ""}, {"binding:host_id": None}, {"binding:profile": None}):
        body_of(await net.demo.put(url, json={"port": change}), 403)
    body_of(await net.demo.put(url, json={"port": bound}))
    shown = body_of(await net.admin.get(url))["port"]
    assert {**shown, **bound} == shown


async def test_what_only_an_administrator_turns_on_only_he_turns_off(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    url = f"/v2.0/networks/{network['id']}"
    on = {"shared": True, "router:external": True, "is_default": True}
    body_of(await net.admin.put(url, json={"network": on}))
    for name in on:
        body_of(await net.demo.put(url, json={"network": {name: False}}), 403)
    body_of(await net.demo.put(url, json={"network": on}))


async def test_a_router_s_interface_gets_only_addresses_it_could_have_been_added_with(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan()
    second = await net.create("subnets", {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"})
    _, overlapping = await net.lan("fd00::/64", ip_version=6)
    inner = {"network_id": network["id"], "ip_version": 6, "cidr": "fd00::/64"}
    inside = await net.create("subnets", inner)
    router = await net.create("routers", {})
    routed = f"/v2.0/routers/{router['id']}"
    for each in (subnet, overlapping):
        added = body_of(await net.demo.put(f"{routed}/add_router_interface", json={"subnet_id": each["id"]}))
        if each is subnet:
            url = f"/v2.0/ports/{added['port_id']}"
    route = {"destination": "10.99.0.0/16", "nexthop": "10.0.0.50"}
    body_of(await net.demo.put(routed, json={"router": {"routes": [route]}}))
    own, more = {"subnet_id": subnet["id"]}, {"subnet_id": second["id"]}
    for wanted, status in (
        ([], 400),
        ([own, more], 400),
        ([own, {"subnet_id": inside["id"]}], 400),
        ([more], 409),
        ([{**own, "ip_address": "10.0.0.77"}], 200),
    ):
        answer = body_of(await net.demo.put(url, json={"port": {"fixed_ips": wanted}}), status)
    assert answer["port"]["fixed_ips"] == [{**own, "ip_address": "10.0.0.77"}]
    floating = {"device_owner": "network:floatingip"}
    outside, _ = await net.outside()
    await net.create("floatingips", {"floating_network_id": outside["id"]})
    (held,) = body_of(await net.admin.get("/v2.0/ports", params=floating))["ports"]
    moved = {"fixed_ips": [{"ip_address": "172.24.4.19"}]}
    body_of(await net.admin.put(f"/v2.0/ports/{held['id']}", json={"port": moved}), 409)
