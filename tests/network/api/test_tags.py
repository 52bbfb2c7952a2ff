"""Tags, revisions asked for, and bulk creation as stories."""

from typing import Any

import pytest

COLLECTIONS = ("networks", "subnets", "ports", "routers", "floatingips", "security-groups")


async def one_of_each(net: Any) -> dict[str, Any]:
    outside, _ = await net.outside()
    network, subnet = await net.lan()
    return {
        "networks": network,
        "subnets": subnet,
        "ports": await net.create("ports", {"network_id": network["id"]}),
        "routers": await net.create("routers", {}),
        "floatingips": await net.create("floatingips", {"floating_network_id": outside["id"]}),
        "security-groups": await net.create("security-groups", {"name": "web"}),
    }


async def test_every_resource_is_tagged_and_untagged(net: Any, body_of: Any) -> None:
    made = await one_of_each(net)
    for collection in COLLECTIONS:
        url = f"/v2.0/{collection}/{made[collection]['id']}/tags"
        assert body_of(await net.demo.put(url, json={"tags": ["b", "a"]}))["tags"] == ["b", "a"]
        assert (await net.demo.put(f"{url}/c")).status_code == 201
        assert (await net.demo.put(f"{url}/c")).status_code == 201
        assert body_of(await net.demo.get(url))["tags"] == ["b", "a", "c"]
        assert (await net.demo.get(f"{url}/a")).status_code == 204
        assert (await net.demo.delete(f"{url}/a")).status_code == 204
        for gone in (await net.demo.delete(f"{url}/a"), await net.demo.get(f"{url}/a")):
            assert body_of(gone, 404)["NeutronError"]["type"] == "TagNotFound"
        body_of(await net.demo.post(url, json={"tags": ["c", "d"]}))
        shown = body_of(await net.demo.get(url.removesuffix("/tags")))
        assert next(iter(shown.values()))["tags"] == ["b", "c", "d"]
        assert (await net.demo.delete(url)).status_code == 204
        assert body_of(await net.demo.get(url))["tags"] == []


