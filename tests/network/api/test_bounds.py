"""Every part of a request has a bound, and a request at its bound is answered soon and in a word."""

import time
from typing import Any

import pytest

from kilonova.kit.http.bounds import unbounded_parts
from kilonova.network.api import fields
from kilonova.network.app import ROUTES, TAG_ROUTES
from kilonova.network.selections import MOST_VALUES

SECONDS = 20.0
"""Most that any answer here may take: a multiple of what it takes, a fraction of what no bound would cost."""


def test_every_part_of_every_body_has_a_bound() -> None:
    assert unbounded_parts((*ROUTES, *TAG_ROUTES)) == []


async def test_lists_are_as_long_as_their_resource_may_have_them(net: Any) -> None:
    network, subnet = await net.lan()
    many = range(fields.MOST_ENTRIES + 1)
    for plural, more in (
        ("ports", {"fixed_ips": [{"subnet_id": subnet["id"]} for _ in many]}),
        ("ports", {"security_groups": [str(each) for each in many]}),
        ("ports", {"allowed_address_pairs": [{"ip_address": f"10.1.{each}.0/24"} for each in many]}),
        ("ports", {"extra_dhcp_opts": [{"opt_name": str(each), "opt_value": "x"} for each in many]}),
        ("ports", {"tags": [str(each) for each in many]}),
        ("ports", {"device_id": "x" * 256}),
        ("ports", {"mac_address": "x" * 4096}),
        ("subnets", {"dns_nameservers": [f"9.9.9.{each}" for each in many]}),
        ("subnets", {"host_routes": [{"destination": f"10.1.{each}.0/24", "nexthop": "10.0.0.2"} for each in many]}),
        ("subnets", {"allocation_pools": [{"start": f"10.0.0.{each}", "end": f"10.0.0.{each}"} for each in many]}),
        ("subnets", {"service_types": ["compute:nova" for _ in many]}),
        ("networks", {"availability_zone_hints": ["nova" for _ in many]}),
        ("networks", {"mtu": 10**400}),
        ("security-group-rules", {"port_range_min": 10**400}),
    ):
        needed = {
            "ports": {"network_id": network["id"]},
            "subnets": {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"},
            "security-group-rules": {"security_group_id": "x", "direction": "ingress"},
        }
        refused = await net.create(plural, {**needed.get(plural, {}), **more}, status=400)
        assert len(refused["message"]) < 500, (plural, list(more))


async def test_a_binding_s_profile_is_short(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "binding:profile": {"a": "x" * 4000}}, by="admin")
    longer = {"binding:profile": {"a": "x" * 4096}}
    refused = body_of(await net.admin.put(f"/v2.0/ports/{port['id']}", json={"port": longer}), 400)["NeutronError"]
    assert "exceeds maximum length 4095" in refused["message"]
    await net.create("ports", {"network_id": network["id"], **longer}, by="admin", status=400)


async def test_as_many_as_may_be_made_at_once_are_made_and_one_more_is_refused(net: Any, body_of: Any) -> None:
    network, _ = await net.lan("10.0.0.0/16")
    one = {"network_id": network["id"]}
    body_of(await net.demo.post("/v2.0/ports", json={"ports": [one] * (fields.MOST_AT_ONCE + 1)}), 400)
    began = time.process_time()
    made = body_of(await net.demo.post("/v2.0/ports", json={"ports": [one] * fields.MOST_AT_ONCE}), 201)["ports"]
    assert len(made) == fields.MOST_AT_ONCE
    assert time.process_time() - began < SECONDS


