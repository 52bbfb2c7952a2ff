"""/types, their extra specs and the projects of private ones, and /default-types."""

import uuid
from typing import Any

from msgspec import UNSET

from kilonova.block_storage import volume_types
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import DIALECT, VolumeRequest, read_mapping
from kilonova.block_storage.errors import KeyNotFound
from kilonova.block_storage.tables import VolumeType
from kilonova.block_storage.views.records import access_view, default_type_view, type_view
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import NOTHING
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut
from kilonova.kit.http.queries import yes_or_no

ACCESS = "volume_extension:volume_type_access"
VISIBLE_SPECS = ("RESKEY:availability_zones", "multiattach", "replication_enabled")
"""The extra specs that users see: they say what a volume can do, not where it is."""
LISTING = Listing(
    dialect=DIALECT,
    filters={"name": lists.text("name"), "description": lists.text("description")},
    others={"is_public": None, "extra_specs": "spec_filter"},
    sorts={
        "id": "id",
        "name": "name",
        "is_public": "is_public",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    order=(("created_at", "desc"), ("id", "desc")),
)


def _sees_all(request: VolumeRequest) -> bool:
    return request.ctx.is_admin


def _shown(request: VolumeRequest, row: VolumeType) -> dict[str, Any]:
    specs: dict[str, str] | None = None
    if request.may(rule="volume_extension:access_types_extra_specs"):
        hidden = not _sees_all(request)
        specs = {key: value for key, value in row.extra_specs.items() if not hidden or key in VISIBLE_SPECS}
    return type_view(
        row,
        sees_access=request.may(rule=ACCESS),
        sees_qos=request.may(rule="volume_extension:access_types_qos_specs_id"),
        specs=specs,
    )


async def _find(request: VolumeRequest, tx: Tx) -> VolumeType:
    return await volume_types.find(
        tx, request.path["type_id"], seen_by=request.ctx.project_id, sees_all=_sees_all(request)
    )


async def list_types(request: VolumeRequest) -> dict[str, Any]:
    """Administrators see private types too where they ask for them: `is_public=None`."""
    request.authorize()
    page = LISTING.read(request)
    wanted = request.query.get("is_public", "true" if _sees_all(request) else "none")
    is_public: bool | None = None
    if wanted.lower() != "none" and _sees_all(request):
        is_public = yes_or_no("is_public", wanted)
    seen_by = None if _sees_all(request) else request.ctx.project_id or ""
    async with request.service.database.reading() as tx:
        selection = page.selection
        if "extra_specs" in request.query and request.allows("spec_filter"):
            specs = read_mapping("extra_specs", request.query["extra_specs"])
            # What a user does not see he cannot look for either.
            hidden = not _sees_all(request) and not specs.keys() <= set(VISIBLE_SPECS)
            selection = selection.narrowed(NOTHING if hidden else await volume_types.has_specs(tx, specs))
        shown = cut(await volume_types.list_matching(tx, selection, seen_by, is_public), page)
    return {"volume_types": [_shown(request, each) for each in shown.rows], **shown.links("volume_type")}


async def show_type(request: VolumeRequest) -> dict[str, Any]:
    """The id `default` stands for the type of volumes for which none is named."""
    request.authorize()
    async with request.service.database.reading() as tx:
        if request.path["type_id"] == "default":
            row = await volume_types.default_for(tx, request.service.options, request.ctx.project_id)
        else:
            row = await _find(request, tx)
    return {"volume_type": _shown(request, row)}


async def create_type(request: VolumeRequest, body: bodies.NewTypeBody) -> dict[str, Any]:
    request.authorize()
    new, now = body.volume_type, request.service.clock.now()
    name = new.name.strip()
    if not name:
        raise BadRequest("A volume type has a name.")
    public = next((each for each in (new.access_is_public, new.is_public) if isinstance(each, bool | str)), True)
    is_public = bodies.flag_of("os-volume-type-access:is_public", public)
    specs = new.extra_specs or {}
    row = VolumeType(str(uuid.uuid4()), name, new.description, is_public, specs, now, now)
    async with request.service.database.transaction() as tx:
        await volume_types.create(tx, row)
    return {"volume_type": _without(_shown(request, row), "qos_specs_id")}


def _without(shown: dict[str, Any], *names: str) -> dict[str, Any]:
    """A type that is made or changed is answered without what that was not about."""
    return {name: value for name, value in shown.items() if name not in names}


async def update_type(request: VolumeRequest, body: bodies.ChangedTypeBody) -> dict[str, Any]:
    request.authorize()
    changed, now = body.volume_type, request.service.clock.now()
    async with request.service.database.transaction() as tx:
        row = await _find(request, tx)
        name = changed.name.strip() if isinstance(changed.name, str) else row.name
        if not name:
            raise BadRequest("A volume type has a name.")
        if row.name == request.service.options.default_type and name != row.name:
            raise BadRequest(f"{row.name} is the default type of this cloud: it keeps its name.")
        wanted = changed.publicity
        is_public = row.is_public if wanted is None else wanted
        description = row.description if changed.description is UNSET else changed.description
        await volume_types.change(tx, row, name=name, description=description, is_public=is_public, now=now)
        row = await _find(request, tx)
    return {"volume_type": _without(_shown(request, row), "qos_specs_id", "os-volume-type-access:is_public")}


async def delete_type(request: VolumeRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await volume_types.delete(tx, request.service.options, await _find(request, tx))


# --- extra specs -----------------------------------------------------------------------------------------------------


async def list_specs(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        return {"extra_specs": (await _find(request, tx)).extra_specs}


async def add_specs(request: VolumeRequest, body: bodies.SpecsBody) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await volume_types.set_specs(tx, await _find(request, tx), body.extra_specs, request.service.clock.now())
    return {"extra_specs": body.extra_specs}


async def show_spec(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    key = request.path["key"]
    async with request.service.database.reading() as tx:
        row = await _find(request, tx)
    if key not in row.extra_specs:
        raise KeyNotFound(f"Volume type {row.id} has no extra spec {key}.")
    return {key: row.extra_specs[key]}


async def set_spec(request: VolumeRequest, body: bodies.OneSpec) -> dict[str, Any]:
    request.authorize()
    if request.path["key"] not in body:
        raise BadRequest("The key in the body is not the one in the path.")
    async with request.service.database.transaction() as tx:
        await volume_types.set_specs(tx, await _find(request, tx), body, request.service.clock.now())
    return body


async def delete_spec(request: VolumeRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        row = await _find(request, tx)
        await volume_types.remove_spec(tx, row, request.path["key"], request.service.clock.now())


# --- access ----------------------------------------------------------------------------------------------------------


async def list_access(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await volume_types.access_of(tx, await _find(request, tx))
    return {"volume_type_access": [access_view(each) for each in found]}


async def look_up_type(request: VolumeRequest) -> None:
    """Raises VolumeTypeNotFound or Forbidden for a type that the caller cannot act on."""
    await list_access(request)


async def add_access(request: VolumeRequest, body: bodies.Access) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await volume_types.add_access(tx, await _find(request, tx), body.project)


async def remove_access(request: VolumeRequest, body: bodies.Access) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await volume_types.remove_access(tx, await _find(request, tx), body.project)


# --- default types ---------------------------------------------------------------------------------------------------


async def list_defaults(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        return {"default_types": [default_type_view(each) for each in await volume_types.all_defaults(tx)]}


async def show_default(request: VolumeRequest) -> dict[str, Any]:
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    async with request.service.database.reading() as tx:
        found = await volume_types.default_of_project(tx, project_id)
    if found is None:
        raise NotFound(f"Project {project_id} has no default volume type of its own.")
    return {"default_type": default_type_view(found)}


async def set_default(request: VolumeRequest, body: bodies.DefaultTypeBody) -> dict[str, Any]:
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    async with request.service.database.transaction() as tx:
        row = await volume_types.find_named(tx, body.default_type.volume_type, seen_by=project_id)
        return {"default_type": default_type_view(await volume_types.set_default(tx, project_id, row))}


async def unset_default(request: VolumeRequest) -> None:
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    async with request.service.database.transaction() as tx:
        if not await volume_types.unset_default(tx, project_id):
            raise NotFound(f"Project {project_id} has no default volume type of its own.")
