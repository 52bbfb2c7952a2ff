"""Users. A user lives in one domain; whatever ends a user's right to be here ends the tokens too."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import domains, factors, log_ins, records, tokens
from kilonova.identity.errors import InvalidReference, ResourceNotFound
from kilonova.identity.service import Identity
from kilonova.identity.tables import User
from kilonova.kit.db import Tx


async def find(tx: Tx, identity: Identity, user_id: str) -> User:
    """Raises ResourceNotFound."""
    user = await identity.directory.find_user(tx, user_id)
    if user is None:
        raise ResourceNotFound("user", user_id)
    return user


async def add(tx: Tx, identity: Identity, user: User) -> None:
    """Raises ResourceNotFound for a domain that does not exist, NameTaken, InvalidReference for a factor or a default
    project."""
    factors.refuse_unknown(user.extra)
    await domains.find(tx, user.domain_id)
    await _refuse_domain_as_project(tx, user.default_project_id)
    await identity.directory.add_user(tx, user)


async def change(
    tx: Tx, identity: Identity, user: User, values: Mapping[str, Any], extra: Mapping[str, Any] | None = None
) -> User:
    """Returns the changed user. A new password, or disabling the user, ends tokens; a new password unlocks the account.

    Raises NameTaken, InvalidReference for a factor or a default project."""
    factors.refuse_unknown(extra or {})
    await _refuse_domain_as_project(tx, values.get("default_project_id"))
    if "password_hash" in values:
        await log_ins.forget(tx, user.id)
    changed = await identity.directory.change_user(tx, user, records.with_extra(user.extra, values, extra))
    if "password_hash" in values or values.get("enabled") is False:
        await tokens.revoke(tx, identity, user_id=user.id)
    return changed


async def _refuse_domain_as_project(tx: Tx, project_id: str | None) -> None:
    """A default project need not exist, nor let its user in: then a token gets no scope by it. Upstream refuses a
    domain, as this does."""
    if project_id is not None and await domains.look_up(tx, project_id) is not None:
        raise InvalidReference(f"{project_id} is a domain, which cannot be the default project of a user.")


async def remove(tx: Tx, identity: Identity, user: User) -> None:
    await tokens.revoke(tx, identity, user_id=user.id)
    await log_ins.forget(tx, user.id)
    await identity.directory.remove_user(tx, user.id)
