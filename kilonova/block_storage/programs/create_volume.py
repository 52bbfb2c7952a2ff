"""Making a volume: a pool is chosen, then the back end makes it, of nothing or of its source.

A back end that fails gives its place back, and another one is tried; a copy has no other place than that of its source.
"""

import msgspec
from msgspec import structs

from kilonova.block_storage import services, volumes
from kilonova.block_storage.agent.contract import ENSURE_VOLUME, RELEASE_VOLUME, EnsureArguments, VolumeArguments
from kilonova.block_storage.agent.spec import Blank, ImageSource, SnapshotSource, Source, VolumeSource, VolumeSpec
from kilonova.block_storage.programs.backend import (
    DEADLINE_SECONDS,
    POLL_SECONDS,
    ask,
    find_volume,
)
from kilonova.block_storage.programs.restoring import (
    RestoreArgs,
    end_restore,
    note_failed_restore,
    stop_restore,
    write_content,
)
from kilonova.block_storage.scheduling import filters, weighers
from kilonova.block_storage.scheduling.pools import Pool, Request
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Snapshot, SourceImage, Volume, VolumeType, volume_types
from kilonova.block_storage.tables import snapshots as snapshot_rows
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep


class CreateArgs(RestoreArgs, frozen=True, kw_only=True, omit_defaults=True):
    attempted: tuple[str, ...] = ()
    """Pools that have failed."""
    failure: str = ""
    """Why the last one has."""
    same_as: tuple[str, ...] = ()
    """Volumes whose pool it has to share, of the hint `same_host`."""
    different_from: tuple[str, ...] = ()
    """Volumes whose pools it must not be on, of the hint `different_host`."""


async def choose_pool(run: Run[BlockStorage, CreateArgs]) -> Outcome:
    """Places the volume in the transaction that reads what the pools hold: two volumes never take the same room."""
    service, args = run.service, run.args
    async with service.database.transaction() as tx:
        row = await volumes.find(tx, run.subject_id, None)
        if row.host is not None:
            return Next(make_volume)
        pools = await _pools(tx, service)
        request = await _request(tx, row, args)
        left, account = filters.passing(pools, request, service.options.filters)
        if not left:
            return Fail(args.failure or f"No back end can take the volume: {account}.")
        pool = weighers.best(left, service.options)
        await tx.change(volume_rows, {"id": row.id, "host": None}, host=pool.host)
    return Next(make_volume, note=pool.host)


async def _pools(tx: Tx, service: BlockStorage) -> list[Pool]:
    """Returns the pools of back ends that are alive and take volumes."""
    held = await volumes.provisioned(tx)
    found = []
    for each in await services.all_services(tx):
        if each.disabled or not service.is_up(each.host):
            continue
        for pool in services.pools(each):
            count, gigabytes = held.get(pool.host, (0, 0))
            found.append(structs.replace(pool, volumes=count, provisioned_gib=gigabytes))
    return found


async def _request(tx: Tx, row: Volume, args: CreateArgs) -> Request:
    chosen = await tx.find(VolumeType, volume_types, id=row.volume_type_id)
    same_hosts = await volumes.hosts_of(tx, args.same_as, row.project_id)
    if args.same_as and not same_hosts:
        # A hint that names none of the project's volumes leaves no pool, rather than all.
        same_hosts = {"none"}
    return Request(
        size_gib=row.size_gib,
        availability_zone=row.availability_zone,
        extra_specs=chosen.extra_specs if chosen is not None else {},
        attempted=args.attempted,
        same_hosts=frozenset(same_hosts),
        different_hosts=frozenset(await volumes.hosts_of(tx, args.different_from, row.project_id)),
    )


async def make_volume(run: Run[BlockStorage, CreateArgs]) -> Outcome:
    row = await find_volume(run)
    if row is None or row.host is None:
        return Fail("The volume has lost its place.")
    async with run.service.database.reading() as tx:
        spec = VolumeSpec(row.id, row.size_gib, await _source(tx, row), services.pool_of(row.host))
    seen = await ask(run, row.host, ENSURE_VOLUME, EnsureArguments(spec, run.task.epoch))
    if isinstance(seen, Fail):
        return _elsewhere(run, row, seen)
    if isinstance(seen, Sleep):
        return seen
    if not seen.is_done:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))
    if run.args.backup_id:
        return Next(write_content)

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        await tx.change(volume_rows, {"id": row.id}, status="available", launched_at=now, updated_at=now)

    return Done(commit=commit)


def _elsewhere(run: Run[BlockStorage, CreateArgs], row: Volume, failed: Fail) -> Outcome:
    args = structs.replace(
        run.args, attempted=(*run.args.attempted, row.host or ""), failure=failed.error, unanswered=0
    )
    is_copy = row.source_volume_id is not None or row.source_snapshot_id is not None
    if is_copy or len(args.attempted) >= run.service.options.most_attempts:
        return Fail(failed.error, args=args)
    return Next(leave_pool, args=args, note=failed.error)


async def leave_pool(run: Run[BlockStorage, CreateArgs]) -> Outcome:
    """Takes back what the back end may have made, before another one is tried."""
    left = await _released(run)
    if left is not None:
        return left

    async def commit(tx: Tx) -> None:
        await tx.change(volume_rows, {"id": run.subject_id}, host=None)

    return Next(choose_pool, commit=commit)


async def discard_volume(run: Run[BlockStorage, CreateArgs]) -> Outcome:
    """Takes back what there is of a volume that could not be made; its row stays, with the reason."""
    left = await stop_restore(run) or await _released(run)
    if left is not None:
        return left

    async def commit(tx: Tx) -> None:
        await tx.change(volume_rows, {"id": run.subject_id}, host=None)

    return Done(commit=commit)


async def _released(run: Run[BlockStorage, CreateArgs]) -> Sleep | Fail | None:
    row = await find_volume(run)
    if row is None or row.host is None:
        return None
    seen = await ask(run, row.host, RELEASE_VOLUME, VolumeArguments(row.id, run.task.epoch))
    return seen if isinstance(seen, Sleep | Fail) else None


async def _source(tx: Tx, row: Volume) -> Source:
    if row.source_image is not None:
        image = msgspec.convert(row.source_image, SourceImage)
        return ImageSource(
            image_id=image.id, disk_format=image.disk_format, size_bytes=image.size_bytes, sha512=image.sha512
        )
    if row.source_snapshot_id is not None:
        snapshot = await tx.find(Snapshot, snapshot_rows, id=row.source_snapshot_id)
        volume_id = snapshot.volume_id if snapshot is not None else ""
        return SnapshotSource(snapshot_id=row.source_snapshot_id, volume_id=volume_id)
    if row.source_volume_id is not None:
        return VolumeSource(volume_id=row.source_volume_id)
    return Blank()


CREATE_VOLUME = Program(
    "create_volume",
    CreateArgs,
    (choose_pool, make_volume, leave_pool, write_content, end_restore),
    note_failed_restore,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=discard_volume,
)
