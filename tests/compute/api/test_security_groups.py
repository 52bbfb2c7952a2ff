"""Security groups in the versions of the Compute API that still speak of them; the network service keeps them."""

from typing import Any

import pytest

OLD = {"version": "2.35"}
URL, RULES = "/os-security-groups", "/os-security-group-rules"


async def make(nova: Any, name: str = "web", **fields: Any) -> dict[str, Any]:
    body = {"security_group": {"name": name, "description": "servers", **fields}}
    made: dict[str, Any] = (await nova.call("POST", URL, json=body, **OLD))["security_group"]
    return made


async def test_a_group_is_created_shown_listed_changed_and_deleted(nova: Any) -> None:
    group = await make(nova)
    assert (group["name"], group["description"], group["rules"]) == ("web", "servers", [])
    url = f"{URL}/{group['id']}"
    assert (await nova.call("GET", url, **OLD))["security_group"] == group
    listed = (await nova.call("GET", URL, **OLD))["security_groups"]
    assert group in listed
    assert {each["name"] for each in listed} == {"default", "web"}
    assert len((await nova.call("GET", f"{URL}?limit=1&offset=1", **OLD))["security_groups"]) == 1
    body = {"security_group": {"name": "front", "description": "changed"}}
    changed = (await nova.call("PUT", url, json=body, **OLD))["security_group"]
    assert changed == {**group, "name": "front", "description": "changed"}
    await nova.refused("GET", url, 404, by="other", **OLD)
    assert group["id"] not in {
        each["id"] for each in (await nova.call("GET", URL, by="other", **OLD))["security_groups"]
    }
    everybodys = (await nova.call("GET", f"{URL}?all_tenants=1", by="admin", **OLD))["security_groups"]
    assert group["id"] in {each["id"] for each in everybodys}
    await nova.call("DELETE", url, 202, **OLD)
    await nova.refused("DELETE", url, 404, **OLD)
    await nova.refused("GET", URL, 404, version="2.36")


async def test_rules_let_in_addresses_and_groups(nova: Any) -> None:
    group, peer = await make(nova), await make(nova, "peer")
    ports = {"parent_group_id": group["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 23}
    rule = (await nova.call("POST", RULES, json={"security_group_rule": ports}, **OLD))["security_group_rule"]
    assert {**rule, **ports, "ip_range": {"cidr": "0.0.0.0/0"}, "group": {}} == rule
    from_peer = {**ports, "from_port": "80", "to_port": "80", "group_id": peer["id"]}
    second = (await nova.call("POST", RULES, json={"security_group_rule": from_peer}, **OLD))["security_group_rule"]
    assert (second["from_port"], second["group"]["name"], second["ip_range"]) == (80, "peer", {})
    ping = {"parent_group_id": group["id"], "ip_protocol": "ICMP", "from_port": -1, "to_port": -1, "cidr": "10.0.0.0/8"}
    third = (await nova.call("POST", RULES, json={"security_group_rule": ping}, **OLD))["security_group_rule"]
    assert (third["ip_protocol"], third["from_port"], third["ip_range"]) == ("icmp", -1, {"cidr": "10.0.0.0/8"})
    shown = (await nova.call("GET", f"{URL}/{group['id']}", **OLD))["security_group"]["rules"]
    assert {each["id"] for each in shown} == {rule["id"], second["id"], third["id"]}
    assert second in shown
    await nova.call("DELETE", f"{RULES}/{rule['id']}", 202, **OLD)
    await nova.refused("DELETE", f"{RULES}/{rule['id']}", 404, **OLD)


NO_RULES: list[tuple[dict[str, Any], int, str]] = [
    ({"parent_group_id": "web"}, 400, "parent_group_id is the UUID"),
    ({"parent_group_id": "0b6c9f0e-0000-4000-8000-000000000000"}, 404, "does not exist"),
    ({"group_id": "7"}, 400, "group_id is the UUID"),
    ({"from_port": 22, "to_port": 21}, 400, "port_range_min must be <="),
    ({"from_port": 70000}, 400, "Invalid value for port 70000"),
    ({"ip_protocol": "999x"}, 400, "not supported"),
    ({"cidr": "10.0.0.0/33"}, 400, "remote_ip_prefix"),
    ({"cidr": "10.0.0.0/8", "group_id": "0b6c9f0e-0000-4000-8000-000000000000"}, 400, "not both"),
]


@pytest.mark.parametrize(("change", "status", "sentence"), NO_RULES)
async def test_a_rule_that_cannot_be_is_refused(nova: Any, change: Any, status: int, sentence: str) -> None:
    group = await make(nova)
    rule = {"parent_group_id": group["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **change}
    assert sentence in await nova.refused("POST", RULES, status, json={"security_group_rule": rule}, **OLD)


async def test_what_the_network_service_calls_a_conflict_is_400(nova: Any) -> None:
    default = (await nova.call("GET", URL, **OLD))["security_groups"][0]
    assert default["name"] == "default"
    await nova.refused("DELETE", f"{URL}/{default['id']}", 400, **OLD)
    rule = {"parent_group_id": default["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 22}
    await nova.call("POST", RULES, json={"security_group_rule": rule}, **OLD)
    assert "already exists" in await nova.refused("POST", RULES, 400, json={"security_group_rule": rule}, **OLD)
    await nova.refused("GET", f"{URL}?limit=x", 400, **OLD)
    await nova.refused("POST", URL, 400, json={"security_group": {"name": ""}}, **OLD)
    await nova.refused("POST", URL, 403, by="reader", json={"security_group": {"name": "x"}}, **OLD)
