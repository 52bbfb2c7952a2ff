"""The image service as other services call it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.kit.http.answers import check_id, holding
from kilonova.kit.http.client import RemoteService, RemoteUnavailable, at


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
