"""Asking the back end that a volume is on, and what is done when an operation has failed."""

from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct, structs

from kilonova.block_storage import messages, services
from kilonova.block_storage.operations import NO_BACKEND, OPERATIONS
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Snapshot, Volume, snapshots, volumes
from kilonova.block_storage.topics import AGENT_BINARY
from kilonova.kit.agents import AgentUnreachable, Call
from kilonova.kit.bus import RemoteError
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Fail, Run, Sleep, Task

UNREACHABLE_TRIES = 5
POLL_SECONDS = 0.5
DEADLINE_SECONDS = 6 * 3600.0
"""For the largest copy on the slowest disk."""
SHORT_SECONDS = 1800.0


class BackendArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    unanswered: int = 0
    """The number of questions in a row that the agent has not answered."""


ArgsT = TypeVar("ArgsT", bound=BackendArgs)
QuestionT = TypeVar("QuestionT", bound=Struct)
AnswerT = TypeVar("AnswerT")


async def ask(
    run: Run[BlockStorage, ArgsT],
    host: str,
    call: Call[QuestionT, AnswerT],
    question: QuestionT,
    binary: str = AGENT_BINARY,
) -> AnswerT | Sleep | Fail:
    """Returns the answer of a pool's agent, or of another binary's, or what the step has to end with."""
    service, args = run.service, run.args
    backend = services.backend_of(host)
    agents = service.agents if binary == AGENT_BINARY else service.backup_agents
    try:
        return await agents.call(backend, call, question)
    except AgentUnreachable as error:
        if args.unanswered < UNREACHABLE_TRIES:
            later = structs.replace(args, unanswered=args.unanswered + 1)
            return Sleep(2**args.unanswered, str(error), args=later)
        if service.liveness.is_awaited(binary, backend):
            return Sleep(2, str(error))
        return Fail(str(error))
    except RemoteError as error:
        return Sleep(1, error.message) if error.kind == "StaleEpoch" else Fail(error.message)


async def find_volume(run: Run[BlockStorage, ArgsT]) -> Volume | None:
    """Returns the volume that the task is about."""
    async with run.service.database.reading() as tx:
        return await tx.find(Volume, volumes, id=run.subject_id)


async def note_failure(tx: Tx, task: Task, error: str) -> None:
    """Gives what failed its status, and its project a message with the reason."""
    operation = OPERATIONS[task.program]
    now = task.finished_at or datetime.now(UTC)
    row: Volume | Snapshot | None
    if operation.of == "VOLUME":
        row = await tx.find(Volume, volumes, id=task.subject_id)
        await tx.change(volumes, {"id": task.subject_id}, status=operation.fails_in, growth_gib=0, updated_at=now)
    else:
        row = await tx.find(Snapshot, snapshots, id=task.subject_id)
        await tx.change(snapshots, {"id": task.subject_id}, status=operation.fails_in, updated_at=now)
    if row is None:
        return
    is_unplaced = operation.program == "create_volume" and isinstance(row, Volume) and row.host is None
    event = NO_BACKEND if is_unplaced and not task.args.get("attempted") else (operation.action_id, operation.detail_id)
    new = messages.NewMessage(
        project_id=row.project_id,
        request_id=task.request_id,
        event=event,
        resource_type=operation.of,
        resource_id=row.id,
        text=error,
    )
    await messages.write(tx, new, now)
