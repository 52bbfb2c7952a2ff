"""What a change of wanted state concerns, by name: so that it wakes few hosts, and few documents are compiled anew.

The rule: whatever a host's document is made of has a name here, the transaction that changes it gives that name to
`records.raise_revision`, and `of_host` gives it to every host whose document it is part of.
"""

from collections.abc import Collection

from msgspec import Struct

from kilonova.network import parts
from kilonova.network.wanted import WantedState

EVERYTHING = "everything"
"""What is too rare to be named."""

AGENTS = "agents"
"""Agents that came, went, or tell of themselves otherwise. No document is made of that alone: other hosts hear of it as
of the ports on the agent's host."""

CARRIERS = "carriers"
"""A router or a network's DHCP that nobody carries, or that lacks its port."""


def host(name: str) -> str:
    """What is on the host itself: its ports, the routers and networks it is given."""
    return f"host:{name}"


def network(network_id: str) -> str:
    """The network and its subnets."""
    return f"network:{network_id}"


def ports_of(network_id: str) -> str:
    """The network's ports on every host, and who serves its addresses."""
    return f"ports:{network_id}"


def router(router_id: str) -> str:
    """The router, its routes and its floating IPs."""
    return f"router:{router_id}"


def group(group_id: str) -> str:
    """The security group's rules."""
    return f"group:{group_id}"


def members_of(group_id: str) -> str:
    """The addresses of the group's ports on every host."""
    return f"members:{group_id}"


class Concerns(Struct, frozen=True):
    """What a host is concerned by: at once, or after a moment in which more of the like may come."""

    at_once: frozenset[str] = frozenset()
    soon: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    """What it looks at once whether to take; its document is not made of it."""

    def is_document_concerned(self, changed: Collection[str]) -> bool:
        return not (self.at_once.isdisjoint(changed) and self.soon.isdisjoint(changed))

    def is_urgent(self, changed: Collection[str]) -> bool:
        return not (self.at_once.isdisjoint(changed) and self.offers.isdisjoint(changed))


def of_host(name: str, played: Collection[str], wanted: WantedState) -> Concerns:
    """What the document `wanted` of a host is made of, for a process that plays these parts.

    Where other hosts' ports are, and who else is in a group, is of no hurry: a guest takes seconds to boot. The host
    that answers a network's DHCP is told at once.
    """
    at_once = {host(name)}
    soon = {EVERYTHING}
    for each in wanted.networks:
        at_once.add(network(each.id))
        (at_once if each.dhcp is not None else soon).add(ports_of(each.id))
    for known in wanted.security_groups:
        at_once.add(group(known.id))
        soon.add(members_of(known.id))
    at_once.update(router(each.id) for each in wanted.routers)
    is_carrier = parts.DHCP in played or parts.L3 in played
    return Concerns(frozenset(at_once), frozenset(soon), frozenset({CARRIERS} if is_carrier else ()))
