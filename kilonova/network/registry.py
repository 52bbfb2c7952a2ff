"""The server side of the network agents: they register, ask what their host should look like, and report what is up."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.kit.agents import AgentInfo
from kilonova.kit.bus import Unsubscribe
from kilonova.kit.db import Tx
from kilonova.kit.log import logger
from kilonova.network import agents, compilation, parts, ports, records
from kilonova.network.service import NetworkService
from kilonova.network.tables import Port, routers
from kilonova.network.tables import ports as ports_table
from kilonova.network.topics import REGISTRY_TOPIC
from kilonova.network.wanted import ConvergeReport

log = logger(__name__)

REPORTED_AT_ONCE = 100
PICKS_SECONDS = 5.0


class Played(msgspec.Struct, frozen=True):
    """The parts that a process plays (`parts.ALL` unless it says so)."""

    parts: tuple[str, ...] = parts.ALL


class Registration(msgspec.Struct):
    info: AgentInfo
    details: Played | None = None


class WantedAnswer(msgspec.Struct):
    """`wanted` is None when nothing has changed since the revision the agent has."""

    known: bool
    wanted: Any = None


class Registry:
    def __init__(self, service: NetworkService) -> None:
        self._service = service
        self._around = compilation.Surroundings(-1, {}, service.dns_domain, {})
        self._picks = agents.Picks()
        self._picked_at_revision, self._picked_at = -1, 0.0

    def serve(self) -> Unsubscribe:
        """Answers agents from now on; returns what ends that."""
        methods = {"register": self.register, "wanted": self.wanted, "report": self.report}
        return self._service.bus.serve(REGISTRY_TOPIC, methods)

    async def register(self, payload: Any) -> None:
        registration = msgspec.convert(payload, Registration)
        info, played = registration.info, registration.details or Played()
        service = self._service
        async with service.database.transaction() as tx:
            await agents.register(tx, info, played.parts, service.clock.now())
        service.liveness.heard(info.binary, info.host)
        log.info("network agent registered", agent=info.binary, host=info.host)

    async def wanted(self, payload: Any) -> dict[str, Any]:
        """The host's document, unless the agent has it: `{"host", "since", "parts"}` → `{"known", "wanted"}`."""
        host, since = payload["host"], payload["since"]
        played = msgspec.convert(payload, Played).parts
        service = self._service
        answer = WantedAnswer(known=True)
        async with service.database.reading() as tx:
            answer.known = await agents.is_known(tx, host, played)
            revision = await records.current_revision(tx)
            picks = await self._current_picks(tx, revision)
            is_free = await agents.has_unassigned(tx, host, played, picks)
            has_news = is_free or since != revision
        if answer.known and has_news:
            if is_free:
                async with service.database.transaction() as tx:
                    await agents.assign(tx, service, host, played, picks)
            async with service.database.reading() as tx:
                answer.wanted = await compilation.wanted_state(tx, host, await self._surroundings(tx))
        built: dict[str, Any] = msgspec.to_builtins(answer)
        return built

    async def _current_picks(self, tx: Tx, revision: int) -> agents.Picks:
        """Made once for all hosts that ask, and again after a change or when somebody may have died meanwhile."""
        now = self._service.clock.monotonic()
        if revision != self._picked_at_revision or now - self._picked_at > PICKS_SECONDS:
            self._picks = await agents.pick_carriers(tx, self._service)
            self._picked_at_revision, self._picked_at = revision, now
        return self._picks

    async def _surroundings(self, tx: Tx) -> compilation.Surroundings:
        revision = await records.current_revision(tx)
        if revision != self._around.revision:
            self._around = await compilation.surroundings(tx, revision, self._service.dns_domain)
        return self._around

    async def report(self, payload: Any) -> None:
        """What one pass over the host found: ports become ACTIVE or DOWN. Nothing is written when nothing changed."""
        host = payload["host"]
        report = msgspec.convert(payload["report"], ConvergeReport)
        played = msgspec.convert(payload, Played).parts
        service = self._service
        skew = datetime.fromisoformat(payload["sent_at"]) - service.clock.now()
        service.clock_skews[host] = skew.total_seconds()
        async with service.database.reading() as tx:
            judge = _Judge(report, await _stopped_routers(tx, host))
            states = [each for each in await _states(tx, host) if part_of(each.device_owner) in played]
            changed = [each.id for each in states if judge.status(each) != each.status]
        # In pieces, because whoever else waits for the database waits for each of them.
        for start in range(0, len(changed), REPORTED_AT_ONCE):
            async with service.database.transaction() as tx:
                found = await ports.find_all(tx, changed[start : start + REPORTED_AT_ONCE])
                for status in ("ACTIVE", "DOWN"):
                    news = [each for each in found if each.status != status and judge.status(each) == status]
                    await ports.set_status(tx, service, news, status)
        if changed:
            await service.wake_events()


class _State(msgspec.Struct):
    """What of a port decides its status, and the status it has."""

    id: str
    network_id: str
    device_id: str
    device_owner: str
    admin_state_up: bool
    status: str


async def _states(tx: Tx, host: str) -> list[_State]:
    columns = [ports_table.c[name] for name in _State.__struct_fields__]
    return await tx.all(_State, select(*columns).where(ports_table.c.host == host))


async def _stopped_routers(tx: Tx, host: str) -> set[str]:
    statement = select(routers.c.id).where(routers.c.host == host, routers.c.admin_state_up.is_(False))
    return {router_id for (router_id,) in await tx.tuples(statement)}


def part_of(device_owner: str) -> str:
    """The part that makes a port of this owner."""
    if device_owner == "network:dhcp":
        return parts.DHCP
    return parts.L3 if device_owner in ports.ROUTER_OWNERS else parts.BRIDGE


class _Judge:
    """What a report says of each port. A stopped router asks nothing of the host: its ports have all they want."""

    def __init__(self, report: ConvergeReport, stopped_routers: set[str]) -> None:
        self._ports_up = set(report.ports_up)
        self._dhcp_up = set(report.dhcp_up)
        self._routers_up = stopped_routers.union(report.routers_up)

    def status(self, port: _State | Port) -> str:
        match part_of(port.device_owner):
            case parts.DHCP:
                is_up = port.network_id in self._dhcp_up
            case parts.L3:
                is_up = port.device_id in self._routers_up
            case _:
                is_up = port.id in self._ports_up
        return "ACTIVE" if is_up and port.admin_state_up else "DOWN"
