"""/v2/images/{image_id}/members."""

from typing import Any

from kilonova.image import members
from kilonova.image.api.access import ImageRequest, fetch
from kilonova.image.api.bodies import MemberAnswer, NewMember
from kilonova.image.errors import MemberNotFound
from kilonova.image.tables import ImageMember
from kilonova.image.views.images import member_view, members_view


async def list_members(request: ImageRequest) -> dict[str, Any]:
    """The owner sees all of them, a member himself."""
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
        members.require_shared(record.row)
        found = await members.list_of(tx, record.row.id)
    return members_view(member for member in found if _may_see(request, record.row.owner, member))


def _may_see(request: ImageRequest, owner: str | None, member: ImageMember) -> bool:
    target = {"project_id": owner, "member_id": member.member_id, "visibility": "shared"}
    return request.may(target, rule="get_member")


async def add_member(request: ImageRequest, body: NewMember) -> dict[str, Any]:
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        members.require_shared(record.row)
        member = await members.add(tx, record.row.id, body.member, request.service.clock.now())
    return member_view(member)


async def show_member(request: ImageRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
        members.require_shared(record.row)
        member = await members.find(tx, record.row.id, request.path["member_id"])
    if not _may_see(request, record.row.owner, member):
        raise MemberNotFound(f"{member.member_id} is no member of image {record.row.id}.")
    return member_view(member)


async def answer(request: ImageRequest, body: MemberAnswer) -> dict[str, Any]:
    """A member takes the image or not; the owner has no say in it."""
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        members.require_shared(record.row)
        member = await members.find(tx, record.row.id, request.path["member_id"])
        target = {"project_id": record.row.owner, "member_id": member.member_id, "visibility": "shared"}
        request.authorize(target)
        member = await members.answer(tx, record.row.id, member.member_id, body.status, request.service.clock.now())
    return member_view(member)


async def delete_member(request: ImageRequest) -> None:
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        members.require_shared(record.row)
        await members.remove(tx, record.row.id, request.path["member_id"])
