"""Routers between several subnets of one network."""

from typing import Any

from tests.network.api.test_addresses import ips, subnet


async def routed(net: Any) -> tuple[str, Any, list[Any]]:
    """(URL of a router, a network, its subnets: one of IPv4, three of IPv6)"""
    network, first = await net.lan()
    more = [await subnet(net, network, f"fd00:{number}::/64") for number in (1, 2, 3)]
    router = await net.create("routers", {})
    return f"/v2.0/routers/{router['id']}", network, [first, *more]


async def interfaces(net: Any, body_of: Any) -> dict[str, list[str]]:
    """Port → its addresses, of every router's interface."""
    found = body_of(await net.demo.get("/v2.0/ports?device_owner=network:router_interface"))["ports"]
    return {each["id"]: ips(each) for each in found}


async def test_ipv6_subnets_of_one_network_share_an_interface(net: Any, body_of: Any) -> None:
    url, network, subnets = await routed(net)
    added = [
        body_of(await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": each["id"]})) for each in subnets
    ]
    assert [each["subnet_ids"] for each in added] == [[each["id"]] for each in subnets]
    ipv4, ipv6 = added[0]["port_id"], added[1]["port_id"]
    assert {each["port_id"] for each in added} == {ipv4, ipv6}
    shared = ["fd00:1::1", "fd00:2::1", "fd00:3::1"]
    assert await interfaces(net, body_of) == {ipv4: ["10.0.0.1"], ipv6: shared}
    removed = {"subnet_id": subnets[2]["id"]}
    answer = body_of(await net.demo.put(f"{url}/remove_router_interface", json=removed))
    assert (answer["port_id"], answer["subnet_id"], answer["subnet_ids"]) == (
        ipv6,
        subnets[2]["id"],
        [subnets[2]["id"]],
    )
    assert await interfaces(net, body_of) == {ipv4: ["10.0.0.1"], ipv6: ["fd00:1::1", "fd00:3::1"]}
    mismatched = {"port_id": ipv6, "subnet_id": subnets[0]["id"]}
    refused = body_of(await net.demo.put(f"{url}/remove_router_interface", json=mismatched), 400)["NeutronError"]
    assert refused["type"] == "SubnetMismatchForPort"
    answer = body_of(await net.demo.put(f"{url}/remove_router_interface", json={"port_id": ipv6}))
    assert answer["subnet_ids"] == [subnets[1]["id"], subnets[3]["id"]]
    assert await interfaces(net, body_of) == {ipv4: ["10.0.0.1"]}
    second = await net.create("ports", {"network_id": network["id"], "fixed_ips": [{"subnet_id": subnets[1]["id"]}]})
    third = await net.create("ports", {"network_id": network["id"], "fixed_ips": [{"subnet_id": subnets[2]["id"]}]})
    body_of(await net.demo.put(f"{url}/add_router_interface", json={"port_id": second["id"]}))
    refused = body_of(await net.demo.put(f"{url}/add_router_interface", json={"port_id": third["id"]}), 400)
    assert "Only one IPv6 port from the same network" in refused["NeutronError"]["message"]


async def test_a_dual_stack_interface_loses_one_subnet_and_stays(net: Any, body_of: Any) -> None:
    url, network, subnets = await routed(net)
    both = [{"subnet_id": subnets[0]["id"], "ip_address": "10.0.0.1"}, {"subnet_id": subnets[1]["id"]}]
    port = await net.create("ports", {"network_id": network["id"], "fixed_ips": both})
    added = body_of(await net.demo.put(f"{url}/add_router_interface", json={"port_id": port["id"]}))
    assert added["subnet_ids"] == [subnets[0]["id"], subnets[1]["id"]]
    body_of(await net.demo.put(f"{url}/remove_router_interface", json={"subnet_id": subnets[0]["id"]}))
    assert await interfaces(net, body_of) == {port["id"]: ["fd00:1::2"]}
    body_of(await net.demo.put(f"{url}/remove_router_interface", json={"subnet_id": subnets[1]["id"]}))
    assert await interfaces(net, body_of) == {}


async def test_an_interface_has_one_ipv4_subnet(net: Any, body_of: Any) -> None:
    url, network, subnets = await routed(net)
    second = await subnet(net, network, "10.9.0.0/24")
    both = [{"subnet_id": subnets[0]["id"]}, {"subnet_id": second["id"]}]
    port = await net.create("ports", {"network_id": network["id"], "fixed_ips": both})
    refused = body_of(await net.demo.put(f"{url}/add_router_interface", json={"port_id": port["id"]}), 400)
    assert "multiple IPv4 subnets" in refused["NeutronError"]["message"]


async def test_a_subnet_that_another_router_advertises_is_not_the_cloud_s_to_route(net: Any, body_of: Any) -> None:
    url, network, _ = await routed(net)
    outer = await subnet(net, network, "fd00:9::/64", ipv6_address_mode="slaac")
    refused = await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": outer["id"]})
    assert "from an external router" in body_of(refused, 400)["NeutronError"]["message"]


async def test_a_network_s_dhcp_serves_as_many_subnets_as_it_has(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    agent, _ = await net.agent()
    await agent.agent.pass_once()
    for number in range(1, 8):
        await subnet(net, network, f"10.{number}.0.0/24")
    (port,) = body_of(await net.admin.get("/v2.0/ports?device_owner=network:dhcp"))["ports"]
    assert len(port["fixed_ips"]) == 8
