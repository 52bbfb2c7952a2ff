"""VLANs of physical networks."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import Struct, field

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.errors import InvalidInput, NoNetworkAvailable, VlanIdInUse
from kilonova.network.ipam.pick import pick_number
from kilonova.network.segments.segment import Range, Segment, Underlay, Wanted, taken_numbers
from kilonova.network.tables import networks

LARGEST_ID = 4094


class Vlan(Struct, frozen=True):
    name: ClassVar[str] = "vlan"

    ranges: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    """Physical network → the ids that are taken of it unless one is asked for."""

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        physical, number = wanted.physical_network, wanted.segmentation_id
        if physical is not None and physical not in self.ranges:
            raise InvalidInput(f"physical_network {physical!r} unknown for VLAN provider network.")
        if number is not None and physical is None:
            raise InvalidInput("segmentation_id requires physical_network for VLAN provider network.")
        if number is not None and not 1 <= number <= LARGEST_ID:
            raise InvalidInput(f"provider:segmentation_id {number} is not a VLAN id: 1 to {LARGEST_ID} are possible.")
        if physical is not None and number is not None:
            return Segment(self.name, physical, number)
        for each in self.ranges if physical is None else (physical,):
            taken = await taken_numbers(tx, self.name, networks.c.physical_network == each)
            free = pick_number(self.ranges[each], taken)
            if free is not None:
                return Segment(self.name, each, free)
        raise NoNetworkAvailable

    def largest_mtu(self, underlay: Underlay) -> int:
        return underlay.physical_mtu

    def in_use(self, segment: Segment) -> Fault:
        return VlanIdInUse(segment.segmentation_id or 0, str(segment.physical_network))
