"""Security groups with real packets through real bridges, on hosts of their own."""

import msgspec

from kilonova.network.wanted import AddressPair, WantedRule
from tests.network.agent.documents import PING, SSH, Net, group, mac, state, tcp
from tests.network.agent.drivers import converge, make_driver, make_guest
from tests.network.agent.hosts import Host, on_own_host


@on_own_host
async def test_ingress_is_refused_and_egress_allowed_until_a_rule_says_otherwise(host: Host) -> None:
    net = Net(1, dhcp=False)
    closed, opened = group(1), group(2, PING, SSH)
    first, second = net.port(5, (closed.id,)), net.port(6, (opened.id,))
    driver = make_driver(host)
    one, two = make_guest(host, "one", first), make_guest(host, "two", second)
    report = await converge(driver, state([net], [first, second], [closed, opened]))
    assert report.ports_up == (first.id, second.id)
    await host.settle()
    await two.serve(22)
    await two.serve(23)
    assert one.pings("10.0.1.6")
    assert not two.pings("10.0.1.5", wait_seconds=0.3)
    assert await one.reaches("10.0.1.6", 22)
    assert not await one.reaches("10.0.1.6", 23, wait_seconds=0.3)
    silent = msgspec.structs.replace(closed, rules=())
    await converge(driver, state([net], [first, second], [silent, opened]))
    assert not one.pings("10.0.1.6", wait_seconds=0.3), "without an egress rule nothing may leave"


@on_own_host
async def test_a_removed_rule_or_member_cuts_its_flows_and_no_others(host: Host) -> None:
    net = Net(1, dhcp=False)
    clients = group(1, members=("10.0.1.5",))
    both = group(2, tcp(80), tcp(82), WantedRule("ingress", "IPv4", "tcp", 81, 81, remote_group_id=clients.id))
    first, second = net.port(5, (clients.id,)), net.port(6, (both.id,))
    trusted = net.port(7, (), port_security_enabled=False)
    driver = make_driver(host)
    one, two = make_guest(host, "one", first), make_guest(host, "two", second)
    unguarded = make_guest(host, "three", trusted)
    await converge(driver, state([net], [first, second, trusted], [clients, both]))
    await host.settle()
    await two.serve(80)
    await two.serve(82, tick_seconds=0.05)
    await two.serve(81)
    by_prefix, by_group = await one.connect("10.0.1.6", 80), await one.connect("10.0.1.6", 81)
    assert await by_prefix.echoes("a")
    assert await by_group.echoes("b")
    talked_at = await unguarded.connect("10.0.1.6", 82)
    assert await talked_at.goes_on()

    strangers = msgspec.structs.replace(clients, member_ips=("10.0.1.200", "10.9.0.0/16"))
    await converge(driver, state([net], [first, second, trusted], [strangers, both]))
    assert not await by_group.echoes("c", within_seconds=0.5), "its sender is no member any more"
    assert not await one.reaches("10.0.1.6", 81, wait_seconds=0.3)
    assert await by_prefix.echoes("d"), "another rule still allows this one"

    fewer = msgspec.structs.replace(
        both, rules=tuple(rule for rule in both.rules if rule.port_range_min not in (80, 82))
    )
    await converge(driver, state([net], [first, second, trusted], [strangers, fewer]))
    assert not await by_prefix.echoes("e", within_seconds=0.5)
    assert not await talked_at.goes_on(), "what the guarded end goes on sending does not revive the flow"


