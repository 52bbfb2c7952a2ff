"""/servers/{id}/metadata and /servers/{id}/tags: what its owner notes about a server.

A guest reads its metadata from the metadata service; tags are for finding servers.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute import quotas, servers
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.servers import MOST_TAGS, MetadataKey, MetadataValue, Tag, Tags, fetch_server, fetch_unlocked
from kilonova.compute.tables import Server
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.routes import Reply

SETTLED = ("active", "paused", "suspended", "stopped")
"""The vm_states in which a server may be annotated."""

Items = dict[MetadataKey, MetadataValue]


class MetadataBody(Struct, forbid_unknown_fields=True):
    metadata: Items


class ItemBody(Struct, forbid_unknown_fields=True):
    meta: Annotated[Items, Meta(min_length=1, max_length=1)]


class TagsBody(Struct, forbid_unknown_fields=True):
    tags: Tags


async def list_metadata(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        return {"metadata": (await fetch_server(tx, request)).server.metadata}


async def show_item(request: ComputeRequest) -> dict[str, Any]:
    key = request.path["key"]
    async with request.service.database.reading() as tx:
        metadata = (await fetch_server(tx, request)).server.metadata
    if key not in metadata:
        raise NotFound("Metadata item was not found")
    return {"meta": {key: metadata[key]}}


async def update_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """POST: adds and changes items; the others stay."""
    async with request.service.database.transaction() as tx:
        server = await _fetch_settled(tx, request, "update metadata")
        return {"metadata": await _write(tx, request, server, {**server.metadata, **body.metadata})}


async def replace_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """PUT: these are all."""
    async with request.service.database.transaction() as tx:
        server = await _fetch_settled(tx, request, "update metadata")
        return {"metadata": await _write(tx, request, server, body.metadata)}


async def set_item(request: ComputeRequest, body: ItemBody) -> dict[str, Any]:
    key = request.path["key"]
    if key not in body.meta:
        raise BadRequest(f"Request body and URI mismatch: the body must hold the key {key}.")
    async with request.service.database.transaction() as tx:
        server = await _fetch_settled(tx, request, "update metadata")
        await _write(tx, request, server, {**server.metadata, **body.meta})
    return {"meta": body.meta}


async def delete_item(request: ComputeRequest) -> None:
    key = request.path["key"]
    async with request.service.database.transaction() as tx:
        server = await _fetch_settled(tx, request, "delete metadata")
        if key not in server.metadata:
            raise NotFound("Metadata item was not found")
        kept = {name: value for name, value in server.metadata.items() if name != key}
        await servers.change(tx, server.id, request.service.clock.now(), metadata=kept)


async def _write(tx: Tx, request: ComputeRequest, server: Server, items: dict[str, str]) -> dict[str, str]:
    await quotas.check_metadata(tx, server.project_id, len(items))
    await servers.change(tx, server.id, request.service.clock.now(), metadata=items)
    return items


async def _fetch_settled(tx: Tx, request: ComputeRequest, action: str) -> Server:
    server = (await fetch_unlocked(tx, request)).server
    servers.check_state(server, action, SETTLED)
    return server


async def list_tags(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        return {"tags": (await fetch_server(tx, request)).server.tags}


async def show_tag(request: ComputeRequest) -> Reply:
    async with request.service.database.reading() as tx:
        _check_has(request, (await fetch_server(tx, request)).server)
    return Reply(status=204)


async def replace_tags(request: ComputeRequest, body: TagsBody) -> dict[str, Any]:
    async with request.service.database.transaction() as tx:
        server = await _fetch_taggable(tx, request)
        return {"tags": await _write_tags(tx, request, server, body.tags)}


async def add_tag(request: ComputeRequest) -> Reply:
    tag = request.path["tag"]
    if not 1 <= len(tag) <= 60 or "," in tag:
        raise BadRequest(f"Invalid tag {tag!r}: it has 1 to 60 characters and no comma.")
    async with request.service.database.transaction() as tx:
        server = await _fetch_taggable(tx, request)
        if tag in server.tags:
            return Reply(status=204)
        if len(server.tags) >= MOST_TAGS:
            raise BadRequest(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
        await _write_tags(tx, request, server, [*server.tags, tag])
    return Reply(status=201, headers={"Location": request.base_url + request.url_path})


async def delete_tag(request: ComputeRequest) -> None:
    async with request.service.database.transaction() as tx:
        server = await _fetch_taggable(tx, request)
        tag = _check_has(request, server)
        await _write_tags(tx, request, server, [each for each in server.tags if each != tag])


async def delete_tags(request: ComputeRequest) -> None:
    async with request.service.database.transaction() as tx:
        await _write_tags(tx, request, await _fetch_taggable(tx, request), [])


async def _fetch_taggable(tx: Tx, request: ComputeRequest) -> Server:
    server = (await fetch_server(tx, request)).server
    servers.check_state(server, "update tags", SETTLED)
    return server


def _check_has(request: ComputeRequest, server: Server) -> Tag:
    tag = request.path["tag"]
    if tag not in server.tags:
        raise NotFound(f"Server {server.id} has no tag '{tag}'")
    return tag


async def _write_tags(tx: Tx, request: ComputeRequest, server: Server, tags: list[str]) -> list[str]:
    written = sorted(set(tags))
    await servers.change(tx, server.id, request.service.clock.now(), tags=written)
    return written
