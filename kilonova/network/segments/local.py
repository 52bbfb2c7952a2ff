"""Local networks: each ends at its host. There may be any number of them."""

from typing import ClassVar

from msgspec import Struct

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.errors import InvalidInput
from kilonova.network.segments.segment import Segment, Underlay, Wanted


class Local(Struct, frozen=True):
    name: ClassVar[str] = "local"

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        if wanted.physical_network is not None:
            raise InvalidInput("provider:physical_network is not for a local network.")
        if wanted.segmentation_id is not None:
            raise InvalidInput("provider:segmentation_id is not for a local network.")
        return Segment(self.name)

    def largest_mtu(self, underlay: Underlay) -> int:
        return underlay.physical_mtu

    def in_use(self, segment: Segment) -> Fault:
        raise AssertionError("Local networks share nothing.")
