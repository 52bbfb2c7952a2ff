"""cinder-volume: serves block storage's calls for one back end, and tells what its pools have left."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct, structs

from kilonova.block_storage.agent import contract
from kilonova.block_storage.agent.driver import VolumeDriver
from kilonova.block_storage.agent.spec import Observation, PoolStats
from kilonova.block_storage.agent.uploads import Uploads
from kilonova.block_storage.topics import AGENT_BINARY, REGISTRY_TOPIC
from kilonova.kit.agents import Agent, AgentInfo, Pace, Served, Turns
from kilonova.kit.bus import Bus
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

LONGEST_INTERVAL_SECONDS = 60.0
"""Between two reports while nothing happens: upstream's."""


class BackendReport(Struct, frozen=True):
    """A back end's pools, when it registers and in each report."""

    host: str
    pools: list[PoolStats]


class VolumeAgent:
    def __init__(
        self,
        driver: VolumeDriver,
        bus: Bus,
        uploads: Uploads,
        *,
        host: str,
        zone: str = "",
        turns: Turns | None = None,
        longest_interval_seconds: float = LONGEST_INTERVAL_SECONDS,
    ) -> None:
        """`host`: `HOST@BACKEND`. Agents of one process share their `turns`."""
        self._driver = driver
        self._uploads = uploads
        self._bus = bus
        self._host = host
        self._trouble = ""
        """Why connections could not be kept up the last time."""
        info = AgentInfo(AGENT_BINARY, host, agent_type="Volume", availability_zone=zone, started_at=datetime.now(UTC))
        self.agent = Agent(
            info,
            bus,
            REGISTRY_TOPIC,
            serves=self._served(),
            converge=self._report,
            describe=self._describe,
            pace=Pace(longest_interval_seconds=longest_interval_seconds),
            turns=turns,
        )

    async def run(self) -> None:
        """Works until cancelled; volumes stay as they are. Raises AgentRefused."""
        try:
            await self.agent.run()
        finally:
            await self._driver.close()

    async def _describe(self) -> BackendReport:
        pools = await self._driver.pools()
        return BackendReport(
            self._host, [structs.replace(each, trouble=each.trouble or self._trouble) for each in pools]
        )

    async def _report(self) -> None:
        try:
            await self._driver.keep_up()
            self._trouble = ""
        except HostError as error:
            # The next pass tries again; what the pools have left is told all the same.
            self._trouble = error.reason
            log.warning("connections of volumes cannot be kept up", host=self._host, reason=error.reason)
        report = msgspec.to_builtins(await self._describe())
        if not await self._bus.call(REGISTRY_TOPIC, "report", report):
            self.agent.register_again()

    def _served(self) -> list[Served]:
        return [
            contract.ENSURE_VOLUME.served_by(self._ensure_volume),
            contract.RELEASE_VOLUME.served_by(self._release_volume),
            contract.EXTEND_VOLUME.served_by(self._extend_volume),
            contract.ENSURE_SNAPSHOT.served_by(self._ensure_snapshot),
            contract.RELEASE_SNAPSHOT.served_by(self._release_snapshot),
            contract.REVERT_VOLUME.served_by(self._revert_volume),
            contract.UPLOAD_VOLUME.served_by(self._upload_volume),
            contract.STOP_UPLOAD.served_by(self._stop_upload),
            contract.CONNECTION_TO.served_by(self._connection_to),
            contract.DISCONNECT.served_by(self._disconnect),
        ]

    async def _ensure_volume(self, asked: contract.EnsureArguments) -> Observation:
        return await self._driver.ensure_volume(asked.spec, asked.epoch)

    async def _release_volume(self, asked: contract.VolumeArguments) -> None:
        await self._driver.release_volume(asked.volume_id, asked.epoch)

    async def _extend_volume(self, asked: contract.ExtendArguments) -> Observation:
        return await self._driver.extend_volume(asked.volume_id, asked.size_gib, asked.epoch)

    async def _ensure_snapshot(self, asked: contract.SnapshotArguments) -> Observation:
        return await self._driver.ensure_snapshot(asked.snapshot_id, asked.volume_id, asked.epoch)

    async def _release_snapshot(self, asked: contract.SnapshotArguments) -> Observation:
        return await self._driver.release_snapshot(asked.snapshot_id, asked.volume_id, asked.epoch)

    async def _revert_volume(self, asked: contract.RevertArguments) -> Observation:
        return await self._driver.revert_volume(asked.volume_id, asked.snapshot_id, asked.epoch)

    async def _upload_volume(self, asked: contract.UploadArguments) -> Observation:
        # It reads the volume as a server does: under an attachment of its own, the image's id.
        connection = await self._driver.connection_to(asked.volume_id, asked.image_id)
        return await self._uploads.ensure_upload(asked, connection)

    async def _stop_upload(self, asked: contract.StopUploadArguments) -> None:
        await self._uploads.stop_upload(asked.image_id, asked.epoch)
        await self._driver.disconnect(asked.volume_id, asked.image_id)

    async def _connection_to(self, asked: contract.ConnectionArguments) -> contract.ConnectionAnswer:
        return contract.ConnectionAnswer(await self._driver.connection_to(asked.volume_id, asked.attachment_id))

    async def _disconnect(self, asked: contract.DisconnectArguments) -> None:
        await self._driver.disconnect(asked.volume_id, asked.attachment_id)
