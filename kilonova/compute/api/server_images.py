"""createImage and createBackup: images made of servers. Source: Compute API reference, "Servers run an action"."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from kilonova.compute.api.bodies import ComputeRequest, Name
from kilonova.compute.api.lookup import reading_server, task_for, writing_server
from kilonova.compute.api.server_bodies import Metadata
from kilonova.compute.catalog import quotas
from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs.snapshot import BACKUP, SNAPSHOT, BackupArgs, SnapshotArgs
from kilonova.compute.servers import servers, snapshots
from kilonova.compute.service import Cell
from kilonova.image.client import is_property
from kilonova.kit.errors import BadRequest, Fault
from kilonova.kit.http.bounds import MAX_INT32
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.kit.http.routes import Reply
from kilonova.kit.tasks import Program


class NewImage(Struct, forbid_unknown_fields=True):
    name: Name
    metadata: Metadata | None = None


class NewBackup(Struct, forbid_unknown_fields=True):
    name: Name
    backup_type: Annotated[str, Meta(max_length=255)]
    rotation: (
        Annotated[int, Meta(ge=0, le=MAX_INT32)] | Annotated[str, Meta(pattern=r"^[0-9]{1,9}$(?!\n)", max_length=9)]
    )
    metadata: Metadata | None = None


async def _check_metadata(request: ComputeRequest, metadata: Mapping[str, str]) -> None:
    """Raises BadRequest for what would be more than a note; before version 2.39, QuotaExceeded for too many."""
    for name in metadata:
        if not is_property(name):
            raise BadRequest(f"{name} is no metadata of an image: its record has a field of that name.")
    if not request.allows("image_proxies_gone"):
        async with request.service.reading() as tx:
            quotas.check_metadata(await quotas.limits_of(tx, request.ctx.project_id or ""), len(metadata))


async def create_image(request: ComputeRequest, body: NewImage) -> Reply:
    metadata = body.metadata or {}
    return await _begin(request, SNAPSHOT, SnapshotArgs(), body.name, metadata)


async def create_backup(request: ComputeRequest, body: NewBackup) -> Reply:
    """With a rotation of 0 no image is made: it would be the first to be deleted."""
    args = BackupArgs(backup_type=body.backup_type, rotation=int(body.rotation))
    metadata = {**(body.metadata or {}), "backup_type": body.backup_type}
    return await _begin(request, BACKUP, args, body.name, metadata, is_made=args.rotation > 0)


async def _begin(
    request: ComputeRequest,
    program: Program[Cell, Any],
    args: SnapshotArgs,
    name: str,
    metadata: dict[str, str],
    *,
    is_made: bool = True,
) -> Reply:
    """Makes the image with the caller's own token, then starts the task that fills it; together or not at all."""
    region, operation = request.service, OPERATIONS[program.name]
    async with reading_server(request) as found:
        server = found.server
        servers.check_ready(server, found.task, operation)
    await _check_metadata(request, metadata)
    image_type = "backup" if program is BACKUP else "snapshot"
    fields = snapshots.image_fields(
        server, request.ctx, region.options, name=name, image_type=image_type, metadata=metadata
    )
    image_id = ""
    if is_made:
        with passing_refusals_on():
            image_id = (await region.image.create(fields, request.ctx.token)).id
    args = structs.replace(args, image_id=image_id, quiesce=snapshots.quiescence(server))
    try:
        async with writing_server(request) as found:
            task = task_for(request, program, server, args)
            await servers.begin(found.tx, found.server, operation, task, found.cell.clock.now())
    except Fault:
        if image_id:
            await region.image.delete(image_id, request.ctx.token)
        raise
    if not image_id:
        return Reply(status=202)
    if request.allows("image_id_in_body"):
        return Reply({"image_id": image_id}, status=202)
    return Reply(status=202, headers={"Location": f"{request.base_url}/v2.1/images/{image_id}"})
