"""The services that keep backups (cinder-backup), and the choice of one for a new backup."""

import uuid
from datetime import datetime

from sqlalchemy import select

from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Backup, BackupService, backup_services
from kilonova.block_storage.topics import BACKUP_BINARY
from kilonova.kit.db import Tx


async def register(tx: Tx, host: str, zone: str, now: datetime) -> None:
    """Makes a service known. Safe to repeat."""
    new = BackupService(
        id=str(uuid.uuid4()),
        host=host,
        availability_zone=zone,
        disabled=False,
        disabled_reason=None,
        created_at=now,
        updated_at=now,
    )
    if not await tx.insert_new(backup_services, new):
        await tx.change(backup_services, {"host": host}, availability_zone=zone, updated_at=now)


async def note_alive(tx: Tx, host: str, now: datetime) -> bool:
    """Returns whether the service is known."""
    return bool(await tx.change(backup_services, {"host": host}, updated_at=now))


async def all_services(tx: Tx) -> list[BackupService]:
    return await tx.all(BackupService, select(backup_services).order_by(backup_services.c.host))


async def set_disabled(tx: Tx, host: str, *, disabled: bool, reason: str | None, now: datetime) -> bool:
    """Returns whether there is such a service. No new backup is given to one that is disabled."""
    values = {"disabled": disabled, "disabled_reason": reason, "updated_at": now}
    return bool(await tx.change(backup_services, {"host": host}, **values))


def is_up(service: BlockStorage, host: str) -> bool:
    return service.liveness.is_alive(BACKUP_BINARY, host)


async def pick(tx: Tx, service: BlockStorage, row: Backup, volume_host: str) -> str | None:
    """Returns the host that is to keep a backup: the volume's own if it can, for it reaches the volume; None: none."""
    able = [
        each.host
        for each in await all_services(tx)
        if not each.disabled and is_up(service, each.host) and row.availability_zone in (None, each.availability_zone)
    ]
    own = volume_host.partition("@")[0]
    return own if own in able else next(iter(able), None)
