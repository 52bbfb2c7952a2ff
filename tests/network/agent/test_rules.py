"""Compiling rules, comparing rule sets and judging flows: the pure half of the firewall."""

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.network.agent.firewall import LAST_ZONE, NetworkBridge, parse_sets, pick_zones, plan_sets
from kilonova.network.agent.flows import Flow, parse_flows, pick_refused_flows, render_delete
from kilonova.network.agent.ledger import MOST_NAMED, Ledger
from kilonova.network.agent.router_rules import render_router_tables
from kilonova.network.agent.rulesets import Hook, Table, parse_saved, plan_restore
from kilonova.network.agent.security_rules import (
    GuardedNetwork,
    UnknownProtocol,
    link_local,
    render_egress_chain,
    render_firewall,
    render_ingress_chain,
    render_rule,
    render_set_members,
)
from kilonova.network.wanted import AddressPair, WantedRule, WantedSecurityGroup
from tests.network.agent.documents import Net, floating_ip, gateway, group, mac, router, tcp

SAVED = """# a comment
*filter
:INPUT ACCEPT [10:20]
:FORWARD DROP [0:0]
:kn-forward - [0:0]
:kn-old - [0:0]
:docker - [0:0]
-A FORWARD -j docker
-A FORWARD -j kn-forward
-A FORWARD -j kn-old
-A kn-forward -i brq1 -p gre -m mac --mac-source FA:16:3E:00:00:01 -j ACCEPT
-A kn-old -j DROP
COMMIT
"""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (WantedRule("ingress", "IPv4"), "-j ACCEPT"),
        (tcp(22), "-p 6 -m tcp --dport 22 -j ACCEPT"),
        (tcp(1, port_range_max=9, remote_ip_prefix="10.0.0.7/8"), "-s 10.0.0.0/8 -p 6 -m tcp --dport 1:9 -j ACCEPT"),
        (WantedRule("egress", "IPv4", "17", remote_ip_prefix="1.2.3.4/32"), "-d 1.2.3.4/32 -p 17 -j ACCEPT"),
        (WantedRule("ingress", "IPv4", "icmp", 8), "-p 1 -m icmp --icmp-type 8 -j ACCEPT"),
        (WantedRule("ingress", "IPv6", "icmp", 1, 4), "-p 58 -m icmp6 --icmpv6-type 1/4 -j ACCEPT"),
        (WantedRule("ingress", "IPv6", "any", remote_ip_prefix="::/0"), "-j ACCEPT"),
        (
            WantedRule("ingress", "IPv4", "tcp", 80, 80, remote_group_id="0123456789abcdef"),
            "-p 6 -m set --match-set kn-4-0123456789a src -m tcp --dport 80 -j ACCEPT",
        ),
        (
            WantedRule("egress", "IPv6", remote_group_id="0123456789abcdef"),
            "-m set --match-set kn-6-0123456789a dst -j ACCEPT",
        ),
        (WantedRule("ingress", "IPv4", "udplite", 5, 6), "-p 136 -m multiport --dports 5:6 -j ACCEPT"),
    ],
)
def test_a_rule_is_rendered_as_iptables_prints_it(rule: WantedRule, text: str) -> None:
    assert render_rule(rule) == text


def test_an_unknown_protocol_is_refused_and_never_widens_to_everything() -> None:
    for protocol in ("nonsense", "256", "-1"):
        with pytest.raises(UnknownProtocol):
            render_rule(WantedRule("ingress", "IPv4", protocol))


def test_set_members_are_of_one_family_and_everything_becomes_two_halves() -> None:
    members = ["10.0.0.1", "10.0.0.2/32", "10.1.2.3/16", "0.0.0.0/0", "FD00::0:1"]
    assert render_set_members(members, 4) == {"10.0.0.1", "10.0.0.2", "10.1.0.0/16", "0.0.0.0/1", "128.0.0.0/1"}
    assert render_set_members(members, 6) == {"fd00::1"}


def test_a_link_local_address_follows_from_the_mac_address() -> None:
    assert link_local("fa:16:3e:00:01:05") == "fe80::f816:3eff:fe00:105"


def test_only_our_chains_and_hooks_are_named_in_a_plan() -> None:
    wanted = {"filter": Table({"kn-new": ("-j DROP",)}, (Hook("FORWARD", "kn-new"),))}
    plan = plan_restore(parse_saved(SAVED), wanted)
    lines = plan.text.splitlines()
    assert lines[0] == "*filter" and lines[-1] == "COMMIT"
    assert ":kn-new - [0:0]" in lines and "-I FORWARD -j kn-new" in lines
    for gone in ("kn-forward", "kn-old"):
        assert lines.index(f"-D FORWARD -j {gone}") < lines.index(f"-F {gone}") < lines.index(f"-X {gone}")
    assert "docker" not in plan.text and ":FORWARD" not in plan.text
    assert sorted(plan.changed) == [
        *("FORWARD -j kn-forward", "FORWARD -j kn-new", "FORWARD -j kn-old"),
        *("kn-forward", "kn-new", "kn-old"),
    ]
    assert plan.removed["kn-old"] == ["-j DROP"]


