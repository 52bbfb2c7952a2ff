"""Which addresses ports get, and what they are called."""

from typing import Any

import pytest

from kilonova.network.ipam import pick
from kilonova.network.tables import ComputeEvent, compute_events, ports


async def subnet(net: Any, network: Any, cidr: str, **fields: Any) -> Any:
    version = 6 if ":" in cidr else 4
    return await net.create("subnets", {"network_id": network["id"], "ip_version": version, "cidr": cidr, **fields})


def ips(port: Any) -> list[str]:
    return [each["ip_address"] for each in port["fixed_ips"]]


async def test_a_freed_address_is_given_again(net: Any) -> None:
    network, _ = await net.lan()
    ports = [await net.create("ports", {"network_id": network["id"]}) for _ in range(4)]
    await net.demo.delete(f"/v2.0/ports/{ports[1]['id']}")
    assert ips(await net.create("ports", {"network_id": network["id"]})) == ["10.0.0.3"]
    assert ips(await net.create("ports", {"network_id": network["id"]})) == ["10.0.0.6"]


async def test_pools_are_used_in_order_and_the_next_subnet_after_them(net: Any) -> None:
    pools = [{"start": "10.0.0.20", "end": "10.0.0.20"}, {"start": "10.0.0.10", "end": "10.0.0.11"}]
    network, _ = await net.lan(allocation_pools=pools)
    await subnet(net, network, "10.1.0.0/24")
    got = [ips(await net.create("ports", {"network_id": network["id"]}))[0] for _ in range(4)]
    assert got == ["10.0.0.20", "10.0.0.10", "10.0.0.11", "10.1.0.2"]


async def test_a_pool_far_from_the_subnet_s_start_works_too(net: Any) -> None:
    network = await net.create("networks", {})
    pool = {"start": "fd00:0:0:8000::ffff", "end": "fd00:0:0:8000::1:0"}
    await subnet(net, network, "fd00::/32", allocation_pools=[pool])
    got = [ips(await net.create("ports", {"network_id": network["id"]}))[0] for _ in range(2)]
    assert got == ["fd00:0:0:8000::ffff", "fd00::8000:0:0:1:0"]
    error = await net.create("ports", {"network_id": network["id"]}, status=409)
    assert error["type"] == "IpAddressGenerationFailure"


async def test_a_port_has_an_address_of_each_version(net: Any) -> None:
    network, _ = await net.lan()
    await subnet(net, network, "fd00:1::/64")
    port = await net.create("ports", {"network_id": network["id"]})
    assert ips(port) == ["10.0.0.2", "fd00:1::2"]


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateless"])
async def test_an_automatic_address_is_made_of_the_mac_address(net: Any, mode: str) -> None:
    network, _ = await net.lan()
    automatic = await subnet(net, network, "fd00:2::/64", ipv6_ra_mode=mode, ipv6_address_mode=mode)
    mine = {"network_id": network["id"], "mac_address": "fa:16:3e:00:00:01"}
    assert ips(await net.create("ports", mine)) == ["10.0.0.2", "fd00:2::f816:3eff:fe00:1"]
    chosen = {"network_id": network["id"], "fixed_ips": [{"subnet_id": automatic["id"], "ip_address": "fd00:2::5"}]}
    assert "automatic addresses" in (await net.create("ports", chosen, status=400))["message"]


async def test_a_subnet_of_automatic_addresses_goes_though_ports_have_one_and_not_under_a_router(
    net: Any, body_of: Any
) -> None:
    network, _ = await net.lan()
    slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    automatic = await subnet(net, network, "fd00:2::/64", **slaac)
    port = await net.create("ports", {"network_id": network["id"]})
    router = f"/v2.0/routers/{(await net.create('routers', {}))['id']}"
    interface = {"subnet_id": automatic["id"]}
    body_of(await net.demo.put(f"{router}/add_router_interface", json=interface))
    url = f"/v2.0/subnets/{automatic['id']}"
    assert body_of(await net.demo.delete(url), 409)["NeutronError"]["type"] == "SubnetInUse"
    body_of(await net.demo.put(f"{router}/remove_router_interface", json=interface))
    assert (await net.demo.delete(url)).status_code == 204
    assert ips(body_of(await net.demo.get(f"/v2.0/ports/{port['id']}"))["port"]) == ["10.0.0.2"]


