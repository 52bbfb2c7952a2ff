"""A server's volumes as the newest version shows them."""

from typing import Any

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
