"""A backup as the API shows it."""

from typing import Any

from kilonova.block_storage.backups import BackupRecord
from kilonova.block_storage.tables import Backup, Volume
from kilonova.block_storage.views.times import shown_time
from kilonova.block_storage.views.volumes import links


def backup_view(row: Backup, base_url: str) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": links(base_url, row.project_id, "backups", row.id)}


def backup_detail_view(record: BackupRecord, base_url: str, *, sees_project: bool) -> dict[str, Any]:
    row = record.row
    view = {
        **backup_view(row, base_url),
        "description": row.description,
        "status": row.status,
        "size": row.size_gib,
        "object_count": row.object_count,
        "volume_id": row.volume_id,
        "snapshot_id": row.snapshot_id,
        "container": row.container,
        "availability_zone": row.availability_zone,
        "created_at": shown_time(row.created_at),
        "updated_at": shown_time(row.updated_at),
        "data_timestamp": shown_time(row.data_timestamp),
        "fail_reason": row.fail_reason,
        "is_incremental": row.parent_id is not None,
        "has_dependent_backups": record.has_dependents,
        "metadata": dict(record.metadata),
        "user_id": row.user_id,
        "encryption_key_id": None,
    }
    return view | ({"os-backup-project-attr:project_id": row.project_id} if sees_project else {})


def restore_view(row: Backup, volume: Volume) -> dict[str, Any]:
    return {"backup_id": row.id, "volume_id": volume.id, "volume_name": volume.name}
