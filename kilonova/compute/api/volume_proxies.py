"""/os-volumes and /os-snapshots, up to version 2.35: block storage's, in compute's words.

Source: Compute API reference, "Volume extension (os-volumes, os-snapshots) (DEPRECATED)".
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.block_storage.client import Snapshot, Volume
from kilonova.compute.api.bodies import UUID, ComputeRequest, as_boolean
from kilonova.compute.api.listing import OFFSETS
from kilonova.compute.views.volumes import snapshot_view, volume_view
from kilonova.kit.errors import NotFound
from kilonova.kit.http.bounds import MAX_INT32, Name, Uuid, Word
from kilonova.kit.http.lists import Listing
from kilonova.kit.http.passing_on import passing_refusals_on

LISTING = Listing(dialect=OFFSETS)
QUERY = LISTING.query
MOST_ITEMS = 128
Description = Annotated[str, Meta(max_length=255)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]


class NewVolume(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=MAX_INT32)] | Word
    display_name: Name | None = None
    display_description: Description | None = None
    volume_type: Name | None = None
    availability_zone: Name | None = None
    snapshot_id: Uuid | None = None
    metadata: Annotated[dict[Key, Description], Meta(max_length=MOST_ITEMS)] | None = None


class NewVolumeBody(Struct, forbid_unknown_fields=True):
    volume: NewVolume


class NewSnapshot(Struct, forbid_unknown_fields=True):
    volume_id: Uuid
    display_name: Name | None = None
    display_description: Description | None = None
    force: bool | Word = False


class NewSnapshotBody(Struct, forbid_unknown_fields=True):
    snapshot: NewSnapshot


async def list_volumes(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    with passing_refusals_on():
        found = await request.service.volume.list_volumes(request.ctx.token, **_page(request))
    return {"volumes": [volume_view(each) for each in found]}


async def list_snapshots(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    with passing_refusals_on():
        found = await request.service.volume.list_snapshots(request.ctx.token, **_page(request))
    return {"snapshots": [snapshot_view(each) for each in found]}


def _page(request: ComputeRequest) -> dict[str, Any]:
    """The caller's page, as block storage is asked for it. Raises BadRequest."""
    LISTING.read(request)
    return {name: request.query[name] for name in ("limit", "offset") if name in request.query}


async def show_volume(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    with passing_refusals_on():
        return {"volume": volume_view(await _volume(request))}


async def show_snapshot(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    with passing_refusals_on():
        return {"snapshot": snapshot_view(await _snapshot(request))}


async def create_volume(request: ComputeRequest, body: NewVolumeBody) -> dict[str, Any]:
    request.authorize()
    new = body.volume
    fields = {
        "size": new.size,
        "name": new.display_name,
        "description": new.display_description,
        "volume_type": new.volume_type,
        "availability_zone": new.availability_zone,
        "snapshot_id": new.snapshot_id,
        "metadata": new.metadata,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    with passing_refusals_on():
        return {"volume": volume_view(await request.service.volume.create(given, request.ctx.token))}


async def create_snapshot(request: ComputeRequest, body: NewSnapshotBody) -> dict[str, Any]:
    request.authorize()
    new = body.snapshot
    fields = {
        "volume_id": new.volume_id,
        "name": new.display_name,
        "description": new.display_description,
        # The newest version always takes the data as they are, and knows the word alone.
        **({"force": True} if as_boolean(new.force, "force") else {}),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    with passing_refusals_on():
        return {"snapshot": snapshot_view(await request.service.volume.create_snapshot(given, request.ctx.token))}


async def delete_volume(request: ComputeRequest) -> None:
    request.authorize()
    with passing_refusals_on():
        volume = await _volume(request)
        await request.service.volume.delete(volume.id, request.ctx.token)


async def delete_snapshot(request: ComputeRequest) -> None:
    request.authorize()
    with passing_refusals_on():
        snapshot = await _snapshot(request)
        await request.service.volume.delete_snapshot(snapshot.id, request.ctx.token)


async def _volume(request: ComputeRequest) -> Volume:
    volume_id = _id(request, "Volume", "volume_id")
    return await request.service.volume.show(volume_id, token=request.ctx.token)


async def _snapshot(request: ComputeRequest) -> Snapshot:
    snapshot_id = _id(request, "Snapshot", "snapshot_id")
    return await request.service.volume.show_snapshot(snapshot_id, token=request.ctx.token)


def _id(request: ComputeRequest, kind: str, variable: str) -> str:
    """Raises NotFound for a name in the place of an id: clients try that first."""
    found = request.path[variable]
    if not UUID.fullmatch(found):
        raise NotFound(f"{kind} {found[:64]} could not be found.")
    return found
