"""The rules that new security groups begin with."""

from typing import Any

import pytest

URL = "/v2.0/default-security-group-rules"
SSH = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}


async def begun(net: Any, name: str) -> set[tuple[Any, ...]]:
    """What the rules of a new group of demo say."""
    group = await net.create("security-groups", {"name": name})
    return said(group)


def said(group: Any) -> set[tuple[Any, ...]]:
    return {
        (
            each["direction"],
            each["ethertype"],
            each["port_range_min"],
            "own" if each["remote_group_id"] == group["id"] else each["remote_group_id"],
        )
        for each in group["security_group_rules"]
    }


ALL_OUT = {("egress", "IPv4", None, None), ("egress", "IPv6", None, None)}
FROM_ITSELF = {("ingress", "IPv4", None, "own"), ("ingress", "IPv6", None, "own")}


async def test_a_cloud_begins_with_the_rules_every_cloud_has(net: Any, body_of: Any) -> None:
    listed = body_of(await net.demo.get(URL))["default_security_group_rules"]
    assert [(each["direction"], each["remote_group_id"]) for each in listed] == [
        ("egress", None),
        ("egress", None),
        ("ingress", "PARENT"),
        ("ingress", "PARENT"),
    ]
    assert all(each["used_in_default_sg"] for each in listed)
    assert [each["used_in_non_default_sg"] for each in listed] == [True, True, False, False]
    assert "project_id" not in listed[0]
    (default,) = body_of(await net.demo.get("/v2.0/security-groups?name=default"))["security_groups"]
    assert said(default) == ALL_OUT | FROM_ITSELF
    assert await begun(net, "web") == ALL_OUT


async def test_new_groups_begin_with_what_is_there_then(net: Any, body_of: Any) -> None:
    before = await net.create("security-groups", {"name": "before"})
    rule = await net.create("default-security-group-rules", {**SSH, "description": "log in"}, by="admin")
    assert (rule["used_in_default_sg"], rule["used_in_non_default_sg"], rule["ethertype"]) == (False, True, "IPv4")
    own = {"direction": "ingress", "remote_group_id": "PARENT"}
    await net.create("default-security-group-rules", own, by="admin")
    first = body_of(await net.demo.get(f"{URL}?direction=egress&ethertype=IPv6"))["default_security_group_rules"][0]
    assert (await net.admin.delete(f"{URL}/{first['id']}")).status_code == 204

    group = await net.create("security-groups", {"name": "after"})
    assert said(group) == {
        ("egress", "IPv4", None, None),
        ("ingress", "IPv4", 22, None),
        ("ingress", "IPv4", None, "own"),
    }
    assert "log in" in [each["description"] for each in group["security_group_rules"]]
    # A project's default group begins with those that say so, and groups that were there keep theirs.
    (default,) = body_of(await net.demo.get("/v2.0/security-groups?name=default"))["security_groups"]
    assert ("ingress", "IPv4", 22, None) not in said(default)
    assert said(body_of(await net.demo.get(f"/v2.0/security-groups/{before['id']}"))["security_group"]) == ALL_OUT
    shown = body_of(await net.demo.get(f"{URL}/{rule['id']}"))["default_security_group_rule"]
    assert shown == rule


async def test_lists_tell_which_groups_a_rule_is_for(net: Any, body_of: Any) -> None:
    await net.create("default-security-group-rules", {**SSH, "used_in_default_sg": True}, by="admin")

    async def count(query: str) -> int:
        return len(body_of(await net.demo.get(f"{URL}?{query}"))["default_security_group_rules"])

    kinds = ("default_sg", "non_default_sg")
    assert [await count(f"used_in_{kind}={value}") for kind in kinds for value in (1, 0)] == [5, 0, 3, 2]
    assert (await net.demo.get(f"{URL}?colour=red")).status_code == 400


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"direction": "egress"}, 409, "begin with a rule that says the same"),
        ({**SSH, "remote_group_id": "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"}, 400, "can only be PARENT"),
        ({**SSH, "used_in_non_default_sg": False}, 400, "this one in neither"),
        ({**SSH, "direction": "up"}, 400, "ingress or egress"),
        ({**SSH, "port_range_min": 23}, 400, "port_range_min must be <="),
        ({"protocol": "tcp"}, 400, "direction"),
    ],
)
async def test_what_is_refused(net: Any, fields: Any, status: int, sentence: str) -> None:
    error = await net.create("default-security-group-rules", fields, by="admin", status=status)
    assert sentence in error["message"]


async def test_only_administrators_change_them(net: Any, body_of: Any) -> None:
    await net.create("default-security-group-rules", SSH, status=403)
    (first, *_) = body_of(await net.demo.get(URL))["default_security_group_rules"]
    assert (await net.demo.delete(f"{URL}/{first['id']}")).status_code == 403
    missing = await net.admin.delete(f"{URL}/5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11")
    assert body_of(missing, 404)["NeutronError"]["type"] == "DefaultSecurityGroupRuleNotFound"


async def test_several_are_made_all_or_none(net: Any, body_of: Any) -> None:
    two = [SSH, {**SSH, "port_range_min": 80, "port_range_max": 80}]
    made = body_of(await net.admin.post(URL, json={"default_security_group_rules": two}), 201)
    assert len(made["default_security_group_rules"]) == 2
    again = await net.admin.post(URL, json={"default_security_group_rules": [{**SSH, "ethertype": "IPv6"}, SSH]})
    assert body_of(again, 409)["NeutronError"]["type"] == "DefaultSecurityGroupRuleExists"
    assert len(body_of(await net.demo.get(URL))["default_security_group_rules"]) == 6
