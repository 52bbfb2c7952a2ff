"""Volumes as compute shows them: a server's in the newest version, and block storage's as versions up to 2.35 did."""

from typing import Any

from kilonova.block_storage.client import Snapshot, Volume
from kilonova.compute.servers.volumes import ServerVolume


def attachment_view(server_id: str, volume: ServerVolume) -> dict[str, Any]:
    return {
        "serverId": server_id,
        "volumeId": volume.id,
        "device": f"/dev/{volume.device}",
        "tag": volume.tag or None,
        "delete_on_termination": volume.is_deleted,
        "attachment_id": volume.attachment_id or None,
        "bdm_uuid": volume.bdm_id,
    }


def volume_view(volume: Volume) -> dict[str, Any]:
    attachments = [
        {"id": volume.id, "volumeId": volume.id, "serverId": each.server_id, "device": each.device}
        for each in volume.attachments
    ]
    return {
        "id": volume.id,
        "displayName": volume.name,
        "displayDescription": volume.description,
        "size": volume.size_gib,
        "status": volume.status,
        "volumeType": volume.volume_type,
        "snapshotId": volume.snapshot_id,
        "availabilityZone": volume.availability_zone,
        "createdAt": volume.created_at,
        "metadata": volume.metadata,
        # Nobody's volume shows one attachment without anything in it.
        "attachments": attachments or [{}],
    }


def snapshot_view(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "displayName": snapshot.name,
        "displayDescription": snapshot.description,
        "size": snapshot.size_gib,
        "status": snapshot.status,
        "volumeId": snapshot.volume_id,
        "createdAt": snapshot.created_at,
    }
