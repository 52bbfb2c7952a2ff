"""cinder-backup: serves the calls of one host that keeps backups."""

from datetime import UTC, datetime

from msgspec import Struct

from kilonova.block_storage.agent.backups import contract
from kilonova.block_storage.agent.backups.driver import BackupDriver
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.topics import BACKUP_BINARY, BACKUP_REGISTRY_TOPIC
from kilonova.kit.agents import Agent, AgentInfo, Pace, Served, Turns
from kilonova.kit.bus import Bus
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

LONGEST_INTERVAL_SECONDS = 60.0


class BackupReport(Struct, frozen=True):
    """Told when it registers, and in each report."""

    host: str


class BackupAgent:
    def __init__(
        self, driver: BackupDriver, bus: Bus, *, host: str, zone: str = "", turns: Turns | None = None
    ) -> None:
        """Agents of one process share their `turns`."""
        self._driver = driver
        self._bus = bus
        self._host = host
        info = AgentInfo(BACKUP_BINARY, host, agent_type="Backup", availability_zone=zone, started_at=datetime.now(UTC))
        self.agent = Agent(
            info,
            bus,
            BACKUP_REGISTRY_TOPIC,
            serves=self._served(),
            converge=self._report,
            describe=self._describe,
            pace=Pace(longest_interval_seconds=LONGEST_INTERVAL_SECONDS),
            turns=turns,
        )

    async def run(self) -> None:
        """Works until cancelled; jobs go on. Raises AgentRefused."""
        await self.agent.run()

    async def _describe(self) -> BackupReport:
        return BackupReport(self._host)

    async def _report(self) -> None:
        try:
            await self._driver.prepare()
        except HostError as error:
            # What needs the store says so too; the next pass tries again.
            log.warning("the store of backups cannot be reached", host=self._host, reason=error.reason)
        if not await self._bus.call(BACKUP_REGISTRY_TOPIC, "report", {"host": self._host}):
            self.agent.register_again()

    def _served(self) -> list[Served]:
        return [
            contract.ENSURE_BACKUP.served_by(self._ensure_backup),
            contract.FIND_BACKUP.served_by(self._find_backup),
            contract.RELEASE_BACKUP.served_by(self._release_backup),
            contract.RESTORE_VOLUME.served_by(self._restore_volume),
            contract.STOP_RESTORE.served_by(self._stop_restore),
        ]

    async def _ensure_backup(self, asked: contract.EnsureBackupArguments) -> contract.BackupObservation:
        await self._driver.prepare()
        return await self._driver.ensure_backup(asked.spec, asked.connection, asked.epoch)

    async def _find_backup(self, asked: contract.FindBackupArguments) -> contract.BackupObservation:
        await self._driver.prepare()
        return await self._driver.find_backup(asked.backup_id, asked.container)

    async def _release_backup(self, asked: contract.ReleaseBackupArguments) -> Observation:
        await self._driver.prepare()
        return await self._driver.release_backup(asked.backup_id, asked.container, asked.epoch)

    async def _restore_volume(self, asked: contract.RestoreArguments) -> Observation:
        await self._driver.prepare()
        return await self._driver.restore_volume(asked)

    async def _stop_restore(self, asked: contract.StopRestoreArguments) -> None:
        await self._driver.stop_restore(asked.volume_id, asked.epoch)