@on_own_host
async def test_a_guest_that_pretends_to_be_another_is_cut_off(host: Host) -> None:
    net = Net(1, dhcp=False)
    open_group = group(1, PING, WantedRule("ingress", "IPv4", "udp"))
    liar, victim = net.port(5, (open_group.id,)), net.port(6, (open_group.id,))
    driver = make_driver(host)
    one, two = make_guest(host, "one", liar), make_guest(host, "two", victim)
    await converge(driver, state([net], [liar, victim], [open_group]))
    await host.settle()
    assert one.pings("10.0.1.6")
    assert await one.udp_is_heard(1000, 1000, two, "10.0.1.6")
    assert not await one.udp_is_heard(67, 68, two, "10.0.1.6"), "a guest is no DHCP server"

    one.run("ip", "address", "add", "10.0.1.77/24", "dev", "eth0")
    assert not one.succeeds("ping", "-c", "1", "-W", "0.3", "-I", "10.0.1.77", "10.0.1.6")
    two.run("sysctl", "-qw", "net.ipv4.neigh.eth0.locktime=0")
    two.run("ip", "neigh", "replace", "10.0.1.77", "lladdr", mac(0x777), "nud", "stale", "dev", "eth0")
    one.succeeds("arping", "-U", "-c", "1", "-w", "1", "-I", "eth0", "10.0.1.77")
    assert mac(0x777) in two.run("ip", "neigh"), "its ARP lie went nowhere"
    paired = msgspec.structs.replace(liar, allowed_address_pairs=(AddressPair("10.0.1.64/27", ""),))
    await converge(driver, state([net], [paired, victim], [open_group]))
    one.succeeds("arping", "-U", "-c", "1", "-w", "1", "-I", "eth0", "10.0.1.77")
    assert mac(0x777) not in two.run("ip", "neigh"), "an allowed pair may say so"
    assert one.succeeds("ping", "-c", "1", "-W", "1", "-I", "10.0.1.77", "10.0.1.6")

    one.run("ip", "link", "set", "eth0", "address", mac(0x999))
    assert not one.pings("10.0.1.6", wait_seconds=0.3)
    trusted = msgspec.structs.replace(liar, port_security_enabled=False, security_group_ids=())
    await converge(driver, state([net], [trusted, victim], [open_group]))
    assert one.pings("10.0.1.6", wait_seconds=2), "without port security nothing is looked at"
    assert await one.udp_is_heard(67, 68, two, "10.0.1.6")


@on_own_host
async def test_a_new_driver_leaves_rules_and_established_flows_as_they_are(host: Host) -> None:
    net = Net(1)
    web = group(1, tcp(80))
    first, second = net.port(5, (web.id,)), net.port(6, (web.id,))
    driver = make_driver(host)
    one, two = make_guest(host, "one", first), make_guest(host, "two", second)
    document = state([net], [first, second], [web])
    await converge(driver, document)
    await host.settle()
    await two.serve(80)
    conversation = await one.connect("10.0.1.6", 80)
    assert await conversation.echoes("before")
    await driver.close()
    assert await conversation.echoes("between")
    successor = make_driver(host)
    report = await successor.converge(document)
    assert (report.changes, report.problems) == (0, ())
    assert report.ports_up == (first.id, second.id)
    assert await conversation.echoes("after")
    await successor.close()


@on_own_host
async def test_two_networks_with_the_same_addresses_do_not_disturb_each_other(host: Host) -> None:
    nets = [Net(1, dhcp=False, cidr_prefix="10.7.7"), Net(2, dhcp=False, cidr_prefix="10.7.7")]
    web = group(1, tcp(80))
    driver = make_driver(host)
    conversations = []
    ports = [net.port(last, (web.id,)) for net in nets for last in (5, 6)]
    guests = [make_guest(host, f"guest{number}", port) for number, port in enumerate(ports)]
    await converge(driver, state(nets, ports, [web]))
    await host.settle()
    for client, server in (guests[:2], guests[2:]):
        await server.serve(80, server.name)
        client.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001")
        conversations.append(await client.connect("10.7.7.6", 80))
    assert [await conversation.hears() for conversation in conversations] == ["guest1", "guest3"]
    # The first network's guests go; the flow of their namesakes stays.
    await converge(driver, state(nets, ports[2:], [web]))
    assert not await conversations[0].echoes("gone", within_seconds=0.4)
    assert await conversations[1].echoes("here")
    assert "10.7.7" in host.run("conntrack", "-L")
    await converge(driver, state(nets, ports[:2], [web]))
    assert host.run("conntrack", "-L").count("dport=80") == 0, "both are forgotten, each when its ports went"


