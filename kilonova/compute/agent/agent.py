"""nova-compute: serves compute's calls on its host, and reports what it sees there.

A pass asks the driver for everything on the host and tells the server; what the server calls a stranger is removed.
"""

import asyncio
from datetime import UTC, datetime

import msgspec

from kilonova.compute.agent import contract
from kilonova.compute.agent.driver import ComputeDriver, StaleEpoch
from kilonova.compute.agent.spec import (
    RELEASE,
    ConsoleAddress,
    HostInventory,
    HostShare,
    ProviderAddition,
    ServerDiagnostics,
    ServerObservation,
    SnapshotObservation,
)
from kilonova.compute.agent.uptime import read_uptime
from kilonova.compute.topics import AGENT_BINARY, REGISTRY_TOPIC
from kilonova.kit.agents import Agent, AgentInfo, NoArguments, Pace, Served, Turns
from kilonova.kit.bus import Bus
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.clock import SystemClock
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)


SWEEP_INTERVAL_SECONDS = 2400.0
"""Between two looks for cached images that no server of the host uses (upstream's)."""
LONGEST_INTERVAL_SECONDS = 60.0
"""The hypervisor tells of guests that stop and start; the server has to answer every report of every host."""


class ComputeAgent:
    def __init__(
        self,
        driver: ComputeDriver,
        bus: Bus,
        *,
        host: str,
        zone: str = "",
        share: HostShare | None = None,
        additions: tuple[ProviderAddition, ...] = (),
        turns: Turns | None = None,
    ) -> None:
        """Agents of one process share their `turns`."""
        self._driver = driver
        self._share = share or HostShare()
        self._additions = additions
        self._bus = bus
        self._host = host
        info = AgentInfo(AGENT_BINARY, host, agent_type="Compute", availability_zone=zone, started_at=datetime.now(UTC))
        self.agent = Agent(
            info,
            bus,
            REGISTRY_TOPIC,
            serves=self._served(),
            converge=self._report,
            describe=self._describe,
            pace=Pace(longest_interval_seconds=LONGEST_INTERVAL_SECONDS),
            turns=turns,
        )

    async def _describe(self) -> HostInventory:
        inventory = await self._driver.inventory()
        inventory.share, inventory.additions, inventory.release = self._share, self._additions, RELEASE
        return inventory

    def on_event(self, server_id: str) -> None:
        """A domain changed state: report now instead of at the next pass."""
        log.debug("domain event", server=server_id)
        self.agent.wake()

    async def run(self) -> None:
        """Works until cancelled. Guests go on running afterwards."""
        sweep = Chore("sweep-images", SWEEP_INTERVAL_SECONDS, self._sweep_images)
        sweeping = asyncio.create_task(ChoreKeeper([sweep], SystemClock()).run())
        try:
            await self.agent.run()
        finally:
            sweeping.cancel()
            await asyncio.wait([sweeping])
            await asyncio.shield(self._driver.close())

    async def _sweep_images(self, _last: object) -> None:
        """Removes images that no server uses; none while a server's record cannot be read, for it may use one."""
        removed = await self._driver.sweep_images()
        log.debug("cached images were looked over", removed=len(removed))

    def _served(self) -> list[Served]:
        return [
            contract.ENSURE_SERVER.served_by(self._ensure_server),
            contract.ENSURE_MIGRATION.served_by(self._ensure_migration),
            contract.STOP_MIGRATION.served_by(self._stop_migration),
            contract.ENSURE_SNAPSHOT.served_by(self._ensure_snapshot),
            contract.OBSERVE_SERVER.served_by(self._observe_server),
            contract.RELEASE_SERVER.served_by(self._release_server),
            contract.CACHE_IMAGES.served_by(self._cache_images),
            contract.CONSOLE_LOG.served_by(self._console_log),
            contract.CONSOLE_ADDRESS.served_by(self._console_address),
            contract.INTERRUPT.served_by(self._interrupt),
            contract.SET_ADMIN_PASSWORD.served_by(self._set_admin_password),
            contract.DIAGNOSTICS.served_by(self._diagnostics),
            contract.UPTIME.served_by(self._uptime),
        ]

    async def _ensure_server(self, asked: contract.EnsureArguments) -> ServerObservation:
        return await self._driver.ensure_server(asked.spec, asked.epoch)

    async def _ensure_migration(self, asked: contract.MigrationArguments) -> ServerObservation:
        return await self._driver.ensure_migration(asked.spec, asked.arrival, asked.epoch, hasten=asked.hasten)

    async def _stop_migration(self, asked: contract.StopMigrationArguments) -> ServerObservation:
        return await self._driver.stop_migration(asked.server_id, asked.epoch)

    async def _ensure_snapshot(self, asked: contract.SnapshotArguments) -> SnapshotObservation:
        return await self._driver.ensure_snapshot(asked.spec, asked.epoch)

    async def _observe_server(self, asked: contract.ServerArguments) -> ServerObservation:
        return await self._driver.observe_server(asked.server_id)

    async def _release_server(self, asked: contract.ReleaseArguments) -> None:
        await self._driver.release_server(asked.server_id, asked.epoch)

    async def _cache_images(self, asked: contract.CacheArguments) -> None:
        await self._driver.cache_images(asked.images)

    async def _console_log(self, asked: contract.ConsoleLogArguments) -> str:
        return await self._driver.console_log(asked.server_id, asked.length_lines)

    async def _console_address(self, asked: contract.ConsoleAddressArguments) -> ConsoleAddress:
        return await self._driver.console_address(asked.server_id, asked.kind)

    async def _interrupt(self, asked: contract.ServerArguments) -> None:
        await self._driver.interrupt(asked.server_id)

    async def _set_admin_password(self, asked: contract.PasswordArguments) -> None:
        await self._driver.set_admin_password(asked.server_id, asked.user, asked.password)

    async def _diagnostics(self, asked: contract.ServerArguments) -> ServerDiagnostics:
        return await self._driver.diagnostics(asked.server_id)

    async def _uptime(self, _asked: NoArguments) -> str:
        return read_uptime()

    async def _report(self) -> None:
        observations = [msgspec.to_builtins(each) for each in await self._driver.observe_all()]
        answer = await self._bus.call(REGISTRY_TOPIC, "report", {"host": self._host, "observations": observations})
        if not answer["known"]:
            self.agent.register_again()
        for server_id, epoch in answer["strangers"].items():
            await self._remove_stranger(server_id, epoch)

    async def _remove_stranger(self, server_id: str, epoch: int) -> None:
        log.warning("removing a server that does not belong to this host", server=server_id)
        try:
            await self._driver.release_server(server_id, epoch)
        except (HostError, StaleEpoch) as error:
            log.warning("the stranger stays for now", server=server_id, reason=str(error))
