"""Ports and security groups as stories."""

import asyncio
from typing import Any

import pytest

from kilonova.network import addresses


async def test_a_port_gets_an_address_a_mac_and_the_default_group(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "name": "eth"})
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.2"}]
    assert port["mac_address"].startswith("fa:16:3e:")
    assert (port["status"], port["device_owner"]) == ("DOWN", "")
    (default,) = body_of(await net.demo.get("/v2.0/security-groups?name=default"))["security_groups"]
    assert port["security_groups"] == [default["id"]]
    assert "binding:host_id" not in port
    seen_by_admin = body_of(await net.admin.get(f"/v2.0/ports/{port['id']}"))["port"]
    assert (seen_by_admin["binding:vif_type"], seen_by_admin["binding:vif_details"]) == ("unbound", {})


async def test_every_address_is_given_once_and_then_there_are_none(net: Any) -> None:
    network, _ = await net.lan("10.0.0.0/29")
    ports = await asyncio.gather(*(net.create("ports", {"network_id": network["id"]}) for _ in range(5)))
    addresses = {port["fixed_ips"][0]["ip_address"] for port in ports}
    assert addresses == {f"10.0.0.{number}" for number in range(2, 7)}
    error = await net.create("ports", {"network_id": network["id"]}, status=409)
    assert error["type"] == "IpAddressGenerationFailure"


@pytest.mark.parametrize("probes", [1, 16])
async def test_beyond_the_beginning_of_a_pool_the_next_address_is_given_and_then_any(
    net: Any, monkeypatch: pytest.MonkeyPatch, probes: int
) -> None:
    monkeypatch.setattr(addresses, "WALKED", 2)
    monkeypatch.setattr(addresses, "PROBES", probes)
    network, _ = await net.lan("10.0.0.0/28")

    async def take(**more: Any) -> int:
        port = await net.create("ports", {"network_id": network["id"], **more})
        ids[number := int(port["fixed_ips"][0]["ip_address"].rpartition(".")[2])] = port["id"]
        return number

    ids: dict[int, str] = {}
    assert [await take() for _ in range(5)] == [2, 3, 4, 5, 6]
    for number in (3, 4):
        assert (await net.demo.delete(f"/v2.0/ports/{ids[number]}")).status_code == 204
    assert [await take() for _ in range(2)] == [3, 7]
    assert await take(fixed_ips=[{"ip_address": "10.0.0.14"}]) == 14
    assert {await take() for _ in range(7)} == {4, *range(8, 14)}
    error = await net.create("ports", {"network_id": network["id"]}, status=409)
    assert error["type"] == "IpAddressGenerationFailure"


