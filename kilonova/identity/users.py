"""Users. A user lives in one domain; whatever ends a user's right to be here ends the tokens too."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import domains, factors, lists, log_ins, records, tokens
from kilonova.identity.lists import Listing, Page
from kilonova.identity.service import Identity
from kilonova.identity.tables import User, users
from kilonova.identity.tokens import RevocationEvent
from kilonova.kit.db import Tx


async def look_up(tx: Tx, user_id: str) -> User | None:
    return await records.look_up(tx, users, User, user_id)


async def find(tx: Tx, user_id: str) -> User:
    """Raises ResourceNotFound."""
    return await records.find(tx, users, User, "user", user_id)


async def list_matching(tx: Tx, listing: Listing) -> Page[User]:
    """Raises BadRequest for a marker that is none."""
    return await lists.page(tx, users, User, listing)


async def add(tx: Tx, user: User) -> None:
    """Raises ResourceNotFound for a domain that does not exist, NameTaken, InvalidReference for a factor."""
    factors.refuse_unknown(user.extra)
    await domains.find(tx, user.domain_id)
    await records.add(tx, users, user, "user")


async def change(
    tx: Tx, identity: Identity, user: User, values: Mapping[str, Any], extra: Mapping[str, Any] | None = None
) -> tuple[User, RevocationEvent | None]:
    """The changed user, and the event to announce when a new password or a disabled user ended tokens. A new password
    unlocks the account. Raises NameTaken, InvalidReference for a factor."""
    factors.refuse_unknown(extra or {})
    if "password_hash" in values:
        await log_ins.forget(tx, user.id)
    changed = await records.change(tx, users, User, "user", user, records.with_extra(user.extra, values, extra))
    if "password_hash" in values or values.get("enabled") is False:
        return changed, await tokens.revoke(tx, identity, user_id=user.id)
    return changed, None


async def remove(tx: Tx, identity: Identity, user: User) -> RevocationEvent:
    event = await tokens.revoke(tx, identity, user_id=user.id)
    await log_ins.forget(tx, user.id)
    await records.remove(tx, users, user.id)
    return event
