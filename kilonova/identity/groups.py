"""Groups: users who are given roles together. A group belongs to a domain, its members to any."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import domains, records
from kilonova.identity.announcements import announce
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.service import Identity
from kilonova.identity.tables import Group, User
from kilonova.kit.db import Tx


async def add(tx: Tx, identity: Identity, group: Group) -> None:
    """Raises ResourceNotFound for a domain that does not exist, NameTaken."""
    await domains.find(tx, group.domain_id)
    await identity.directory.add_group(tx, group)


async def change(
    tx: Tx, identity: Identity, group: Group, values: Mapping[str, Any], extra: Mapping[str, Any]
) -> Group:
    """Raises NameTaken."""
    return await identity.directory.change_group(tx, group, records.with_extra(group.extra, values, extra))


async def remove(tx: Tx, identity: Identity, group: Group) -> None:
    """Its members stay; what it gave them goes."""
    await identity.directory.remove_group(tx, group.id)
    announce(tx)


async def add_member(tx: Tx, identity: Identity, group: Group, user: User) -> None:
    """Safe to repeat."""
    await identity.directory.add_member(tx, group.id, user.id)
    announce(tx, user_id=user.id)


async def check_member(tx: Tx, identity: Identity, group: Group, user: User) -> None:
    """Raises ResourceNotFound for one who is none."""
    if not await identity.directory.is_member(tx, group.id, user.id):
        raise ResourceNotFound("user in group", f"{user.id} in {group.id}")


async def remove_member(tx: Tx, identity: Identity, group: Group, user: User) -> None:
    """Raises ResourceNotFound for one who is none."""
    await check_member(tx, identity, group, user)
    await identity.directory.remove_member(tx, group.id, user.id)
    announce(tx, user_id=user.id)
