"""Extending a volume that no server has."""

from msgspec import structs

from kilonova.block_storage.agent.contract import EXTEND_VOLUME as EXTEND
from kilonova.block_storage.agent.contract import ExtendArguments
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.programs.backend import (
    POLL_SECONDS,
    SHORT_SECONDS,
    BackendArgs,
    ask,
    find_volume,
    note_failure,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Outcome, Program, Run, Sleep


class ExtendArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    size_gib: int = 0
    """The new size."""


async def grow_volume(run: Run[BlockStorage, ExtendArgs]) -> Outcome:
    row = await find_volume(run)
    if row is None or row.host is None:
        return Fail("The volume has no place.")
    size_gib = run.args.size_gib
    seen = await ask(run, row.host, EXTEND, ExtendArguments(row.id, size_gib, run.task.epoch))
    if not isinstance(seen, Observation):
        return seen
    if not seen.is_done:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        await tx.change(
            volume_rows, {"id": row.id}, status="available", size_gib=size_gib, growth_gib=0, updated_at=now
        )

    return Done(commit=commit)


EXTEND_VOLUME = Program("extend_volume", ExtendArgs, (grow_volume,), note_failure, deadline_seconds=SHORT_SECONDS)
