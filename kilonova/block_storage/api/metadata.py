"""/volumes/{id}/metadata and /snapshots/{id}/metadata."""

from typing import Any

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
from kilonova.kit.errors import BadRequest


async def show_of_volume(request: VolumeRequest) -> dict[str, Any]:
    async with reading_volume(request) as found:
        return {"metadata": await volumes.metadata_of(found.tx, found.row)}


async def add_to_volume(request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
    return await _write_volume(request, body.metadata, replace=False)


async def replace_of_volume(request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
    return await _write_volume(request, body.metadata, replace=True)


async def _write_volume(request: VolumeRequest, items: dict[str, str], *, replace: bool) -> dict[str, Any]:
    async with writing_volume(request) as found:
        now = request.service.clock.now()
        return {"metadata": await volumes.write_metadata(found.tx, found.row, items, now, replace=replace)}


async def show_item_of_volume(request: VolumeRequest) -> dict[str, Any]:
    async with reading_volume(request) as found:
        return _item(request, await volumes.metadata_of(found.tx, found.row))


async def set_item_of_volume(request: VolumeRequest, body: bodies.MetadataItemBody) -> dict[str, Any]:
    _check_key(request, body)
    await _write_volume(request, body.meta, replace=False)
    return {"meta": body.meta}


async def delete_item_of_volume(request: VolumeRequest) -> None:
    async with writing_volume(request) as found:
        await volumes.remove_metadata_key(found.tx, found.row, request.path["key"])


async def show_of_snapshot(request: VolumeRequest) -> dict[str, Any]:
    async with reading_snapshot(request) as found:
        return {"metadata": await snapshots.metadata_of(found.tx, found.row)}


async def add_to_snapshot(request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
    return await _write_snapshot(request, body.metadata, replace=False)


async def replace_of_snapshot(request: VolumeRequest, body: bodies.MetadataBody) -> dict[str, Any]:
    return await _write_snapshot(request, body.metadata, replace=True)


async def _write_snapshot(request: VolumeRequest, items: dict[str, str], *, replace: bool) -> dict[str, Any]:
    async with writing_snapshot(request) as found:
        now = request.service.clock.now()
        return {"metadata": await snapshots.write_metadata(found.tx, found.row, items, now, replace=replace)}


async def show_item_of_snapshot(request: VolumeRequest) -> dict[str, Any]:
    async with reading_snapshot(request) as found:
        return _item(request, await snapshots.metadata_of(found.tx, found.row))


async def set_item_of_snapshot(request: VolumeRequest, body: bodies.MetadataItemBody) -> dict[str, Any]:
    _check_key(request, body)
    await _write_snapshot(request, body.meta, replace=False)
    return {"meta": body.meta}


async def delete_item_of_snapshot(request: VolumeRequest) -> None:
    async with writing_snapshot(request) as found:
        await snapshots.remove_metadata_key(found.tx, found.row, request.path["key"])


def _item(request: VolumeRequest, items: dict[str, str]) -> dict[str, Any]:
    key = request.path["key"]
    if key not in items:
        raise KeyNotFound(f"Metadata have no key {key}.")
    return {"meta": {key: items[key]}}


def _check_key(request: VolumeRequest, body: bodies.MetadataItemBody) -> None:
    """Raises BadRequest for a body about another key than the path."""
    if request.path["key"] not in body.meta:
        raise BadRequest("The key in the body is not the one in the path.")
