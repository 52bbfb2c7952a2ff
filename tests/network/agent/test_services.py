"""What DHCP, routers and metadata render, and the responder without a namespace."""

import functools
import hashlib
import hmac
from pathlib import Path

import httpx
import msgspec
import pytest

from kilonova.network.agent import advertisements
from kilonova.network.agent.dhcp import (
    contradicted,
    render_command,
    render_hosts,
    render_leases,
    render_names,
    render_options,
)
from kilonova.network.agent.ledger import HostProblem, Ledger
from kilonova.network.agent.metadata import Guest, MetadataResponder, Place, index_guests, render_headers
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.agent.routers import render_announcements, wanted_addresses, wanted_routes
from kilonova.network.wanted import DhcpOption, FixedIp, HostRoute, WantedDhcp, WantedNetwork, WantedSubnet
from tests.network.agent.documents import PROJECT, Net, floating_ip, gateway, mac, router, state
from tests.network.agent.drivers import state_of


def served(net: Net) -> tuple[WantedNetwork, WantedDhcp]:
    network = net.wanted()
    assert network.dhcp is not None
    return network, network.dhcp


def test_hosts_and_names_are_sorted_and_complete() -> None:
    net = Net(1)
    net.port(6)
    net.port(5)
    assert render_hosts(*served(net)) == (
        "fa:16:3e:00:01:05,host-10-0-1-5.openstacklocal,10.0.1.5\n"
        "fa:16:3e:00:01:06,host-10-0-1-6.openstacklocal,10.0.1.6\n"
    )
    assert render_names(*served(net)).splitlines()[0] == "10.0.1.5\thost-10-0-1-5.openstacklocal host-10-0-1-5"


def test_options_of_a_port_come_after_its_subnet_s_once_however_many_addresses_it_has() -> None:
    net = Net(1)
    port = net.port(5)
    options = (
        DhcpOption("bootfile-name", "pxelinux.0"),
        DhcpOption("router", "10.0.1.9"),
        DhcpOption("150", "1.2.3.4"),
    )
    net.hosts[0] = msgspec.structs.replace(net.hosts[0], options=options)
    net.hosts.append(msgspec.structs.replace(net.hosts[0], ip_address="10.0.1.6"))
    net.port(7)
    tags = [word for word in render_command(*served(net), Path("/x"), "root") if "dhcp-mac" in word]
    assert tags == [f"--dhcp-mac=set:port-{port.id},fa:16:3e:00:01:05"]
    assert "set:" not in render_hosts(*served(net)), "dnsmasq would not outlive reading that again"
    assert render_options(*served(net), []).splitlines()[-3:] == [
        f"tag:port-{port.id},option:bootfile-name,pxelinux.0",
        f"tag:port-{port.id},option:router,10.0.1.9",
        f"tag:port-{port.id},150,1.2.3.4",
    ]


def test_a_subnets_own_routes_come_first_and_metadata_is_not_doubled() -> None:
    net = Net(1)
    network, dhcp = served(net)
    own = (HostRoute("10.8.0.0/16", "10.0.1.8"), HostRoute("169.254.169.254/32", "10.0.1.9"))
    subnet = msgspec.structs.replace(network.subnets[0], host_routes=own)
    text = render_options(msgspec.structs.replace(network, subnets=(subnet,)), dhcp, [net.subnet_id])
    routes = "10.8.0.0/16,10.0.1.8,169.254.169.254/32,10.0.1.9,0.0.0.0/0,10.0.1.1"
    assert f"tag:subnet-{net.subnet_id},option:classless-static-route,{routes}\n" in text
    assert f"tag:subnet-{net.subnet_id},249,{routes}\n" in text
    plain = render_options(network, dhcp, [])
    assert "classless" not in plain, "without routes there is no option 121 to repeat the gateway in"
    assert f"tag:subnet-{net.subnet_id},option:router,10.0.1.1\n" in plain


SLAAC = WantedSubnet("six", "fd00:1::/64", 6, "fd00:1::1", dns_nameservers=("2620:fe::fe",), ipv6_ra_mode="slaac")


