"""The server side of compute's agents: they register here, report what they see, and ask what belongs to them."""

from typing import Any

import msgspec

from kilonova.compute import hosts, servers
from kilonova.compute.agent.spec import HostInventory, ServerObservation
from kilonova.compute.service import REGISTRY_TOPIC, Compute
from kilonova.compute.tables import Host, Server
from kilonova.kit.agents import AgentInfo
from kilonova.kit.db import Tx
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.log import logger

log = logger(__name__)

DISK_RESERVED_GIB = 0
MEMORY_RESERVED_MIB = 512
CPU_RATIO, MEMORY_RATIO, DISK_RATIO = 4.0, 1.0, 1.0
"""Upstream's initial allocation ratios; disk is not overcommitted."""


class Report(msgspec.Struct):
    """What an agent sees on its host."""

    host: str
    observations: list[ServerObservation]


class Registration(msgspec.Struct):
    info: AgentInfo
    details: HostInventory


class ReportAnswer(msgspec.Struct):
    known: bool
    """False: register again, this service does not know the host."""
    strangers: dict[str, int]
    """Servers on the host that belong elsewhere or nowhere, with the epoch to remove them under."""


class Registry:
    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def serve(self) -> None:
        methods = {"register": self.register, "report": self.report}
        self._compute.bus.serve(REGISTRY_TOPIC, methods)

    async def register(self, payload: Any) -> None:
        """Makes the host known here and to placement: service, hypervisor, provider and inventory. Safe to repeat."""
        registration = msgspec.convert(payload, Registration)
        info = registration.info
        zone = info.availability_zone or self._compute.default_zone
        inventory = msgspec.to_builtins(registration.details)
        async with self._compute.database.transaction() as tx:
            host = await hosts.register(
                tx, binary=info.binary, host=info.host, zone=zone, inventory=inventory, now=self._compute.clock.now()
            )
        await self._tell_placement(host, registration.details)
        self._compute.liveness.heard(info.binary, info.host)
        log.info("compute host registered", host=info.host, zone=zone)

    async def _tell_placement(self, host: Host, inventory: HostInventory) -> None:
        placement = self._compute.placement
        wanted = inventory_of(inventory)
        generation = await placement.ensure_provider(host.id, host.hypervisor_hostname)
        if await placement.inventory(host.id) != wanted:
            generation = await placement.set_inventory(host.id, generation, wanted)
        if inventory.traits:
            try:
                await placement.set_traits(host.id, generation, list(inventory.traits))
            except RemoteFault as fault:
                # Traits only narrow the choice; a host without them still carries servers.
                log.warning("placement refused the host's traits", host=host.host, reason=fault.message)

    async def report(self, payload: Any) -> dict[str, Any]:
        """Brings power states up to date, and says which servers do not belong on that host."""
        report = msgspec.convert(payload, Report)
        compute = self._compute
        answer = ReportAnswer(True, {})
        async with compute.database.transaction() as tx:
            answer.known = any(each.host == report.host for each in await hosts.list_all(tx))
            for observation in report.observations:
                stranger = await self._reconcile(tx, report.host, observation)
                if stranger is not None:
                    answer.strangers[observation.id] = stranger
        compute.wake()
        built: dict[str, Any] = msgspec.to_builtins(answer)
        return built

    async def _reconcile(self, tx: Tx, host: str, seen: ServerObservation) -> int | None:
        """The epoch to remove a stranger under; None when the server belongs there (or nobody can say)."""
        tasks = self._compute.tasks
        of_subject = await tasks.of_subject(tx, seen.id)
        if any(task.finished_at is None for task in of_subject):
            await tasks.wake_subject(tx, seen.id, self._compute.clock.now())
            return None
        newest = max((task.epoch for task in of_subject), default=0)
        if await servers.find_deleted(tx, seen.id) is not None:
            return newest
        mine = [server for server in await servers.of_host(tx, host) if server.id == seen.id]
        if not mine:
            # A server nobody knows is never removed: it may be somebody else's, or the database an older copy.
            return newest if of_subject else None
        await self._sync_power(tx, mine[0], seen)
        return None

    async def _sync_power(self, tx: Tx, server: Server, seen: ServerObservation) -> None:
        """A guest that stopped or started by itself: the row follows what is, once no operation is under way."""
        power_state = servers.POWER_STATES[seen.power]
        values: dict[str, Any] = {}
        if power_state != server.power_state:
            values["power_state"] = power_state
        is_off = seen.power in ("stopped", "crashed", "absent")
        if server.vm_state in ("active", "paused", "suspended") and is_off:
            values.update(vm_state="stopped", wanted_power="stopped")
        elif server.vm_state in ("stopped", "paused", "suspended") and seen.power == "running":
            values.update(vm_state="active", wanted_power="running")
        if values:
            log.info("power state followed the guest", server=server.id, seen=seen.power)
            await servers.change(tx, server.id, self._compute.clock.now(), **values)


def inventory_of(host: HostInventory) -> dict[str, dict[str, Any]]:
    """Placement's inventory of a host."""
    return {
        "VCPU": _entry(host.vcpus, 0, CPU_RATIO),
        "MEMORY_MB": _entry(host.memory_mib, min(MEMORY_RESERVED_MIB, host.memory_mib // 2), MEMORY_RATIO),
        "DISK_GB": _entry(max(host.disk_gib, 1), DISK_RESERVED_GIB, DISK_RATIO),
    }


def _entry(total: int, reserved: int, ratio: float) -> dict[str, Any]:
    return {
        "total": total,
        "reserved": reserved,
        "min_unit": 1,
        "max_unit": total,
        "step_size": 1,
        "allocation_ratio": ratio,
    }
