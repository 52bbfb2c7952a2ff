"""Publishes what commits have to tell, one notice after the other, in the order of the commits of this process.

The rule: nobody waits for it and nothing fails by it. What is told of a server is read when its turn comes, so it may
be a little newer than the event. A broker that is away is waited for; meanwhile notices are kept, MOST_KEPT at most.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.compute.catalog import server_groups
from kilonova.compute.notifications.decisions import Group, request_payload
from kilonova.compute.notifications.notices import NOTICES, SERVERS_ACTED_ON, SERVERS_CHANGED, UPDATES, Notice
from kilonova.compute.notifications.servers import (
    CHOICES,
    CHOSEN,
    EVENTS,
    PHASES,
    RESIZE_PREPARED,
    TOLD_STEPS,
    WAYS_BACK,
    Seen,
    action_payload,
    exception_payload,
    plain_payload,
    resize_payload,
    update_payload,
)
from kilonova.compute.region import cells
from kilonova.compute.servers import migrations, servers
from kilonova.compute.service import Region
from kilonova.compute.tables import Migration, Server, ServerGroup, tasks
from kilonova.compute.tables import server_groups as group_table
from kilonova.compute.tables import servers as server_table
from kilonova.kit.bus.notices import NotTaken, Publisher, seal
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.log import logger
from kilonova.kit.tasks import TASKS_BEGUN, TASKS_GONE_ON, TASKS_OVER, Task

log = logger(__name__)

MOST_KEPT = 10_000
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
MOMENT = "%Y-%m-%d %H:%M:%S.%f"
ON_TASKS = "vm_and_task_state"
ON_STATES = ("vm_state", ON_TASKS)


class TaskNews(Struct, frozen=True):
    task_id: str
    server_id: str
    is_over: bool


class StepNews(Struct, frozen=True):
    task_id: str
    server_id: str
    left: str
    entered: str
    is_way_back: bool


class ActNews(Struct, frozen=True):
    server_id: str
    event: str


class ServerNews(Struct, frozen=True):
    server_id: str
    columns: tuple[str, ...]
    state_before: str | None


News = Notice | TaskNews | StepNews | ActNews | ServerNews


class Message(Struct, frozen=True):
    """A notice on its way to a topic."""

    event_type: str
    publisher: str
    payload: Any
    by: Mapping[str, str] = {}

    @property
    def priority(self) -> str:
        return "ERROR" if self.event_type.endswith((".error", ".exception")) else "INFO"


class Notifier:
    def __init__(
        self,
        publisher: Publisher,
        *,
        host: str,
        topics: Sequence[str] = ("versioned_notifications",),
        on_states: str = "",
        clock: Clock | None = None,
    ) -> None:
        """`on_states`: of which changes of a server's state an `instance.update` tells (ON_STATES)."""
        self.region: Region | None = None
        """Set before anything is told."""
        self._publisher = publisher
        self._host = host
        self._topics = topics
        self._on_states = on_states
        self._clock = clock or SystemClock()
        self._waiting: deque[News] = deque()
        self._woken = asyncio.Event()
        self._lost = 0

    def follow(self, database: Database) -> None:
        """Hears what the commits of a database have to tell."""
        database.on(NOTICES, self._hear_notices)
        database.on(TASKS_BEGUN, self._hear_beginnings)
        database.on(SERVERS_CHANGED, self._hear_changes)
        database.on(SERVERS_ACTED_ON, self._hear_acts)
        database.on(TASKS_GONE_ON, self._hear_steps)
        database.on(TASKS_OVER, self._hear_ends)

    async def _hear_notices(self, said: Collection[Notice]) -> None:
        in_order: list[Notice] = sorted(said, key=lambda each: each.number)
        self._keep(in_order)

    async def _hear_beginnings(self, begun: Collection[tuple[str, str]]) -> None:
        self._keep([TaskNews(*each, is_over=False) for each in begun])

    async def _hear_ends(self, over: Collection[tuple[str, str]]) -> None:
        self._keep([TaskNews(*each, is_over=True) for each in over])

    async def _hear_steps(self, gone_on: Collection[tuple[str, str, str, str, bool]]) -> None:
        news = [StepNews(*each) for each in gone_on]
        self._keep([each for each in news if each.is_way_back or (each.left, each.entered) in TOLD_STEPS])

    async def _hear_acts(self, acts: Collection[tuple[str, str]]) -> None:
        self._keep([ActNews(*each) for each in acts])

    async def _hear_changes(self, changed: Collection[tuple[str, tuple[str, ...], str | None]]) -> None:
        self._keep([ServerNews(*each) for each in changed])

    def _keep(self, news: Sequence[News]) -> None:
        room = max(MOST_KEPT - len(self._waiting), 0)
        self._waiting.extend(news[:room])
        if len(news) > room:
            if not self._lost:
                log.warning("notices are lost: no broker takes those before them", kept=MOST_KEPT)
            self._lost += len(news) - room
        self._woken.set()

    # --- sending ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Publishes until cancelled. What has not been published then is lost."""
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self.drain()
        finally:
            await self._publisher.close()

    async def drain(self) -> None:
        """Publishes everything that waits."""
        while self._waiting:
            try:
                messages = await self._messages_of(self._waiting[0])
            except Exception:
                # One that cannot be made must not keep the others from being sent.
                log.exception("a notice could not be made")
                messages = []
            for each in messages:
                await self._send(each)
            self._waiting.popleft()

    async def _send(self, message: Message) -> None:
        """Comes back once a broker has taken it."""
        body, pause = seal(self._sealed(message)), FIRST_PAUSE_SECONDS
        for topic in self._topics:
            while True:
                try:
                    await self._publisher.publish(f"{topic}.{message.priority.lower()}", body)
                    break
                except NotTaken as error:
                    if pause == FIRST_PAUSE_SECONDS:
                        log.warning("no broker takes a notice", reason=str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if self._lost and len(self._waiting) < MOST_KEPT:
            log.warning("notices were lost while no broker took them", count=self._lost)
            self._lost = 0

    def _sealed(self, message: Message) -> dict[str, Any]:
        publisher = message.publisher if ":" in message.publisher else f"{message.publisher}:{self._host}"
        return {
            "message_id": str(uuid.uuid4()),
            "publisher_id": publisher,
            "event_type": message.event_type,
            "priority": message.priority,
            "payload": message.payload,
            "timestamp": self._clock.now().strftime(MOMENT),
            "_unique_id": uuid.uuid4().hex,
            **{f"_context_{name}": value for name, value in message.by.items()},
        }

    # --- what is told -------------------------------------------------------------------------------------------------

    async def _messages_of(self, news: News) -> list[Message]:
        if isinstance(news, Notice):
            return [Message(news.event_type, news.publisher, msgspec.Raw(news.payload))]
        seen, tasks_of_it = await self._look(news.server_id)
        if seen is None:
            return []
        publisher = f"nova-compute:{seen.server.host or self._host}"
        if isinstance(news, ServerNews):
            return self._of_change(news, seen, tasks_of_it, publisher)
        if isinstance(news, ActNews):
            # Who acted on it is not who asked for what is under way.
            payload = plain_payload(seen, {})
            return [Message(f"instance.{news.event}.{each}", publisher, payload) for each in ("start", "end")]
        task = next((each for each in tasks_of_it if each.id == news.task_id), None)
        if task is None:
            return []
        if isinstance(news, StepNews):
            return await self._of_step(news, seen, task, publisher)
        return await self._of_task(news, seen, task, publisher)

    async def _of_task(self, news: TaskNews, seen: Seen, task: Task, publisher: str) -> list[Message]:
        events, by = EVENTS.get(task.program), _asked_by(task)
        if events is None or (news.is_over and task.outcome not in ("done", "failed")):
            return []
        end = events.done if task.outcome == "done" else events.failed
        name = end if news.is_over else events.begun
        # A short operation may be over by the time its beginning is told.
        told = task if news.is_over else msgspec.structs.replace(task, outcome=None)
        messages = []
        if news.is_over and task.outcome == "failed" and not task.rolling_back:
            messages = await self._of_failure(task.step, seen, task, publisher)
        messages += await self._messages_named((f"instance.{name}",), seen, told, publisher)
        if self._on_states == ON_TASKS:
            messages.append(Message("instance.update", publisher, update_payload(seen, by, old_state=None), by))
        return messages

    async def _of_step(self, news: StepNews, seen: Seen, task: Task, publisher: str) -> list[Message]:
        if news.is_way_back:
            failure = await self._of_failure(news.left, seen, task, publisher)
            return failure + await self._messages_named(WAYS_BACK.get(task.program, ()), seen, task, publisher)
        names = PHASES.get(task.program, {}).get((news.left, news.entered), ())
        return await self._messages_named(names, seen, task, publisher)

    async def _of_failure(self, step: str, seen: Seen, task: Task, publisher: str) -> list[Message]:
        """Returns what is told of a step that has failed: it found no host, or something else went wrong in it."""
        move, by = await self._move_of(seen, task), _asked_by(task)
        if move is not None and move.is_cancelled:
            return []
        if (task.program, step) in CHOICES:
            return await self._messages_named(CHOSEN[:1], seen, task, publisher)
        return [Message("compute.exception", publisher, exception_payload(task, step), by)]

    async def _messages_named(self, names: Sequence[str], seen: Seen, task: Task, publisher: str) -> list[Message]:
        """Returns the messages of an operation's events with these names."""
        by, told = _asked_by(task), []
        for name in names:
            if name in CHOSEN:
                move, group = await self._move_of(seen, task), await self._group_of(seen)
                payload = request_payload(seen.server, task, move, group)
                told.append(Message(name, "nova-scheduler", payload, by))
            elif name in RESIZE_PREPARED:
                payload = resize_payload(seen, await self._move_of(seen, task), by)
                told.append(Message(name, publisher, payload, by))
            else:
                told.append(Message(name, publisher, action_payload(seen, task, by), by))
        return told

    def _of_change(self, news: ServerNews, seen: Seen, of_it: Sequence[Task], publisher: str) -> list[Message]:
        by = _asked_by(seen.active or (of_it[0] if of_it else None)) if "vm_state" in news.columns else {}
        messages = []
        if "locked" in news.columns:
            name = "instance.lock" if seen.server.locked else "instance.unlock"
            messages.append(Message(name, publisher, plain_payload(seen, by), by))
        has_new_state = "vm_state" in news.columns and news.state_before != seen.vm_state
        if UPDATES & set(news.columns) or (has_new_state and self._on_states in ON_STATES):
            payload = update_payload(seen, by, old_state=news.state_before)
            messages.append(Message("instance.update", publisher, payload, by))
        return messages

    async def _move_of(self, seen: Seen, task: Task) -> Migration | None:
        migration_id = task.args.get("migration")
        if self.region is None or not migration_id:
            return None
        async with cells.reading(self.region, seen.server.id) as (_cell, tx):
            return await migrations.find_any(tx, migration_id)

    async def _group_of(self, seen: Seen) -> Group | None:
        group_id = seen.server.group_id
        if self.region is None or group_id is None:
            return None
        async with self.region.reading() as tx:
            row = await tx.find(ServerGroup, group_table, id=group_id)
            members = await server_groups.members_of(tx, [group_id])
        return None if row is None else Group(row, members[group_id])

    async def _look(self, server_id: str) -> tuple[Seen | None, list[Task]]:
        """The server, also a deleted one, and its tasks with the newest first."""
        if self.region is None:
            return None, []
        async with cells.reading(self.region, server_id) as (_cell, tx):
            of_it = await tasks.of_subject(tx, server_id)
            active = next((each for each in of_it if each.finished_at is None), None)
            server = await tx.find(Server, server_table, id=server_id)
            if server is not None:
                return Seen(server, active, None), of_it
            deleted = await servers.find_deleted(tx, server_id)
        if deleted is None:
            return None, of_it
        return Seen(msgspec.convert(deleted.record, Server), None, deleted.deleted_at), of_it


def _asked_by(task: Task | None) -> dict[str, str]:
    if task is None:
        return {}
    return {"request_id": task.request_id, "project_id": task.project_id, "user_id": task.user_id}
