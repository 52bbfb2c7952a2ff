"""Users and groups in identity's own database, passwords as hashes."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from kilonova.identity import records
from kilonova.identity.passwords import verify_password
from kilonova.identity.tables import Group, GroupMember, User, group_members, groups, users
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection

_GROUPS_OF_USER = select(group_members.c.group_id).where(group_members.c.user_id == bindparam("user_id"))


class SqlDirectory:
    async def find_user(self, tx: Tx, user_id: str) -> User | None:
        return await records.look_up(tx, users, User, user_id)

    async def find_user_named(self, tx: Tx, name: str, domain_id: str) -> User | None:
        return await records.find_named(tx, users, User, name, domain_id)

    async def users_by_id(self, tx: Tx, ids: Iterable[str | None]) -> Mapping[str, User]:
        return await records.find_all(tx, users, User, ids)

    async def list_users(self, tx: Tx, selection: Selection) -> list[User]:
        return await records.list_where(tx, users, User, selection)

    async def users_of_domain(self, tx: Tx, domain_id: str) -> list[User]:
        return await records.list_equal(tx, users, User, {"domain_id": domain_id})

    async def check_password(self, user: User | None, password: str) -> bool:
        return await verify_password(password, user.password_hash if user else None)

    async def add_user(self, tx: Tx, user: User) -> None:
        await records.add(tx, users, user, "user")

    async def change_user(self, tx: Tx, user: User, values: Mapping[str, Any]) -> User:
        return await records.change(tx, users, User, "user", user, values)

    async def remove_user(self, tx: Tx, user_id: str) -> None:
        await records.remove(tx, users, user_id)

    async def forget_project(self, tx: Tx, project_id: str) -> None:
        of_it = update(users).where(users.c.default_project_id == project_id)
        await tx.execute(of_it.values(default_project_id=None))

    async def find_group(self, tx: Tx, group_id: str) -> Group | None:
        return await records.look_up(tx, groups, Group, group_id)

    async def groups_by_id(self, tx: Tx, ids: Iterable[str | None]) -> Mapping[str, Group]:
        return await records.find_all(tx, groups, Group, ids)

    async def list_groups(self, tx: Tx, selection: Selection) -> list[Group]:
        return await records.list_where(tx, groups, Group, selection)

    async def list_groups_of_user(self, tx: Tx, user_id: str, selection: Selection) -> list[Group]:
        held = select(group_members.c.group_id).where(group_members.c.user_id == user_id)
        return await records.list_where(tx, groups, Group, selection, (groups.c.id.in_(held),))

    async def add_group(self, tx: Tx, group: Group) -> None:
        await records.add(tx, groups, group, "group")

    async def change_group(self, tx: Tx, group: Group, values: Mapping[str, Any]) -> Group:
        return await records.change(tx, groups, Group, "group", group, values)

    async def remove_group(self, tx: Tx, group_id: str) -> None:
        await records.remove(tx, groups, group_id)

    async def remove_groups_of_domain(self, tx: Tx, domain_id: str) -> None:
        await tx.remove(groups, domain_id=domain_id)

    async def group_ids_of_user(self, tx: Tx, user_id: str) -> list[str]:
        return [group_id for (group_id,) in await tx.tuples(_GROUPS_OF_USER, user_id=user_id)]

    async def members_by_group(self, tx: Tx, user_id: str | None) -> dict[str, list[str]]:
        statement = select(group_members).order_by(group_members.c.user_id)
        if user_id is not None:
            statement = statement.where(group_members.c.user_id == user_id)
        found: dict[str, list[str]] = {}
        for each in await tx.all(GroupMember, statement):
            found.setdefault(each.group_id, []).append(each.user_id)
        return found

    async def list_members(self, tx: Tx, group_id: str, selection: Selection) -> list[User]:
        held = select(group_members.c.user_id).where(group_members.c.group_id == group_id)
        return await records.list_where(tx, users, User, selection, (users.c.id.in_(held),))

    async def is_member(self, tx: Tx, group_id: str, user_id: str) -> bool:
        table = group_members.c
        statement = select(group_members).where(table.group_id == group_id, table.user_id == user_id)
        return await tx.first(GroupMember, statement) is not None

    async def add_member(self, tx: Tx, group_id: str, user_id: str) -> None:
        await tx.insert_new(group_members, GroupMember(group_id, user_id))

    async def remove_member(self, tx: Tx, group_id: str, user_id: str) -> None:
        table = group_members.c
        await tx.execute(delete(group_members).where(table.group_id == group_id, table.user_id == user_id))
