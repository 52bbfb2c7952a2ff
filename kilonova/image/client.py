"""The image service as other services call it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.kit.http.answers import check_id, holding
from kilonova.kit.http.client import RemoteFault, RemoteService, RemoteUnavailable, at


class ImageRecord(Struct, frozen=True, kw_only=True):
    """An image's record. `size`, `virtual_size` and the hash are None as long as it has no data."""

    id: str
    name: str | None
    status: str
    owner: str | None
    visibility: str
    disk_format: str | None
    container_format: str | None
    min_disk: int
    min_ram: int
    size: int | None
    virtual_size: int | None
    os_hash_algo: str | None
    os_hash_value: str | None
    created_at: datetime
    updated_at: datetime
    protected: bool = False
    os_hidden: bool = False
    checksum: str | None = None
    tags: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    """What its owner has noted about it: everything else that the record holds."""


KNOWN = {*ImageRecord.__struct_fields__, "self", "file", "schema", "stores", "locations", "direct_url"} - {"properties"}
PATCH = "application/openstack-images-v2.1-json-patch"


def is_property(name: str) -> bool:
    """Whether an image's owner may note something under this name: others are the record's own."""
    return name not in KNOWN


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


class ImageClient:
    """Source: Image API v2 reference."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def show(self, image_id: str, token: str | None = None) -> ImageRecord:
        """The image's record as `token`'s owner sees it. Raises RemoteFault (404)."""
        path = at("/v2/images/{image_id}", image_id=image_id)
        found = self._record(await self._remote.request("GET", path, token=token, answer=dict[str, Any]))
        check_id(self._remote.name, image_id, found.id)
        return found

    async def list_images(self, token: str | None = None, **filters: Any) -> list[ImageRecord]:
        """One page of what `token`'s owner sees, 25 unless `limit` says otherwise."""
        answer = holding("images", list[dict[str, Any]])
        listed = await self._remote.request("GET", at("/v2/images"), params=filters, token=token, answer=answer)
        return [self._record(fields) for fields in getattr(listed, "images", [])]

    async def delete(self, image_id: str, token: str | None = None) -> None:
        """Raises RemoteFault."""
        await self._remote.request("DELETE", at("/v2/images/{image_id}", image_id=image_id), token=token)

    async def change_properties(
        self, image_id: str, written: Mapping[str, str], removed: Iterable[str], token: str
    ) -> ImageRecord:
        """The image's record after all of it. Raises RemoteFault, and nothing has changed then."""
        operations: list[dict[str, Any]] = [{"op": "remove", "path": _pointer(name)} for name in removed]
        operations += [{"op": "add", "path": _pointer(name), "value": value} for name, value in written.items()]
        path = at("/v2/images/{image_id}", image_id=image_id)
        headers = {"Content-Type": PATCH}
        changed = await self._remote.request(
            "PATCH", path, json=operations, headers=headers, token=token, answer=dict[str, Any]
        )
        return self._record(changed)

    async def create(self, fields: Mapping[str, Any], token: str) -> ImageRecord:
        """A new image, which waits for its data. Raises RemoteFault."""
        made = await self._remote.request("POST", at("/v2/images"), json=fields, token=token, answer=dict[str, Any])
        return self._record(made)

    async def set_formats(self, image_id: str, disk_format: str, container_format: str) -> None:
        """Says what the data will be that an image waits for. Raises RemoteFault."""
        formats = {"disk_format": disk_format, "container_format": container_format}
        operations = [{"op": "replace", "path": _pointer(name), "value": value} for name, value in formats.items()]
        path = at("/v2/images/{image_id}", image_id=image_id)
        await self._remote.request("PATCH", path, json=operations, headers={"Content-Type": PATCH})

    async def protect(self, image_id: str) -> None:
        """Lets nobody delete an image until its owner allows it again. Raises RemoteFault."""
        operations = [{"op": "replace", "path": "/protected", "value": True}]
        path = at("/v2/images/{image_id}", image_id=image_id)
        await self._remote.request("PATCH", path, json=operations, headers={"Content-Type": PATCH})

    async def discard(self, image_id: str) -> None:
        """Deletes an image unless it has its data; ok when it is gone. Raises RemoteFault."""
        try:
            if (await self.show(image_id)).status in ("queued", "saving"):
                await self.delete(image_id)
        except RemoteFault as fault:
            if fault.status != 404:
                raise

    async def upload(self, image_id: str, read: Callable[[], AsyncIterator[bytes]], size_bytes: int) -> None:
        """Sends an image the data that it waits for; ok when it has its data already. Raises RemoteFault."""
        try:
            await self._remote.upload(at("/v2/images/{image_id}/file", image_id=image_id), read(), size_bytes)
        except RemoteFault as fault:
            if fault.status != 409 or (await self.show(image_id)).status != "active":
                raise

    async def download(self, image_id: str) -> AsyncIterator[bytes]:
        """The image's data, in chunks."""
        async with self._remote.download(at("/v2/images/{image_id}/file", image_id=image_id)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _record(self, fields: dict[str, Any]) -> ImageRecord:
        properties = {key: value for key, value in fields.items() if key not in KNOWN and isinstance(value, str)}
        known = {key: value for key, value in fields.items() if key in KNOWN}
        try:
            return msgspec.convert({**known, "properties": properties}, ImageRecord)
        except msgspec.ValidationError as error:
            sentence = f"answered something else than asked for: {error}"
            raise RemoteUnavailable(self._remote.name, 502, sentence) from error
