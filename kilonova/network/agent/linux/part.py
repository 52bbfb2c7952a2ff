"""The contract of a part of the host, and what one pass over the parts works with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kilonova.network.agent import bridges
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.links import Link, LinkTable
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.state import HostState, Touched
from kilonova.network.wanted import WantedNetwork, WantedState

LOCAL = frozenset({"networks", "ports", "groups", "routers", "floating_ips"})
"""Sections of what lies on the host itself."""


@dataclass(slots=True)
class Work:
    """One pass: over the whole host, or over what was touched."""

    wanted: WantedState
    state: HostState
    ledger: Ledger
    table: LinkTable
    touched: Touched | None = None
    """None: everything is looked at."""
    devices: Collection[str] = ()
    """Names of all devices in the host's own namespace that are wanted."""
    networks: dict[str, tuple[WantedNetwork, Link]] = field(default_factory=dict)
    """Networks whose bridge is ready."""
    ports_up: list[str] = field(default_factory=list)
    dhcp_up: list[str] = field(default_factory=list)
    routers_up: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a part is told once."""

    options: LinuxOptions
    played: frozenset[str]
    """The processes' parts (`network/parts.py`) that this one plays: the others' things are left alone, and waited for
    where its own need them."""


class Part(Protocol):
    def devices(self, wanted: WantedState) -> set[str]:
        """Names of the devices in the host's own namespace that it needs, whoever makes them."""
        ...

    def release(self, work: Work) -> None:
        """Takes away what is not wanted any more."""
        ...

    def converge(self, work: Work) -> None:
        """Makes what is wanted, of what was touched if that is known. Then it raises HostProblem, NetlinkError or
        OSError when the host is not as the last pass left it."""
        ...

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        """Fields of the driver's Observation: what exists, whoever wanted it."""
        ...


def changed_in(touched: Touched, *names: str) -> set[str]:
    """The owners of which something was touched in any of these sections."""
    return {owner for name in names for owner, _, _ in touched.of(name)}


def sections(touched: Touched) -> set[str]:
    """The sections of which something was touched."""
    return {name for name, _, _ in touched.before} | owned(touched)


def owned(touched: Touched) -> set[str]:
    """The sections of which the host has other owners."""
    return {name for name, _ in touched.owners}


def entries(directory: Path) -> set[str]:
    """Names of what lies in a directory, which need not exist."""
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def release_devices(work: Work, group: int) -> None:
    """Removes devices of a group that nobody wants."""
    bridges.release_unwanted(work.table, work.devices, work.ledger, (group,))


def is_plugged(table: LinkTable, name: str, bridge: Link) -> bool:
    link = table.get(name)
    return link is not None and link.is_up and link.bridge_index == bridge.index
