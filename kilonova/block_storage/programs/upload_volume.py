"""Uploading a volume as an image: its back end copies it into the image's format, and sends the copy.

The image is there before the task, and waits for its data. An upload that fails takes it away again.
"""

from msgspec import structs

from kilonova.block_storage.agent.contract import STOP_UPLOAD, StopUploadArguments, UploadArguments
from kilonova.block_storage.agent.contract import UPLOAD_VOLUME as UPLOAD
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.programs.backend import (
    DEADLINE_SECONDS,
    POLL_SECONDS,
    BackendArgs,
    ask,
    find_volume,
    note_failure,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep


class UploadArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    image_id: str = ""
    """The image that waits for its data."""
    disk_format: str = "raw"
    is_protected: bool = False
    """Whether the image is to be protected; not before it has its data: what has failed has to be deleted."""


async def send_volume(run: Run[BlockStorage, UploadArgs]) -> Outcome:
    """Waits until the image service has the volume's content."""
    row, args = await find_volume(run), run.args
    if row is None or row.host is None:
        return Fail("The volume has no place.")
    question = UploadArguments(row.id, args.image_id, args.disk_format, row.size_gib, run.task.epoch)
    seen = await ask(run, row.host, UPLOAD, question)
    if not isinstance(seen, Observation):
        return seen
    if not seen.is_done:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(args, unanswered=0))
    return Next(leave_sent_volume, args=structs.replace(args, unanswered=0))


async def leave_sent_volume(run: Run[BlockStorage, UploadArgs]) -> Outcome:
    left = await _left(run)
    if left is not None:
        return left
    if run.args.is_protected:
        await run.service.image.protect(run.args.image_id)

    async def commit(tx: Tx) -> None:
        await tx.change(volume_rows, {"id": run.subject_id}, status="available", updated_at=run.clock.now())

    return Done(commit=commit)


async def discard_upload(run: Run[BlockStorage, UploadArgs]) -> Outcome:
    """Takes back what there is of an upload that has failed, the image among it."""
    left = await _left(run)
    if left is not None:
        return left
    await run.service.image.discard(run.args.image_id)
    return Done()


async def _left(run: Run[BlockStorage, UploadArgs]) -> Sleep | Fail | None:
    """Ends what reads the volume, and removes the copy; None once there is none."""
    row = await find_volume(run)
    if row is None or row.host is None:
        return None
    return await ask(run, row.host, STOP_UPLOAD, StopUploadArguments(row.id, run.args.image_id, run.task.epoch))


UPLOAD_VOLUME = Program(
    "upload_volume",
    UploadArgs,
    (send_volume, leave_sent_volume),
    note_failure,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=discard_upload,
)
