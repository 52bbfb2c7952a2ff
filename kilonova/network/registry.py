"""The server side of the network agents: they register, ask what their host should look like, and report what is up."""

import bisect
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.kit.agents import AgentInfo
from kilonova.kit.bus import Unsubscribe
from kilonova.kit.db import Tx
from kilonova.kit.log import logger
from kilonova.network import agents, compilation, concerns, parts, ports, records
from kilonova.network.service import NetworkService
from kilonova.network.tables import Port, routers
from kilonova.network.tables import ports as ports_table
from kilonova.network.topics import REGISTRY_TOPIC
from kilonova.network.wanted import ConvergeReport

log = logger(__name__)

REPORTED_AT_ONCE = 100
CHANGES_KEPT = 10_000
"""Revisions of which it is remembered what they concerned; who has not looked for longer is told everything anew."""
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


class News:
    """What the latest revisions concerned, read from the database as far as this process has not seen it."""

    def __init__(self) -> None:
        self.revision = -1
        """As far as it was read."""
        self._first = -1
        """Known is what the revisions after this one concerned."""
        self._changed: list[tuple[int, str]] = []
        """(revision, what it concerned), in the order of revisions."""

    async def read(self, tx: Tx) -> int:
        """Returns the revision that the transaction sees."""
        revision = await records.current_revision(tx)
        if self.revision < 0 or revision - self.revision > CHANGES_KEPT:
            # Others that serve agents may have had forgotten what this one has not read.
            self.revision = self._first = revision
            self._changed.clear()
        if revision > self.revision:
            found = [each for each in await records.changed_since(tx, self.revision) if each[0] <= revision]
            # Somebody else's reading of the same may have ended while this one waited.
            self._changed += sorted(each for each in found if each[0] > self.revision)
            self.revision = max(revision, self.revision)
        return revision

    def since(self, revision: int) -> set[str] | None:
        """What has changed after `revision`; None: that is too long ago to be known."""
        if revision < self._first:
            return None
        start = bisect.bisect_right(self._changed, revision, key=_revision_of)
        return {concerned for _, concerned in self._changed[start:]}

    def is_long(self) -> bool:
        return self.revision - self._first > 2 * CHANGES_KEPT

    def forget(self) -> int:
        """Keeps the last `CHANGES_KEPT` revisions; returns the last that is forgotten."""
        self._first = self.revision - CHANGES_KEPT
        start = bisect.bisect_right(self._changed, self._first, key=_revision_of)
        del self._changed[:start]
        return self._first


def _revision_of(change: tuple[int, str]) -> int:
    return change[0]


class _Told(msgspec.Struct):
    """What a process of a host was told last."""

    revision: int
    """Of its document."""
    concerned: concerns.Concerns
    looked_until: int
    """No revision up to this one concerned it after its document's."""


class Registry:
    def __init__(self, service: NetworkService) -> None:
        self._service = service
        self._news = News()
        self._around = compilation.Surroundings(-1, {}, service.dns_domain, {})
        self._picks = agents.Picks()
        self._picked_at_revision, self._picked_at = -1, 0.0
        self._known: dict[tuple[str, tuple[str, ...]], int] = {}
        """(host, parts) that were registered → at which revision."""
        self._told: dict[tuple[str, tuple[str, ...]], _Told] = {}

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
        await service.liveness.announce(info.binary, info.host)
        log.info("network agent registered", agent=info.binary, host=info.host)

    async def wanted(self, payload: Any) -> dict[str, Any]:
        """The host's document, unless the agent has it: `{"host", "since", "parts"}` → `{"known", "wanted"}`."""
        host, since = payload["host"], payload["since"]
        played = msgspec.convert(payload, Played).parts
        service = self._service
        answer = WantedAnswer(known=True)
        async with service.database.reading() as tx:
            await self._news.read(tx)
            answer.known = await self._is_known(tx, host, played)
            picks = await self._current_picks(tx)
        is_free = picks.has_any_for(host, played)
        if answer.known and is_free:
            async with service.database.transaction() as tx:
                await agents.assign(tx, service, host, played, picks)
            self._picked_at_revision = -1
        if answer.known and (is_free or self._has_news(host, played, since)):
            async with service.database.reading() as tx:
                answer.wanted = await compilation.wanted_state(tx, host, await self._surroundings(tx))
            concerned = concerns.of_host(host, played, answer.wanted)
            self._told[host, played] = _Told(answer.wanted.revision, concerned, answer.wanted.revision)
        await self._forget_old_changes()
        built: dict[str, Any] = msgspec.to_builtins(answer)
        return built

    def _has_news(self, host: str, played: tuple[str, ...], since: int) -> bool:
        """Whether something that concerns the host has changed since the document it has. Asked after `News.read`."""
        told = self._told.get((host, played))
        if told is None or told.revision != since:
            return True
        changed = self._news.since(told.looked_until)
        if changed is None or told.concerned.is_document_concerned(changed):
            return True
        told.looked_until = self._news.revision
        return False

    async def _is_known(self, tx: Tx, host: str, played: tuple[str, ...]) -> bool:
        """Whether each of these parts has registered for the host."""
        changed = self._news.since(self._known.get((host, played), -1))
        is_told = changed is not None and concerns.host(host) not in changed
        if is_told or await agents.is_known(tx, host, played):
            self._known[host, played] = self._news.revision
            return True
        self._known.pop((host, played), None)
        return False

    async def _current_picks(self, tx: Tx) -> agents.Picks:
        """Made once for all hosts that ask, and again after a change or when somebody may have died meanwhile."""
        now = self._service.clock.monotonic()
        changed = self._news.since(self._picked_at_revision)
        is_stale = changed is None or not changed.isdisjoint((concerns.CARRIERS, concerns.AGENTS))
        if is_stale or now - self._picked_at > PICKS_SECONDS:
            self._picks = await agents.pick_carriers(tx, self._service)
            self._picked_at_revision, self._picked_at = self._news.revision, now
        return self._picks

    async def _surroundings(self, tx: Tx) -> compilation.Surroundings:
        revision = await self._news.read(tx)
        changed = self._news.since(self._around.revision)
        is_stale = changed is None or not changed.isdisjoint((concerns.AGENTS, concerns.EVERYTHING))
        if changed is None or is_stale or revision < self._around.revision:
            self._around = await compilation.surroundings(tx, revision, self._service.dns_domain)
        elif revision > self._around.revision:
            self._around = compilation.without_changed(self._around, revision, changed)
        return self._around

    async def _forget_old_changes(self) -> None:
        if self._news.is_long():
            async with self._service.database.transaction() as tx:
                await records.forget_changes(tx, self._news.forget())

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
    if device_owner == ports.DHCP_OWNER:
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
