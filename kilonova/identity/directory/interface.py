"""The interface of directories of users and groups.

Calls get the open transaction; a directory that is not in the database may leave it alone. One that cannot be written
to refuses the calls that change something.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kilonova.identity.tables import Group, User
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection


class Directory(Protocol):
    # --- users -------------------------------------------------------------------------------------------------------

    async def find_user(self, tx: Tx, user_id: str) -> User | None: ...

    async def find_user_named(self, tx: Tx, name: str, domain_id: str) -> User | None:
        """The user of this name in a domain, whatever its case; the one spelled so where there are several."""
        ...

    async def users_by_id(self, tx: Tx, ids: Iterable[str | None]) -> Mapping[str, User]:
        """Id → user, of those that exist."""
        ...

    async def list_users(self, tx: Tx, selection: Selection) -> list[User]:
        """Raises BadRequest for a marker that is none."""
        ...

    async def users_of_domain(self, tx: Tx, domain_id: str) -> list[User]: ...

    async def check_password(self, user: User | None, password: str) -> bool:
        """Whether it is the user's. For nobody, and for a user without one, it takes as long and is False."""
        ...

    async def add_user(self, tx: Tx, user: User) -> None:
        """Raises NameTaken."""
        ...

    async def change_user(self, tx: Tx, user: User, values: Mapping[str, Any]) -> User:
        """Returns the changed user. Raises NameTaken, Immutable."""
        ...

    async def remove_user(self, tx: Tx, user_id: str) -> None: ...

    async def forget_project(self, tx: Tx, project_id: str) -> None:
        """Of a project that goes: it is nobody's default any longer."""
        ...

    # --- groups ------------------------------------------------------------------------------------------------------

    async def find_group(self, tx: Tx, group_id: str) -> Group | None: ...

    async def groups_by_id(self, tx: Tx, ids: Iterable[str | None]) -> Mapping[str, Group]:
        """Id → group, of those that exist."""
        ...

    async def list_groups(self, tx: Tx, selection: Selection) -> list[Group]:
        """Raises BadRequest for a marker that is none."""
        ...

    async def list_groups_of_user(self, tx: Tx, user_id: str, selection: Selection) -> list[Group]:
        """Raises BadRequest for a marker that is none."""
        ...

    async def add_group(self, tx: Tx, group: Group) -> None:
        """Raises NameTaken."""
        ...

    async def change_group(self, tx: Tx, group: Group, values: Mapping[str, Any]) -> Group:
        """Returns the changed group. Raises NameTaken, Immutable."""
        ...

    async def remove_group(self, tx: Tx, group_id: str) -> None:
        """Its members stay."""
        ...

    async def remove_groups_of_domain(self, tx: Tx, domain_id: str) -> None: ...

    # --- who is in which group ---------------------------------------------------------------------------------------

    async def group_ids_of_user(self, tx: Tx, user_id: str) -> list[str]: ...

    async def members_by_group(self, tx: Tx, user_id: str | None) -> dict[str, list[str]]:
        """Group's id → the ids of its members, or only of the one asked for."""
        ...

    async def list_members(self, tx: Tx, group_id: str, selection: Selection) -> list[User]:
        """Raises BadRequest for a marker that is none."""
        ...

    async def is_member(self, tx: Tx, group_id: str, user_id: str) -> bool: ...

    async def add_member(self, tx: Tx, group_id: str, user_id: str) -> None:
        """Safe to repeat."""
        ...

    async def remove_member(self, tx: Tx, group_id: str, user_id: str) -> None: ...
