"""The server side of the network agents: they register, ask what has changed for their host, and report what is up."""

import itertools
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from kilonova.kit.agents import AgentInfo
from kilonova.kit.bus import Unsubscribe
from kilonova.kit.db import Tx
from kilonova.kit.log import logger
from kilonova.network import agents, concerns, parts, records, reports
from kilonova.network.news import News
from kilonova.network.sections import telling
from kilonova.network.sections.facts import Facts
from kilonova.network.sections.interest import Interest, read_interest
from kilonova.network.sections.section import Asking
from kilonova.network.sections.telling import Pending
from kilonova.network.service import NetworkService
from kilonova.network.state import Delta
from kilonova.network.topics import HOSTS_CONCERNED, REGISTRY_TOPIC
from kilonova.network.wanted import UpReport

log = logger(__name__)

PICKS_SECONDS = 5.0
FRESH_SECONDS = 1.0
"""How long what was read of the database counts without asking it again."""


class Played(msgspec.Struct, frozen=True):
    """The parts that a process plays (`parts.ALL` unless it says so)."""

    parts: tuple[str, ...] = parts.ALL


class Registration(msgspec.Struct):
    info: AgentInfo
    details: Played | None = None


class Ask(msgspec.Struct):
    host: str
    since: int
    """The revision of what the agent has; negative: it has nothing."""
    parts: tuple[str, ...] = parts.ALL
    serial: str = ""
    """Of the last answer."""
    has: Mapping[str, Sequence[str]] | None = None
    """The owners that the agent has been told of: told where the server does not know, or not to the end."""
    pending: Sequence[Pending] = ()
    """The remainder of the last answer."""
    sent_at: datetime | None = None


class Answer(msgspec.Struct):
    known: bool
    """Whether the host's agent is registered."""
    delta: Delta | None = None
    """None: the agent is to ask again and say what it has."""
    serial: str = ""
    """Which owners the host is told of, as this process remembers."""
    pending: list[Pending] = []
    is_all: bool = True
    """Whether there is nothing more to ask for at once."""


class Report(msgspec.Struct):
    host: str
    report: UpReport
    parts: tuple[str, ...] = parts.ALL


class _Known(msgspec.Struct):
    """What this process remembers of what a host is told."""

    serial: str
    interest: Interest
    names: frozenset[str]
    """Of all that it hangs on."""


HostParts = tuple[str, tuple[str, ...]]


