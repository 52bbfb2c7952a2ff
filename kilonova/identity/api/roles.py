"""/v3/roles and the roles they imply."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import roles
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.api.options import Immutability
from kilonova.identity.tables import Role
from kilonova.identity.views.records import inference_view, role_view, rule_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import LongText

RoleName = Annotated[str, Meta(min_length=1, max_length=255)]

LISTS = listing(texts={"name": "name"}, sorts=("name", "domain_id"), others=("domain_id",))


class NewRole(NewFields):
    kind: ClassVar[str] = "role"

    name: RoleName
    domain_id: RecordId | None = None
    description: LongText | None = ""
    options: Immutability | UnsetType = UNSET


class NewRoleBody(Struct):
    role: NewRole


class ChangedRole(Fields):
    kind: ClassVar[str] = "role"

    domain_id: RecordId | None | UnsetType = UNSET
    name: RoleName | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    options: Immutability | UnsetType = UNSET


class ChangedRoleBody(Struct):
    role: ChangedRole


async def create_role(request: IdentityRequest, body: NewRoleBody) -> dict[str, Any]:
    fields = body.role
    async with request.service.database.transaction() as tx:
        role = await roles.add(tx, fields.name, fields.domain_id, fields.description or "", fields.attributes())
    return {"role": role_view(role, request.base_url)}


async def list_roles(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await roles.list_matching(tx, page.selection, domain_id=request.query.get("domain_id"))
    return paged(request, "roles", page, found, role_view)


async def _fetch(tx: Tx, request: IdentityRequest) -> Role:
    request.authorize()
    return await roles.find(tx, request.path["role_id"])


async def show_role(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        role = await _fetch(tx, request)
    return {"role": role_view(role, request.base_url)}


async def update_role(request: IdentityRequest, body: ChangedRoleBody) -> dict[str, Any]:
    fields = body.role
    fields.refuse_other_id(request.path["role_id"])
    async with request.service.database.transaction() as tx:
        role = await _fetch(tx, request)
        if fields.domain_id not in (UNSET, role.domain_id or None):
            raise BadRequest("The domain of a role cannot be changed.")
        role = await roles.change(tx, role, fields.given(without=("domain_id",)), fields.attributes())
    return {"role": role_view(role, request.base_url)}


async def delete_role(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        await roles.remove(tx, await _fetch(tx, request))


async def list_implied(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/roles/{role_id}/implies."""
    request.authorize()
    async with request.service.database.reading() as tx:
        inference = await roles.inference_of(tx, request.path["role_id"])
    return {"role_inference": inference_view(inference, request.base_url)}


async def list_role_inferences(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/role_inferences: every rule there is."""
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await roles.list_inferences(tx)
    return {"role_inferences": [inference_view(each, request.base_url) for each in found]}


async def create_implied(request: IdentityRequest) -> dict[str, Any]:
    """PUT /v3/roles/{role_id}/implies/{implied_role_id}."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        inference = await roles.imply(tx, request.path["role_id"], request.path["implied_role_id"])
    return {"role_inference": rule_view(inference, request.base_url)}


async def show_implied(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/roles/{role_id}/implies/{implied_role_id}."""
    request.authorize()
    async with request.service.database.reading() as tx:
        inference = await roles.find_rule(tx, request.path["role_id"], request.path["implied_role_id"])
    return {"role_inference": rule_view(inference, request.base_url)}


async def check_implied(request: IdentityRequest) -> None:
    await show_implied(request)


async def delete_implied(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await roles.remove_rule(tx, request.path["role_id"], request.path["implied_role_id"])
