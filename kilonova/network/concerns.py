"""What a change of wanted state concerns, by name: so that it wakes few hosts, and each is told what has changed alone.

The rule: whatever a host's wanted state is made of has a name here, and the transaction that changes it gives that name
to `records.raise_revision`: bare for all that the name stands for, or `about` one object of it. Sections
(`sections/section.py`) say which names their objects hang on, `of_host` says which ones a host hears of.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from kilonova.network import parts

AGENTS = "agents"
"""Agents that came, went, or tell of themselves otherwise. No wanted state hangs on that alone: other hosts hear of it
as of the ports on the agent's host."""

CARRIERS = "carriers"
"""A router or a network's DHCP that nobody carries, or that lacks its port."""

ALL = ""
"""In place of an object: everything that the name stands for."""


class Concern(NamedTuple):
    name: str
    about: str = ALL
    """The id of the one object that changed."""


def host(name: str) -> str:
    """Everything that a host is told. About a port: that port, which is or was on the host."""
    return f"host:{name}"


def carried_by(name: str) -> str:
    """Which routers and which networks' DHCP a host carries."""
    return f"carried:{name}"


def network(network_id: str) -> str:
    """The network, its subnets, and the port of its DHCP."""
    return f"network:{network_id}"


def ports_of(network_id: str) -> str:
    """The network's ports on every host. About one of them by its id."""
    return f"ports:{network_id}"


def peers_of(network_id: str) -> str:
    """The hosts that have ports of the network, or serve its addresses. About one of them by its name."""
    return f"peers:{network_id}"


def router(router_id: str) -> str:
    """The router, its ports and its routes."""
    return f"router:{router_id}"


def floating_of(router_id: str) -> str:
    """The router's floating IPs. About one of them by its id."""
    return f"floating:{router_id}"


def group(group_id: str) -> str:
    """The security group's rules."""
    return f"group:{group_id}"


def members_of(group_id: str) -> str:
    """The addresses of the group's ports on every host. About one of its ports by its id."""
    return f"members:{group_id}"


class Concerns(Struct, frozen=True):
    """The names that a host hears of: those for which it looks at once, in its turn among the simulated hosts of its
    process, and after a moment in which more of the like may come."""

    at_once: frozenset[str] = frozenset()
    in_turn: frozenset[str] = frozenset()
    soon: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        return self.at_once | self.in_turn | self.soon


def of_host(name: str, played: Collection[str], owners: Mapping[str, Iterable[str]]) -> Concerns:
    """What concerns a host that is told of these `owners` in each section, for a process that plays these parts.

    Where other hosts' ports are, and who else is in a group, may wait a moment: a guest takes seconds to boot. The host
    that answers a network's DHCP is told at once. What any number of hosts have in common, each looks at in its turn.
    """
    at_once = {host(name), carried_by(name)}
    at_once.update(ports_of(each) for each in owners["leases"])
    at_once.update(router(each) for each in owners["routers"])
    at_once.update(floating_of(each) for each in owners["floating_ips"])
    in_turn = {network(each) for each in owners["networks"]}
    in_turn.update(group(each) for each in owners["groups"])
    if parts.DHCP in played or parts.L3 in played:
        in_turn.add(CARRIERS)
    soon = {peers_of(each) for each in owners["peers"]}
    soon.update(ports_of(each) for each in owners["stations"])
    soon.update(members_of(each) for each in owners["members"])
    return Concerns(frozenset(at_once), frozenset(in_turn), frozenset(soon - at_once))