async def test_a_tag_raises_the_revision_once(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    url = f"/v2.0/networks/{network['id']}"
    for _ in range(2):
        await net.demo.put(f"{url}/tags/x")
    assert body_of(await net.demo.get(url))["network"]["revision_number"] == network["revision_number"] + 1


async def test_other_projects_see_and_change_no_tags(net: Any, body_of: Any) -> None:
    made = await one_of_each(net)
    for collection in COLLECTIONS:
        url = f"/v2.0/{collection}/{made[collection]['id']}/tags"
        for answer in (await net.other.get(url), await net.other.put(f"{url}/x")):
            assert body_of(answer, 404)["NeutronError"]["type"] == "TagResourceNotFound"
        assert (await net.reader.get(url)).status_code == 200
        assert (await net.reader.put(f"{url}/x")).status_code == 403
    outside = body_of(await net.demo.get("/v2.0/networks?name=provider"))["networks"][0]["id"]
    assert (await net.demo.get(f"/v2.0/networks/{outside}/tags")).status_code == 200
    assert (await net.demo.put(f"/v2.0/networks/{outside}/tags/x")).status_code == 403


NO_TAGS = [
    {"tags": ["a", "a"]},
    {"tags": ["x" * 256]},
    {"tags": [""]},
    {"tags": [str(n) for n in range(51)]},
    {"tags": "a"},
    {"tags": [1]},
    {"tag": ["a"]},
]


async def test_tags_that_cannot_be_are_refused(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    for body in NO_TAGS:
        body_of(await net.demo.put(f"/v2.0/networks/{network['id']}/tags", json=body), 400)


TAG_FILTERS = [
    ("tags=red", "ab"),
    ("tags=red,blue", "a"),
    ("tags-any=red,blue", "abc"),
    ("not-tags=red,blue", "bcd"),
    ("not-tags-any=red,blue", "d"),
    ("tags=red&not-tags=blue", "b"),
    ('tags=q"u%25o_te', "d"),
    ("tags=RED", ""),
    ("tags=nothing", ""),
]


async def test_lists_are_filtered_by_tags(net: Any, body_of: Any) -> None:
    for name, tags in {"a": ["red", "blue"], "b": ["red"], "c": ["blue"], "d": ['q"u%o_te']}.items():
        await net.create("networks", {"name": name, "tags": tags})
    for query, names in TAG_FILTERS:
        found = body_of(await net.demo.get(f"/v2.0/networks?{query}"))["networks"]
        assert sorted(each["name"] for each in found) == list(names), query


async def test_a_change_may_ask_for_the_revision_it_saw(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    url, change = f"/v2.0/networks/{network['id']}", {"network": {"name": "x"}}
    old = {"If-Match": f"revision_number={network['revision_number']}"}
    assert (await net.demo.put(url, json=change, headers=old)).status_code == 200
    refused = body_of(await net.demo.put(url, json=change, headers=old), 412)["NeutronError"]
    assert refused["type"] == "RevisionNumberConstraintFailed"
    body_of(await net.demo.delete(url, headers=old), 412)
    body_of(await net.demo.put(url, json=change, headers={"If-Match": "revision_number=x"}), 400)
    assert (await net.demo.delete(url, headers={"If-Match": "revision_number=2"})).status_code == 204


async def test_several_are_created_at_once_or_none(net: Any, body_of: Any) -> None:
    made = body_of(await net.demo.post("/v2.0/networks", json={"networks": [{"name": "a"}, {"name": "b"}]}), 201)
    assert [each["name"] for each in made["networks"]] == ["a", "b"]
    network_id = made["networks"][0]["id"]
    subnets = [{"network_id": network_id, "ip_version": 4, "cidr": f"10.{n}.0.0/24"} for n in range(2)]
    assert len(body_of(await net.demo.post("/v2.0/subnets", json={"subnets": subnets}), 201)["subnets"]) == 2
    good, bad = {"network_id": network_id}, {"network_id": network_id, "mac_address": "nonsense"}
    ports = body_of(await net.demo.post("/v2.0/ports", json={"ports": [good, {**good, "tags": ["t"]}]}), 201)["ports"]
    assert [each["tags"] for each in ports] == [[], ["t"]]
    assert len({each["fixed_ips"][0]["ip_address"] for each in ports}) == 2
    body_of(await net.demo.post("/v2.0/ports", json={"ports": [good, bad]}), 400)
    assert len(body_of(await net.demo.get("/v2.0/ports"))["ports"]) == 2
    clash = {"network_id": network_id, "ip_version": 4, "cidr": "10.9.0.0/24"}
    body_of(await net.demo.post("/v2.0/subnets", json={"subnets": [clash, clash]}), 400)
    assert len(body_of(await net.demo.get("/v2.0/subnets"))["subnets"]) == 2


async def test_several_rules_are_created_at_once_but_none_twice(net: Any, body_of: Any) -> None:
    group = await net.create("security-groups", {"name": "web"})
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    several = [{**rule, "port_range_min": port, "port_range_max": port} for port in (80, 443)]
    made = body_of(await net.demo.post("/v2.0/security-group-rules", json={"security_group_rules": several}), 201)
    assert [each["port_range_min"] for each in made["security_group_rules"]] == [80, 443]
    twice = {"security_group_rules": [rule, {**rule, "protocol": "6"}]}
    error = body_of(await net.demo.post("/v2.0/security-group-rules", json=twice), 409)["NeutronError"]
    assert error["type"] == "DuplicateSecurityGroupRuleInPost"
    mixed = {"security_group_rules": [{**rule, "protocol": "udp"}, several[0]]}
    error = body_of(await net.demo.post("/v2.0/security-group-rules", json=mixed), 409)["NeutronError"]
    assert error["type"] == "SecurityGroupRuleExists"
    assert made["security_group_rules"][0]["id"] in error["message"]


@pytest.mark.parametrize("body", [{"networks": []}, {}, {"network": {}, "networks": [{}]}, {"networks": [1]}])
async def test_a_body_with_nothing_to_create_is_refused(net: Any, body_of: Any, body: Any) -> None:
    body_of(await net.demo.post("/v2.0/networks", json=body), 400)