def test_names_and_cases_that_differ_between_versions_are_no_difference() -> None:
    same = "-i brq1 -p 47 -m mac --mac-source fa:16:3e:00:00:01 -j ACCEPT"
    wanted = {
        "filter": Table(
            {"kn-forward": (same,), "kn-old": ("-j DROP",)}, (Hook("FORWARD", "kn-forward"), Hook("FORWARD", "kn-old"))
        )
    }
    plan = plan_restore(parse_saved(SAVED), wanted)
    assert (plan.text, plan.changed) == ("", [])


def test_a_doubled_hook_is_taken_away_once() -> None:
    saved = parse_saved(SAVED.replace("-A FORWARD -j kn-old", "-A FORWARD -j kn-forward"))
    wanted = {
        "filter": Table(
            {chain: tuple(rules) for chain, rules in saved["filter"].items() if chain.startswith("kn-")},
            (Hook("FORWARD", "kn-forward"),),
        )
    }
    plan = plan_restore(saved, wanted)
    assert plan.text.splitlines() == ["*filter", "-D FORWARD -j kn-forward", "COMMIT"]


def test_a_pass_tells_of_all_its_chains_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    with caplog.at_level(logging.INFO):
        ledger.changed_chains("iptables", ["kn-i-1", "kn-e-1"])
        ledger.changed_chains("ip6tables", [f"kn-{number}" for number in range(MOST_NAMED + 30)])
    assert ledger.changes == MOST_NAMED + 32
    first, second = caplog.messages
    assert first == "iptables: changed kn-i-1, kn-e-1"
    assert second.startswith("ip6tables: changed kn-0, kn-1")
    assert second.endswith("and 30 more")


@given(st.lists(st.uuids().map(str), unique=True, max_size=40), st.integers(0, 40))
def test_zones_are_distinct_and_a_bridge_keeps_the_one_it_has(ids: list[str], known: int) -> None:
    networks = [NetworkBridge(each, f"brq{each[:11]}", True) for each in ids]
    before = pick_zones(networks[:known], {})
    after = pick_zones(networks, before)
    assert before.items() <= after.items()
    assert len(set(after.values())) == len(networks)
    assert all(1 <= zone <= LAST_ZONE for zone in after.values())


def test_a_set_is_changed_by_its_difference_only() -> None:
    listed = "create kn-4-a hash:net family inet\nadd kn-4-a 10.0.0.1\nadd kn-4-a 10.0.0.2\ncreate kn-4-z hash:net\n"
    saved = parse_sets(listed + "create foreign hash:ip\nadd foreign 1.1.1.1\n")
    before, after, narrows = plan_sets(saved, {"kn-4-a": frozenset({"10.0.0.2", "10.0.0.3"}), "kn-6-b": frozenset()})
    assert before == [
        "add kn-4-a 10.0.0.3",
        "del kn-4-a 10.0.0.1",
        "create kn-6-b hash:net family inet6 maxelem 1048576",
    ]
    assert after == ["destroy kn-4-z"]
    assert narrows


def test_nothing_is_compiled_without_networks_and_a_port_costs_a_fixed_number_of_rules() -> None:
    net = Net(1)
    big = group(
        1,
        WantedRule("ingress", "IPv4", remote_group_id=group(1).id),
        members=tuple(f"10.2.{a}.{b}" for a in range(40) for b in range(250)),
    )
    guarded = [GuardedNetwork(net.id, "brq1", 7)]
    assert render_firewall([], [net.port(5, (big.id,))], [big], Ledger()).ipv4 == {}

    def size(count: int) -> int:
        compiled = render_firewall(guarded, [net.port(5 + n, (big.id,)) for n in range(count)], [big], Ledger())
        assert compiled.sets["kn-4-" + big.id[:11]] == (4, big.id)
        return sum(len(rules) for table in compiled.ipv4.values() for rules in table.chains.values())

    assert size(3) - size(2) == size(2) - size(1) <= 25


CONNTRACK = (
    "tcp      6 431999 ESTABLISHED src=10.0.1.5 dst=10.0.1.6 sport=40000 dport=80"
    " src=10.0.1.6 dst=10.0.1.5 sport=80 dport=40000 [ASSURED] mark=0 zone=7 use=1\n"
    "udp      17 29 src=10.0.1.6 dst=9.9.9.9 sport=5353 dport=53 [UNREPLIED]"
    " src=9.9.9.9 dst=10.0.1.6 sport=53 dport=5353 mark=0 zone=7 use=1\n"
    "icmp     1 29 src=10.0.1.9 dst=10.0.1.6 type=8 code=0 id=12"
    " src=10.0.1.6 dst=10.0.1.9 type=0 code=0 id=12 mark=0 zone=7 use=1\n"
    "unknown  112 500 src=10.0.1.5 dst=224.0.0.18 [UNREPLIED] src=224.0.0.18 dst=10.0.1.5 mark=0 zone=7 use=1\n"
    "tcp      6 100 ESTABLISHED src=10.0.1.5 dst=10.0.1.6 sport=1 dport=81"
    " src=10.0.1.6 dst=10.0.1.5 sport=81 dport=1 [ASSURED] mark=0 use=1\n"
)


