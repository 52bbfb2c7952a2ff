"""Routers, floating IPs and translation with real packets, on hosts of their own."""

import asyncio
import sys

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from kilonova.network.wanted import HostRoute
from tests.network.agent.documents import PING, Net, floating_ip, gateway, group, router, state, tcp
from tests.network.agent.drivers import ByDocuments, converge, make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

PROVIDER = Net(9, dhcp=False, network_type="flat", physical_network="provider", cidr_prefix="172.24.4", mtu=1500)


def make_provider(host: Host, **options: object) -> ByDocuments:
    """The operator's bridge with an address of the host, as in the demo."""
    host.run("ip", "link", "add", "br-ex", "type", "bridge")
    host.run("ip", "link", "set", "br-ex", "up")
    host.run("ip", "address", "add", "172.24.4.1/24", "dev", "br-ex")
    return make_driver(host, bridge_mappings={"provider": "br-ex"}, **options)


def make_outsider(host: Host) -> Guest:
    """A machine on the provider network, no guest of ours."""
    outsider = Guest(host, "outside", "out0", "fa:16:3e:99:99:99")
    host.run("ip", "link", "set", "out0", "master", "br-ex", "up")
    outsider.set_address("172.24.4.200/24")
    return outsider


def host_pings(host: Host, address: str, wait_seconds: float = 1) -> bool:
    return host.succeeds("ping", "-n", "-c", "1", "-W", str(wait_seconds), address)


@on_own_host
async def test_two_networks_are_routed_and_the_outside_is_reached_by_translation(host: Host) -> None:
    nets = [Net(1), Net(2)]
    pingable = group(1, PING)
    ports = [net.port(5, (pingable.id,)) for net in nets]
    driver = make_provider(host)
    one, two = (
        make_guest(host, f"g{net.number}", port, gateway=f"{net.cidr_prefix}.1")
        for net, port in zip(nets, ports, strict=True)
    )
    outsider = make_outsider(host)
    wanted = router(1, *(net.router_interface() for net in nets), gateway=gateway(PROVIDER))
    report = await converge(driver, state([*nets, PROVIDER], ports, [pingable], [wanted]))
    assert report.routers_up == (wanted.id,)
    await host.settle()
    assert one.pings("10.0.2.5"), "inner networks are routed"
    assert two.pings("10.0.1.5")
    await outsider.serve(80)
    assert one.pings("172.24.4.200")
    assert await one.reaches("172.24.4.200", 80)
    seen = outsider.run("ss", "-tn", "state", "time-wait") + outsider.run("ss", "-tn")
    assert "10.0.1.5" not in seen, "the outside never sees an inner address"
    assert not outsider.succeeds("ping", "-c", "1", "-W", "0.3", "10.0.1.5")

    without_snat = msgspec.structs.replace(wanted, gateway=gateway(PROVIDER, enable_snat=False))
    await converge(driver, state([*nets, PROVIDER], ports, [pingable], [without_snat]))
    one.run("ip", "neigh", "flush", "all")
    assert not one.pings("172.24.4.200", wait_seconds=0.3)
    cut = msgspec.structs.replace(wanted, interfaces=wanted.interfaces[:1])
    await converge(driver, state([*nets, PROVIDER], ports, [pingable], [cut]))
    assert not one.pings("10.0.2.5", wait_seconds=0.3), "an interface that goes is gone"
    await driver.close()


