"""/flavors, their extra specs and the projects private ones are for."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api.bodies import ComputeRequest, Name, as_boolean
from kilonova.compute.api.listing import DIALECT
from kilonova.compute.catalog import extra_specs, flavors
from kilonova.compute.errors import FlavorNotFound
from kilonova.compute.servers.servers import new_server_id
from kilonova.compute.tables import Flavor
from kilonova.compute.transactions import RegionTx
from kilonova.compute.views.records import flavor_link_view, flavor_view
from kilonova.kit.errors import BadRequest, Conflict, Forbidden, NotFound
from kilonova.kit.http import lists
from kilonova.kit.http.bounds import MAX_FLOAT, MAX_INT64, Float, Word
from kilonova.kit.http.lists import Cut, Listing, cut
from kilonova.kit.http.versions import since, until

LARGEST = 0x7FFFFFFF
Amount = Annotated[int, Meta(ge=0, le=LARGEST)]
PositiveAmount = Annotated[int, Meta(ge=1, le=LARGEST)]
RxtxFactor = Annotated[float, Meta(gt=0, le=MAX_FLOAT)]
Description = Annotated[str, Meta(max_length=65535)]
SpecKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$(?!\n)")]
SpecValue = Annotated[str, Meta(max_length=255)] | Annotated[int, Meta(ge=-MAX_INT64, le=MAX_INT64)] | Float
MOST_SPECS = 256
"""Extra specs of one flavor: whoever schedules a server looks at all."""
OneSpec = Annotated[dict[SpecKey, SpecValue], Meta(max_length=1)]
FlavorId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9. _-]+(?<! )$(?!\n)")]


class NewFlavor(Struct, forbid_unknown_fields=True):
    name: Name
    ram: PositiveAmount
    vcpus: PositiveAmount
    disk: Amount
    id: FlavorId | Annotated[int, Meta(ge=-MAX_INT64, le=MAX_INT64)] | Float | None = None
    swap: Amount = 0
    ephemeral: Amount = field(default=0, name="OS-FLV-EXT-DATA:ephemeral")
    is_public: bool | Word = field(default=True, name="os-flavor-access:is_public")
    rxtx_factor: Annotated[RxtxFactor | UnsetType, until("2.101")] = UNSET
    description: Annotated[Description | None | UnsetType, since("2.55")] = UNSET


class NewFlavorBody(Struct, forbid_unknown_fields=True):
    flavor: NewFlavor


class ChangedFlavor(Struct, forbid_unknown_fields=True):
    description: Description | None


class ChangedFlavorBody(Struct, forbid_unknown_fields=True):
    flavor: ChangedFlavor


class ExtraSpecsBody(Struct, forbid_unknown_fields=True):
    extra_specs: Annotated[dict[SpecKey, SpecValue], Meta(max_length=MOST_SPECS)]


class Access(Struct, forbid_unknown_fields=True):
    tenant: Annotated[str, Meta(min_length=1, max_length=255)]


SORTABLE = {
    "flavorid": "id",
    "id": "id",
    "name": "name",
    "memory_mb": "memory_mib",
    "vcpus": "vcpus",
    "root_gb": "root_gib",
    "ephemeral_gb": "ephemeral_gib",
    "swap": "swap_mib",
    "is_public": "is_public",
    "description": "description",
}
LISTING = Listing(
    dialect=DIALECT,
    filters={"minRam": lists.number("memory_mib", "ge"), "minDisk": lists.number("root_gib", "ge")},
    others={"is_public": None, "name": "flavor_without_rxtx"},
    sorts=SORTABLE,
    order=(("id", "asc"),),
)
QUERY = LISTING.query


def _sees_all(request: ComputeRequest) -> bool:
    return request.may(rule="os_compute_api:os-flavor-access")


async def create_flavor(request: ComputeRequest, body: NewFlavorBody) -> dict[str, Any]:
    request.authorize()
    new = body.flavor
    flavor = Flavor(
        id=new_server_id() if new.id is None else str(new.id),
        name=new.name,
        description=None if new.description is UNSET else new.description,
        vcpus=new.vcpus,
        memory_mib=new.ram,
        root_gib=new.disk,
        ephemeral_gib=new.ephemeral,
        swap_mib=new.swap,
        rxtx_factor=str(1.0 if new.rxtx_factor is UNSET else new.rxtx_factor),
        is_public=as_boolean(new.is_public, "os-flavor-access:is_public"),
        extra_specs={},
        projects=[],
    )
    async with request.service.transaction() as tx:
        await flavors.insert(tx, flavor)
    return {"flavor": _view(request, flavor)}


def _view(request: ComputeRequest, flavor: Flavor) -> dict[str, Any]:
    shown = flavor_view(flavor, request.base_url, with_rxtx=not request.allows("flavor_without_rxtx"))
    if not request.may(rule="os_compute_api:os-flavor-extra-specs:index"):
        del shown["extra_specs"]
    return shown


async def list_flavors(request: ComputeRequest) -> dict[str, Any]:
    found = await _page(request)
    return {"flavors": [flavor_link_view(each, request.base_url) for each in found.rows], **found.links("flavors")}


async def list_flavors_detail(request: ComputeRequest) -> dict[str, Any]:
    found = await _page(request)
    return {"flavors": [_view(request, each) for each in found.rows], **found.links("flavors")}


async def _page(request: ComputeRequest) -> Cut[Flavor]:
    request.authorize()
    page = LISTING.read(request)
    filters = flavors.Filters(
        project_id=request.ctx.project_id,
        is_public=_is_public(request),
        name=request.query.get("name") if request.allows("flavor_without_rxtx") else None,
    )
    async with request.service.reading() as tx:
        return cut(await flavors.list_page(tx, filters, page.selection), page)


def _is_public(request: ComputeRequest) -> bool | None:
    """Only those who manage access may ask for private flavors or for all (`None`)."""
    text = request.query.get("is_public")
    if not _sees_all(request) or text is None:
        return True
    return None if text.lower() == "none" else as_boolean(text, "is_public")


async def fetch_flavor(tx: RegionTx, request: ComputeRequest, flavor_id: str) -> Flavor:
    return await flavors.find(tx, flavor_id, project_id=request.ctx.project_id, sees_all=request.ctx.is_admin)


async def _authorized(tx: RegionTx, request: ComputeRequest) -> Flavor:
    request.authorize()
    return await fetch_flavor(tx, request, request.path["flavor_id"])


async def show_flavor(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.reading() as tx:
        flavor = await _authorized(tx, request)
    return {"flavor": _view(request, flavor)}


async def update_flavor(request: ComputeRequest, body: ChangedFlavorBody) -> dict[str, Any]:
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        flavor = await flavors.change(tx, flavor, description=body.flavor.description)
    return {"flavor": _view(request, flavor)}


async def delete_flavor(request: ComputeRequest) -> None:
    async with request.service.transaction() as tx:
        await flavors.remove(tx, await _authorized(tx, request))


async def list_extra_specs(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.reading() as tx:
        flavor = await _authorized(tx, request)
    return {"extra_specs": flavor.extra_specs}


async def show_extra_spec(request: ComputeRequest) -> dict[str, Any]:
    key = request.path["key"]
    async with request.service.reading() as tx:
        flavor = await _authorized(tx, request)
    if key not in flavor.extra_specs:
        raise NotFound(f"Flavor {flavor.id} has no extra specs with key {key}.")
    return {key: flavor.extra_specs[key]}


async def create_extra_specs(request: ComputeRequest, body: ExtraSpecsBody) -> dict[str, Any]:
    _check_specs(request, body.extra_specs)
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        await _add_specs(tx, flavor, body.extra_specs)
    return {"extra_specs": body.extra_specs}


async def _add_specs(tx: RegionTx, flavor: Flavor, specs: dict[SpecKey, SpecValue]) -> None:
    """Raises Forbidden when they would be too many."""
    wanted = {**flavor.extra_specs, **_as_texts(specs)}
    if len(wanted) > MOST_SPECS:
        raise Forbidden(f"A flavor has {MOST_SPECS} extra specs at most.")
    await flavors.change(tx, flavor, extra_specs=wanted)


def _check_specs(request: ComputeRequest, specs: dict[SpecKey, SpecValue]) -> None:
    request.authorize()
    if request.allows("extra_specs_checked"):
        extra_specs.check(_as_texts(specs))


def _as_texts(specs: dict[SpecKey, SpecValue]) -> dict[str, str]:
    """Numbers are accepted, and kept and shown as text."""
    return {key: str(value) for key, value in specs.items()}


async def update_extra_spec(request: ComputeRequest, body: OneSpec) -> dict[str, Any]:
    request.authorize()
    key = request.path["key"]
    if list(body) != [key]:
        raise BadRequest(f"Request body and URI mismatch: the body must hold exactly the key {key}.")
    _check_specs(request, body)
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        await _add_specs(tx, flavor, body)
    return dict(body)


async def delete_extra_spec(request: ComputeRequest) -> None:
    key = request.path["key"]
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        if key not in flavor.extra_specs:
            raise NotFound(f"Flavor {flavor.id} has no extra specs with key {key}.")
        kept = {name: value for name, value in flavor.extra_specs.items() if name != key}
        await flavors.change(tx, flavor, extra_specs=kept)


def _access_view(flavor: Flavor) -> dict[str, Any]:
    return {"flavor_access": [{"flavor_id": flavor.id, "tenant_id": each} for each in flavor.projects]}


async def list_access(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.reading() as tx:
        flavor = await _authorized(tx, request)
    if flavor.is_public:
        raise NotFound("Access list not available for public flavors.")
    return _access_view(flavor)


async def add_access(request: ComputeRequest, body: Access) -> dict[str, Any]:
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        if flavor.is_public and request.allows("private_flavor_access"):
            raise Conflict("Can not add access to a public flavor.")
        if body.tenant in flavor.projects:
            raise Conflict(
                f"Flavor access already exists for flavor {flavor.id} and project {body.tenant} combination."
            )
        flavor = await flavors.change(tx, flavor, projects=[*flavor.projects, body.tenant])
    return _access_view(flavor)


async def remove_access(request: ComputeRequest, body: Access) -> dict[str, Any]:
    async with request.service.transaction() as tx:
        flavor = await _authorized(tx, request)
        if body.tenant not in flavor.projects:
            raise FlavorNotFound(f"access for {flavor.id} / {body.tenant} combination")
        kept = [each for each in flavor.projects if each != body.tenant]
        flavor = await flavors.change(tx, flavor, projects=kept)
    return _access_view(flavor)
