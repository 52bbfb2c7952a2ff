"""Brings the devices of a running guest to what they should be: the one comparison, for all kinds and hypervisors."""

from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

from kilonova.kit.log import logger

log = logger(__name__)

DeviceT = TypeVar("DeviceT")
PluggedT = TypeVar("PluggedT", contravariant=True)


class Slots(Protocol[PluggedT]):
    """The devices of one kind that a server's guest has; each is known by a name. A hypervisor implements it."""

    async def observe(self) -> Collection[str] | None:
        """Names of the devices that the guest has now; None when there is no guest."""
        ...

    async def plug(self, name: str, device: PluggedT) -> None:
        """Gives the guest a device; ok when it has it, or when the guest has ended meanwhile."""
        ...

    async def unplug(self, name: str) -> None:
        """Asks the guest to let go of a device, which may take it any time; ok when it is gone."""
        ...


async def converge(slots: Slots[DeviceT], wanted: Mapping[str, DeviceT], *, server_id: str) -> tuple[str, ...]:
    """Plugs in what is missing and unplugs what is left over; returns what the guest has yet to let go of.

    A server without a guest has nothing to let go of: its next guest is started with what is wanted then.
    """
    there = await slots.observe()
    if there is None:
        return ()
    for name in wanted.keys() - there:
        log.info("plugging in", server=server_id, device=name)
        await slots.plug(name, wanted[name])
    surplus = sorted(set(there) - wanted.keys())
    for name in surplus:
        log.info("unplugging", server=server_id, device=name)
        await slots.unplug(name)
    if not surplus:
        return ()
    kept = await slots.observe() or ()
    return tuple(name for name in surplus if name in kept)


def describe(kept: Collection[str]) -> str:
    """Names the thing that is waited for; empty: nothing."""
    return f"the guest has yet to let go of {', '.join(kept)}" if kept else ""
