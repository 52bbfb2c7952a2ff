"""Metadata of volumes and snapshots: what their owners note about them, a row for each key."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, or_, select

from kilonova.block_storage.errors import KeyNotFound
from kilonova.block_storage.tables import MetadataItem
from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import BadRequest

MOST_ITEMS = 128


async def of_one(tx: Tx, table: Table, owner_id: str) -> dict[str, str]:
    return (await of_many(tx, table, [owner_id]))[owner_id]


async def of_many(tx: Tx, table: Table, owner_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Owner's id → its metadata, for each of these owners."""
    found: dict[str, dict[str, str]] = {each: {} for each in owner_ids}
    statement = rows_among(table, "owner_id", order="key")
    for item in await tx.all(MetadataItem, statement, owner_id=owner_ids) if owner_ids else ():
        found[item.owner_id][item.key] = item.value
    return found


async def write(tx: Tx, table: Table, owner_id: str, items: Mapping[str, str], *, replace: bool) -> dict[str, str]:
    """Adds items to an owner's, or replaces all of them; returns what it has then. Raises BadRequest for too many."""
    merged = dict(items) if replace else {**await of_one(tx, table, owner_id), **items}
    if len(merged) > MOST_ITEMS:
        raise BadRequest(f"Metadata have {MOST_ITEMS} items at most, not {len(merged)}.")
    await tx.remove(table, owner_id=owner_id)
    for key, value in merged.items():
        await tx.insert(table, MetadataItem(owner_id, key, value))
    return merged


async def remove_key(tx: Tx, table: Table, owner_id: str, key: str) -> None:
    """Raises KeyNotFound."""
    if not await tx.remove(table, owner_id=owner_id, key=key):
        raise KeyNotFound(f"Metadata have no key {key}.")


def has_all(table: Table, owner: ColumnElement[Any], wanted: Mapping[str, str]) -> ColumnElement[bool]:
    """The condition of owners that have each of these items."""
    having = [and_(table.c.key == key, table.c.value == value) for key, value in wanted.items()]
    ids = select(table.c.owner_id).where(or_(*having)).group_by(table.c.owner_id).having(func.count() == len(having))
    return owner.in_(ids)