def test_flows_are_read_by_their_original_direction() -> None:
    flows = parse_flows(CONNTRACK)
    assert flows[0] == Flow(6, "10.0.1.5", "10.0.1.6", 7, 40000, 80)
    assert flows[2] == Flow(1, "10.0.1.9", "10.0.1.6", 7, icmp_type=8, icmp_code=0, icmp_id=12)
    assert flows[4].zone == 0
    assert render_delete(flows[0]) == "-D -f ipv4 -w 7 -p 6 -s 10.0.1.5 -d 10.0.1.6 --sport 40000 --dport 80"
    assert render_delete(flows[2]).endswith("--icmp-type 8 --icmp-code 0 --icmp-id 12")
    assert render_delete(flows[3]) == "-D -f ipv4 -w 7 -p 112 -s 10.0.1.5 -d 224.0.0.18"


@pytest.mark.parametrize(
    ("rules", "cut"),
    [
        ((tcp(80), WantedRule("ingress", "IPv4", "icmp", 8, 0)), set()),
        ((tcp(1, port_range_max=79), WantedRule("ingress", "IPv4", "icmp")), {80}),
        ((tcp(80, remote_ip_prefix="10.0.1.0/29"),), {None}),
        ((tcp(80, remote_ip_prefix="10.9.0.0/16"), WantedRule("ingress", "IPv6", "icmp")), {80, None}),
        ((tcp(80, remote_group_id=group(5).id), WantedRule("ingress", "IPv4", "icmp", 3)), {None}),
        ((WantedRule("ingress", "IPv4", remote_group_id="unknown"), WantedRule("ingress", "IPv4", "oops")), {80, None}),
        ((WantedRule("ingress", "IPv4"),), set()),
    ],
)
def test_a_flow_is_cut_when_its_first_packet_would_be_refused_today(
    rules: tuple[WantedRule, ...], cut: set[int | None]
) -> None:
    net = Net(1)
    mine = group(1, *rules)
    members = group(5, members=("10.0.1.5",))
    networks = [GuardedNetwork(net.id, "brq1", 7)]
    refused = pick_refused_flows(parse_flows(CONNTRACK), [net.port(6, (mine.id,))], networks, [mine, members])
    assert {flow.destination_port for flow in refused} == cut


def test_egress_and_released_addresses_cut_too_and_other_zones_never() -> None:
    net = Net(1)
    silent = WantedSecurityGroup("s", (WantedRule("ingress", "IPv4"),), ())
    networks = [GuardedNetwork(net.id, "brq1", 7)]
    port = net.port(6, ("s",), allowed_address_pairs=(AddressPair("10.0.1.5", mac(5)),))
    refused = pick_refused_flows(parse_flows(CONNTRACK), [port], networks, [silent])
    assert [flow.destination for flow in refused] == ["10.0.1.6", "9.9.9.9", "224.0.0.18"]
    assert all(flow.zone == 7 for flow in refused)
    gone = pick_refused_flows(parse_flows(CONNTRACK), [], networks, [], {(7, "10.0.1.9"), (8, "10.0.1.5")})
    assert [flow.protocol for flow in gone] == [1]
    trusted = msgspec.structs.replace(port, port_security_enabled=False)
    assert pick_refused_flows(parse_flows(CONNTRACK), [trusted], networks, [silent]) == []


def test_a_router_without_gateway_translates_nothing_and_one_without_snat_only_floating_ips() -> None:
    net, outside = Net(1), Net(9)
    bare = router(1, net.router_interface())
    assert render_router_tables(bare)["nat"].chains["kn-postrouting"] == ()
    port = net.port(5)
    floating = (floating_ip(outside, 50, port),)
    quiet = router(1, net.router_interface(), gateway=gateway(outside, enable_snat=False), floating_ips=floating)
    rules = render_router_tables(quiet)["nat"].chains["kn-postrouting"]
    assert rules[1:] == ("-s 10.0.1.5/32 -j SNAT --to-source 10.0.9.50",)
    shared = render_router_tables(msgspec.structs.replace(quiet, gateway=gateway(outside)))["nat"].chains[
        "kn-postrouting"
    ]
    assert shared[2].endswith("-j SNAT --to-source 10.0.9.10"), "the floating IP comes first"


def test_a_guest_that_moves_brings_its_connections_along() -> None:
    port = Net(1).port(5)
    for render in (render_egress_chain, render_ingress_chain):
        begins = [rule for rule in render(port, 4) if "--ctstate NEW" in rule]
        assert len(begins) == 1 and "-j DROP" in begins[0]
        moving = render(msgspec.structs.replace(port, is_moving=True), 4)
        assert [rule for rule in render(port, 4) if rule not in moving] == begins
