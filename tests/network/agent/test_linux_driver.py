"""The real driver as a whole: ownership, repair, what is missing, and leaving nothing behind."""

import asyncio
import os
import random
import signal
from pathlib import Path

import msgspec

from kilonova.network.agent.watch import TapWatch
from kilonova.network.state import Touched
from kilonova.network.wanted import RemotePort, WantedState
from tests.network.agent.documents import PING, Net, floating_ip, gateway, group, mac, new_id, router, state
from tests.network.agent.drivers import converge, difference, make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

PROVIDER = Net(9, dhcp=False, network_type="flat", physical_network="provider", cidr_prefix="172.24.4", mtu=1500)


def footprint(host: Host) -> dict[str, str]:
    """Everything a run could leave on a host, as text to compare."""
    return {
        "links": host.run("sh", "-c", "ip -o link | sed 's/^[0-9]*: //' | grep -v '^br-ex' | sort"),
        "namespaces": host.run("ip", "netns", "list"),
        "chains": host.run("sh", "-c", "iptables-save; ip6tables-save; ebtables-save").count("kn-").__str__(),
        "sets": host.run("ipset", "list", "-n"),
        "processes": host.run("sh", "-c", "pgrep -l dnsmasq || true"),
        "files": "\n".join(str(path) for path in host.state_dir.rglob("*") if path.is_file()),
    }


def full_document() -> WantedState:
    nets = [Net(1), Net(2)]
    everyone = group(1, PING)
    everyone = msgspec.structs.replace(
        everyone, rules=(*everyone.rules, msgspec.structs.replace(PING, remote_group_id=everyone.id))
    )
    ports = [net.port(5, (everyone.id,)) for net in nets]
    routed = router(
        1,
        *(net.router_interface() for net in nets),
        gateway=gateway(PROVIDER),
        floating_ips=(floating_ip(PROVIDER, 50, ports[0]),),
    )
    return state([*nets, PROVIDER], ports, [everyone], [routed])


@on_own_host
async def test_converging_to_nothing_leaves_nothing(host: Host) -> None:
    host.run("ip", "link", "add", "br-ex", "type", "bridge")
    host.run("mkdir", "-p", "/run/netns")
    before = footprint(host)
    driver = make_driver(host, bridge_mappings={"provider": "br-ex"}, local_ip="127.0.0.1")
    document = full_document()
    for _ in range(2):
        report = await converge(driver, document)
        assert report.changes > 20
        observed = await driver.observe()
        assert observed.networks == tuple(sorted(n.id[:11] for n in document.networks if n.network_type == "vxlan"))
        assert observed.routers == (document.routers[0].id,)
        assert len(observed.dhcp) == 2
        assert observed.ports == (), "no hypervisor has made a tap"
        assert report.ports_up == ()
        await driver.converge(WantedState(revision=2))
        assert footprint(host) == before
    await converge(driver, document)
    await driver.close()
    # Another run, with other options, on what the first has left.
    await make_driver(host).remove_everything()
    assert footprint(host) == before


@on_own_host
async def test_what_others_have_made_is_left_alone(host: Host) -> None:
    foreign = Net(7)
    host.run("ip", "link", "add", f"brq{foreign.id[:11]}", "type", "bridge")
    host.run("ip", "link", "add", "vxlan-77", "type", "vxlan", "id", "77", "dstport", "4789", "local", "127.0.0.1")
    host.run("ip", "link", "add", "tapffffffff-ff", "type", "veth", "peer", "name", "peer0")
    host.run("ip", "link", "set", "tapffffffff-ff", "master", f"brq{foreign.id[:11]}")
    for name in ("qdhcp-" + foreign.id, "qrouter-" + new_id(0x80, 7), "something-else"):
        host.run("ip", "netns", "add", name)
    before = footprint(host)
    driver = make_driver(host)
    await converge(driver, state([Net(1)], routers=[router(1, Net(1).router_interface())]))
    await driver.converge(WantedState(revision=2))
    await driver.remove_everything()
    assert footprint(host) == before