async def test_subnets_for_a_kind_of_port_serve_that_kind_first_and_no_other(net: Any) -> None:
    network = await net.create("networks", {})
    await subnet(net, network, "10.0.0.0/24")
    await subnet(net, network, "10.1.0.0/24", service_types=["compute:nova"])
    server = {"network_id": network["id"], "device_owner": "compute:nova"}
    assert ips(await net.create("ports", server)) == ["10.1.0.2"]
    assert ips(await net.create("ports", {"network_id": network["id"]})) == ["10.0.0.2"]
    only = await net.create("networks", {})
    await subnet(net, only, "10.2.0.0/24", service_types=["network:floatingip"])
    assert (await net.create("ports", {"network_id": only["id"]}, status=409))["type"] == "IpAddressGenerationFailure"


async def test_addresses_that_are_named_again_are_kept(net: Any, body_of: Any) -> None:
    network, lan = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.50"}]})
    url, here = f"/v2.0/ports/{port['id']}", {"subnet_id": lan["id"]}
    changed = body_of(await net.demo.put(url, json={"port": {"fixed_ips": [here, here]}}))["port"]
    assert ips(changed) == ["10.0.0.50", "10.0.0.2"]
    changed = body_of(await net.demo.put(url, json={"port": {"fixed_ips": [here, {"ip_address": "10.0.0.50"}]}}))[
        "port"
    ]
    assert ips(changed) == ["10.0.0.2", "10.0.0.50"]
    assert ips(body_of(await net.demo.put(url, json={"port": {"fixed_ips": []}}))["port"]) == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"fixed_ips": [{}]}, "InvalidInput"),
        ({"fixed_ips": [{"ip_address": "10.0.0.5", "colour": "red"}]}, "HTTPBadRequest"),
        ({"fixed_ips": [{"ip_address": "fe80::1%eth0"}]}, "InvalidInput"),
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9"}]}, "InvalidInput"),
        ({"fixed_ips": [{"ip_address": ""}]}, "InvalidInput"),
        ({"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "10.0.0.0"}]}, "InvalidIpForSubnet"),
    ],
)
async def test_addresses_that_cannot_be_are_refused(net: Any, fields: Any, kind: str) -> None:
    network, _ = await net.lan()
    assert (await net.create("ports", {"network_id": network["id"], **fields}, status=400))["type"] == kind


async def test_a_bound_port_keeps_its_mac_address(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    await net.agent()
    port = await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1"}, by="admin")
    url, other = f"/v2.0/ports/{port['id']}", {"port": {"mac_address": "fa:16:3e:00:00:07"}}
    assert body_of(await net.admin.put(url, json=other), 409)["NeutronError"]["type"] == "PortBound"
    body_of(await net.admin.put(url, json={"port": {"binding:host_id": None}}))
    assert body_of(await net.admin.put(url, json=other))["port"]["mac_address"] == "fa:16:3e:00:00:07"


async def test_a_port_on_a_host_without_an_agent_cannot_be_bound(net: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "binding:host_id": "nowhere"}, by="admin")
    assert (port["binding:vif_type"], port["binding:vif_details"]) == ("binding_failed", {})


