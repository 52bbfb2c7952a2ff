"""Tokens for consoles. Every `tx` here is of the API database.

The rule: a token opens one kind of console of one server, for a short time; only its digest is kept, so whoever reads
the database can open none.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from kilonova.compute.agent.spec import ConsoleKind
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.region import mappings
from kilonova.compute.tables import ConsoleToken, console_tokens
from kilonova.compute.transactions import RegionTx
from kilonova.kit.auth import RequestContext

EVERY_SECONDS = 3600.0
"""Between two looks for tokens that have expired."""


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def create(
    tx: RegionTx, server_id: str, kind: ConsoleKind, now: datetime, seconds: int, ctx: RequestContext | None = None
) -> str:
    """A new token, which ends with `ctx`'s. Raises ServerNotFound for a server that has been destroyed meanwhile."""
    await forget_expired(tx, now)
    mapping = await mappings.find_server(tx, server_id)
    if mapping is None or mapping.deleted_at is not None:
        raise ServerNotFound(server_id)
    token = str(uuid.uuid4())
    row = ConsoleToken(digest_of(token), server_id, kind, now + timedelta(seconds=seconds))
    if ctx is not None:
        row.user_id, row.project_id, row.audit_id = ctx.user_id, ctx.project_id, next(iter(ctx.audit_ids), None)
    await tx.insert(console_tokens, row)
    return token


async def find(tx: RegionTx, token: str, now: datetime) -> ConsoleToken | None:
    """None for one that never was, and for one whose time is over."""
    table = console_tokens.c
    statement = select(console_tokens).where(table.token_digest == digest_of(token), table.expires_at > now)
    return await tx.first(ConsoleToken, statement)


def is_concerned(token: ConsoleToken, event: Mapping[str, str]) -> bool:
    """Whether a revocation ends the console. Every field of the event has to match; an empty event ends all."""
    return all(getattr(token, name, None) == value for name, value in event.items())


async def revoke(tx: RegionTx, event: Mapping[str, str]) -> None:
    """Forgets the tokens that a revocation ends."""
    known = {name: console_tokens.c[name] for name in ("user_id", "project_id", "audit_id")}
    if not set(event) <= set(known):
        return
    await tx.execute(delete(console_tokens).where(*(known[name] == value for name, value in event.items())))


async def forget_expired(tx: RegionTx, now: datetime) -> None:
    await tx.execute(delete(console_tokens).where(console_tokens.c.expires_at <= now))
