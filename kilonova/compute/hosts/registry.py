"""The server side of compute's agents: they register here, report what they see, and ask what belongs to them."""

from typing import Any

import msgspec

from kilonova.compute.agent.spec import HostInventory, PowerState, ServerObservation
from kilonova.compute.hosts import aggregates, hosts, providers
from kilonova.compute.region import mappings
from kilonova.compute.servers import migrations, servers
from kilonova.compute.servers.servers import ServerState
from kilonova.compute.service import Cell
from kilonova.compute.tables import Host
from kilonova.compute.topics import REGISTRY_TOPIC
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.agents import AgentInfo, AgentRefused
from kilonova.kit.agents.namesakes import find_namesake
from kilonova.kit.bus import Unsubscribe
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.log import logger

log = logger(__name__)


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
    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def serve(self) -> Unsubscribe:
        """Answers agents from now on; returns what ends that."""
        return self._cell.bus.serve(REGISTRY_TOPIC, {"register": self.register, "report": self.report})

    async def register(self, payload: Any) -> None:
        """Makes the host known here and to placement: service, hypervisor, provider and inventory. Safe to repeat."""
        registration = msgspec.convert(payload, Registration)
        info = registration.info
        await self._refuse_second(info)
        zone = info.availability_zone or self._cell.region.default_zone
        inventory = msgspec.to_builtins(registration.details)
        host = await self._make_known(hosts.NewHost(info.binary, info.host, zone, inventory))
        await self._tell_placement(host, registration.details)
        await self._cell.liveness.announce(info.binary, info.host)
        log.info("compute host registered", host=info.host, zone=zone)

    async def _refuse_second(self, info: AgentInfo) -> None:
        """Raises AgentRefused when another agent of this name is alive."""
        began = await find_namesake(self._cell.bus, info)
        if began is None:
            return
        async with self._cell.reading() as tx:
            row = await hosts.find(tx, info.binary, info.host)
        where = row.inventory["host_ip"] if row is not None else "unknown"
        raise AgentRefused(
            f"another {info.binary} is alive under the name {info.host} "
            f"(address {where}, since {began:%Y-%m-%d %H:%M:%S}): "
            "stop that one, or give this host a name of its own ([DEFAULT] host)"
        )

    async def _make_known(self, new: hosts.NewHost) -> Host:
        """Maps the host, then writes its row. A host that dies between the two registers again.

        While the API database cannot be reached, the host serves all the same; it is mapped later (`discovery`).
        """
        cell, now = self._cell, self._cell.clock.now()
        number: int | None = None
        try:
            async with cell.region.transaction() as tx:
                number = await self._map(tx, new, cell.id)
        except ServiceUnavailable as fault:
            log.warning("a host is not mapped yet", host=new.host, reason=fault.message)
        async with cell.transaction() as tx:
            return await hosts.register(tx, new, now, number=number)

    async def _map(self, tx: RegionTx, new: hosts.NewHost, cell_id: str) -> int:
        """The host's number; a new one joins the aggregate of its zone. Raises AgentRefused."""
        now = self._cell.clock.now()
        known = await mappings.find_host(tx, new.host)
        if known is None and new.zone != self._cell.region.default_zone:
            await aggregates.place_new_host(tx, new.host, new.zone, now)
        mapping = known or await mappings.map_host(tx, new.host, cell_id, now)
        if mapping.cell_id != cell_id:
            raise AgentRefused(
                f"host {new.host} is mapped to cell {mapping.cell_id} already: give this one another "
                "name, or run `nova-manage cell_v2 delete_host` there first"
            )
        return mapping.number

    async def _tell_placement(self, host: Host, inventory: HostInventory) -> None:
        placement = self._cell.region.placement
        own = providers.own_addition(inventory.additions, host.id, host.hypervisor_hostname)
        generation = await placement.ensure_provider(host.id, host.hypervisor_hostname)
        known = await placement.inventory(host.id)
        wanted = {**providers.inventory_of(inventory, known), **await providers.added_inventories(placement, own)}
        if known != wanted:
            generation = await placement.set_inventory(host.id, generation, wanted)
        try:
            await providers.set_traits(placement, host.id, generation, inventory.traits, own)
        except RemoteFault as fault:
            # Traits only narrow the choice; a host without them still carries servers.
            log.warning("placement refused the host's traits", host=host.host, reason=fault.message)
        await providers.add_to_others(placement, host.id, inventory.additions, own)

    async def report(self, payload: Any) -> dict[str, Any]:
        """Brings power states up to date, and says which servers do not belong on that host."""
        report = msgspec.convert(payload, Report)
        cell = self._cell
        async with cell.reading() as tx:
            known = await hosts.is_known(tx, report.host)
            belonging = await servers.states_on(tx, report.host)
            waiting = await servers.active_subjects(tx)
            strange = [each.id for each in report.observations if each.id not in waiting and each.id not in belonging]
            kept = await migrations.kept_on(tx, report.host) if strange else set()
        idle = [each for each in report.observations if each.id not in waiting]
        changed = [each for each in idle if each.id in belonging and is_news(belonging[each.id], each)]
        homeless = [server_id for server_id in strange if server_id not in kept]
        sleeping = [each.id for each in report.observations if waiting.get(each.id)]
        answer = ReportAnswer(known, {})
        # Most reports bring nothing new: those take no write lock.
        if changed or homeless or sleeping:
            async with cell.transaction() as tx:
                for each in changed:
                    await self._follow(tx, report.host, each)
                for server_id in homeless:
                    epoch = await self._epoch_of_stranger(tx, report.host, server_id)
                    if epoch is not None:
                        answer.strangers[server_id] = epoch
                if sleeping:
                    await cell.tasks.wake_subjects(tx, sleeping, cell.clock.now())
        built: dict[str, Any] = msgspec.to_builtins(answer)
        return built

    async def _epoch_of_stranger(self, tx: CellTx, host: str, server_id: str) -> int | None:
        """The epoch to remove a stranger under; None when the server belongs there after all, or nobody can say."""
        of_subject = await self._cell.tasks.of_subject(tx, server_id)
        if any(task.finished_at is None for task in of_subject):
            return None
        newest = max((task.epoch for task in of_subject), default=0)
        if await servers.find_deleted(tx, server_id) is not None:
            return newest
        if server_id in await servers.states_on(tx, host) or server_id in await migrations.kept_on(tx, host):
            return None
        # A server nobody knows is never removed: it may be somebody else's, or the database an older copy.
        return newest if of_subject else None

    async def _follow(self, tx: CellTx, host: str, seen: ServerObservation) -> None:
        """A guest that stopped or started by itself: the row follows what is, once no operation is under way."""
        state = (await servers.states_on(tx, host)).get(seen.id)
        if state is None or await self._cell.tasks.active(tx, seen.id) is not None:
            return
        values: dict[str, Any] = {"power_state": servers.POWER_STATES[seen.power]}
        vm_state = followed(state.vm_state, seen.power)
        if vm_state != state.vm_state:
            values.update(vm_state=vm_state, wanted_power="running" if vm_state == "active" else "stopped")
        log.info("power state followed the guest", server=seen.id, seen=seen.power)
        await servers.change(tx, seen.id, self._cell.clock.now(), **values)


def is_news(state: ServerState, seen: ServerObservation) -> bool:
    """Whether the guest is not as its row has it."""
    as_seen = servers.POWER_STATES[seen.power], followed(state.vm_state, seen.power)
    return as_seen != (state.power_state, state.vm_state)


def followed(vm_state: str, power: PowerState) -> str:
    """The vm_state of a server whose guest is seen in that state with no operation under way."""
    if vm_state in ("active", "paused", "suspended") and power in ("stopped", "crashed", "absent"):
        return "stopped"
    if vm_state in ("stopped", "paused", "suspended") and power == "running":
        return "active"
    return vm_state
