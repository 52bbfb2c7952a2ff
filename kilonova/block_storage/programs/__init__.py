"""Every operation on volumes, snapshots and backups, in reading order in its own file."""

from collections.abc import Mapping
from typing import Any

from kilonova.block_storage.programs.backups import CREATE_BACKUP, DELETE_BACKUP, IMPORT_BACKUP
from kilonova.block_storage.programs.create_volume import CREATE_VOLUME
from kilonova.block_storage.programs.delete_volume import DELETE_VOLUME
from kilonova.block_storage.programs.extend_volume import EXTEND_VOLUME
from kilonova.block_storage.programs.restoring import RESTORE_BACKUP
from kilonova.block_storage.programs.snapshots import CREATE_SNAPSHOT, DELETE_SNAPSHOT, REVERT_VOLUME
from kilonova.block_storage.programs.upload_volume import UPLOAD_VOLUME
from kilonova.block_storage.service import BlockStorage
from kilonova.kit.tasks import Program

_ALL: tuple[Program[BlockStorage, Any], ...] = (
    CREATE_VOLUME,
    DELETE_VOLUME,
    EXTEND_VOLUME,
    UPLOAD_VOLUME,
    CREATE_SNAPSHOT,
    DELETE_SNAPSHOT,
    REVERT_VOLUME,
    CREATE_BACKUP,
    DELETE_BACKUP,
    IMPORT_BACKUP,
    RESTORE_BACKUP,
)
PROGRAMS: Mapping[str, Program[BlockStorage, Any]] = {each.name: each for each in _ALL}