NO_PORTS = [
    ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 409, "IpAddressAlreadyAllocated"),
    ({"fixed_ips": [{"ip_address": "10.0.1.9"}]}, 400, "InvalidIpForNetwork"),
    ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "InvalidIpForSubnet"),
    ({"fixed_ips": [{"subnet_id": "nothing"}]}, 404, "SubnetNotFound"),
    ({"fixed_ips": [{}] * 6}, 400, "InvalidInput"),
    ({"mac_address": "fa:16:3e:00:00:01"}, 409, "MacAddressInUse"),
    ({"mac_address": "01:00:5e:00:00:01"}, 400, "InvalidInput"),
    ({"mac_address": "nonsense"}, 400, "InvalidInput"),
    ({"security_groups": ["nothing"]}, 404, "SecurityGroupNotFound"),
    ({"allowed_address_pairs": [{"ip_address": "x"}]}, 400, "InvalidInput"),
    ({"allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:02"}]}, 400, "HTTPBadRequest"),
    (
        {"port_security_enabled": False, "security_groups": ["x"]},
        400,
        "PortSecurityAndIPRequiredForSecurityGroups",
    ),
    (
        {"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "10.0.0.9"}]},
        409,
        "AddressPairAndPortSecurityRequired",
    ),
    (
        {"allowed_address_pairs": [{"ip_address": f"10.0.0.{n}"} for n in range(11)]},
        400,
        "AllowedAddressPairExhausted",
    ),
    ({"allowed_address_pairs": [{"ip_address": "10.0.0.9"}] * 2}, 400, "InvalidInput"),
    ({"extra_dhcp_opts": [{"opt_value": "x"}]}, 400, "HTTPBadRequest"),
    ({"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "9", "ip_version": 5}]}, 400, "HTTPBadRequest"),
    ({"dns_name": "-x"}, 400, "InvalidInput"),
    ({"dns_name": "web.example."}, 400, "InvalidInput"),
    ({"dns_domain": "example"}, 400, "InvalidInput"),
    ({"binding:vnic_type": "carrier-pigeon"}, 400, "HTTPBadRequest"),
    ({"binding:vnic_type": "direct"}, 400, "InvalidInput"),
    ({"device_owner": "network:dhcp"}, 403, "PolicyNotAuthorized"),
    ({"binding:host_id": "node1"}, 403, "PolicyNotAuthorized"),
    ({"binding:profile": {"a": 1}}, 403, "PolicyNotAuthorized"),
]


async def test_a_port_that_cannot_be_is_refused_and_leaves_nothing(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    taken = {"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    first = await net.create("ports", {"network_id": network["id"], **taken})
    for fields, status, kind in NO_PORTS:
        error = await net.create("ports", {"network_id": network["id"], **fields}, status=status)
        assert error["type"] == kind, fields
        assert [each["id"] for each in body_of(await net.demo.get("/v2.0/ports"))["ports"]] == [first["id"]], fields


async def test_on_a_shared_network_others_plug_in_but_choose_nothing(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    port = await net.create("ports", {"network_id": outside["id"]})
    assert port["fixed_ips"][0]["ip_address"] == "172.24.4.10"
    for fields in ({"fixed_ips": [{"ip_address": "172.24.4.15"}]}, {"mac_address": "fa:16:3e:00:00:09"}):
        await net.create("ports", {"network_id": outside["id"], **fields}, status=403)
    assert (await net.other.get(f"/v2.0/ports/{port['id']}")).status_code == 404
    mine, _ = await net.lan()
    await net.create("ports", {"network_id": mine["id"]}, by="other", status=404)


async def test_a_port_is_changed_and_deleted(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan()
    group = await net.create("security-groups", {"name": "web"})
    port = await net.create("ports", {"network_id": network["id"]})
    url = f"/v2.0/ports/{port['id']}"
    changes = {
        "name": "eth0",
        "security_groups": [group["id"]],
        "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "10.0.0.77"}],
        "allowed_address_pairs": [{"ip_address": "10.0.0.100"}],
        "device_id": "server",
    }
    changed = body_of(await net.demo.put(url, json={"port": changes}))["port"]
    assert changed["fixed_ips"] == changes["fixed_ips"]
    assert changed["security_groups"] == [group["id"]]
    assert changed["allowed_address_pairs"] == [{"ip_address": "10.0.0.100", "mac_address": port["mac_address"]}]
    by_device = body_of(await net.demo.get("/v2.0/ports?device_id=server&fixed_ips=ip_address=10.0.0.77"))["ports"]
    assert [each["id"] for each in by_device] == [port["id"]]
    for fields, kind in (
        ({"port_security_enabled": False}, "AddressPairAndPortSecurityRequired"),
        ({"port_security_enabled": False, "allowed_address_pairs": []}, "PortSecurityPortHasSecurityGroup"),
    ):
        refused = await net.demo.put(url, json={"port": fields})
        assert body_of(refused, 409)["NeutronError"]["type"] == kind
    off = {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}
    assert body_of(await net.demo.put(url, json={"port": off}))["port"]["port_security_enabled"] is False
    assert (await net.demo.delete(url)).status_code == 204
    assert (await net.demo.delete(url)).status_code == 404


async def test_the_default_group_lets_out_and_lets_in_only_itself(net: Any, body_of: Any) -> None:
    (group,) = body_of(await net.demo.get("/v2.0/security-groups"))["security_groups"]
    rules = {(rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in group["security_group_rules"]}
    assert rules == {
        ("egress", "IPv4", None),
        ("egress", "IPv6", None),
        ("ingress", "IPv4", group["id"]),
        ("ingress", "IPv6", group["id"]),
    }
    assert (await net.demo.delete(f"/v2.0/security-groups/{group['id']}")).status_code == 409
    await net.create("security-groups", {"name": "default"}, status=409)
    renamed = await net.demo.put(f"/v2.0/security-groups/{group['id']}", json={"security_group": {"name": "x"}})
    assert renamed.status_code == 409


async def test_what_hosts_have_not_is_not_promised(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "binding:vnic_type": "normal"})
    changed = {"port": {"binding:vnic_type": "macvtap"}}
    refused = body_of(await net.demo.put(f"/v2.0/ports/{port['id']}", json=changed), 400)["NeutronError"]
    assert "macvtap is not served" in refused["message"]
    assert "track connections" in (await net.create("security-groups", {"stateful": False}, status=400))["message"]
    group = await net.create("security-groups", {"name": "web", "stateful": "yes"})
    changed = {"security_group": {"stateful": "off"}}
    refused = body_of(await net.demo.put(f"/v2.0/security-groups/{group['id']}", json=changed), 400)["NeutronError"]
    assert "track connections" in refused["message"]
    aliases = {each["alias"] for each in body_of(await net.demo.get("/v2.0/extensions"))["extensions"]}
    assert "stateful-security-group" not in aliases


async def test_a_group_in_use_is_not_deleted(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    group = await net.create("security-groups", {"name": "web", "description": "http"})
    assert len(group["security_group_rules"]) == 2
    port = await net.create("ports", {"network_id": network["id"], "security_groups": [group["id"]]})
    url = f"/v2.0/security-groups/{group['id']}"
    assert body_of(await net.demo.delete(url), 409)["NeutronError"]["type"] == "SecurityGroupInUse"
    await net.demo.delete(f"/v2.0/ports/{port['id']}")
    assert (await net.other.get(url)).status_code == 404
    assert (await net.demo.delete(url)).status_code == 204


async def test_rules_are_made_once_and_deleted(net: Any, body_of: Any) -> None:
    group = await net.create("security-groups", {"name": "web"})
    rule = {
        "security_group_id": group["id"],
        "direction": "ingress",
        "protocol": "TCP",
        "port_range_min": 22,
        "port_range_max": "22",
        "remote_ip_prefix": "10.0.0.7/24",
    }
    made = await net.create("security-group-rules", rule)
    assert (made["protocol"], made["port_range_max"], made["remote_ip_prefix"]) == ("tcp", 22, "10.0.0.7/24")
    assert made["normalized_cidr"] == "10.0.0.0/24"
    assert (await net.create("security-group-rules", rule, status=409))["type"] == "SecurityGroupRuleExists"
    listed = body_of(await net.demo.get(f"/v2.0/security-group-rules?security_group_id={group['id']}&protocol=tcp"))
    assert [each["id"] for each in listed["security_group_rules"]] == [made["id"]]
    url = f"/v2.0/security-group-rules/{made['id']}"
    assert body_of(await net.demo.get(url))["security_group_rule"]["id"] == made["id"]
    assert (await net.other.delete(url)).status_code == 404
    assert (await net.demo.delete(url)).status_code == 204
    assert (await net.demo.get(url)).status_code == 404


async def test_a_rule_for_everything_may_say_so_in_many_words(net: Any, body_of: Any) -> None:
    group = await net.create("security-groups", {"name": "web"})
    whole = {"port_range_min": 1, "port_range_max": 65535}
    for fields in (
        {"protocol": "any", **whole, "remote_ip_prefix": ""},
        {"protocol": "tcp", **whole},
        {"protocol": "gre", **whole},
    ):
        rule = {"security_group_id": group["id"], "direction": "ingress", **fields}
        made = await net.create("security-group-rules", rule)
        assert (made["port_range_min"], made["port_range_max"], made["remote_ip_prefix"]) == (None, None, None)
        assert made["protocol"] == (None if fields["protocol"] == "any" else fields["protocol"])
    again = {"security_group_id": group["id"], "direction": "ingress", "remote_ip_prefix": "0.0.0.0/0"}
    assert (await net.create("security-group-rules", again, status=409))["type"] == "SecurityGroupRuleExists"


NO_RULES = [
    ({"direction": "sideways"}, "ingress or egress"),
    ({"ethertype": "IPX"}, "IPv4 or IPv6"),
    ({"protocol": "nonsense"}, "not supported"),
    ({"protocol": 256}, "not supported"),
    ({"port_range_min": 22, "port_range_max": 22}, "Must also specify protocol"),
    ({"protocol": "tcp", "port_range_min": 22}, "port_range_min must be <="),
    ({"protocol": "tcp", "port_range_min": 90, "port_range_max": 80}, "port_range_min must be <="),
    ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 80}, "Invalid value for port 0"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 65536}, "Invalid value for port 65536"),
    ({"protocol": "icmp", "port_range_max": 0}, "ICMP type (port-range-min) is missing"),
    ({"protocol": "icmp", "port_range_min": 300}, "0 to 255"),
    ({"remote_ip_prefix": "10.0.0.0/33"}, "remote_ip_prefix"),
    ({"remote_ip_prefix": "fd00::/8"}, "Conflicting value ethertype"),
    ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "x"}, "Only remote_ip_prefix or remote_group_id"),
]


async def test_a_rule_that_cannot_be_is_refused(net: Any) -> None:
    group = await net.create("security-groups", {"name": "web"})
    for fields, sentence in NO_RULES:
        rule = {"security_group_id": group["id"], "direction": "ingress", **fields}
        assert sentence in (await net.create("security-group-rules", rule, status=400))["message"], fields


async def test_a_rule_for_a_missing_group_is_404(net: Any) -> None:
    rule = {"security_group_id": "nothing", "direction": "ingress"}
    assert (await net.create("security-group-rules", rule, status=404))["type"] == "SecurityGroupNotFound"
