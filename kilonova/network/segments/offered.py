"""The network types of a cloud: which of them networks may be asked for, and which ones projects get."""

from collections.abc import Collection, Sequence

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.errors import InvalidInput, NoNetworkAvailable
from kilonova.network.segments.flat import Flat
from kilonova.network.segments.geneve import Geneve
from kilonova.network.segments.gre import Gre
from kilonova.network.segments.local import Local
from kilonova.network.segments.segment import Segment, SegmentType, Underlay, Wanted
from kilonova.network.segments.vlan import Vlan
from kilonova.network.segments.vxlan import Vxlan

SMALLEST_MTU = 68
"""What every IPv4 host must take (RFC 791)."""

KNOWN: Sequence[SegmentType] = (Flat(), Vlan(), Vxlan(), Gre(), Geneve(), Local())
"""All there are, without numbers to take."""
NAMES = tuple(each.name for each in KNOWN)
USUAL = Underlay()
TUNNELLED = (Vxlan.name, Gre.name, Geneve.name)
"""Those whose hosts reach each other by their underlay addresses."""


class Segments:
    """`carried` are the types that some mechanism can bind ports on, `allowed` those that the operator lets be asked
    for, `for_projects` those that a network gets which asks for none, the first that has a number left."""

    def __init__(
        self,
        types: Sequence[SegmentType],
        *,
        carried: Collection[str],
        allowed: Collection[str] = NAMES,
        for_projects: Sequence[str] = (Vxlan.name,),
        underlay: Underlay = USUAL,
    ) -> None:
        self._types = {each.name: each for each in types}
        self._carried = tuple(each for each in NAMES if each in carried)
        self._offered = tuple(each for each in self._carried if each in allowed)
        self._for_projects = tuple(each for each in for_projects if each in self._offered)
        self._underlay = underlay

    async def allocate(self, tx: Tx, wanted: Wanted) -> Segment:
        """The segment of a new network. Raises InvalidInput, NoNetworkAvailable."""
        name = wanted.network_type or ("flat" if wanted.physical_network else None)
        if name is not None:
            return await self._offered_type(name).allocate(tx, wanted)
        for each in self._for_projects:
            try:
                return await self._types[each].allocate(tx, wanted)
            except NoNetworkAvailable:
                continue
        raise NoNetworkAvailable

    def _offered_type(self, name: str) -> SegmentType:
        if name not in self._carried:
            raise InvalidInput(f"provider:network_type {name!r} is not served here yet; possible are {self._offered}.")
        if name not in self._offered:
            raise InvalidInput(
                f"provider:network_type {name!r} is none of this cloud's type_drivers; possible are {self._offered}."
            )
        return self._types[name]

    def largest_mtu(self, network_type: str) -> int:
        """What fits through a segment of the type: a tunnel takes its header off the underlay's MTU."""
        return self._types[network_type].largest_mtu(self._underlay)

    def check_mtu(self, mtu: int, network_type: str) -> None:
        """Raises InvalidInput for an MTU that the segment does not carry."""
        largest = self.largest_mtu(network_type)
        if mtu > largest:
            raise InvalidInput(f"Requested MTU is too big, maximum is {largest}.")
        if mtu < SMALLEST_MTU:
            raise InvalidInput(f"Requested MTU is too small, minimum is {SMALLEST_MTU}.")

    def in_use(self, segment: Segment) -> Fault:
        """The fault for a segment that another network has."""
        return self._types[segment.network_type].in_use(segment)
