"""Quotas as stories."""

import asyncio
from typing import Any

import pytest


async def limit(net: Any, body_of: Any, project: str = "demo", **limits: Any) -> str:
    project_id: str = await net.identity.project_id(project)
    body_of(await net.admin.put(f"/v2.0/quotas/{project_id}", json={"quota": limits}))
    return project_id


async def test_limits_are_shown_set_and_reset(net: Any, body_of: Any) -> None:
    project_id = await net.identity.project_id("demo")
    url = f"/v2.0/quotas/{project_id}"
    defaults = body_of(await net.demo.get(url))["quota"]
    assert (defaults["network"], defaults["port"], defaults["router"], defaults["security_group_rule"]) == (
        100,
        500,
        10,
        100,
    )
    changed = body_of(await net.admin.put(url, json={"quota": {"network": "7", "port": -1}}))["quota"]
    assert changed == {**defaults, "network": 7, "port": -1}
    assert body_of(await net.demo.get(f"{url}/default"))["quota"] == defaults
    (listed,) = body_of(await net.admin.get("/v2.0/quotas"))["quotas"]
    assert (listed["project_id"], listed["network"]) == (project_id, 7)
    assert (await net.admin.delete(url)).status_code == 204
    assert (await net.admin.delete(url)).status_code == 204
    assert body_of(await net.admin.get(url))["quota"] == defaults
    assert body_of(await net.admin.get("/v2.0/quotas"))["quotas"] == []


async def test_one_sees_one_s_own_limits_and_sets_none(net: Any, body_of: Any) -> None:
    url = f"/v2.0/quotas/{await net.identity.project_id('demo')}"
    assert (await net.other.get(url)).status_code == 403
    assert (await net.other.get(f"{url}/details")).status_code == 403
    assert (await net.demo.get("/v2.0/quotas")).status_code == 403
    assert (await net.demo.put(url, json={"quota": {"port": 1000}})).status_code == 403
    assert (await net.demo.delete(url)).status_code == 403
    assert body_of(await net.demo.get("/v2.0/quotas/tenant"))["tenant"]["tenant_id"] == url.rpartition("/")[2]


NO_QUOTAS = [{"port": -2}, {"port": "many"}, {"port": 1 << 40}, {"trunk": 4}, {"port": 1.5}, "port", {"force": 3}]


async def test_a_limit_that_cannot_be_is_refused(net: Any, body_of: Any) -> None:
    project_id = await net.identity.project_id("demo")
    for quota in NO_QUOTAS:
        body_of(await net.admin.put(f"/v2.0/quotas/{project_id}", json={"quota": quota}), 400)


async def test_the_limit_is_never_passed_even_by_requests_at_once(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    await limit(net, body_of, port=3)
    body = {"port": {"network_id": network["id"]}}
    answers = await asyncio.gather(*(net.demo.post("/v2.0/ports", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    error = await net.create("ports", {"network_id": network["id"]}, status=409)
    assert error == {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}


async def test_every_resource_has_its_limit(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    network, _subnet = await net.lan()
    group = await net.create("security-groups", {"name": "web"})
    used = {"network": 1, "subnet": 1, "port": 0, "router": 0, "floatingip": 0, "security_group": 2}
    await limit(net, body_of, **used, security_group_rule=8)
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.7.0.0/24"}
    rule = {"security_group_id": group["id"], "direction": "ingress"}
    for plural, fields in (
        ("networks", {}),
        ("subnets", subnet),
        ("ports", {"network_id": network["id"]}),
        ("routers", {}),
        ("floatingips", {"floating_network_id": outside["id"]}),
        ("security-groups", {"name": "more"}),
    ):
        assert (await net.create(plural, fields, status=409))["type"] == "OverQuota", plural
    await net.create("security-group-rules", {**rule, "protocol": "tcp"}, status=201)
    await net.create("security-group-rules", {**rule, "protocol": "udp"}, status=201)
    assert (await net.create("security-group-rules", rule, status=409))["type"] == "OverQuota"


async def test_details_count_what_is_used(net: Any, body_of: Any) -> None:
    await net.lan()
    await net.create("networks", {})
    project_id = await limit(net, body_of, network=5)
    details = body_of(await net.demo.get(f"/v2.0/quotas/{project_id}/details"))["quota"]
    assert body_of(await net.demo.get(f"/v2.0/quotas/{project_id}/details.json"))["quota"] == details
    assert details["network"] == {"limit": 5, "used": 2, "reserved": 0}
    assert details["subnet"] == {"limit": 100, "used": 1, "reserved": 0}


async def test_a_limit_below_what_is_used_has_to_be_forced(net: Any, body_of: Any) -> None:
    await net.create("networks", {})
    await net.create("networks", {})
    url = f"/v2.0/quotas/{await net.identity.project_id('demo')}"
    error = body_of(await net.admin.put(url, json={"quota": {"network": 1, "port": 9}}), 400)["NeutronError"]
    assert "already used 2" in error["message"]
    assert body_of(await net.admin.get(url))["quota"]["port"] == 500
    forced = body_of(await net.admin.put(url, json={"quota": {"network": 1, "force": True}}))
    assert forced["quota"]["network"] == 1
    assert (await net.create("networks", {}, status=409))["type"] == "OverQuota"


@pytest.mark.parametrize("word", ["project", "tenant"])
async def test_old_clients_ask_with_a_format_whose_project_it_is(net: Any, body_of: Any, word: str) -> None:
    mine = await net.identity.project_id("demo")
    assert body_of(await net.demo.get(f"/v2.0/quotas/{word}.json")) == {word: {f"{word}_id": mine}}