@on_own_host
async def test_a_floating_ip_answers_the_host_and_is_cut_when_it_goes(host: Host) -> None:
    net = Net(1)
    web = group(1, PING, tcp(80))
    first, second = net.port(5, (web.id,)), net.port(6, (web.id,))
    driver = make_provider(host)
    one = make_guest(host, "one", first, gateway="10.0.1.1")
    two = make_guest(host, "two", second, gateway="10.0.1.1")
    outsider = make_outsider(host)
    bare = router(1, net.router_interface(), gateway=gateway(PROVIDER))
    floating = msgspec.structs.replace(
        bare, floating_ips=(floating_ip(PROVIDER, 50, first), floating_ip(PROVIDER, 51, second))
    )
    await converge(driver, state([net, PROVIDER], [first, second], [web], [bare]))
    await host.settle()
    assert not host_pings(host, "172.24.4.50", 0.3)
    listening = outsider.run(
        "sh", "-c", "ip neigh replace 172.24.4.50 lladdr fa:16:3e:00:00:99 nud stale dev eth0; ip neigh"
    )
    assert "00:00:99" in listening
    outsider.run("sysctl", "-qw", "net.ipv4.neigh.eth0.locktime=0")
    await converge(driver, state([net, PROVIDER], [first, second], [web], [floating]))
    assert host_pings(host, "172.24.4.50")
    assert outsider.pings("172.24.4.50"), "a stale neighbour entry was put right by the announcement"
    await one.serve(80, "one")
    await two.serve(80, "two")
    conversation = await outsider.connect("172.24.4.50", 80)
    assert await conversation.hears() == "one"
    peers = one.run("ss", "-tn", "state", "established")
    assert "172.24.4.200" in peers, "a guest sees who really asks"
    hairpin = await one.connect("172.24.4.51", 80)
    assert await hairpin.hears() == "two", "a neighbour is reached by its floating IP"
    await outsider.serve(81)
    leaving = await one.connect("172.24.4.200", 81)
    assert await leaving.hears() == "hello"
    assert "172.24.4.50" in outsider.run("ss", "-tn", "state", "established"), "it leaves by its floating IP"

    await converge(driver, state([net, PROVIDER], [first, second], [web], [bare]))
    assert not await conversation.echoes("still there?", within_seconds=0.5)
    assert not await leaving.echoes("still there?", within_seconds=0.5)
    assert not host_pings(host, "172.24.4.50", 0.3)
    await driver.close()


@on_own_host
async def test_extra_routes_and_metadata_through_the_router(host: Host) -> None:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.headers["x-instance-id"])

    compute = httpx.ASGITransport(Starlette(routes=[Route("/{path:path}", answer)]))
    net = Net(1)
    everyone = group(1, PING)
    port, appliance = net.port(5, (everyone.id,)), net.port(7, (), port_security_enabled=False)
    driver = make_provider(host, metadata_transport=compute, force_metadata=False)
    guest = make_guest(host, "one", port, gateway="10.0.1.1")
    other = make_guest(host, "two", appliance, gateway="10.0.1.1")
    other.run("ip", "address", "add", "10.55.0.1/32", "dev", "lo")
    routed = router(1, net.router_interface(), routes=(HostRoute("10.55.0.0/16", "10.0.1.7"),))
    await converge(driver, state([net], [port, appliance], [everyone], [routed]))
    await host.settle()
    assert guest.pings("10.55.0.1")
    options = (host.state_dir / "dhcp" / net.id / "opts").read_text()
    assert "169.254.169.254" not in options, "where a router is, it answers"
    fetched = await asyncio.to_thread(
        guest.run,
        sys.executable,
        "-c",
        "import urllib.request as u; print(u.urlopen('http://169.254.169.254/x', timeout=3).read().decode())",
    )
    assert fetched.strip() == port.device_id
    assert not await guest.reaches("10.0.1.1", 9697, wait_seconds=0.3), "the responder answers redirected guests only"
    isolated = state([net], [port, appliance], [everyone], [msgspec.structs.replace(routed, admin_state_up=False)])
    await converge(driver, isolated)
    assert "169.254.169.254" in (host.state_dir / "dhcp" / net.id / "opts").read_text()
    assert (await driver.observe()).routers == ()
    bad = msgspec.structs.replace(routed, routes=(HostRoute("10.66.0.0/16", "203.0.113.9"), *routed.routes))
    report = await driver.converge(state([net], [port, appliance], [everyone], [bad]))
    assert [resource for resource, _ in report.problems] == [bad.id]
    assert "10.66.0.0/16 via 203.0.113.9" in report.problems[0][1]
    await driver.close()
