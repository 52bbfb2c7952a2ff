"""Who binds a port on a host, and what becomes of a port that nobody can bind there."""

from collections.abc import Collection
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from kilonova.network.errors import InvalidInput
from kilonova.network.mechanisms.chosen import KNOWN, Mechanisms, choose
from kilonova.network.mechanisms.linuxbridge import LinuxBridge
from kilonova.network.mechanisms.mechanism import FAILED, Binding, Context, Mechanism
from kilonova.network.sections.facts import Agents
from kilonova.network.sections.interest import read_interest
from kilonova.network.sections.telling import SECTIONS
from kilonova.network.segments.offered import NAMES, Segments
from kilonova.network.segments.segment import Segment
from kilonova.network.segments.vlan import Vlan

NETWORK = "0123456789abcdef"
BRIDGE_AGENT = {"Linux bridge agent": {"bridge_mappings": {"provider": "br-ex"}}}
FLAT, TUNNEL = Segment("flat", "provider"), Segment("vxlan", None, 7)


class Switch(Struct, frozen=True):
    """A mechanism for VLANs, and for ports of two kinds."""

    name: ClassVar[str] = "switch"
    carries: ClassVar[Collection[str]] = ("vlan",)
    vnic_types: ClassVar[Collection[str]] = ("normal", "direct")
    sections: ClassVar[Collection[str]] = ("ports",)

    def bind(self, context: Context) -> Binding | None:
        return Binding("ovs") if context.segment.network_type == "vlan" else None


@pytest.mark.parametrize(("segment", "bridge"), [(FLAT, "br-ex"), (Segment("flat", "x"), None), (TUNNEL, None)])
def test_a_tap_joins_the_operator_s_bridge_or_the_network_s_own(segment: Segment, bridge: str | None) -> None:
    details = {"connectivity": "l2", "port_filter": True, "bridge_name": bridge or f"brq{NETWORK[:11]}"}
    assert LinuxBridge().bind(Context(NETWORK, segment, "normal", BRIDGE_AGENT)) == Binding("bridge", details)


def test_a_linux_bridge_needs_its_agent_and_a_network_that_it_carries() -> None:
    bind, switched = LinuxBridge().bind, Segment("vlan", "provider", 4)
    assert bind(Context(NETWORK, TUNNEL, "normal", {})) is None
    assert bind(Context(NETWORK, TUNNEL, "normal", {"DHCP agent": {}})) is None
    assert bind(Context(NETWORK, switched, "normal", BRIDGE_AGENT)) is None


def test_the_first_that_can_binds_a_port() -> None:
    both = Mechanisms([LinuxBridge(), Switch()])
    assert both.bind(Context(NETWORK, TUNNEL, "normal", BRIDGE_AGENT)).vif_type == "bridge"
    assert both.bind(Context(NETWORK, Segment("vlan", "provider", 4), "normal", BRIDGE_AGENT)) == Binding("ovs")
    assert both.bind(Context(NETWORK, TUNNEL, "normal", {})) == FAILED
    assert both.bind(Context(NETWORK, TUNNEL, "direct", BRIDGE_AGENT)) == FAILED
    assert both.carries == {"flat", "vxlan", "local", "vlan"}


def test_a_kind_of_port_that_nobody_binds_is_refused() -> None:
    Mechanisms([LinuxBridge(), Switch()]).check_vnic_type("direct")
    with pytest.raises(InvalidInput, match="direct is not served here yet"):
        Mechanisms([LinuxBridge()]).check_vnic_type("direct")


@pytest.mark.parametrize("names", [["linuxbridge"], ["linuxbridge", "l2population"], ["openvswitch", "linuxbridge"]])
def test_a_file_of_upstream_s_chooses_what_there_is(names: list[str]) -> None:
    assert choose(names).carries == set(LinuxBridge.carries)


@pytest.mark.parametrize("names", [[], ["l2population"], ["openvswitch", "ovn"]])
def test_without_any_that_there_is_no_port_could_be_bound(names: list[str]) -> None:
    with pytest.raises(ValueError, match="one of the mechanisms that exist: linuxbridge"):
        choose(names)


def test_a_name_that_is_no_mechanism_is_refused() -> None:
    with pytest.raises(ValueError, match="'linuxbrigde' is no mechanism; there are: linuxbridge"):
        choose(["linuxbridge", "linuxbrigde"])


@pytest.mark.parametrize("mechanism", KNOWN.values(), ids=KNOWN)
def test_mechanisms_speak_of_what_there_is(mechanism: Mechanism) -> None:
    assert set(mechanism.carries) <= set(NAMES)
    assert set(mechanism.sections) <= SECTIONS.keys()


async def test_a_host_is_told_the_sections_that_its_ports_mechanisms_need(net: Any) -> None:
    network, _ = await net.lan()
    guest = {"device_owner": "compute:nova", "device_id": "s", "binding:host_id": "node1"}
    await net.create("ports", {"network_id": network["id"], **guest}, by="admin")
    known = Agents(0, {"node1": {"l2_population": True}}, {"node1": "10.9.0.1"})
    async with net.service.database.reading() as tx:
        told = await read_interest(tx, "node1", known, LinuxBridge.sections)
        less = await read_interest(tx, "node1", known, Switch.sections)
    assert {name for name, owners in told.owners.items() if owners} == set(LinuxBridge.sections)
    assert {name for name, owners in less.owners.items() if owners} == {"networks", "ports"}


async def test_a_mechanism_brings_its_network_types_and_binds_their_ports(net: Any, body_of: Any) -> None:
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    refused = await net.create("networks", vlan, by="admin", status=400)
    assert "'vlan' is not served here yet; possible are ('flat', 'vxlan', 'local')" in refused["message"]
    net.service.mechanisms = Mechanisms([LinuxBridge(), Switch()])
    net.service.segments = Segments([Vlan({"physnet1": [(100, 200)]})], carried=net.service.mechanisms.carries)
    network = await net.create("networks", vlan, by="admin")
    assert (network["provider:segmentation_id"], network["mtu"]) == (100, 1500)
    bound = {"network_id": network["id"], "binding:host_id": "node1", "binding:vnic_type": "direct"}
    port = await net.create("ports", bound, by="admin")
    assert (port["binding:vif_type"], port["binding:vif_details"]) == ("ovs", {})
    listed = body_of(await net.admin.get("/v2.0/ports"))["ports"]
    assert [each["binding:vif_type"] for each in listed] == ["ovs"]
