"""/v3/groups, their members, and the groups of a user."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import groups, records, users
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.api.users import LISTS as USER_LISTS
from kilonova.identity.api.users import fetch_user
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import Group
from kilonova.identity.views.records import group_view, user_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import LongText

GroupName = Annotated[str, Meta(min_length=1, max_length=64)]

LISTS = listing(texts={"name": "name", "domain_id": "domain_id"}, sorts=("name", "domain_id"))


class NewGroup(NewFields):
    kind: ClassVar[str] = "group"

    name: GroupName
    domain_id: RecordId | UnsetType = UNSET
    description: LongText | None = ""


class NewGroupBody(Struct):
    group: NewGroup


class ChangedGroup(Fields):
    kind: ClassVar[str] = "group"

    name: GroupName | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    domain_id: RecordId | UnsetType = UNSET


class ChangedGroupBody(Struct):
    group: ChangedGroup


async def create_group(request: IdentityRequest, body: NewGroupBody) -> dict[str, Any]:
    fields = body.group
    domain_id = request.ctx.domain_id or "default" if fields.domain_id is UNSET else fields.domain_id
    group = Group(records.new_id(), domain_id, fields.name, fields.description or "", fields.attributes())
    async with request.service.database.transaction() as tx:
        await groups.add(tx, request.service, group)
    return {"group": group_view(group, request.base_url)}


async def list_groups(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await request.service.directory.list_groups(tx, page.selection)
    return paged(request, "groups", page, found, group_view)


async def _fetch(tx: Tx, request: IdentityRequest) -> Group:
    """Looks up and authorizes in one."""
    group_id = request.path["group_id"]
    group = await request.service.directory.find_group(tx, group_id)
    target = {"target.group.domain_id": group.domain_id if group else None}
    request.authorize({**target, "user_id": request.path.get("user_id")})
    if group is None:
        raise ResourceNotFound("group", group_id)
    return group


async def show_group(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        group = await _fetch(tx, request)
    return {"group": group_view(group, request.base_url)}


async def update_group(request: IdentityRequest, body: ChangedGroupBody) -> dict[str, Any]:
    fields = body.group
    fields.refuse_other_id(request.path["group_id"])
    async with request.service.database.transaction() as tx:
        group = await _fetch(tx, request)
        if fields.domain_id not in (UNSET, group.domain_id):
            raise BadRequest("The domain of a group cannot be changed.")
        values = fields.given(without=("domain_id",))
        group = await groups.change(tx, request.service, group, values, fields.attributes())
    return {"group": group_view(group, request.base_url)}


async def delete_group(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        await groups.remove(tx, request.service, await _fetch(tx, request))


async def list_members(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        group = await _fetch(tx, request)
        page = USER_LISTS.read(request)
        found = await request.service.directory.list_members(tx, group.id, page.selection)
    return paged(request, "users", page, found, user_view)


async def add_member(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        group = await _fetch(tx, request)
        user = await users.find(tx, request.service, request.path["user_id"])
        await groups.add_member(tx, request.service, group, user)


async def check_member(request: IdentityRequest) -> None:
    async with request.service.database.reading() as tx:
        group = await _fetch(tx, request)
        await groups.check_member(
            tx, request.service, group, await users.find(tx, request.service, request.path["user_id"])
        )


async def remove_member(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        group = await _fetch(tx, request)
        user = await users.find(tx, request.service, request.path["user_id"])
        await groups.remove_member(tx, request.service, group, user)


async def list_groups_of_user(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/users/{user_id}/groups."""
    async with request.service.database.reading() as tx:
        user = await fetch_user(tx, request, request.path["user_id"])
        page = LISTS.read(request)
        found = await request.service.directory.list_groups_of_user(tx, user.id, page.selection)
    return paged(request, "groups", page, found, group_view)