@on_own_host
async def test_a_tap_is_plugged_when_it_comes_and_unplugged_when_unwanted(host: Host) -> None:
    net = Net(1)
    everyone = group(1)
    port, down = net.port(5, (everyone.id,)), net.port(6, (everyone.id,), admin_state_up=False)
    driver = make_driver(host)
    document = state([net], [port, down], [everyone])
    assert (await converge(driver, document)).ports_up == ()
    guest = make_guest(host, "one", port)
    make_guest(host, "two", down)
    assert (await converge(driver, document)).ports_up == (port.id,)
    assert "mtu 1450" in host.run("ip", "link", "show", guest.tap)
    assert (await driver.observe()).ports == tuple(sorted((port.id[:11], down.id[:11])))
    host.run("ip", "link", "set", guest.tap, "nomaster")
    assert (await driver.converge(document)).changes == 1
    await converge(driver, state([net], [], [everyone]))
    assert "master" not in host.run("ip", "link", "show", guest.tap), "it is the hypervisor's: unplugged, not removed"
    host.run("ip", "link", "add", "elsewhere", "type", "bridge")
    host.run("ip", "link", "set", guest.tap, "master", "elsewhere")
    report = await driver.converge(document)
    assert report.ports_up == ()
    assert (port.id, "elsewhere") in [
        (resource, "elsewhere") for resource, text in report.problems if "elsewhere" in text
    ]


@on_own_host
async def test_a_bridge_that_the_hypervisors_agent_made_first_is_adopted(host: Host) -> None:
    net = Net(1)
    host.run("ip", "link", "add", f"brq{net.id[:11]}", "type", "bridge")
    driver = make_driver(host)
    await converge(driver, state([net]))
    assert "group 27502" in host.run("ip", "link", "show", f"brq{net.id[:11]}")
    await driver.converge(WantedState(revision=2))
    assert "brq" not in host.run("ip", "link")


@on_own_host
async def test_missing_mappings_devices_and_tools_are_sentences_and_stop_nothing_else(host: Host) -> None:
    unmapped = Net(3, network_type="flat", physical_network="nowhere", dhcp=False)
    absent = Net(4, network_type="flat", physical_network="absent", dhcp=False)
    switched = Net(6, network_type="vlan", physical_network="absent", dhcp=False)
    good = Net(1)
    everyone = group(1)
    ports = [good.port(5, (everyone.id,)), unmapped.port(5, (everyone.id,))]
    stuck = router(1, good.router_interface(), gateway=gateway(unmapped))
    peers = Net(5, dhcp=False)
    document = state([unmapped, absent, switched, good, peers], ports, [everyone], [stuck, router(2)])
    carried = tuple(
        msgspec.structs.replace(each, peer_tunnel_ips=("10.1.1.1",)) if each.id == peers.id else each
        for each in document.networks
    )
    document = msgspec.structs.replace(document, networks=carried)
    driver = make_driver(host, bridge_mappings={"absent": "br-none"})
    make_guest(host, "one", ports[0])
    report = await driver.converge(document)
    sentences = dict(report.problems)
    assert "bridge_mappings or physical_interface_mappings" in sentences[unmapped.id]
    assert "br-none" in sentences[absent.id]
    assert "carry no vlan network" in sentences[switched.id]
    assert unmapped.id in sentences[stuck.id]
    assert unmapped.id in sentences[ports[1].id]
    assert "local_ip" in sentences[peers.id]
    assert report.ports_up == (ports[0].id,)
    assert report.dhcp_up == (good.id,)
    assert report.routers_up == (router(2).id,)
    await driver.close()

    # A host with none of the tools: no rule can stand, so nothing that wants to be guarded stays plugged.
    tools = host.state_dir / "bin"
    tools.mkdir()
    os.environ["PATH"] = str(tools)
    try:
        bare = await make_driver(host).converge(document)
    finally:
        os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    assert "install the package iptables" in dict(bare.problems)["firewall"]
    assert "not plugged" in dict(bare.problems)[ports[0].id]
    assert bare.ports_up == ()
    assert "master" not in host.run("ip", "link", "show", f"tap{ports[0].id[:11]}")
    assert good.id in bare.dhcp_up, "what runs goes on"


