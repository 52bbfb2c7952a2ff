"""/volumes/{id}/metadata and /snapshots/{id}/metadata."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kilonova.block_storage import snapshots, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    VolumeRequest,
    reading_snapshot,
    reading_volume,
    writing_snapshot,
    writing_volume,
)
from kilonova.block_storage.errors import KeyNotFound
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest

Look = Callable[[VolumeRequest], AbstractAsyncContextManager[Any]]
"""Given a request, its transaction and the row that its path names."""


class Domain(Protocol):
    """A module that keeps the metadata of its rows."""

    async def metadata_of(self, tx: Tx, row: Any) -> dict[str, str]: ...

    async def write_metadata(
        self, tx: Tx, row: Any, items: Mapping[str, str], now: datetime, *, replace: bool
    ) -> dict[str, str]: ...

    async def remove_metadata_key(self, tx: Tx, row: Any, key: str) -> None: ...


@dataclass(frozen=True)
class Items:
    """The handlers of one resource's metadata."""

    reading: Look
    writing: Look
    domain: Domain

    async def show(self, request: VolumeRequest) -> dict[str, Any]:
        return {"metadata": await self._read(request)}

    async def add(self, request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
        return {"metadata": await self._write(request, body.metadata, replace=False)}

    async def replace(self, request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
        return {"metadata": await self._write(request, body.metadata, replace=True)}

    async def show_item(self, request: VolumeRequest) -> dict[str, Any]:
        key, items = request.path["key"], await self._read(request)
        if key not in items:
            raise KeyNotFound(f"Metadata have no key {key}.")
        return {"meta": {key: items[key]}}

    async def set_item(self, request: VolumeRequest, body: bodies.MetadataItemBody) -> dict[str, Any]:
        if request.path["key"] not in body.meta:
            raise BadRequest("The key in the body is not the one in the path.")
        await self._write(request, body.meta, replace=False)
        return {"meta": body.meta}

    async def delete_item(self, request: VolumeRequest) -> None:
        async with self.writing(request) as found:
            await self.domain.remove_metadata_key(found.tx, found.row, request.path["key"])

    async def _read(self, request: VolumeRequest) -> dict[str, str]:
        async with self.reading(request) as found:
            return await self.domain.metadata_of(found.tx, found.row)

    async def _write(self, request: VolumeRequest, items: dict[str, str], *, replace: bool) -> dict[str, str]:
        async with self.writing(request) as found:
            now = request.service.clock.now()
            return await self.domain.write_metadata(found.tx, found.row, items, now, replace=replace)


OF_VOLUMES = Items(reading_volume, writing_volume, volumes)
OF_SNAPSHOTS = Items(reading_snapshot, writing_snapshot, snapshots)