def test_a_router_advertises_the_subnets_that_say_so_where_it_has_an_address() -> None:
    net = Net(1)
    stateless = msgspec.structs.replace(SLAAC, id="info", cidr="fd00:2::/64", ipv6_ra_mode="dhcpv6-stateless")
    stateful = msgspec.structs.replace(SLAAC, id="full", cidr="fd00:3::/64", ipv6_ra_mode="dhcpv6-stateful")
    silent = msgspec.structs.replace(SLAAC, id="none", cidr="fd00:4::/64", ipv6_ra_mode=None)
    elsewhere = msgspec.structs.replace(SLAAC, id="away", cidr="fd00:5::/64")
    network = net.wanted(subnets=(SLAAC, stateless, stateful, silent, elsewhere))
    fixed = tuple(FixedIp(f"fd00:{place}::1", each.id, 64) for place, each in enumerate(network.subnets[:4], 1))
    interface = msgspec.structs.replace(net.router_interface(), fixed_ips=fixed)
    told = advertisements.advertised(router(1, interface), {net.id: network})
    assert [(each.device, [subnet.id for subnet in each.subnets]) for each in told] == [
        (f"qr-{interface.port_id[:11]}", ["full", "info", "six"])
    ]
    assert advertisements.advertised(router(1, interface), {}) == (), "its network is not ready"
    command = advertisements.render_command(told, Path("/x"), "root")
    assert "--dhcp-range=set:subnet-six,fd00:1::,ra-only,64" in command
    assert "--dhcp-range=set:subnet-info,fd00:2::,ra-stateless,64" in command
    assert "--dhcp-range=set:subnet-full,fd00:3::,static,64" in command
    assert "--dhcp-ignore=tag:subnet-full" in command, "the network's DHCP answers"
    assert "--dhcp-option=tag:subnet-six,option6:dns-server,[2620:fe::fe]" in command
    assert f"--ra-param=qr-{interface.port_id[:11]},mtu:1450,60,300" in command


def test_subnets_without_dhcp_or_of_ipv6_are_not_served() -> None:
    net = Net(1)
    net.port(5)
    network, dhcp = served(net)
    off = msgspec.structs.replace(network, subnets=(msgspec.structs.replace(network.subnets[0], enable_dhcp=False),))
    assert render_hosts(off, dhcp) == ""
    assert not any("dhcp-range" in word for word in render_command(off, dhcp, Path("/x"), "root"))


def test_the_command_line_carries_no_host_so_a_lease_more_never_restarts_it() -> None:
    net = Net(1)
    before = render_command(*served(net), Path("/x"), "root")
    net.port(5)
    assert render_command(*served(net), Path("/x"), "root") == before
    assert "--dhcp-option-force=option:mtu,1450" in before
    assert f"--dhcp-range=set:subnet-{net.subnet_id},10.0.1.0,static,255.255.255.0,86400s" in before


def test_leases_that_still_hold_are_kept_and_wrong_ones_dropped() -> None:
    net = Net(1)
    net.port(5)
    net.port(6)
    kept = f"123 {mac(0x105)} 10.0.1.5 host-10-0-1-5 ff:01\n99 fa:16:3e:ff:ff:ff 10.0.1.6 old *\nduid 00:01\n"
    assert contradicted(kept, *served(net))
    text = render_leases(kept, *served(net), now=1000)
    assert text.splitlines() == [
        f"123 {mac(0x105)} 10.0.1.5 host-10-0-1-5 ff:01",
        f"87400 {mac(0x106)} 10.0.1.6 host-10-0-1-6 *",
    ]
    assert not contradicted(text, *served(net))


def test_floating_ips_sit_on_the_gateway_and_routes_lead_through_it() -> None:
    net, outside = Net(1), Net(9)
    wanted = router(
        1,
        net.router_interface(),
        gateway=gateway(outside, gateway_ips=("10.0.9.1", "fd00::1", "10.0.9.2")),
        floating_ips=(floating_ip(outside, 50, net.port(5)),),
        routes=(HostRoute("10.8.0.0/16", "10.0.1.7"),),
    )
    addresses = wanted_addresses(wanted)
    assert addresses["qg-90000009-90"] == ["10.0.9.10/24", "10.0.9.50/32"]
    assert addresses["qr-f0000001-f0"] == ["10.0.1.1/24"]
    assert [(route.destination, route.gateway) for route in wanted_routes(wanted)] == [
        ("10.8.0.0/16", "10.0.1.7"),
        ("0.0.0.0/0", "10.0.9.1"),
        ("::/0", "fd00::1"),
    ]