@on_own_host
async def test_two_hosts_carry_a_network_over_vxlan(host: Host) -> None:
    """The second host is a plain bridge and vxlan device in a namespace, made by hand."""
    far = Guest(host, "far", "underlay0", "fa:16:3e:88:88:88")
    far.set_address("10.99.0.2/24")
    host.run("ip", "address", "add", "10.99.0.1/24", "dev", "underlay0")
    host.run("ip", "link", "set", "underlay0", "up")
    far.run("ip", "link", "add", "vx", "type", "vxlan", "id", "1001", "local", "10.99.0.2", "dstport", "4789")
    far.run("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx", "dst", "10.99.0.1")
    far.run("ip", "link", "set", "vx", "address", mac(0x777), "up")
    far.run("ip", "address", "add", "10.0.1.9/24", "dev", "vx")
    net = Net(1, dhcp=False)
    pingable = group(1, PING)
    port = net.port(5, (pingable.id,))
    make_guest(host, "one", port)
    remote = (RemotePort(mac(0x777), "10.99.0.2"),)

    def document(**fields: object) -> WantedState:
        return msgspec.structs.replace(state([net], [port], [pingable]), networks=(net.wanted(**fields),))

    driver = make_driver(host, local_ip="10.99.0.1", l2_population=True)
    await converge(driver, document(peer_tunnel_ips=("10.99.0.2", "10.99.0.3"), remote_ports=remote))
    await host.settle()
    assert far.pings("10.0.1.5", wait_seconds=2)
    entries = host.run("bridge", "fdb", "show", "dev", "vxlan-1001")
    assert f"{mac(0x777)} dst 10.99.0.2" in entries
    assert "00:00:00:00:00:00 dst 10.99.0.3" in entries
    await converge(driver, document(peer_tunnel_ips=("10.99.0.3",)))
    assert "10.99.0.2" not in [
        line.split()[2]
        for line in host.run("bridge", "fdb", "show", "dev", "vxlan-1001").splitlines()
        if "permanent" in line and "dst" in line
    ]
    moved = make_driver(host, local_ip="10.99.0.7")
    await converge(moved, document())
    assert "local 10.99.0.7" in host.run("ip", "-d", "link", "show", "vxlan-1001")


@on_own_host
async def test_a_flat_network_takes_its_interface_but_never_the_hosts_own(host: Host) -> None:
    net = Net(3, network_type="flat", physical_network="provider", mtu=1500, dhcp=False)
    cable = Guest(host, "switch", "eth9", "fa:16:3e:66:66:66")
    cable.set_address("10.0.3.200/24")
    host.run("ip", "link", "set", "eth9", "up")
    host.run("ip", "address", "add", "192.168.9.1/24", "dev", "eth9")
    pingable = group(1, PING)
    port = net.port(5, (pingable.id,))
    guest = make_guest(host, "one", port)
    driver = make_driver(host, physical_interface_mappings={"provider": "eth9"})
    report = await driver.converge(state([net], [port], [pingable]))
    assert "would lose them" in dict(report.problems)[net.id]
    host.run("ip", "address", "flush", "dev", "eth9")
    await converge(driver, state([net], [port], [pingable]))
    await host.settle()
    assert cable.pings("10.0.3.5")
    assert guest.pings("10.0.3.200")
    await driver.remove_everything()
    assert "eth9" in host.run("ip", "link")
    assert "master" not in host.run("ip", "link", "show", "eth9")


def count_commands(host: Host) -> Path:
    """A file in which each command of the firewall leaves its name and what it was given to read."""
    count = host.state_dir / "count"
    wrappers = host.state_dir / "bin"
    wrappers.mkdir()
    for tool in ("iptables-save", "ip6tables-save", "ebtables-save", "ipset", "iptables-restore", "conntrack"):
        wrapper = wrappers / tool
        wrapper.write_text(f'#!/bin/sh\necho $0 >> {count}\nexec /usr/sbin/{tool} "$@"\n')
        wrapper.chmod(0o755)
    os.environ["PATH"] = f"{wrappers}:{os.environ['PATH']}"
    return count


