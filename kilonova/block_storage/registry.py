"""The server side of the back ends' agents: they register here, and report what their pools have."""

from typing import Any

import msgspec
from msgspec import Struct

from kilonova.block_storage import backup_services, services
from kilonova.block_storage.agent.agent import BackendReport
from kilonova.block_storage.agent.backups.agent import BackupReport
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.topics import BACKUP_REGISTRY_TOPIC, REGISTRY_TOPIC
from kilonova.kit.agents import AgentInfo, AgentRefused
from kilonova.kit.agents.namesakes import find_namesake
from kilonova.kit.bus import Unsubscribe
from kilonova.kit.log import logger

log = logger(__name__)


class Registration(Struct):
    info: AgentInfo
    details: BackendReport


class BackupRegistration(Struct):
    info: AgentInfo
    details: BackupReport


class Registry:
    def __init__(self, service: BlockStorage) -> None:
        self._service = service

    def serve(self) -> Unsubscribe:
        """Answers agents from now on; returns what ends that."""
        bus = self._service.bus
        ends = [
            bus.serve(REGISTRY_TOPIC, {"register": self.register, "report": self.report}),
            bus.serve(BACKUP_REGISTRY_TOPIC, {"register": self.register_backup, "report": self.report_backup}),
        ]

        def end() -> None:
            for each in ends:
                each()

        return end

    async def register(self, payload: Any) -> None:
        """Makes a back end known. Safe to repeat. Raises AgentRefused when another agent of its name is alive."""
        registration, service = msgspec.convert(payload, Registration), self._service
        info = registration.info
        await self._refuse_namesake(info)
        zone = info.availability_zone or service.options.default_zone
        pools = services.as_pools(registration.details.pools)
        async with service.database.transaction() as tx:
            await services.register(tx, info.host, zone, pools, service.clock.now())
        await service.liveness.announce(info.binary, info.host)
        log.info("volume back end registered", host=info.host, zone=zone)

    async def _refuse_namesake(self, info: AgentInfo) -> None:
        """Raises AgentRefused when another agent of its name is alive."""
        began = await find_namesake(self._service.bus, info)
        if began is not None:
            raise AgentRefused(
                f"another {info.binary} is alive under the name {info.host} (since {began:%Y-%m-%d %H:%M:%S}): "
                "stop that one, or give this host a name of its own ([DEFAULT] host)"
            )

    async def report(self, payload: Any) -> bool:
        """Notes what a back end has left; False: it is not known here, and has to register again."""
        report, service = msgspec.convert(payload, BackendReport), self._service
        pools = services.as_pools(report.pools)
        async with service.database.transaction() as tx:
            return await services.note_pools(tx, report.host, pools, service.clock.now())

    async def register_backup(self, payload: Any) -> None:
        """Makes a cinder-backup known. Safe to repeat. Raises AgentRefused when another one of its name is alive."""
        info, service = msgspec.convert(payload, BackupRegistration).info, self._service
        await self._refuse_namesake(info)
        zone = info.availability_zone or service.options.default_zone
        async with service.database.transaction() as tx:
            await backup_services.register(tx, info.host, zone, service.clock.now())
        await service.liveness.announce(info.binary, info.host)
        log.info("backup service registered", host=info.host, zone=zone)

    async def report_backup(self, payload: Any) -> bool:
        """Notes that a cinder-backup works; False: it is not known here, and has to register again."""
        report, service = msgspec.convert(payload, BackupReport), self._service
        async with service.database.transaction() as tx:
            return await backup_services.note_alive(tx, report.host, service.clock.now())
