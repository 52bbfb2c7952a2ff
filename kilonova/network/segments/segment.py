"""The contract of a network type, and what its networks are made of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.tables import networks

Range = tuple[int, int]
"""Lowest and highest number."""


class Wanted(Struct, frozen=True):
    """The provider attributes that were given for a new network."""

    network_type: str | None = None
    physical_network: str | None = None
    segmentation_id: int | None = None


class Segment(Struct, frozen=True):
    network_type: str
    physical_network: str | None = None
    segmentation_id: int | None = None

    @property
    def key(self) -> str | None:
        """Unique among the networks of a cloud, such as `vlan/physnet1/100`; None: any number of networks may be so."""
        named = [str(each) for each in (self.physical_network, self.segmentation_id) if each is not None]
        return "/".join((self.network_type, *named)) if named else None


class Underlay(Struct, frozen=True):
    physical_mtu: int = 1500
    """Of the interfaces that flat and vlan networks use."""
    path_mtu: int = 1500
    """Of the way between the ends of tunnels."""


class SegmentType(Protocol):
    @property
    def name(self) -> str: ...

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        """The segment of a new network. Raises InvalidInput, and NoNetworkAvailable when all numbers are taken."""
        ...

    def largest_mtu(self, underlay: Underlay) -> int:
        """What fits through a segment."""
        ...

    def in_use(self, segment: Segment) -> Fault:
        """The fault for a segment that another network has."""
        ...


async def taken_numbers(tx: Tx, network_type: str, *conditions: ColumnElement[bool]) -> set[int]:
    """The segmentation ids that networks of the type have."""
    numbers = select(networks.c.segmentation_id).where(networks.c.network_type == network_type, *conditions)
    return {number for (number,) in await tx.tuples(numbers.where(networks.c.segmentation_id.is_not(None)))}


def parse_range(text: str, largest: int) -> Range:
    """`LOW:HIGH`. Raises ValueError for numbers beyond 1 to `largest`."""
    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) <= largest):
        raise ValueError(f"{text!r} is not of the form 1:1000, with numbers of 1 to {largest}")
    return int(low), int(high)


def parse_physical_ranges(texts: Iterable[str], largest: int) -> Mapping[str, Sequence[Range]]:
    """`NAME:LOW:HIGH`, or `NAME` alone for a physical network of which no number is taken unless it is asked for.
    Raises ValueError."""
    found: dict[str, list[Range]] = {}
    for text in texts:
        name, _, numbers = text.partition(":")
        if not name:
            raise ValueError(f"{text!r} names no physical network: physnet1:100:200 does, and physnet1")
        ranges = found.setdefault(name, [])
        if numbers:
            ranges.append(parse_range(numbers, largest))
    return found
