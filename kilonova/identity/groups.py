"""Groups: users who are given roles together. A group belongs to a domain, its members to any."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select

from kilonova.identity import domains, lists, records
from kilonova.identity.announcements import announce
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.lists import Listing, Page
from kilonova.identity.tables import Group, GroupMember, User, group_members, groups, users
from kilonova.kit.db import Tx


async def find(tx: Tx, group_id: str) -> Group:
    """Raises ResourceNotFound."""
    return await records.find(tx, groups, Group, "group", group_id)


async def look_up(tx: Tx, group_id: str) -> Group | None:
    return await records.look_up(tx, groups, Group, group_id)


async def list_matching(tx: Tx, listing: Listing) -> Page[Group]:
    """Raises BadRequest for a marker that is none."""
    return await lists.page(tx, groups, Group, listing)


async def list_of_user(tx: Tx, user_id: str, listing: Listing) -> Page[Group]:
    """Raises BadRequest for a marker that is none."""
    held = select(group_members.c.group_id).where(group_members.c.user_id == user_id)
    return await lists.page(tx, groups, Group, listing, groups.c.id.in_(held))


async def add(tx: Tx, group: Group) -> None:
    """Raises ResourceNotFound for a domain that does not exist, NameTaken."""
    await domains.find(tx, group.domain_id)
    await records.add(tx, groups, group, "group")


async def change(tx: Tx, group: Group, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Group:
    """Raises NameTaken."""
    return await records.change(tx, groups, Group, "group", group, records.with_extra(group.extra, values, extra))


async def remove(tx: Tx, group: Group) -> None:
    """Its members stay; what it gave them goes."""
    await records.remove(tx, groups, group.id)
    announce(tx)


async def list_members(tx: Tx, group: Group, listing: Listing) -> Page[User]:
    """Raises BadRequest for a marker that is none."""
    held = select(group_members.c.user_id).where(group_members.c.group_id == group.id)
    return await lists.page(tx, users, User, listing, users.c.id.in_(held))


async def add_member(tx: Tx, group: Group, user: User) -> None:
    """Safe to repeat."""
    await tx.insert_new(group_members, GroupMember(group.id, user.id))
    announce(tx, user_id=user.id)


async def check_member(tx: Tx, group: Group, user: User) -> None:
    """Raises ResourceNotFound for one who is none."""
    table = group_members.c
    statement = select(group_members).where(table.group_id == group.id, table.user_id == user.id)
    if await tx.first(GroupMember, statement) is None:
        raise ResourceNotFound("user in group", f"{user.id} in {group.id}")


async def remove_member(tx: Tx, group: Group, user: User) -> None:
    """Raises ResourceNotFound for one who is none."""
    await check_member(tx, group, user)
    table = group_members.c
    await tx.execute(delete(group_members).where(table.group_id == group.id, table.user_id == user.id))
    announce(tx, user_id=user.id)
