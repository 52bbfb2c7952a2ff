"""The server side of the network agents: they register, ask what their host should look like, and report what is up."""

from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.kit.agents import AgentInfo
from kilonova.kit.db import Tx
from kilonova.kit.log import logger
from kilonova.network import agents, compilation, ports, records
from kilonova.network.service import AGENT_BINARY, REGISTRY_TOPIC, NetworkService
from kilonova.network.tables import Port
from kilonova.network.tables import ports as ports_table
from kilonova.network.wanted import ConvergeReport

log = logger(__name__)


class Registration(msgspec.Struct):
    info: AgentInfo
    details: dict[str, Any] | None = None


class WantedAnswer(msgspec.Struct):
    """`wanted` is None when nothing has changed since the revision the agent has."""

    known: bool
    wanted: Any = None


class Registry:
    def __init__(self, service: NetworkService) -> None:
        self._service = service

    def serve(self) -> None:
        self._service.bus.serve(
            REGISTRY_TOPIC, {"register": self.register, "wanted": self.wanted, "report": self.report}
        )

    async def register(self, payload: Any) -> None:
        info = msgspec.convert(payload, Registration).info
        service = self._service
        async with service.database.transaction() as tx:
            await agents.register(
                tx,
                info.host,
                info.availability_zone or "nova",
                info.configurations,
                info.started_at,
                service.clock.now(),
            )
        service.liveness.heard(AGENT_BINARY, info.host)
        log.info("network agent registered", host=info.host)

    async def wanted(self, payload: Any) -> dict[str, Any]:
        """The host's document, unless the agent has it: `{"host", "since"}` → `{"known", "wanted"}`."""
        host, since = payload["host"], payload["since"]
        service = self._service
        answer = WantedAnswer(known=True)
        async with service.database.transaction() as tx:
            if not await agents.is_known(tx, host):
                answer.known = False
            else:
                await agents.assign(tx, service, host)
                if since != await records.current_revision(tx):
                    answer.wanted = await compilation.wanted_state(tx, host, await agents.tunnel_ips(tx))
        built: dict[str, Any] = msgspec.to_builtins(answer)
        return built

    async def report(self, payload: Any) -> None:
        """What one pass over the host found: ports become ACTIVE or DOWN."""
        host = payload["host"]
        report = msgspec.convert(payload["report"], ConvergeReport)
        service = self._service
        async with service.database.transaction() as tx:
            for port in await tx.all(Port, select(ports_table).where(ports_table.c.host == host)):
                await ports.set_status(tx, service, port, await self._status(tx, port, report))
        await service.wake_events()

    async def _status(self, tx: Tx, port: Port, report: ConvergeReport) -> str:
        if port.device_owner == "network:dhcp":
            is_up = port.network_id in report.dhcp_up
        elif port.device_owner in ports.ROUTER_OWNERS:
            is_up = port.device_id in report.routers_up
        else:
            is_up = port.id in report.ports_up
        return "ACTIVE" if is_up and port.admin_state_up else "DOWN"
