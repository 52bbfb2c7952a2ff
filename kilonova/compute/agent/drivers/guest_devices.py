"""The devices of a guest of libvirt, for `devices.plugging`."""

from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers import domains
from kilonova.compute.agent.drivers.connection import Connection
from kilonova.compute.agent.drivers.domain_xml import (
    DomainPlan,
    disks_of,
    interfaces_of,
    render_disk,
    render_interface,
)
from kilonova.compute.agent.spec import ServerSpec

DeviceT = TypeVar("DeviceT")


class GuestDevices(Generic[DeviceT]):
    """`definition` gives what a guest has, `devices_of` reads name → device from that, `render` a device of ours."""

    def __init__(
        self,
        connection: Connection,
        server_id: str,
        definition: Callable[[Any, str], str | None],
        devices_of: Callable[[str], dict[str, str]],
        render: Callable[[DeviceT], str],
    ) -> None:
        self._connection = connection
        self._server_id = server_id
        self._definition = definition
        self._devices_of = devices_of
        self._render = render
        self._there: dict[str, str] = {}

    async def observe(self) -> frozenset[str] | None:
        definition = await self._connection.call(self._definition, self._server_id)
        if definition is None:
            return None
        self._there = self._devices_of(definition)
        return frozenset(self._there)

    async def plug(self, name: str, device: DeviceT) -> None:
        def is_there(definition: str) -> bool:
            return name in self._devices_of(definition)

        await self._connection.call(domains.plug, self._server_id, self._render(device), is_there)

    async def unplug(self, name: str) -> None:
        def is_gone(definition: str) -> bool:
            return name not in self._devices_of(definition)

        await self._connection.call(domains.unplug, self._server_id, self._there[name], is_gone)


def interfaces(connection: Connection, spec: ServerSpec) -> GuestDevices[PlannedInterface]:
    """The interfaces of a server's guest."""

    def render(interface: PlannedInterface) -> str:
        return render_interface(spec, interface)

    return GuestDevices(connection, spec.id, domains.live_definition, interfaces_of, render)


def volumes(connection: Connection, plan: DomainPlan, serials: Collection[str]) -> GuestDevices[PlannedDisk]:
    """The volumes of a server's guest: of its disks those with these serials, all others are its own.

    A suspended guest keeps its volumes: it goes on with them.
    """

    def volumes_of(definition: str) -> dict[str, str]:
        return {serial: disk for serial, disk in disks_of(definition).items() if serial in serials}

    def render(disk: PlannedDisk) -> str:
        return render_disk(plan, disk)

    return GuestDevices(connection, plan.spec.id, domains.held_definition, volumes_of, render)