@on_own_host
async def test_ipv6_neighbours_find_each_other_and_rules_hold(host: Host) -> None:
    net = Net(1, dhcp=False)
    ping6 = group(1, WantedRule("ingress", "IPv6", "icmp", 128))
    addresses = {5: "fd00:1::5", 6: "fd00:1::6"}
    ports = []
    for last, address in addresses.items():
        port = net.port(last, (ping6.id,) if last == 6 else ())
        fixed = msgspec.structs.replace(port.fixed_ips[0], ip_address=address, prefix_length=64)
        ports.append(msgspec.structs.replace(port, fixed_ips=(*port.fixed_ips, fixed)))
    everything_out = group(2)
    ports[0] = msgspec.structs.replace(ports[0], security_group_ids=(everything_out.id,))
    driver = make_driver(host)
    one, two = make_guest(host, "one", ports[0]), make_guest(host, "two", ports[1])
    for guest, last in ((one, 5), (two, 6)):
        guest.run("ip", "address", "add", f"{addresses[last]}/64", "dev", "eth0", "nodad")
    await converge(driver, state([net], ports, [ping6, everything_out]))
    await host.settle()
    assert one.pings("fd00:1::6", wait_seconds=2)
    assert not two.pings("fd00:1::5", wait_seconds=0.3)
    one.run("ip", "address", "add", "fd00:1::77/64", "dev", "eth0", "nodad")
    assert not one.succeeds("ping", "-c", "1", "-W", "0.3", "-I", "fd00:1::77", "fd00:1::6")


@on_own_host
async def test_every_kind_of_rule_reads_back_as_it_was_written(host: Host) -> None:
    """The second converge of `converge` finds a difference where a rule is printed otherwise than rendered."""
    net = Net(1, dhcp=False)
    rules = [WantedRule(direction, "IPv4", "tcp", 1, 65535, "10.0.0.0/8") for direction in ("ingress", "egress")]
    for protocol in ("tcp", "udp", "sctp", "dccp", "udplite", "6"):
        rules += [
            WantedRule("ingress", "IPv4", protocol, 5, 5),
            WantedRule("ingress", "IPv6", protocol, 5, 10, "fd00::/8"),
        ]
    for protocol in (
        "gre",
        "esp",
        "ah",
        "vrrp",
        "igmp",
        "ospf",
        "pgm",
        "rsvp",
        "egp",
        "ipip",
        "112",
        "255",
        "any",
        "0",
    ):
        rules.append(WantedRule("egress", "IPv4", protocol))
    for protocol in (
        "icmpv6",
        "ipv6-icmp",
        "icmp",
        "58",
        "ipv6-encap",
        "ipv6-frag",
        "ipv6-route",
        "ipv6-opts",
        "ipv6-nonxt",
    ):
        rules.append(WantedRule("ingress", "IPv6", protocol))
    for family in ("IPv4", "IPv6"):
        everywhere = "0.0.0.0/0" if family == "IPv4" else "::/0"
        rules += [
            WantedRule("ingress", family, "icmp", 8, 0, everywhere),  # type: ignore[arg-type]
            WantedRule("ingress", family, "icmp", 3, None),  # type: ignore[arg-type]
            WantedRule("egress", family, "tcp", 80, 90, remote_group_id=group(2).id),  # type: ignore[arg-type]
            WantedRule("ingress", family, remote_group_id=group(2).id),  # type: ignore[arg-type]
            WantedRule("ingress", family, "udp", None, 53),  # type: ignore[arg-type]
        ]
    rules += [WantedRule("ingress", "IPv4", remote_ip_prefix="10.1.2.3/32")]
    members = ("10.0.0.0/8", "0.0.0.0/0", "10.0.1.5", "10.0.1.6/32", "::/0", "FD00::1", "fd00:0:0::/48")
    mixed, remote = group(1, *rules), group(2, members=members)
    pairs = (AddressPair("0.0.0.0/0", "FA:16:3E:AA:AA:AA"), AddressPair("10.3.0.0/16", ""), AddressPair("fd00::/8", ""))
    port = net.port(5, (mixed.id,), allowed_address_pairs=pairs)
    await converge(make_driver(host), state([net], [port], [mixed, remote]))
    bad = group(
        3, WantedRule("ingress", "IPv4", "no-such-protocol"), SSH, WantedRule("ingress", "IPv4", remote_group_id="x")
    )
    report = await make_driver(host).converge(state([net], [net.port(5, (bad.id,))], [bad]))
    assert {resource for resource, _ in report.problems} == {bad.id}
    assert any("no-such-protocol" in sentence for _, sentence in report.problems)
    assert "--dport 22 -j ACCEPT" in host.run("iptables-save"), "its other rules still hold"


