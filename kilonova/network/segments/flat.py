"""Flat networks: each is one physical network, as it is."""

from collections.abc import Collection
from typing import ClassVar

from msgspec import Struct

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.errors import FlatNetworkInUse, InvalidInput
from kilonova.network.segments.segment import Segment, Underlay, Wanted

ANY = "*"


class Flat(Struct, frozen=True):
    name: ClassVar[str] = "flat"

    physical_networks: Collection[str] = (ANY,)
    """Those that may be flat; `*` is any."""

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        physical = wanted.physical_network
        if physical is None:
            raise InvalidInput("physical_network required for flat provider network.")
        if wanted.segmentation_id is not None:
            raise InvalidInput("segmentation_id specified for flat provider network.")
        if ANY not in self.physical_networks and physical not in self.physical_networks:
            raise InvalidInput(f"Physical network {physical!r} is not known for flat provider networks.")
        return Segment(self.name, physical)

    def largest_mtu(self, underlay: Underlay) -> int:
        return underlay.physical_mtu

    def in_use(self, segment: Segment) -> Fault:
        return FlatNetworkInUse(str(segment.physical_network))
