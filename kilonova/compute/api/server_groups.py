"""/os-server-groups."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest, Name, as_boolean
from kilonova.compute.api.listing import OFFSETS
from kilonova.compute.api.server_bodies import HowMany
from kilonova.compute.catalog import server_groups
from kilonova.compute.region import cells
from kilonova.compute.servers import servers
from kilonova.compute.tables import ServerGroup
from kilonova.compute.transactions import RegionTx
from kilonova.compute.views.records import server_group_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Listing

LISTING = Listing(dialect=OFFSETS, others={"all_projects": None}, order=(("created_at", "asc"), ("id", "asc")))
QUERY = LISTING.query

Policy = Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]


class Rules(Struct, forbid_unknown_fields=True):
    max_server_per_host: HowMany | Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}$(?!\n)", max_length=9)] | None = None


class NewGroup(Struct, forbid_unknown_fields=True):
    name: Name
    policy: Policy
    rules: Rules | None = None


class NewGroupBody(Struct, forbid_unknown_fields=True):
    server_group: NewGroup


class OldNewGroup(Struct, forbid_unknown_fields=True):
    """Before version 2.64: a list of one policy."""

    name: Name
    policies: Annotated[list[Policy], Meta(min_length=1, max_length=1)]


class OldNewGroupBody(Struct, forbid_unknown_fields=True):
    server_group: OldNewGroup


async def create_group(request: ComputeRequest, body: NewGroupBody) -> dict[str, Any]:
    request.authorize()
    new = body.server_group
    most = new.rules.max_server_per_host if new.rules else None
    if most is not None and new.policy != server_groups.ANTI_AFFINITY:
        raise BadRequest("Only anti-affinity policy supports rules.")
    return await _create(request, new.name, new.policy, None if most is None else int(most))


async def create_group_with_policies(request: ComputeRequest, body: OldNewGroupBody) -> dict[str, Any]:
    request.authorize()
    (policy,) = body.server_group.policies
    if policy.startswith("soft-") and not request.allows("soft_group_policies"):
        raise BadRequest(f"Invalid input for policies: {policy!r} is served from version 2.15 on.")
    return await _create(request, body.server_group.name, policy, None)


async def _create(request: ComputeRequest, name: str, policy: str, most_on_a_host: int | None) -> dict[str, Any]:
    group = ServerGroup(
        id=servers.new_server_id(),
        project_id=request.ctx.project_id or "",
        user_id=request.ctx.user_id,
        name=name,
        policy=policy,
        most_on_a_host=most_on_a_host,
        created_at=request.service.clock.now(),
    )
    async with request.service.transaction() as tx:
        await server_groups.insert(tx, group)
    return {"server_group": _view(request, group, [])}


def _view(request: ComputeRequest, group: ServerGroup, members: list[str]) -> dict[str, Any]:
    return server_group_view(group, members, with_rules=request.allows("group_policy_with_rules"))


async def list_groups(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    project_id = request.ctx.project_id
    asks_for_all = "all_projects" in request.query and as_boolean(request.query["all_projects"] or "1", "all_projects")
    # Others than administrators see their own, asked for all or not.
    if asks_for_all and request.may(rule="os_compute_api:os-server-groups:index:all_projects"):
        project_id = None
    async with request.service.reading() as tx:
        found = await server_groups.list_page(tx, project_id, page.selection)
        members = await server_groups.members_of(tx, [each.id for each in found])
    return {"server_groups": [_view(request, each, members[each.id]) for each in found]}


async def _fetch(tx: RegionTx, request: ComputeRequest) -> ServerGroup:
    """Another project's group is one that could not be found."""
    project_id = None if request.ctx.is_admin else request.ctx.project_id
    group = await server_groups.find(tx, request.path["group_id"], project_id)
    request.authorize({"project_id": group.project_id, "user_id": group.user_id})
    return group


async def show_group(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.reading() as tx:
        group = await _fetch(tx, request)
        members = await server_groups.members_of(tx, [group.id])
    return {"server_group": _view(request, group, members[group.id])}


async def delete_group(request: ComputeRequest) -> None:
    async with request.service.transaction() as tx:
        group = await _fetch(tx, request)
        async with cells.everywhere(request.service, tx) as everywhere:
            await server_groups.remove(tx, group, everywhere)
