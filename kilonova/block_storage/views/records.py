"""Everything that the API shows but volumes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kilonova.block_storage.snapshots import SnapshotRecord
from kilonova.block_storage.tables import (
    Attachment,
    BackupService,
    DefaultType,
    Message,
    QosSpecs,
    Transfer,
    TypeAccess,
    VolumeService,
    VolumeType,
)
from kilonova.block_storage.topics import AGENT_BINARY, BACKUP_BINARY
from kilonova.block_storage.views.times import shown_time
from kilonova.block_storage.views.volumes import links

MESSAGE_LEVEL = "ERROR"


def snapshot_view(record: SnapshotRecord) -> dict[str, Any]:
    row = record.row
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "volume_id": row.volume_id,
        "status": row.status,
        "size": row.size_gib,
        "metadata": dict(record.metadata),
        "created_at": shown_time(row.created_at),
        "updated_at": shown_time(row.updated_at),
        "group_snapshot_id": None,
        "user_id": row.user_id,
        "consumes_quota": True,
    }


def snapshot_detail_view(record: SnapshotRecord) -> dict[str, Any]:
    extended = "os-extended-snapshot-attributes:"
    row = record.row
    return {**snapshot_view(record), f"{extended}project_id": row.project_id, f"{extended}progress": row.progress}


def type_view(row: VolumeType, *, sees_access: bool, sees_qos: bool, specs: Mapping[str, str] | None) -> dict[str, Any]:
    """`specs`: those that the caller may see; None: the answer has none."""
    view: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "is_public": row.is_public,
    }
    if specs is not None:
        view["extra_specs"] = dict(specs)
    if sees_access:
        view["os-volume-type-access:is_public"] = row.is_public
    if sees_qos:
        view["qos_specs_id"] = row.qos_specs_id
    return view


def qos_view(row: QosSpecs) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "consumer": row.consumer, "specs": dict(row.specs)}


def qos_association_view(row: VolumeType) -> dict[str, Any]:
    return {"association_type": "volume_type", "name": row.name, "id": row.id}


def access_view(each: TypeAccess) -> dict[str, Any]:
    return {"volume_type_id": each.volume_type_id, "project_id": each.project_id}


def default_type_view(each: DefaultType) -> dict[str, Any]:
    return {"project_id": each.project_id, "volume_type_id": each.volume_type_id}


def attachment_view(row: Attachment) -> dict[str, Any]:
    return {"id": row.id, "status": row.status, "instance": row.server_id, "volume_id": row.volume_id}


def attachment_detail_view(row: Attachment) -> dict[str, Any]:
    return {
        **attachment_view(row),
        "attach_mode": row.attach_mode,
        "attached_at": shown_time(row.attached_at) or "",
        "detached_at": "",
        "connection_info": row.connection or {},
    }


def transfer_view(row: Transfer, base_url: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "volume_id": row.volume_id,
        "name": row.name,
        "links": links(base_url, row.project_id, "os-volume-transfer", row.id),
    }


def transfer_detail_view(row: Transfer, base_url: str) -> dict[str, Any]:
    """A transfer that was accepted is no more: all there are wait."""
    return {
        **transfer_view(row, base_url),
        "created_at": shown_time(row.created_at),
        "source_project_id": row.project_id,
        "destination_project_id": None,
        "accepted": False,
    }


def message_view(row: Message, base_url: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "event_id": f"VOLUME_{row.resource_type}_{row.action_id}_{row.detail_id}",
        "message_level": MESSAGE_LEVEL,
        "request_id": row.request_id,
        "resource_type": row.resource_type,
        "resource_uuid": row.resource_id,
        "user_message": row.text,
        "created_at": shown_time(row.created_at),
        "guaranteed_until": shown_time(row.expires_at),
        "links": links(base_url, row.project_id, "messages", row.id),
    }


def service_view(row: VolumeService, *, is_up: bool) -> dict[str, Any]:
    return {
        "binary": AGENT_BINARY,
        "host": row.host,
        "zone": row.availability_zone,
        "status": "disabled" if row.disabled else "enabled",
        "state": "up" if is_up else "down",
        "updated_at": shown_time(row.updated_at),
        "disabled_reason": row.disabled_reason,
        "cluster": None,
        "replication_status": "not-capable",
        "frozen": False,
        "active_backend_id": None,
        "backend_state": "up" if is_up else "down",
    }


def backup_service_view(row: BackupService, *, is_up: bool) -> dict[str, Any]:
    return {
        "binary": BACKUP_BINARY,
        "host": row.host,
        "zone": row.availability_zone,
        "status": "disabled" if row.disabled else "enabled",
        "state": "up" if is_up else "down",
        "updated_at": shown_time(row.updated_at),
        "disabled_reason": row.disabled_reason,
        "cluster": None,
    }


def host_view(row: VolumeService, *, is_up: bool) -> dict[str, Any]:
    return {
        "host_name": row.host,
        "service": AGENT_BINARY,
        "zone": row.availability_zone,
        "service-status": "available" if is_up else "unavailable",
        "service-state": "disabled" if row.disabled else "enabled",
        "last-update": shown_time(row.updated_at),
    }


def scheduler_host_view(host: str, zone: str, now: datetime) -> dict[str, Any]:
    """The host of the scheduler, which is whichever process runs the operations."""
    return {
        "host_name": host,
        "service": "cinder-scheduler",
        "zone": zone,
        "service-status": "available",
        "service-state": "enabled",
        "last-update": shown_time(now),
    }


def host_usage_view(host: str, usage: Mapping[str, Sequence[int]]) -> list[dict[str, str]]:
    """`usage`: project → its volumes, their GiB, their snapshots, and the GiB of those."""
    names = ("volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    totals = [sum(each) for each in zip(*usage.values(), strict=True)] if usage else [0] * len(names)
    return [
        {"host": host, "project": project, **{name: str(number) for name, number in zip(names, numbers, strict=True)}}
        for project, numbers in (("(total)", totals), *sorted(usage.items()))
    ]


def capability_view(host: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    told = ("vendor_name", "volume_backend_name", "pool_name", "driver_version", "storage_protocol")
    unsaid = ("display_name", "description", "visibility")
    return {
        "namespace": f"OS::Storage::Capabilities::{host}",
        **{name: stats.get(name) for name in told},
        **dict.fromkeys(unsaid),
        "replication_targets": [],
        "properties": {},
    }


def pool_view(
    row: VolumeService, stats: Mapping[str, Any], *, detailed: bool, provisioned_gib: int, is_up: bool
) -> dict[str, Any]:
    view: dict[str, Any] = {"name": f"{row.host}#{stats['pool_name']}"}
    if detailed:
        view["capabilities"] = {
            **stats,
            "provisioned_capacity_gb": provisioned_gib,
            "allocated_capacity_gb": provisioned_gib,
            "backend_state": "up" if is_up else "down",
            "timestamp": shown_time(row.updated_at),
        }
    return view