@on_own_host
async def test_a_member_more_is_one_member_more_and_not_a_new_set(host: Host) -> None:
    net = Net(1, dhcp=False)
    members = tuple(f"10.{a}.{b}.1" for a in range(1, 21) for b in range(100))
    crowd = group(1, WantedRule("ingress", "IPv4", remote_group_id=group(1).id), members=members)
    port = net.port(5, (crowd.id,))
    driver = make_driver(host)
    await converge(driver, state([net], [port], [crowd]))
    host.run("ipset", "add", "kn-4-50000001-50", "10.200.0.1")  # a set made anew would forget its counters and this
    more = msgspec.structs.replace(crowd, member_ips=(*members, "10.99.0.1", "10.200.0.1"))
    report = await driver.converge(state([net], [port], [more]))
    assert (report.changes, report.problems) == (1, ())
    assert len([line for line in host.run("ipset", "save").splitlines() if line.startswith("add")]) == 2002


@on_own_host
async def test_the_host_itself_is_judged_like_others_on_a_bridge_it_has_an_address_on(host: Host) -> None:
    host.run("ip", "link", "add", "br-ex", "type", "bridge")
    host.run("ip", "link", "set", "br-ex", "up")
    host.run("ip", "address", "add", "172.24.4.254/24", "dev", "br-ex")
    net = Net(9, dhcp=False, network_type="flat", physical_network="provider", cidr_prefix="172.24.4", mtu=1500)
    web = group(1, tcp(80))
    port = net.port(5, (web.id,))
    driver = make_driver(host, bridge_mappings={"provider": "br-ex"})
    guest = make_guest(host, "one", port)
    await converge(driver, state([net], [port], [web]))
    await host.settle()
    assert guest.pings("172.24.4.254")
    assert not host.succeeds("ping", "-c", "1", "-W", "0.3", "172.24.4.5")
    await guest.serve(80)
    await guest.serve(81)
    assert await host.reaches("172.24.4.5", 80)
    assert not await host.reaches("172.24.4.5", 81, wait_seconds=0.4)
    guest.set_address("172.24.4.66/24")
    assert not guest.succeeds("ping", "-c", "1", "-W", "0.3", "-I", "172.24.4.66", "172.24.4.254")


@on_own_host
async def test_rules_of_others_stay_and_ours_are_repaired(host: Host) -> None:
    host.run("iptables", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
    host.run("iptables", "-t", "raw", "-N", "neutron-linuxbri-PREROUTING")
    host.run("ebtables", "-t", "nat", "-A", "PREROUTING", "-i", "foreign0", "-j", "DROP")
    host.run("ipset", "create", "foreign", "hash:ip")
    before = [host.run("iptables-save"), host.run("ebtables-save"), host.run("ipset", "list", "-n")]
    net = Net(1, dhcp=False)
    web = group(1, tcp(80))
    port = net.port(5, (web.id,))
    document = state([net], [port], [web])
    driver = make_driver(host)
    await converge(driver, document)
    host.run("iptables", "-D", "FORWARD", "-j", "kn-forward")
    host.run("iptables", "-F", "kn-gi-50000001-50")
    host.run("ebtables", "-t", "nat", "-F", "kn-guard")
    report = await converge(driver, document, is_repair=True)
    assert report.changes == 3
    await converge(driver, state([]))

    def without_comments(text: str) -> list[str]:
        kept = [line for line in text.splitlines() if not line.startswith("#")]
        return [line.split(" [")[0] for line in kept if not line.startswith(("COMMIT", "*mangle", ":INPUT", ":POST"))]

    after = [host.run("iptables-save"), host.run("ebtables-save"), host.run("ipset", "list", "-n")]
    for one, other in zip(before, after, strict=True):
        assert set(without_comments(one)) <= set(without_comments(other))
        assert "kn-" not in other
    assert "kn-" not in host.run("ip6tables-save")
