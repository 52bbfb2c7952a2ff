"""/volume-transfers, and /os-volume-transfer, which leaves a volume's snapshots with the project that offers it."""

from typing import Any

from kilonova.block_storage import transfers, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    DIALECT,
    VolumeRequest,
    caller_of,
    owner_of,
    scope_of,
    seen_project,
)
from kilonova.block_storage.views.records import transfer_detail_view, transfer_view
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut

LISTING = Listing(
    dialect=DIALECT,
    filters={"name": lists.text("name"), "volume_id": lists.text("volume_id")},
    others=dict.fromkeys(("all_tenants", "project_id", "tenant_id")),
    sorts={"id": "id", "created_at": "created_at", "name": "name", "display_name": "name", "volume_id": "volume_id"},
    order=(("created_at", "desc"), ("id", "desc")),
    since="transfer_pages",
    changes={"name": "transfer_pages", "volume_id": "transfer_pages"},
)


async def list_transfers(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=False)


async def list_transfers_in_detail(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=True)


async def _list(request: VolumeRequest, *, detailed: bool) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    async with request.service.database.reading() as tx:
        shown = cut(await transfers.list_matching(tx, page.selection, scope_of(request)), page)
    view = transfer_detail_view if detailed else transfer_view
    return {"transfers": [view(each, request.base_url) for each in shown.rows], **shown.links("transfers")}


async def show_transfer(request: VolumeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        row = await transfers.find(tx, request.path["transfer_id"], seen_project(request))
    request.authorize(owner_of(row))
    return {"transfer": transfer_detail_view(row, request.base_url)}


async def create_transfer(request: VolumeRequest, body: bodies.NewTransferBody) -> dict[str, Any]:
    return await _offer(request, body.transfer, with_snapshots=True)


async def create_transfer_without_snapshots(request: VolumeRequest, body: bodies.NewOldTransferBody) -> dict[str, Any]:
    return await _offer(request, body.transfer, with_snapshots=False)


async def _offer(
    request: VolumeRequest, new: bodies.NewTransfer | bodies.NewOldTransfer, *, with_snapshots: bool
) -> dict[str, Any]:
    now = request.service.clock.now()
    async with request.service.database.transaction() as tx:
        volume = await volumes.find(tx, new.volume_id, seen_project(request))
        request.authorize(owner_of(volume))
        if isinstance(new, bodies.NewTransfer) and isinstance(new.no_snapshots, bool | str):
            with_snapshots = not bodies.flag_of("no_snapshots", new.no_snapshots)
        name = bodies.name_of(new.name)
        row, key = await transfers.offer(tx, volume, name, now, with_snapshots=with_snapshots)
    return {"transfer": {**transfer_detail_view(row, request.base_url), "auth_key": key}}


async def accept_transfer(request: VolumeRequest, body: bodies.AcceptBody) -> dict[str, Any]:
    """The key says that the volume is for the caller: its transfer belongs to another project."""
    request.authorize()
    service, caller = request.service, caller_of(request)
    async with service.database.transaction() as tx:
        row = await transfers.find(tx, request.path["transfer_id"], None)
        await transfers.accept(tx, service.options, row, body.accept.auth_key, caller, service.clock.now())
    return {"transfer": transfer_view(row, request.base_url)}


async def delete_transfer(request: VolumeRequest) -> None:
    async with request.service.database.transaction() as tx:
        row = await transfers.find(tx, request.path["transfer_id"], seen_project(request))
        request.authorize(owner_of(row))
        await transfers.withdraw(tx, row, request.service.clock.now())
