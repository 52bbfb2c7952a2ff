"""Tokens for consoles. Every `tx` here is of the API database.

The rule: a token opens one kind of console of one server, for a short time; only its digest is kept, so whoever reads
the database can open none.
"""

import hashlib
import uuid
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from kilonova.compute import mappings
from kilonova.compute.agent.spec import ConsoleKind
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.tables import ConsoleToken, console_tokens
from kilonova.kit.db import Tx


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def create(tx: Tx, server_id: str, kind: ConsoleKind, now: datetime, seconds: int) -> str:
    """A new token. Raises ServerNotFound for a server that has been destroyed meanwhile."""
    await forget_expired(tx, now)
    mapping = await mappings.find_server(tx, server_id)
    if mapping is None or mapping.deleted_at is not None:
        raise ServerNotFound(server_id)
    token = str(uuid.uuid4())
    await tx.insert(console_tokens, ConsoleToken(digest_of(token), server_id, kind, now + timedelta(seconds=seconds)))
    return token


async def find(tx: Tx, token: str, now: datetime) -> ConsoleToken | None:
    """None for one that never was, and for one whose time is over."""
    table = console_tokens.c
    statement = select(console_tokens).where(table.token_digest == digest_of(token), table.expires_at > now)
    return await tx.first(ConsoleToken, statement)


async def forget_expired(tx: Tx, now: datetime) -> None:
    await tx.execute(delete(console_tokens).where(console_tokens.c.expires_at <= now))
