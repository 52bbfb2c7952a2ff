"""/qos-specs, and the volume types that have them."""

import uuid
from typing import Any

from msgspec import UNSET

from kilonova.block_storage import qos, volume_types
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import DIALECT, VolumeRequest
from kilonova.block_storage.tables import QosSpecs, VolumeType
from kilonova.block_storage.views.records import qos_association_view, qos_view
from kilonova.block_storage.views.volumes import links
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut
from kilonova.kit.http.queries import short, yes_or_no

LISTING = Listing(
    dialect=DIALECT,
    filters={"name": lists.text("name"), "consumer": lists.text("consumer")},
    sorts={"id": "id", "name": "name", "created_at": "created_at"},
    order=(("created_at", "desc"), ("id", "desc")),
)
DELETE_QUERY: dict[str, str | None] = {"force": None}
TYPE_QUERY: dict[str, str | None] = {"vol_type_id": None}


async def list_specs(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    async with request.service.database.reading() as tx:
        shown = cut(await qos.list_matching(tx, page.selection), page)
    return {"qos_specs": [qos_view(each) for each in shown.rows], **shown.links("qos_specs")}


def _shown(request: VolumeRequest, row: QosSpecs) -> dict[str, Any]:
    project_id = request.ctx.project_id or ""
    return {"qos_specs": qos_view(row), "links": links(request.base_url, project_id, "qos_specs", row.id)}


async def _find(request: VolumeRequest, tx: Tx) -> QosSpecs:
    return await qos.find(tx, request.path["qos_specs_id"])


async def show_specs(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        return _shown(request, await _find(request, tx))


async def create_specs(request: VolumeRequest, body: bodies.NewQosSpecsBody) -> dict[str, Any]:
    request.authorize()
    new, service = body.qos_specs, request.service
    name = new.name.strip()
    if not name:
        raise BadRequest("QoS specs have a name.")
    row = QosSpecs(
        id=str(uuid.uuid4()), name=name, consumer=new.consumer, specs=new.extra, created_at=service.clock.now()
    )
    async with service.database.transaction() as tx:
        await qos.create(tx, row)
    return _shown(request, row)


async def update_specs(request: VolumeRequest, body: bodies.ChangedQosSpecsBody) -> dict[str, Any]:
    """The answer is what was asked for."""
    request.authorize()
    changed = body.qos_specs
    async with request.service.database.transaction() as tx:
        row = await _find(request, tx)
        consumer = row.consumer if changed.consumer is UNSET else changed.consumer
        await qos.change(tx, row, consumer, changed.extra)
    named = {} if changed.consumer is UNSET else {"consumer": changed.consumer}
    return {"qos_specs": {**named, **changed.extra}}


async def delete_keys(request: VolumeRequest, body: bodies.QosKeys) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await qos.remove_keys(tx, await _find(request, tx), dict.fromkeys(body.keys))


async def delete_specs(request: VolumeRequest) -> None:
    request.authorize()
    forced = "force" in request.query and yes_or_no("force", request.query["force"])
    async with request.service.database.transaction() as tx:
        await qos.delete(tx, await _find(request, tx), forced=forced)


async def list_associations(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await qos.types_of(tx, await _find(request, tx))
    return {"qos_associations": [qos_association_view(each) for each in found]}


async def associate(request: VolumeRequest) -> None:
    """Answers GET, as upstream has it."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        await qos.associate(tx, await _find(request, tx), await _named_type(request, tx))


async def disassociate(request: VolumeRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await qos.disassociate(tx, await _find(request, tx), await _named_type(request, tx))


async def disassociate_all(request: VolumeRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await qos.disassociate_all(tx, await _find(request, tx))


async def _named_type(request: VolumeRequest, tx: Tx) -> VolumeType:
    """Raises BadRequest where none is named, VolumeTypeNotFound."""
    type_id = request.query.get("vol_type_id")
    if not type_id:
        raise BadRequest("vol_type_id names the volume type.")
    return await volume_types.find(tx, short("vol_type_id", type_id), seen_by=None, sees_all=True)
