"""Records of backups, which another cloud can take over together with the store: exported as a text, and imported."""

import base64
import binascii
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from kilonova.block_storage import backups, metadata, quotas
from kilonova.block_storage.errors import BackupExists, InvalidBackup
from kilonova.block_storage.operations import IMPORT_BACKUP
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.tables import Backup, VolumeProperties, backup_metadata, tasks
from kilonova.block_storage.tables import backups as backup_rows
from kilonova.block_storage.volumes import Caller
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32, Name, Uuid
from kilonova.kit.tasks import NewTask

FORMAT = "kilonova.chunks"
"""The name of the format of backups, which a record says."""

Text = Annotated[str, Meta(max_length=255)]

Items = Annotated[dict[Text, Text], Meta(max_length=metadata.MOST_ITEMS)]


class BackupDescription(Struct, frozen=True, kw_only=True):
    """The part of a backup that its store does not have."""

    id: Uuid
    volume_id: Uuid
    parent_id: Uuid | None
    name: Name | None
    description: Text | None
    size_gib: Annotated[int, Meta(ge=1, le=MAX_INT32)]
    container: Name
    data_timestamp: Annotated[datetime, Meta(tz=True)]
    metadata: Items
    volume_metadata: Items
    volume_image_metadata: Items
    bootable: bool


async def export(tx: Tx, row: Backup) -> str:
    """Returns a backup's record. Raises InvalidBackup for one that is not whole."""
    if row.status != "available":
        raise InvalidBackup(f"Backup {row.id} is {row.status}: only an available one has a record.")
    kept = backups.properties_of(row)
    told = BackupDescription(
        id=row.id,
        volume_id=row.volume_id,
        parent_id=row.parent_id,
        name=row.name,
        description=row.description,
        size_gib=row.size_gib,
        container=row.container,
        data_timestamp=row.data_timestamp,
        metadata=await metadata.of_one(tx, backup_metadata, row.id),
        volume_metadata=kept.metadata,
        volume_image_metadata=kept.image_metadata,
        bootable=kept.bootable,
    )
    return base64.b64encode(msgspec.json.encode(told)).decode()


def read(record: str) -> BackupDescription:
    """Raises BadRequest for what no backup was exported as."""
    try:
        told = msgspec.json.decode(base64.b64decode(record, validate=True), type=BackupDescription)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("backup_url is not the record of a backup that was exported here.") from error
    if not backups.CONTAINER_NAME.fullmatch(told.container):
        raise BadRequest(f"backup_url names the container {told.container!r}, which is none.")
    return told


async def begin_import(
    tx: Tx, options: VolumeOptions, told: BackupDescription, caller: Caller, task: NewTask, now: datetime
) -> Backup:
    """Claims quota and writes a backup with the task that looks for its content.

    Raises BackupExists, InvalidBackup, BadRequest, Busy, OverQuota.
    """
    host = None
    kept = VolumeProperties(
        metadata=told.volume_metadata, image_metadata=told.volume_image_metadata, bootable=told.bootable
    )
    if await tx.find(Backup, backup_rows, id=told.id) is not None:
        raise BackupExists(told.id)
    if told.parent_id is not None:
        parent = await tx.find(Backup, backup_rows, id=told.parent_id)
        if parent is None or parent.project_id != caller.project_id:
            raise BadRequest(f"Backup {told.id} depends on {told.parent_id}: import that one first.")
        await backups.depend_on(tx, parent)
        host = parent.host
    await quotas.claim_backup(tx, options, caller.project_id, told.size_gib)
    row = Backup(
        id=told.id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        volume_id=told.volume_id,
        snapshot_id=None,
        parent_id=told.parent_id,
        name=told.name,
        description=told.description,
        size_gib=told.size_gib,
        status=IMPORT_BACKUP.shows,
        fail_reason=None,
        host=host,
        availability_zone=None,
        container=told.container,
        object_count=0,
        volume_properties=msgspec.to_builtins(kept),
        data_timestamp=told.data_timestamp,
        created_at=now,
        updated_at=now,
    )
    if not await tx.insert_new(backup_rows, row):
        raise BackupExists(told.id)
    await metadata.write(tx, backup_metadata, row.id, told.metadata, replace=True)
    await tasks.start(tx, task, now)
    return row