def test_an_announcement_is_an_arp_request_and_an_arp_reply_for_oneself() -> None:
    request, reply = render_announcements("fa:16:3e:00:00:01", "10.0.0.9")
    assert len(request) == len(reply) == 42
    assert request[:14].hex() == "ffffffffffff" + "fa163e000001" + "0806"
    assert (request[21], reply[21]) == (1, 2)
    assert request[28:32] == request[38:42] == bytes((10, 0, 0, 9))


def test_guests_are_known_by_network_and_address_also_when_they_run_elsewhere() -> None:
    first, second = Net(1, cidr_prefix="10.5.5"), Net(2, cidr_prefix="10.5.5")
    ports = [first.port(5), second.port(5)]
    second.port(9)
    second.hosts[-1] = msgspec.structs.replace(second.hosts[-1], device_id="far", project_id="p")
    guests = index_guests(state([first, second], ports))
    assert guests[first.id, "10.5.5.5"] == Guest(ports[0].device_id, PROJECT)
    assert guests[second.id, "10.5.5.5"] == Guest(ports[1].device_id, PROJECT)
    assert guests[second.id, "10.5.5.9"] == Guest("far", "p")
    assert (first.id, "10.5.5.9") not in guests


def test_headers_that_claim_an_identity_are_dropped() -> None:
    asked = [("X-Instance-Id", "liar"), ("x_forwarded_for", "1.1.1.1"), ("Connection", "close"), ("Accept", "a/b")]
    headers = render_headers(asked, "10.0.0.5", Guest("server", "project"), "secret")
    signature = hmac.new(b"secret", b"server", hashlib.sha256).hexdigest()
    assert headers == [
        ("Accept", "a/b"),
        ("X-Forwarded-For", "10.0.0.5"),
        ("X-Instance-ID", "server"),
        ("X-Tenant-ID", "project"),
        ("X-Instance-ID-Signature", signature),
    ]


async def test_the_responder_refuses_strangers_large_bodies_and_a_silent_compute(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/silent":
            raise httpx.ConnectError("nobody there")
        return httpx.Response(
            200, text=request.headers["x-instance-id"], headers={"x-extra": "kept", "connection": "x"}
        )

    net = Net(1)
    port = net.port(5)
    options = LinuxOptions(state_dir=tmp_path, metadata_transport=httpx.MockTransport(answer))
    responder = MetadataResponder(options)
    responder.know(state_of(state([net], [port])))
    assert await responder.converge([]) == []
    place = Place("qdhcp-x", 1, "169.254.169.254", 80, ("another", net.id))

    async def ask(method: str, path: str, source: str = "10.0.1.5", content: bytes = b"") -> httpx.Response:
        app = functools.partial(responder._answer, place)
        transport = httpx.ASGITransport(app, client=(source, 1234))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://169.254.169.254") as client:
            return await client.request(method, path, content=content)

    known = await ask("GET", "/latest/meta-data")
    assert (known.status_code, known.text, known.headers["x-extra"]) == (200, port.device_id, "kept")
    assert "connection" not in known.headers
    assert (await ask("GET", "/", source="10.0.1.6")).status_code == 404
    assert (await ask("PUT", "/", content=b"x" * 65537)).status_code == 413
    assert (await ask("PUT", "/", content=b"x" * 65536)).status_code == 200
    silent = await ask("GET", "/silent")
    assert silent.status_code == 503 and "does not answer" in silent.text
    refused = await ask("DELETE", "/")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST, PUT")
    await responder.close()


def test_one_broken_thing_is_a_sentence_and_our_own_mistakes_are_not_hidden() -> None:
    ledger = Ledger()
    for _ in range(2):
        with ledger.guarding("a"):
            raise HostProblem("No bridge.")
    with ledger.guarding("b"):
        raise PermissionError(1, "Operation not permitted")
    assert ledger.problems == [("a", "No bridge."), ("b", "The host refused: [Errno 1] Operation not permitted.")]
    with pytest.raises(KeyError), ledger.guarding("c"):
        raise KeyError("ours")


def test_the_shared_secret_does_not_show_in_the_options(tmp_path: Path) -> None:
    assert "hush" not in repr(LinuxOptions(state_dir=tmp_path, metadata_proxy_shared_secret="hush"))
