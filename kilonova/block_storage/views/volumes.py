"""A volume as the API shows it."""

from collections.abc import Iterable, Mapping
from typing import Any

from kilonova.block_storage.attachments import ATTACHED
from kilonova.block_storage.tables import Attachment
from kilonova.block_storage.views.times import shown_time
from kilonova.block_storage.volumes import VolumeRecord


def links(base_url: str, project_id: str, kind: str, thing_id: str) -> list[dict[str, str]]:
    path = f"{project_id}/{kind}/{thing_id}"
    return [
        {"rel": "self", "href": f"{base_url}/v3/{path}"},
        {"rel": "bookmark", "href": f"{base_url}/{path}"},
    ]


def link_view(record: VolumeRecord, base_url: str) -> dict[str, Any]:
    row = record.row
    return {"id": row.id, "name": row.name, "links": links(base_url, row.project_id, "volumes", row.id)}


def detail_view(record: VolumeRecord, base_url: str, *, sees_host: bool, service_ids: dict[str, str]) -> dict[str, Any]:
    """`service_ids`: back end → the id of its service. Who sees hosts is an administrator."""
    row = record.row
    view: dict[str, Any] = {
        **link_view(record, base_url),
        "description": row.description,
        "status": row.status,
        "size": row.size_gib,
        "availability_zone": row.availability_zone,
        "created_at": shown_time(row.created_at),
        "updated_at": shown_time(row.updated_at),
        "volume_type": record.type_name,
        "volume_type_id": row.volume_type_id,
        "snapshot_id": row.source_snapshot_id,
        "source_volid": row.source_volume_id,
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": False,
        "multiattach": row.multiattach,
        "replication_status": None,
        "consistencygroup_id": None,
        "group_id": None,
        "migration_status": None,
        "shared_targets": False,
        "service_uuid": service_ids.get((row.host or "").partition("#")[0]),
        "consumes_quota": True,
        "metadata": dict(record.metadata) | ({"readonly": "True"} if row.readonly else {}),
        "attachments": [attachment_view(each) for each in record.attachments if each.status == ATTACHED],
        "os-vol-tenant-attr:tenant_id": row.project_id,
    }
    if row.source_backup_id is not None:
        view["backup_id"] = row.source_backup_id
    if row.image_metadata:
        view["volume_image_metadata"] = dict(row.image_metadata)
    if sees_host:
        view |= {
            "os-vol-host-attr:host": row.host,
            "os-vol-mig-status-attr:migstat": None,
            "os-vol-mig-status-attr:name_id": None,
            "cluster_name": None,
            "provider_id": None,
        }
    return view


def attachment_view(each: Attachment) -> dict[str, Any]:
    return {
        "id": each.volume_id,
        "attachment_id": each.id,
        "volume_id": each.volume_id,
        "server_id": each.server_id,
        "host_name": each.attached_host,
        "device": each.mountpoint,
        "attached_at": shown_time(each.attached_at),
    }


def summary_view(count: int, size_gib: int, items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, list[str]] = {}
    for key, value in items:
        values.setdefault(key, []).append(value)
    return {"volume-summary": {"total_count": count, "total_size": size_gib, "metadata": values}}


def upload_view(record: VolumeRecord, image_id: str, image: Mapping[str, Any], *, is_protected: bool) -> dict[str, Any]:
    """Returns a volume that is being uploaded, and `image`, the record that waits for it."""
    row = record.row
    return {
        "id": row.id,
        "status": row.status,
        "size": row.size_gib,
        "display_description": row.description,
        "volume_type": None if row.volume_type_id is None else {"id": row.volume_type_id, "name": record.type_name},
        "updated_at": shown_time(row.updated_at),
        "image_id": image_id,
        "image_name": image["name"],
        "disk_format": image["disk_format"],
        "container_format": image["container_format"],
        "visibility": image["visibility"],
        "protected": is_protected,
    }
