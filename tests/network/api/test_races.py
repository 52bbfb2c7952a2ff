"""Whoever takes a thing that one can have takes it by a conditional write: of many at once, one wins."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import pytest

from kilonova.kit.http.client import RemoteFault
from kilonova.network.app import ROUTES, TAG_ROUTES
from kilonova.network.tags import KINDS

AT_ONCE = 8


def refusals(outcomes: Iterable[Any]) -> list[tuple[int, str]]:
    """Status and sentence of those that were refused."""
    return [(each.status, each.message) for each in outcomes if isinstance(each, RemoteFault)]


async def test_of_eight_servers_that_take_one_port_one_has_it(net: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    client, takers = net.client(), [f"server-{number}" for number in range(AT_ONCE)]
    outcomes = await asyncio.gather(
        *(client.take_port(port["id"], {"device_id": each}) for each in takers), return_exceptions=True
    )
    (winner,) = (each for each in outcomes if not isinstance(each, BaseException))
    refused = f"Port {port['id']} is still in use by {winner.device_id}."
    assert refusals(outcomes) == [(409, refused)] * (AT_ONCE - 1)
    assert (await client.show_port(port["id"])).device_id == winner.device_id


async def test_a_port_is_taken_again_by_who_has_it_and_while_others_change_it(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    url, client = f"/v2.0/ports/{port['id']}", net.client()
    renamed, taken = await asyncio.gather(
        net.demo.put(url, json={"port": {"name": "renamed"}}), client.take_port(port["id"], {"device_id": "server"})
    )
    assert body_of(renamed)["port"]["name"] == "renamed"
    assert taken.device_id == "server"
    again = await client.take_port(port["id"], {"device_id": "server", "binding:host_id": "node1"})
    assert (again.device_id, again.host) == ("server", "node1")


async def test_a_port_of_another_project_is_not_found_by_who_takes_it(net: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    theirs = await net.identity.project_id("other")
    with pytest.raises(RemoteFault, match="could not be found") as caught:
        await net.client().take_port(port["id"], {"device_id": "server"}, project_id=theirs)
    assert caught.value.status == 404
    assert (await net.client().show_port(port["id"])).device_id == ""


class Race:
    """Eight requests for what only one can have."""

    def __init__(self, net: Any, body_of: Any) -> None:
        self.net, self.body_of = net, body_of

    async def several(self, plural: str, fields: Callable[[int], Any], by: str = "demo") -> list[Any]:
        return [await self.net.create(plural, fields(number), by=by) for number in range(AT_ONCE)]

    async def connected(self) -> tuple[Any, Any, Any]:
        """(external network, demo's network behind a router to it, that router)"""
        outside, _ = await self.net.outside()
        network, subnet = await self.net.lan()
        router = await self.net.create("routers", {"external_gateway_info": {"network_id": outside["id"]}})
        url = f"/v2.0/routers/{router['id']}/add_router_interface"
        self.body_of(await self.net.demo.put(url, json={"subnet_id": subnet["id"]}))
        return outside, network, router


Entry = tuple[str, str, str, Any]
"""Who, method, URL, body."""


def creations(plural: str, bodies: Iterable[Any], by: str = "demo") -> list[Entry]:
    singular = plural[:-1].replace("-", "_")
    return [(by, "POST", f"/v2.0/{plural}", {singular: fields}) for fields in bodies]


async def a_fixed_address_by_new_ports(race: Race) -> list[Entry]:
    network, _ = await race.net.lan()
    wanted = {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.77"}]}
    return creations("ports", [wanted] * AT_ONCE)


async def a_fixed_address_by_ports_there_are(race: Race) -> list[Entry]:
    network, _ = await race.net.lan()
    ports = await race.several("ports", lambda _: {"network_id": network["id"]})
    body = {"port": {"fixed_ips": [{"ip_address": "10.0.0.77"}]}}
    return [("demo", "PUT", f"/v2.0/ports/{each['id']}", body) for each in ports]


async def the_last_address(race: Race) -> list[Entry]:
    network, _ = await race.net.lan("10.0.0.0/30")
    return creations("ports", [{"network_id": network["id"]}] * AT_ONCE)


async def a_mac_address(race: Race) -> list[Entry]:
    network, _ = await race.net.lan()
    return creations("ports", [{"network_id": network["id"], "mac_address": "fa:16:3e:00:00:07"}] * AT_ONCE)


async def a_port_by_floating_ips(race: Race) -> list[Entry]:
    outside, network, _ = await race.connected()
    port = await race.net.create("ports", {"network_id": network["id"]})
    floating = await race.several("floatingips", lambda _: {"floating_network_id": outside["id"]})
    body = {"floatingip": {"port_id": port["id"]}}
    return [("demo", "PUT", f"/v2.0/floatingips/{each['id']}", body) for each in floating]


async def a_port_by_new_floating_ips(race: Race) -> list[Entry]:
    outside, network, _ = await race.connected()
    port = await race.net.create("ports", {"network_id": network["id"]})
    return creations("floatingips", [{"floating_network_id": outside["id"], "port_id": port["id"]}] * AT_ONCE)


async def a_floating_address(race: Race) -> list[Entry]:
    outside, _ = await race.net.outside()
    wanted = {"floating_network_id": outside["id"], "floating_ip_address": "172.24.4.15"}
    return creations("floatingips", [wanted] * AT_ONCE, by="admin")


async def a_floating_ip_that_nobody_has_changed(race: Race) -> list[Entry]:
    outside, network, _ = await race.connected()
    ports = await race.several("ports", lambda _: {"network_id": network["id"]})
    floating = await race.net.create("floatingips", {"floating_network_id": outside["id"]})
    url = f"/v2.0/floatingips/{floating['id']}"
    return [("demo", "PUT if unchanged", url, {"floatingip": {"port_id": each["id"]}}) for each in ports]


async def a_subnet_by_one_router(race: Race) -> list[Entry]:
    _, subnet = await race.net.lan()
    router = await race.net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}/add_router_interface"
    return [("demo", "PUT", url, {"subnet_id": subnet["id"]})] * AT_ONCE


async def a_gateway_address_by_routers(race: Race) -> list[Entry]:
    _, subnet = await race.net.lan()
    routers = await race.several("routers", lambda _: {})
    body = {"subnet_id": subnet["id"]}
    return [("demo", "PUT", f"/v2.0/routers/{each['id']}/add_router_interface", body) for each in routers]


async def a_port_by_routers(race: Race) -> list[Entry]:
    network, _ = await race.net.lan()
    port = await race.net.create("ports", {"network_id": network["id"]})
    routers = await race.several("routers", lambda _: {})
    body = {"port_id": port["id"]}
    return [("demo", "PUT", f"/v2.0/routers/{each['id']}/add_router_interface", body) for each in routers]


async def a_range_of_addresses(race: Race) -> list[Entry]:
    network = await race.net.create("networks", {})
    wanted = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    return creations("subnets", [wanted] * AT_ONCE)


async def a_segment(race: Race) -> list[Entry]:
    tunnel = {"provider:network_type": "vxlan", "provider:segmentation_id": 77}
    return creations("networks", [tunnel] * AT_ONCE, by="admin")


async def a_physical_network(race: Race) -> list[Entry]:
    flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    return creations("networks", [flat] * AT_ONCE, by="admin")


async def being_the_default_network(race: Race) -> list[Entry]:
    networks = await race.several("networks", lambda _: {"router:external": True}, by="admin")
    return [("admin", "PUT", f"/v2.0/networks/{each['id']}", {"network": {"is_default": True}}) for each in networks]


async def a_rule_of_a_group(race: Race) -> list[Entry]:
    group = await race.net.create("security-groups", {"name": "web"})
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    return creations("security-group-rules", [rule] * AT_ONCE)


async def the_last_of_a_quota(race: Race) -> list[Entry]:
    project_id = await race.net.identity.project_id("demo")
    race.body_of(await race.net.admin.put(f"/v2.0/quotas/{project_id}", json={"quota": {"router": 1}}))
    return creations("routers", [{}] * AT_ONCE)


RACES: Mapping[Callable[[Race], Awaitable[list[Entry]]], tuple[int, str]] = {
    a_fixed_address_by_new_ports: (409, "IpAddressAlreadyAllocated"),
    a_fixed_address_by_ports_there_are: (409, "IpAddressAlreadyAllocated"),
    the_last_address: (409, "IpAddressGenerationFailure"),
    a_mac_address: (409, "MacAddressInUse"),
    a_port_by_floating_ips: (409, "FloatingIPPortAlreadyAssociated"),
    a_port_by_new_floating_ips: (409, "FloatingIPPortAlreadyAssociated"),
    a_floating_address: (409, "IpAddressAlreadyAllocated"),
    a_floating_ip_that_nobody_has_changed: (412, "RevisionNumberConstraintFailed"),
    a_subnet_by_one_router: (400, "InvalidInput"),
    a_gateway_address_by_routers: (409, "IpAddressAlreadyAllocated"),
    a_port_by_routers: (409, "PortInUse"),
    a_range_of_addresses: (400, "InvalidInput"),
    a_segment: (409, "TunnelIdInUse"),
    a_physical_network: (409, "FlatNetworkInUse"),
    being_the_default_network: (409, "DefaultExternalNetworkExists"),
    a_rule_of_a_group: (409, "SecurityGroupRuleExists"),
    the_last_of_a_quota: (409, "OverQuota"),
}
"""What is taken, and what those hear who come too late."""


@pytest.mark.parametrize("prepare", RACES, ids=lambda prepare: prepare.__name__)
async def test_of_eight_at_once_one_wins(net: Any, body_of: Any, prepare: Any) -> None:
    async def enter(entry: Entry) -> Any:
        who, method, url, body = entry
        verb, _, condition = method.partition(" ")
        headers = {"If-Match": "revision_number=1"} if condition else {}
        return await getattr(net, who).request(verb, url, json=body, headers=headers)

    entries = await prepare(Race(net, body_of))
    assert len(entries) == AT_ONCE
    answers = await asyncio.gather(*(enter(each) for each in entries))
    lost = [each for each in answers if each.status_code not in (200, 201)]
    heard = Counter((each.status_code, each.json()["NeutronError"]["type"]) for each in lost)
    assert heard == {RACES[prepare]: AT_ONCE - 1}, [each.text for each in lost]


async def test_of_what_all_can_have_nothing_is_lost(net: Any, body_of: Any) -> None:
    _, subnet = await net.lan()
    router = await net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}"
    body_of(await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": subnet["id"]}))
    routes = [{"destination": f"10.1.{number}.0/24", "nexthop": "10.0.0.9"} for number in range(AT_ONCE)]
    bodies = [{"router": {"routes": [each]}} for each in routes]
    answers = await asyncio.gather(
        *(net.demo.put(f"{url}/add_extraroutes", json=each) for each in bodies),
        *(net.demo.put(f"{url}/tags/{number}") for number in range(AT_ONCE)),
        *(net.demo.get("/v2.0/security-groups") for _ in range(AT_ONCE)),
    )
    assert {each.status_code for each in answers} == {200, 201}
    shown = body_of(await net.demo.get(url))["router"]
    assert len(shown["routes"]) == len(shown["tags"]) == AT_ONCE
    assert len(body_of(await net.demo.get("/v2.0/security-groups"))["security_groups"]) == 1


CONDITIONAL = [
    route
    for route in (*ROUTES, *TAG_ROUTES)
    if route.method in ("PUT", "POST", "DELETE")
    and route.path.split("/")[2] in (*KINDS, "security-group-rules")
    and len(route.path.split("/")) > 3
]


@pytest.mark.parametrize("route", CONDITIONAL, ids=lambda route: f"{route.method} {route.path}")
async def test_every_change_of_what_has_a_revision_may_ask_for_it(net: Any, body_of: Any, route: Any) -> None:
    outside, network, router = await Race(net, body_of).connected()
    group = await net.create("security-groups", {"name": "web"})
    made = {
        "networks": network,
        "subnets": body_of(await net.demo.get(f"/v2.0/subnets?network_id={network['id']}"))["subnets"][0],
        "ports": await net.create("ports", {"network_id": network["id"]}),
        "routers": router,
        "floatingips": await net.create("floatingips", {"floating_network_id": outside["id"]}),
        "security-groups": group,
        "security-group-rules": await net.create(
            "security-group-rules", {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
        ),
    }
    collection = route.path.split("/")[2]
    singular = KINDS.get(collection, "security_group_rule")
    shown_at = f"/v2.0/{collection}/{made[collection]['id']}"
    before = body_of(await net.demo.get(shown_at))
    url = "/".join((shown_at, *route.path.split("/")[4:])).replace("{tag}", "x").replace("{host}", "node1")
    bodies = {
        "tags": {"tags": ["x"]},
        "extraroutes": {"router": {"routes": []}},
        "interface": {"subnet_id": made["subnets"]["id"]},
        "bindings": {"binding": {"host": "node1"}},
    }
    caller = net.admin if "bindings" in route.path else net.demo
    body = next((bodies[each] for each in bodies if route.path.endswith(each)), {singular: {"description": "x"}})
    for wrong in (before[singular]["revision_number"] - 1, before[singular]["revision_number"] + 1):
        headers = {"If-Match": f"revision_number={wrong}"}
        refused = await caller.request(route.method, url, json=body, headers=headers)
        assert body_of(refused, 412)["NeutronError"]["type"] == "RevisionNumberConstraintFailed"
    assert body_of(await net.demo.get(shown_at)) == before
