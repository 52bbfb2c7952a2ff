"""Block storage as other services call it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from kilonova.kit.http.answers import check_id, holding
from kilonova.kit.http.client import RemoteFault, RemotePath, RemoteService, at

VERSION = {"OpenStack-API-Version": "volume 3.71"}

Fields = dict[str, Any]


class Holding(Struct, frozen=True, kw_only=True):
    """A server that has a volume."""

    attachment_id: str
    server_id: str | None
    device: str | None


class Volume(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    size_gib: int = field(name="size")
    name: str | None
    bootable: str
    multiattach: bool
    availability_zone: str | None
    project_id: str = field(default="", name="os-vol-tenant-attr:tenant_id")
    """Empty in the answer to its creation."""
    metadata: dict[str, str] = {}
    description: str | None = None
    volume_type: str | None = None
    snapshot_id: str | None = None
    created_at: str = ""
    attachments: tuple[Holding, ...] = ()
    image_properties: dict[str, str] = field(default={}, name="volume_image_metadata")
    """The properties of the image that the volume was made from."""


class Snapshot(Struct, frozen=True, kw_only=True):
    id: str
    status: str
    size_gib: int = field(name="size")
    volume_id: str
    name: str | None = None
    description: str | None = None
    created_at: str = ""


class Attachment(Struct, frozen=True, kw_only=True):
    """A volume in the hands of a server, or promised to it."""

    id: str
    volume_id: str
    attach_mode: str
    """`rw` or `ro`."""
    connection_info: Fields = {}
    """The way to the volume, once a host was told of it."""


class _Listed(Struct, frozen=True, kw_only=True):
    id: str


class VolumeClient:
    """Source: Block Storage API v3 reference, microversion 3.71."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def show(self, volume_id: str, token: str | None = None) -> Volume:
        """The volume as `token`'s owner sees it. Raises RemoteFault (404)."""
        answer = await self._request(
            "GET", at("/v3/volumes/{id}", id=volume_id), token=token, answer=holding("volume", Volume)
        )
        found: Volume = answer.volume
        check_id(self._remote.name, volume_id, found.id)
        return found

    async def list_volumes(self, token: str, **page: Any) -> list[Volume]:
        """The volumes that `token`'s owner sees. Raises RemoteFault."""
        answer = holding("volumes", list[Volume])
        listed = await self._request("GET", at("/v3/volumes/detail"), params=page, token=token, answer=answer)
        found: list[Volume] = listed.volumes
        return found

    async def list_snapshots(self, token: str, **page: Any) -> list[Snapshot]:
        """The snapshots that `token`'s owner sees. Raises RemoteFault."""
        answer = holding("snapshots", list[Snapshot])
        listed = await self._request("GET", at("/v3/snapshots/detail"), params=page, token=token, answer=answer)
        found: list[Snapshot] = listed.snapshots
        return found

    async def create_snapshot(self, fields: Fields, token: str) -> Snapshot:
        """Begins to make a snapshot. Raises RemoteFault."""
        answer = holding("snapshot", Snapshot)
        made = await self._request("POST", at("/v3/snapshots"), json={"snapshot": fields}, token=token, answer=answer)
        snapshot: Snapshot = made.snapshot
        return snapshot

    async def delete_snapshot(self, snapshot_id: str, token: str) -> None:
        """Begins to delete a snapshot. Raises RemoteFault."""
        await self._request("DELETE", at("/v3/snapshots/{id}", id=snapshot_id), token=token)

    async def show_snapshot(self, snapshot_id: str, token: str | None = None) -> Snapshot:
        """The snapshot as `token`'s owner sees it. Raises RemoteFault (404)."""
        answer = holding("snapshot", Snapshot)
        shown = await self._request("GET", at("/v3/snapshots/{id}", id=snapshot_id), token=token, answer=answer)
        found: Snapshot = shown.snapshot
        check_id(self._remote.name, snapshot_id, found.id)
        return found

    async def create(self, fields: Fields, token: str) -> Volume:
        """Begins to make a volume, which is `creating` at first. Raises RemoteFault."""
        answer = holding("volume", Volume)
        made = await self._request("POST", at("/v3/volumes"), json={"volume": fields}, token=token, answer=answer)
        volume: Volume = made.volume
        return volume

    async def delete(self, volume_id: str, token: str | None = None) -> None:
        """Begins to delete a volume; ok when it is gone. Raises RemoteFault."""
        await self._unless_gone("DELETE", at("/v3/volumes/{id}", id=volume_id), token=token)

    async def force_delete(self, volume_id: str) -> None:
        """Begins to delete a volume that is still being made; ok when it is gone. Raises RemoteFault."""
        await self._unless_gone("POST", at("/v3/volumes/{id}/action", id=volume_id), json={"os-force_delete": {}})

    async def attachments_of(self, volume_id: str, server_id: str) -> list[str]:
        """Ids of a server's attachments of a volume."""
        answer = holding("attachments", list[_Listed])
        asked = {"volume_id": volume_id, "instance_id": server_id, "all_tenants": "1"}
        listed = await self._request("GET", at("/v3/attachments"), params=asked, answer=answer)
        return [each.id for each in listed.attachments]

    async def reserve(self, volume_id: str, server_id: str, token: str | None = None) -> Attachment:
        """Promises a volume to a server; what it was promised already it gets again. Raises RemoteFault."""
        fields = {"volume_uuid": volume_id, "instance_uuid": server_id}
        answer = holding("attachment", Attachment)
        made = await self._request(
            "POST", at("/v3/attachments"), json={"attachment": fields}, token=token, answer=answer
        )
        attachment: Attachment = made.attachment
        check_id(self._remote.name, volume_id, attachment.volume_id)
        return attachment

    async def connect(self, attachment_id: str, connector: Mapping[str, Any]) -> Attachment:
        """Tells block storage which host will use the volume; the answer has the way to it. Raises RemoteFault."""
        body = {"attachment": {"connector": connector}}
        answer = holding("attachment", Attachment)
        made = await self._request("PUT", at("/v3/attachments/{id}", id=attachment_id), json=body, answer=answer)
        found: Attachment = made.attachment
        check_id(self._remote.name, attachment_id, found.id)
        return found

    async def complete(self, attachment_id: str) -> None:
        """Says that the server has the volume. Safe to repeat. Raises RemoteFault."""
        await self._request("POST", at("/v3/attachments/{id}/action", id=attachment_id), json={"os-complete": {}})

    async def release(self, attachment_id: str) -> None:
        """Says that no host uses the volume for this attachment any more; ok when it is gone. Raises RemoteFault."""
        await self._unless_gone("DELETE", at("/v3/attachments/{id}", id=attachment_id))

    async def begin_detaching(self, volume_id: str) -> None:
        """Raises RemoteFault for a volume that is not in use."""
        await self._request("POST", at("/v3/volumes/{id}/action", id=volume_id), json={"os-begin_detaching": {}})

    async def roll_detaching(self, volume_id: str) -> None:
        """Takes `begin_detaching` back; ok when the volume is gone. Raises RemoteFault."""
        await self._unless_gone("POST", at("/v3/volumes/{id}/action", id=volume_id), json={"os-roll_detaching": {}})

    async def _request(self, method: str, path: RemotePath, **options: Any) -> Any:
        return await self._remote.request(method, path, headers=VERSION, **options)

    async def _unless_gone(self, method: str, path: RemotePath, **options: Any) -> None:
        try:
            await self._request(method, path, **options)
        except RemoteFault as fault:
            if fault.status != 404:
                raise
