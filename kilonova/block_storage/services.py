"""The back ends there are: which agents have registered, what their pools have, and whether they are alive."""

import uuid
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.block_storage.scheduling.pools import Pool, pools_of
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import VolumeService, backup_services, services
from kilonova.block_storage.topics import AGENT_BINARY, BACKUP_BINARY
from kilonova.kit.db import Tx


async def register(tx: Tx, host: str, zone: str, pools: list[dict[str, Any]], now: datetime) -> None:
    """Makes a back end known, or notes what it has now. Safe to repeat."""
    new = VolumeService(
        id=str(uuid.uuid4()),
        host=host,
        availability_zone=zone,
        disabled=False,
        disabled_reason=None,
        pools=pools,
        created_at=now,
        updated_at=now,
    )
    if not await tx.insert_new(services, new):
        await tx.change(services, {"host": host}, availability_zone=zone, pools=pools, updated_at=now)


async def note_pools(tx: Tx, host: str, pools: list[dict[str, Any]], now: datetime) -> bool:
    """Returns whether the back end is known."""
    return bool(await tx.change(services, {"host": host}, pools=pools, updated_at=now))


async def all_services(tx: Tx) -> list[VolumeService]:
    return await tx.all(VolumeService, select(services).order_by(services.c.host))


async def find(tx: Tx, host: str) -> VolumeService | None:
    return await tx.find(VolumeService, services, host=host)


async def set_disabled(tx: Tx, host: str, *, disabled: bool, reason: str | None, now: datetime) -> bool:
    """Returns whether there is such a back end. No new volume is placed on one that is disabled."""
    return bool(await tx.change(services, {"host": host}, disabled=disabled, disabled_reason=reason, updated_at=now))


async def zones(tx: Tx, default_zone: str) -> dict[str, bool]:
    """Zone → whether any of its back ends takes volumes; the default zone is always there."""
    found = {default_zone: False}
    for each in await all_services(tx):
        found[each.availability_zone] = found.get(each.availability_zone, False) or not each.disabled
    return found


async def look_after(service: BlockStorage) -> None:
    """Asks every agent, those that keep backups among them, whether it lives."""
    async with service.database.reading() as tx:
        known = [(AGENT_BINARY, each.host) for each in await all_services(tx)]
        known += [(BACKUP_BINARY, host) for (host,) in await tx.tuples(select(backup_services.c.host))]
    await service.liveness.look(known)


def pools(service: VolumeService) -> list[Pool]:
    """Returns a back end's pools as the scheduler sees them, with nothing on them."""
    return pools_of(service.host, service.availability_zone, service.pools)


def backend_of(host: str) -> str:
    """`HOST@BACKEND` of a pool."""
    return host.partition("#")[0]


def pool_of(host: str) -> str:
    """Returns the pool's own name, of `HOST@BACKEND#POOL`."""
    return host.partition("#")[2]


def as_pools(pools: Any) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = msgspec.to_builtins(pools)
    return plain
