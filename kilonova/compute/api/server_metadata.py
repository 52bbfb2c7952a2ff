"""/servers/{id}/metadata and /servers/{id}/tags: what its owner notes about a server.

A guest reads its metadata from the metadata service; tags are for finding servers.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import Found, reading_server, writing_server
from kilonova.compute.api.server_bodies import MOST_TAGS, Metadata, MetadataKey, MetadataValue, Tag, Tags
from kilonova.compute.catalog import quotas
from kilonova.compute.region import mappings
from kilonova.compute.servers import servers
from kilonova.compute.tables import Server
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.routes import Reply

SETTLED = ("active", "paused", "suspended", "stopped")
"""The vm_states in which a server may be annotated."""


class MetadataBody(Struct, forbid_unknown_fields=True):
    metadata: Metadata


class ItemBody(Struct, forbid_unknown_fields=True):
    meta: Annotated[dict[MetadataKey, MetadataValue], Meta(min_length=1, max_length=1)]


class TagsBody(Struct, forbid_unknown_fields=True):
    tags: Tags


async def list_metadata(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request) as found:
        return {"metadata": found.server.metadata}


async def show_item(request: ComputeRequest) -> dict[str, Any]:
    key = request.path["key"]
    async with reading_server(request) as found:
        metadata = found.server.metadata
    if key not in metadata:
        raise NotFound("Metadata item was not found")
    return {"meta": {key: metadata[key]}}


async def update_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """POST: adds and changes items; the others stay."""
    limits = await _limits(request)
    async with _settled(request, "update metadata") as found:
        return {"metadata": await _write(found, limits, {**found.server.metadata, **body.metadata})}


async def replace_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """PUT: these are all."""
    limits = await _limits(request)
    async with _settled(request, "update metadata") as found:
        return {"metadata": await _write(found, limits, body.metadata)}


async def set_item(request: ComputeRequest, body: ItemBody) -> dict[str, Any]:
    key = request.path["key"]
    if key not in body.meta:
        raise BadRequest(f"Request body and URI mismatch: the body must hold the key {key}.")
    limits = await _limits(request)
    async with _settled(request, "update metadata") as found:
        await _write(found, limits, {**found.server.metadata, **body.meta})
    return {"meta": body.meta}


async def delete_item(request: ComputeRequest) -> None:
    key = request.path["key"]
    async with _settled(request, "delete metadata") as found:
        server = found.server
        if key not in server.metadata:
            raise NotFound("Metadata item was not found")
        kept = {name: value for name, value in server.metadata.items() if name != key}
        await servers.change(found.tx, server.id, request.service.clock.now(), metadata=kept)


async def _limits(request: ComputeRequest) -> dict[str, int]:
    """The quota of the server's project."""
    async with request.service.reading() as tx:
        mapping = await mappings.find_server(tx, request.path["server_id"])
        project_id = mapping.project_id if mapping is not None else request.ctx.project_id or ""
        return await quotas.limits_of(tx, project_id)


async def _write(found: Found, limits: Mapping[str, int], items: dict[str, str]) -> dict[str, str]:
    quotas.check_metadata(limits, len(items))
    await servers.change(found.tx, found.server.id, found.cell.clock.now(), metadata=items)
    return items


@asynccontextmanager
async def _settled(request: ComputeRequest, action: str) -> AsyncIterator[Found]:
    async with writing_server(request, unlocked=True) as found:
        servers.check_state(found.server, action, SETTLED)
        yield found


async def list_tags(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request) as found:
        return {"tags": found.server.tags}


async def show_tag(request: ComputeRequest) -> Reply:
    async with reading_server(request) as found:
        _check_has(request, found.server)
    return Reply(status=204)


async def replace_tags(request: ComputeRequest, body: TagsBody) -> dict[str, Any]:
    async with _taggable(request) as found:
        return {"tags": await _write_tags(found, body.tags)}


async def add_tag(request: ComputeRequest) -> Reply:
    tag = request.path["tag"]
    if not 1 <= len(tag) <= 60 or "," in tag:
        raise BadRequest(f"Invalid tag {tag!r}: it has 1 to 60 characters and no comma.")
    async with _taggable(request) as found:
        known = found.server.tags
        if tag in known:
            return Reply(status=204)
        if len(known) >= MOST_TAGS:
            raise BadRequest(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
        await _write_tags(found, [*known, tag])
    return Reply(status=201, headers={"Location": request.base_url + request.url_path})


async def delete_tag(request: ComputeRequest) -> None:
    async with _taggable(request) as found:
        tag = _check_has(request, found.server)
        await _write_tags(found, [each for each in found.server.tags if each != tag])


async def delete_tags(request: ComputeRequest) -> None:
    async with _taggable(request) as found:
        await _write_tags(found, [])


@asynccontextmanager
async def _taggable(request: ComputeRequest) -> AsyncIterator[Found]:
    async with writing_server(request) as found:
        servers.check_state(found.server, "update tags", SETTLED)
        yield found


def _check_has(request: ComputeRequest, server: Server) -> Tag:
    tag = request.path["tag"]
    if tag not in server.tags:
        raise NotFound(f"Server {server.id} has no tag '{tag}'")
    return tag


async def _write_tags(found: Found, tags: list[str]) -> list[str]:
    written = sorted(set(tags))
    await servers.change(found.tx, found.server.id, found.cell.clock.now(), tags=written)
    return written