async def test_names_are_shown_with_each_address(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"], "dns_name": "Web", "dns_domain": "Example.org."})
    assert (port["dns_name"], port["dns_domain"]) == ("web", "example.org.")
    assert port["dns_assignment"] == [
        {"ip_address": "10.0.0.2", "hostname": "web", "fqdn": "web.openstacklocal."},
    ]
    changed = await net.demo.put(f"/v2.0/ports/{port['id']}", json={"port": {"dns_name": "db.openstacklocal."}})
    assert body_of(changed)["port"]["dns_assignment"][0]["hostname"] == "db"
    nameless = await net.create("ports", {"network_id": network["id"]})
    assert nameless["dns_assignment"][0]["fqdn"] == "host-10-0-0-3.openstacklocal."
    body_of(await net.demo.put(f"/v2.0/ports/{port['id']}", json={"port": {"dns_name": "a..b"}}), 400)


async def test_leases_bear_the_ports_names(net: Any) -> None:
    network, _ = await net.lan()
    for name in ("web", "db.openstacklocal.", ""):
        await net.create("ports", {"network_id": network["id"], "dns_name": name})
    agent, driver = await net.agent()
    await agent.agent.pass_once()
    (served,) = driver.wanted.networks
    assert {host.hostname for host in served.dhcp.hosts} == {"web", "db", "host-10-0-0-4"}


NO_DOMAINS = ["example", "-x.org.", "x" * 64 + ".org.", "a.123.", ".".join(["x" * 60] * 5) + "."]


async def test_a_domain_that_cannot_be_is_refused(net: Any) -> None:
    for domain in NO_DOMAINS:
        assert (await net.create("networks", {"dns_domain": domain}, status=400))["type"] == "InvalidInput", domain


async def test_extra_dhcp_options_are_merged_by_name_and_version_and_told_to_the_server(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    agent, driver = await net.agent()
    six = {"opt_name": "dns-server", "opt_value": "fd00::1", "ip_version": 6}
    options = [{"opt_name": "mtu", "opt_value": "1400"}, {**six, "ip_version": "6"}]
    port = await net.create("ports", {"network_id": network["id"], "extra_dhcp_opts": options})
    assert port["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}, six]

    async def told() -> list[tuple[str, str]]:
        await agent.agent.pass_once()
        (served,) = driver.wanted.networks
        (host,) = [each for each in served.dhcp.hosts if each.port_id == port["id"]]
        return [(each.name, each.value) for each in host.options]

    assert await told() == [("mtu", "1400")]
    url = f"/v2.0/ports/{port['id']}"
    change = [{"opt_name": "mtu", "opt_value": None}, {"opt_name": "tftp-server", "opt_value": "z"}]
    changed = body_of(await net.demo.put(url, json={"port": {"extra_dhcp_opts": change}}))["port"]
    assert [each["opt_name"] for each in changed["extra_dhcp_opts"]] == ["dns-server", "tftp-server"]
    assert await told() == [("tftp-server", "z")]
    for name, value in (("nonsense", "x"), ("bootfile-name", "x\ntag:y,3,10.0.0.9")):
        wrong = {"port": {"extra_dhcp_opts": [{"opt_name": name, "opt_value": value}]}}
        assert body_of(await net.demo.put(url, json=wrong), 400)["NeutronError"]["type"] == "InvalidInput"
        await net.create("ports", {"network_id": network["id"], **wrong["port"]}, status=400)


async def test_an_option_of_an_earlier_release_that_no_server_sends_is_not_told_to_it(net: Any) -> None:
    network, _ = await net.lan()
    agent, driver = await net.agent()
    await net.create("ports", {"network_id": network["id"]})
    kept = [{"opt_name": "67", "opt_value": "x", "ip_version": 4}, {"opt_name": "a", "opt_value": "b", "ip_version": 4}]
    async with net.service.database.transaction() as tx:
        await tx.execute(ports.update().values(extra_dhcp_opts=kept))
    await agent.agent.pass_once()
    (served,) = driver.wanted.networks
    (host,) = served.dhcp.hosts
    assert [(each.name, each.value) for each in host.options] == [("67", "x")]


def test_a_mac_address_makes_the_address_of_rfc_4291() -> None:
    assert pick.eui64("2001:db8::/64", "34:56:78:9a:bc:de") == "2001:db8::3656:78ff:fe9a:bcde"


AUTOMATIC = "fd00:2::f816:3eff:fe00:1"


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateless"])
async def test_automatic_addresses_come_beside_those_that_are_named(net: Any, body_of: Any, mode: str) -> None:
    network, first = await net.lan()
    automatic = await subnet(net, network, "fd00:2::/64", ipv6_ra_mode=mode, ipv6_address_mode=mode)
    mine = {"network_id": network["id"], "mac_address": "fa:16:3e:00:00:01"}
    port = await net.create("ports", {**mine, "fixed_ips": [{"ip_address": "10.0.0.77"}]})
    assert ips(port) == ["10.0.0.77", AUTOMATIC]
    url = f"/v2.0/ports/{port['id']}"
    for wanted, found in (
        ([{"subnet_id": first["id"], "ip_address": "10.0.0.78"}], ["10.0.0.78", AUTOMATIC]),
        ([{"subnet_id": automatic["id"]}, {"ip_address": "10.0.0.79"}], [AUTOMATIC, "10.0.0.79"]),
        ([{"ip_address": AUTOMATIC.upper()}], [AUTOMATIC]),
        ([], [AUTOMATIC]),
    ):
        shown = body_of(await net.demo.put(url, json={"port": {"fixed_ips": wanted}}))["port"]
        assert ips(shown) == found, wanted


async def test_an_automatic_address_follows_the_mac_address(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    await subnet(net, network, "fd00:2::/64", **slaac)
    port = await net.create("ports", {"network_id": network["id"]})
    changed = {"port": {"mac_address": "fa:16:3e:00:00:01"}}
    shown = body_of(await net.demo.put(f"/v2.0/ports/{port['id']}", json=changed))["port"]
    assert ips(shown) == ["10.0.0.2", AUTOMATIC]


async def test_ports_have_addresses_in_a_subnet_that_comes_later_if_it_gives_them_by_itself(
    net: Any, body_of: Any
) -> None:
    network, first = await net.lan()
    mine = {"network_id": network["id"], "mac_address": "fa:16:3e:00:00:01"}
    server = {**mine, "device_id": "server", "device_owner": "compute:nova"}
    port = await net.create("ports", server)
    bare = await net.create("ports", {"network_id": network["id"], "fixed_ips": []})
    router = await net.create("routers", {})
    routed = f"/v2.0/routers/{router['id']}/add_router_interface"
    interface = body_of(await net.demo.put(routed, json={"subnet_id": first["id"]}))["port_id"]
    await subnet(net, network, "fd00:1::/64")
    for_others = {"service_types": ["compute:elsewhere"]}
    slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    await subnet(net, network, "fd00:3::/64", **slaac, **for_others)
    later = await subnet(net, network, "fd00:2::/64", **slaac)

    async def of(port_id: str) -> list[str]:
        return ips(body_of(await net.demo.get(f"/v2.0/ports/{port_id}"))["port"])

    assert await of(port["id"]) == ["10.0.0.2", AUTOMATIC]
    (own,) = await of(bare["id"])
    assert own.startswith("fd00:2::f816:3eff:fe")
    assert await of(interface) == ["10.0.0.1"]
    assert await told(net) == [("network-changed", port["id"])]
    assert (await net.demo.delete(f"/v2.0/subnets/{later['id']}")).status_code == 204
    assert (await of(port["id"]), await of(bare["id"])) == (["10.0.0.2"], [])
    assert await told(net) == [("network-changed", port["id"])] * 2


async def told(net: Any) -> list[tuple[str, str]]:
    """What compute is to be told: (event, port)."""
    async with net.service.database.reading() as tx:
        found = await tx.all(ComputeEvent, compute_events.select().order_by(compute_events.c.created_at))
    return [(each.name, str(each.tag)) for each in found]