async def test_a_router_s_routes_are_bounded_by_their_list_too(net: Any, body_of: Any) -> None:
    _, subnet = await net.lan()
    router = await net.create("routers", {})
    url = f"/v2.0/routers/{router['id']}"
    body_of(await net.demo.put(f"{url}/add_router_interface", json={"subnet_id": subnet["id"]}))
    unlimited = {"quota": {"router_route": -1}}
    body_of(await net.admin.put(f"/v2.0/quotas/{router['project_id']}", json=unlimited))
    routes = [
        {"destination": f"10.{each >> 8}.{each & 255}.0/24", "nexthop": "10.0.0.50"}
        for each in range(256, 257 + fields.MOST_ROUTES)
    ]
    began = time.process_time()
    body_of(await net.demo.put(url, json={"router": {"routes": routes[1:]}}))
    body_of(await net.demo.put(url, json={"router": {"routes": routes}}), 400)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("collection", ["networks", "subnets", "ports", "routers", "security-groups"])
async def test_a_parameter_repeated_a_thousand_times_costs_little_and_more_is_refused(
    net: Any, body_of: Any, collection: str
) -> None:
    await net.lan()
    url, began = f"/v2.0/{collection}", time.process_time()
    for name, value in (("sort_key", "name"), ("name", "x"), ("id", "x"), ("fields", "id")):
        body_of(await net.demo.get(url, params=[(name, value)] * MOST_VALUES))
        refused = body_of(await net.demo.get(url, params=[(name, value)] * (MOST_VALUES + 1)), 400)["NeutronError"]
        assert f"{name} is given {MOST_VALUES + 1} times" in refused["message"]
    for name in ("tags", "not-tags-any"):
        body_of(await net.demo.get(url, params={name: ",".join(["x"] * 50)}))
        body_of(await net.demo.get(url, params={name: ",".join(map(str, range(51)))}), 400)
    assert time.process_time() - began < SECONDS


async def test_ports_are_looked_for_by_as_many_addresses(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    for key, value, most in (
        ("ip_address", "10.0.0.2", MOST_VALUES),
        ("subnet_id", subnet["id"], 500),
        ("ip_address_substr", "0.2", 50),
    ):
        wanted = [("fixed_ips", f"{key}={value}")] * most
        assert [each["id"] for each in body_of(await net.demo.get("/v2.0/ports", params=wanted))["ports"]] == [
            port["id"]
        ]
        more = await net.demo.get("/v2.0/ports", params=[*wanted, wanted[0]])
        assert more.status_code == (200 if key == "subnet_id" else 400), key


async def test_a_project_s_id_is_as_long_as_it_is_kept(net: Any, body_of: Any) -> None:
    limits = {"quota": {"port": 1}}
    body_of(await net.admin.put(f"/v2.0/quotas/{'x' * 64}", json=limits))
    body_of(await net.admin.put(f"/v2.0/quotas/{'x' * 65}", json=limits), 400)


async def test_sort_keys_named_again_change_nothing(net: Any, body_of: Any) -> None:
    for name, mtu in (("a", 1400), ("b", 1300), ("c", 1400)):
        await net.create("networks", {"name": name, "mtu": mtu})
    keys = [("sort_key", "mtu"), ("sort_key", "name"), ("sort_key", "mtu"), ("sort_key", "tenant_id")]
    directions = [("sort_dir", each) for each in ("desc", "asc", "asc", "desc")]
    page = body_of(await net.demo.get("/v2.0/networks", params=[*keys, *directions, ("limit", "2")]))
    assert [each["name"] for each in page["networks"]] == ["a", "c"]
    following = page["networks_links"][0]["href"].partition("service.local")[2]
    assert [each["name"] for each in body_of(await net.demo.get(following))["networks"]] == ["b"]


async def test_what_is_no_table_is_bounded_alike(net: Any, body_of: Any) -> None:
    await net.agent()
    body_of(await net.admin.get("/v2.0/agents", params=[("sort_key", "binary")] * MOST_VALUES))
    body_of(await net.admin.get("/v2.0/agents", params=[("sort_key", "binary")] * (MOST_VALUES + 1)), 400)
    keys = [("sort_key", each) for each in ("host", "binary", "agent_type", "host")]
    agents = body_of(await net.admin.get("/v2.0/agents", params=keys))["agents"]
    assert [each["binary"] for each in agents] == sorted(each["binary"] for each in agents)