class Registry:
    def __init__(self, service: NetworkService, *, is_alone: bool = False) -> None:
        """`is_alone`: no other process writes to the service's database."""
        self._service = service
        self._is_alone = is_alone
        self._changes = 0
        """Changes of wanted state that this process has committed."""
        self._read_at, self._read_after = 0.0, -1
        """When the revision was read last, and after which of these changes."""
        self._news = News()
        self._facts = Facts(self._news, service.dns_domain)
        self._picks = agents.Picks()
        self._picked_at_revision, self._picked_at = -1, 0.0
        self._registered: dict[HostParts, int] = {}
        """Which were registered → at which revision."""
        self._known: dict[HostParts, _Known] = {}
        self._name = uuid.uuid4().hex
        self._numbers = itertools.count()
        service.database.on(HOSTS_CONCERNED, self._note_change)

    async def _note_change(self, _concerned: Collection[str]) -> None:
        self._changes += 1

    def serve(self) -> Unsubscribe:
        """Answers agents from now on; returns what ends that."""
        methods = {"register": self.register, "changes": self.changes, "report": self.report}
        return self._service.bus.serve(REGISTRY_TOPIC, methods)

    async def register(self, payload: Any) -> None:
        registration = msgspec.convert(payload, Registration)
        info, played = registration.info, registration.details or Played()
        service = self._service
        async with service.database.transaction() as tx:
            await agents.register(tx, service, info, played.parts)
        await service.liveness.announce(info.binary, info.host)
        log.info("network agent registered", agent=info.binary, host=info.host)

    async def changes(self, payload: Any) -> Answer:
        """What the agent of a host has to be told since it asked last. `payload` is an Ask."""
        ask, service = msgspec.convert(payload, Ask), self._service
        if ask.sent_at is not None:
            service.clock_skews[ask.host] = (ask.sent_at - service.clock.now()).total_seconds()
        answer = await self._answer(ask)
        await self._forget_old_changes()
        return answer

    async def _answer(self, ask: Ask) -> Answer:
        service = self._service
        if self._has_nothing_new(ask):
            return Answer(True, Delta(self._news.revision), ask.serial)
        # The facts that most looks are answered from are in memory: they come to no statement, and to no transaction.
        async with service.database.reading() as tx:
            revision = await self._revision(tx)
            if not await self._is_registered(tx, ask, revision):
                return Answer(known=False)
            picks = await self._current_picks(tx, revision)
            if not picks.has_any_for(ask.host, ask.parts):
                return await self._tell(tx, ask, revision)
        async with service.database.transaction() as tx:
            await agents.assign(tx, service, ask.host, ask.parts, picks)
        self._picked_at_revision = -1
        async with service.database.reading() as tx:
            return await self._tell(tx, ask, await self._revision(tx))

    async def _revision(self, tx: Tx) -> int:
        """The current revision, or one that the process knows to be."""
        if self._is_up_to_date():
            return self._news.revision
        read_at, read_after = self._service.clock.monotonic(), self._changes
        revision = await self._news.read(tx)
        # Only now: whoever asks meanwhile has not been told by this.
        self._read_at, self._read_after = read_at, read_after
        return revision

    def _is_up_to_date(self) -> bool:
        """Whether it is known without the database that no later revision has been committed."""
        is_fresh = self._service.clock.monotonic() - self._read_at <= FRESH_SECONDS
        return self._is_alone and is_fresh and self._read_after == self._changes

    def _has_nothing_new(self, ask: Ask) -> bool:
        """Whether it is known without the database that the agent has been told all there is.

        Every change of a group has hundreds of hosts look, most of them after another one has.
        """
        key = (ask.host, ask.parts)
        if not self._is_up_to_date():
            return False
        known = self._known.get(key)
        if known is None or known.serial != ask.serial or ask.pending or not self._news.knows(ask.since):
            return False
        if not self._was_registered(ask) or self._are_picks_stale() or self._picks.has_any_for(*key):
            return False
        return not self._news.has_changed(known.names, ask.since)

    async def _tell(self, tx: Tx, ask: Ask, revision: int) -> Answer:
        asking = Asking(tx, revision, ask.host, self._facts, await self._facts.agents(tx, revision))
        is_whole = self._news.has_changed_wholly(concerns.host(ask.host), ask.since)
        if ask.since < 0 or is_whole or not self._news.knows(ask.since):
            interest = await self._read_interest(asking)
            known = self._remember(ask, interest)
            told = await telling.tell_everything(asking, revision, interest)
            return Answer(True, told.delta, known.serial, told.pending, told.is_all)
        remembered = self._known.get((ask.host, ask.parts))
        if remembered is not None and remembered.serial != ask.serial:
            remembered = None
        if remembered is None and ask.has is None:
            return Answer(True)
        if remembered is not None and not ask.pending and not self._news.has_changed(remembered.names, ask.since):
            return Answer(True, Delta(revision), remembered.serial)
        interest = await self._interest(asking, ask, remembered)
        has = ask.has if ask.has is not None or remembered is None else remembered.interest.owners
        known = self._remember(ask, interest)
        revisions = (ask.since, revision)
        told = await telling.tell_changes(asking, self._news, revisions, has or {}, interest, ask.pending)
        return Answer(True, told.delta, known.serial, told.pending, told.is_all)

    async def _interest(self, asking: Asking, ask: Ask, remembered: _Known | None) -> Interest:
        if remembered is not None:
            follows = remembered.interest.follows(ask.host)
            if not self._news.has_changed(follows, ask.since):
                return remembered.interest
        return await self._read_interest(asking)

    async def _read_interest(self, asking: Asking) -> Interest:
        return await read_interest(asking.tx, asking.host, asking.agents, self._service.mechanisms.sections)

    def _remember(self, ask: Ask, interest: Interest) -> _Known:
        key = (ask.host, ask.parts)
        known = self._known.get(key)
        if known is None or known.interest != interest:
            concerned = concerns.of_host(ask.host, ask.parts, interest.owners)
            serial = f"{self._name}/{next(self._numbers)}"
            known = self._known[key] = _Known(serial, interest, concerned.names())
        return known

    async def _is_registered(self, tx: Tx, ask: Ask, revision: int) -> bool:
        """Whether each of the process's parts has registered for the host."""
        if self._was_registered(ask):
            return True
        key = (ask.host, ask.parts)
        if await agents.is_known(tx, ask.host, ask.parts):
            self._registered[key] = revision
            return True
        self._registered.pop(key, None)
        return False

    def _was_registered(self, ask: Ask) -> bool:
        """Whether they were when that was looked at last, and nothing has happened to the host's agents since."""
        seen_at = self._registered.get((ask.host, ask.parts), -1)
        is_told = seen_at >= 0 and self._news.knows(seen_at)
        return is_told and not self._news.has_changed_wholly(concerns.host(ask.host), seen_at)

    async def _current_picks(self, tx: Tx, revision: int) -> agents.Picks:
        """Made once for all hosts that ask, and again after a change or when somebody may have died meanwhile."""
        if self._are_picks_stale():
            self._picks = await agents.pick_carriers(tx, self._service)
            self._picked_at_revision, self._picked_at = revision, self._service.clock.monotonic()
        return self._picks

    def _are_picks_stale(self) -> bool:
        since = self._picked_at_revision
        if not self._news.knows(since) or self._news.has_changed((concerns.CARRIERS, concerns.AGENTS), since):
            return True
        return self._service.clock.monotonic() - self._picked_at > PICKS_SECONDS

    async def report(self, payload: Any) -> None:
        """What is up on a host, or what has come up or gone down. `payload` is a Report."""
        given = msgspec.convert(payload, Report)
        await reports.take_in(self._service, given.host, given.parts, given.report)

    async def _forget_old_changes(self) -> None:
        if self._news.is_long():
            async with self._service.database.transaction() as tx:
                await records.forget_changes(tx, self._news.forget())
