"""Making an image of a server: its host copies the root disk and uploads the copy, while the guest goes on.

The image is there before the task, and waits for its data. An operation that fails takes it away again, and leaves the
server as it was: the record of the action says why. A backup also deletes those before it that are too many.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import structs

from kilonova.compute.agent.contract import ENSURE_SNAPSHOT, SnapshotArguments
from kilonova.compute.agent.spec import Quiescence, SnapshotObservation, SnapshotSpec, SnapshotStage
from kilonova.compute.programs.convergence import UNREACHABLE_TRIES, HostArgs
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

log = logger(__name__)

POLL_SECONDS = 0.5
DEADLINE_SECONDS = 6 * 3600.0
"""For the largest disk over the slowest network."""
MOST_BACKUPS_READ = 1000


class SnapshotArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    image_id: str = ""
    """The id of the image that waits for its data; empty for a backup of which none is to stay."""
    quiesce: Quiescence = "no"
    disk_format: str = ""
    """The disk format of the copy that the host has made."""


class BackupArgs(SnapshotArgs, frozen=True, kw_only=True, omit_defaults=True):
    backup_type: str = ""
    rotation: int = 0
    """The number of backups of this type that stay."""


ArgsT = TypeVar("ArgsT", bound=SnapshotArgs)


async def capture(run: Run[Cell, SnapshotArgs]) -> Outcome:
    """Waits until the host has a whole copy of the disk, of the moment in which it was first asked."""
    return await copied(run, prepare)


async def prepare(run: Run[Cell, SnapshotArgs]) -> Outcome:
    return await described(run) or Next(upload)


async def upload(run: Run[Cell, SnapshotArgs]) -> Outcome:
    return await uploaded(run) or Done()


async def copied(run: Run[Cell, ArgsT], following: Callable[..., Awaitable[Outcome]]) -> Outcome:
    seen = await _ask_host(run, "copied")
    if not isinstance(seen, SnapshotObservation):
        return seen
    if seen.progress:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))
    return Next(following, args=structs.replace(run.args, disk_format=seen.disk_format, unanswered=0))


async def described(run: Run[Cell, ArgsT]) -> Fail | None:
    """Tells the image service of which format the data will be. None: it knows."""
    try:
        await run.service.region.image.set_formats(run.args.image_id, run.args.disk_format, "bare")
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The image cannot take the disk's data: {fault.message}")
    return None


async def uploaded(run: Run[Cell, ArgsT]) -> Sleep | Fail | None:
    """None once the image service has the data, and the host nothing but the disk."""
    seen = await _ask_host(run, "uploaded")
    if not isinstance(seen, SnapshotObservation):
        return seen
    if seen.progress:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))
    seen = await _ask_host(run, "absent")
    return None if isinstance(seen, SnapshotObservation) else seen


async def _ask_host(run: Run[Cell, ArgsT], stage: SnapshotStage) -> SnapshotObservation | Sleep | Fail:
    cell, args = run.service, run.args
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    wanted = SnapshotSpec(server.id, args.image_id, stage, args.quiesce)
    try:
        return await cell.agents.call(server.host or "", ENSURE_SNAPSHOT, SnapshotArguments(wanted, run.task.epoch))
    except AgentUnreachable as error:
        if args.unanswered < UNREACHABLE_TRIES:
            return Sleep(2**args.unanswered, str(error), args=structs.replace(args, unanswered=args.unanswered + 1))
        if cell.liveness.is_awaited(AGENT_BINARY, server.host or ""):
            return Sleep(2, str(error))
        return Fail(str(error))
    except RemoteError as error:
        return Sleep(1, error.message) if error.kind == "StaleEpoch" else Fail(error.message)


async def discard(run: Run[Cell, SnapshotArgs]) -> Outcome:
    """Takes away the image, and what the host has of the copy."""
    await taken_back(run)
    return Done()


async def taken_back(run: Run[Cell, ArgsT]) -> None:
    seen = await _ask_host(run, "absent")
    if not isinstance(seen, SnapshotObservation):
        # It has nothing of a copy any more once it is next told what the server should be.
        log.warning("a host may keep a copy of a disk for a while", server=run.subject_id)
    await run.service.region.image.discard(run.args.image_id)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """The server itself has not failed."""


async def back_up(run: Run[Cell, BackupArgs]) -> Outcome:
    """Waits for the copy. With no backup to stay there is nothing to copy."""
    return await copied(run, describe) if run.args.image_id else Next(rotate)


async def describe(run: Run[Cell, BackupArgs]) -> Outcome:
    return await described(run) or Next(send)


async def send(run: Run[Cell, BackupArgs]) -> Outcome:
    return await uploaded(run) or Next(rotate)


async def rotate(run: Run[Cell, BackupArgs]) -> Outcome:
    """Deletes the oldest backups of this type that are too many."""
    args, images = run.args, run.service.region.image
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    wanted = {"image_type": "backup", "backup_type": args.backup_type, "instance_uuid": server.id}
    # A page of them: more than that there are only if the rotation was made smaller, and the next one deletes them.
    found = await images.list_images(
        **wanted, owner=server.project_id, sort="created_at:desc,id:desc", limit=MOST_BACKUPS_READ
    )
    surplus = found[args.rotation :]
    for image in surplus:
        try:
            await images.delete(image.id)
        except RemoteUnavailable:
            raise
        except RemoteFault as fault:
            # Protected, or deleted meanwhile.
            log.warning("a backup stays that is one too many", image=image.id, reason=fault.message)
    return Done(note=f"{len(found) - len(surplus)} backups stay")


async def withdraw(run: Run[Cell, BackupArgs]) -> Outcome:
    """Takes away what there is of the new backup. Those before it stay."""
    if run.args.image_id:
        await taken_back(run)
    return Done()


SNAPSHOT = Program(
    "snapshot",
    SnapshotArgs,
    (capture, prepare, upload),
    on_failed,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=discard,
)
BACKUP = Program(
    "backup",
    BackupArgs,
    (back_up, describe, send, rotate),
    on_failed,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=withdraw,
)
SNAPSHOTS = (SNAPSHOT, BACKUP)