@on_own_host
async def test_a_port_elsewhere_costs_its_own_entries(host: Host) -> None:
    """No rule is looked at, and of sets and forwarding entries only its own are changed."""
    net = Net(1, dhcp=False)
    everyone = group(1)
    rules = (*everyone.rules, msgspec.structs.replace(PING, remote_group_id=everyone.id))
    port = net.port(5, (everyone.id,))

    def document(*last: int, revision: int) -> WantedState:
        remote = tuple(RemotePort(mac(0x700 + each), "10.99.0.2", (f"10.0.1.{each}",)) for each in last)
        there = net.wanted(peer_tunnel_ips=("10.99.0.2",), remote_ports=remote, are_addresses_known=True)
        members = ("10.0.1.5", *(f"10.0.1.{each}" for each in last))
        known = msgspec.structs.replace(everyone, rules=rules, member_ips=members)
        return msgspec.structs.replace(state([net], [port], [known], revision=revision), networks=(there,))

    host.run("ip", "address", "add", "10.99.0.1/24", "dev", "lo")
    driver = make_driver(host, local_ip="10.99.0.1", l2_population=True)
    await driver.converge(document(*range(10, 100), revision=1))
    known, before = driver.state, set(host.run("bridge", "fdb", "show", "dev", "vxlan-1001").splitlines())
    count = count_commands(host)
    for last, expected in ((100, 3), (99, 3)):
        touched = Touched()
        wanted = document(*range(10, last + 1), revision=last)
        known.apply(difference(known, wanted), touched)
        assert len(touched.before) == 2
        report = await driver.driver.converge(known, touched)
        # A member of a set, a forwarding entry, a neighbour.
        assert (report.changes, report.problems) == (expected, ())
    ran = [Path(line).name for line in count.read_text().splitlines()]
    assert ran == ["ipset", "ipset", "conntrack", "conntrack"], "flows are looked at when a member goes"
    after = set(host.run("bridge", "fdb", "show", "dev", "vxlan-1001").splitlines())
    assert before == after
    assert (await driver.driver.converge(known)).changes == 0


@on_own_host
async def test_a_pass_over_an_unchanged_host_is_cheap(host: Host) -> None:
    """No process per port, network or router: only the five `*-save` of the host, and no look into a namespace."""
    nets = [Net(number) for number in range(1, 6)]
    everyone = group(1)
    ports = [net.port(last, (everyone.id,)) for net in nets for last in range(5, 25)]
    document = state(nets, ports, [everyone], [router(1, *(net.router_interface() for net in nets))])
    driver = make_driver(host, verify_seconds=60)
    await driver.converge(document)
    count = count_commands(host)
    report = await driver.converge(document)
    assert (report.changes, report.problems) == (0, ())
    ran = [Path(line).name for line in count.read_text().splitlines()]
    assert sorted(ran) == ["ebtables-save", "ip6tables-save", "ipset", "iptables-save"]
    await driver.close()


@on_own_host
async def test_a_tap_that_comes_or_goes_wakes_and_our_own_work_does_not(host: Host) -> None:
    net = Net(1)
    port = net.port(5, (group(1).id,))
    document = state([net], [port], [group(1)])
    driver = make_driver(host)
    woken = asyncio.Event()
    watch = TapWatch(woken.set)
    await driver.converge(document)
    await asyncio.sleep(0.05)
    assert not woken.is_set(), "the DHCP port's own tap is no news"
    guest = make_guest(host, "one", port)
    await asyncio.wait_for(woken.wait(), 1)
    await driver.converge(document)
    await host.settle()
    woken.clear()
    await converge(driver, document)
    await asyncio.sleep(0.05)
    assert not woken.is_set()
    host.run("ip", "link", "del", guest.tap)
    await asyncio.wait_for(woken.wait(), 1)
    watch.close()
    await driver.close()


@on_own_host
async def test_a_pass_that_is_killed_anywhere_is_finished_by_the_next(host: Host) -> None:
    host.run("ip", "link", "add", "br-ex", "type", "bridge")
    before = footprint(host)
    document = full_document()
    options = {"bridge_mappings": {"provider": "br-ex"}, "local_ip": "127.0.0.1"}
    chance = random.Random(7)
    for turn in range(16):
        wanted = document if turn % 3 else WantedState(revision=turn)
        victim = os.fork()
        if victim == 0:
            asyncio.run(make_driver(host, **options).converge(wanted))
            os._exit(0)
        await asyncio.sleep(chance.uniform(0.005, 0.35))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    driver = make_driver(host, **options)
    report = await converge(driver, document)
    assert len(report.dhcp_up) == 2 and report.routers_up == (document.routers[0].id,)
    await driver.remove_everything()
    assert footprint(host) == {**before, "namespaces": ""}
