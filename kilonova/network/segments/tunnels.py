"""What network types that travel in tunnels have in common: one number for the whole cloud, and a header."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.errors import InvalidInput, NoNetworkAvailable, TunnelIdInUse
from kilonova.network.ipam.pick import pick_number
from kilonova.network.segments.segment import Range, Segment, Underlay, Wanted, taken_numbers


class Tunnelled(Struct, frozen=True):
    name: ClassVar[str]
    number_name: ClassVar[str]
    largest_number: ClassVar[int]
    overhead_bytes: ClassVar[int]
    """Of the outer IPv4 header and of the tunnel's own; the inner Ethernet header counts as well."""

    ranges: Sequence[Range] = ()
    """The numbers that are taken unless one is asked for."""

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        number, largest = wanted.segmentation_id, self.largest_number
        if wanted.physical_network is not None:
            raise InvalidInput(f"provider:physical_network is not for a {self.name} network.")
        if number is not None and not 1 <= number <= largest:
            raise InvalidInput(
                f"provider:segmentation_id {number} is not a {self.number_name}: 1 to {largest} are possible."
            )
        if number is None:
            number = pick_number(self.ranges, await taken_numbers(tx, self.name))
            if number is None:
                raise NoNetworkAvailable
        return Segment(self.name, segmentation_id=number)

    def largest_mtu(self, underlay: Underlay) -> int:
        return min(underlay.path_mtu, underlay.physical_mtu) - self.overhead_bytes

    def in_use(self, segment: Segment) -> Fault:
        return TunnelIdInUse(segment.segmentation_id or 0)
