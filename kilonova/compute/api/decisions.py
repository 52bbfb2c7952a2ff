"""/os-placing-decisions: where a server would go now, and why nowhere else. Kilonova's own: nothing is claimed."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from kilonova.compute.api.bodies import ComputeRequest, Name
from kilonova.compute.api.flavors import fetch_flavor
from kilonova.compute.api.scheduler_hints import check_hints
from kilonova.compute.api.server_bodies import Hints
from kilonova.compute.catalog import server_groups
from kilonova.compute.programs import placing
from kilonova.compute.region import cells
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.servers import requests, servers
from kilonova.compute.tables import Server
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Uuid
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable


class Question(Struct, forbid_unknown_fields=True):
    """A question to the scheduler. Where a server is named, its own values count for those not given."""

    flavor_ref: Annotated[str, Meta(min_length=1, max_length=255)] = field(name="flavorRef")
    image_ref: Uuid | None = field(default=None, name="imageRef")
    availability_zone: Name | None = None
    host: Name | None = None
    scheduler_hints: Hints = {}
    project_id: Name | None = None
    """The project whose server it would be: by default that of `server_id`, else the caller's."""
    server_id: Uuid | None = None


class QuestionBody(Struct, forbid_unknown_fields=True):
    decision: Question


class Imagined(Struct, frozen=True):
    """A server that there is not, as far as placing goes by it (`placing.Placeable`)."""

    id: str
    project_id: str
    user_id: str
    flavor: dict[str, Any]
    image: dict[str, Any] | None
    scheduler_hints: dict[str, Any]
    requested_zone: str | None
    requested_host: str | None
    group_id: str | None
    volumes: list[dict[str, Any]] | None


async def decide(request: ComputeRequest, body: QuestionBody) -> dict[str, Any]:
    """The decision as it would be made now. Raises BadRequest, NotFound."""
    request.authorize()
    region = request.service
    imagined = await _imagine(request, body.decision)
    try:
        found = await placing.decide(region, imagined)
    except UnusableSpec as error:
        raise BadRequest(str(error)) from error
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        raise BadRequest(f"Placement refused what was asked of it: {fault.message}") from fault
    return {"decision": msgspec.to_builtins(found)}


async def _imagine(request: ComputeRequest, asked: Question) -> Imagined:
    region, ctx = request.service, request.ctx
    like = await _server(request, asked.server_id) if asked.server_id else None
    hints = {**(like.scheduler_hints if like else {}), **asked.scheduler_hints}
    check_hints(hints, region.rules)
    async with region.reading() as tx:
        flavor = await fetch_flavor(tx, request, asked.flavor_ref)
        group = hints.get("group")
        group_id = (await server_groups.find(tx, str(group))).id if group else None
    image = await requests.resolve_image(region, ctx, asked.image_ref, flavor) if asked.image_ref else None
    image = image or (like.image if like else None)
    requests.check_requirements(flavor, image or {"properties": {}}, region.rules)
    return Imagined(
        id=like.id if like else servers.new_server_id(),
        project_id=asked.project_id or (like.project_id if like else ctx.project_id or ""),
        user_id=like.user_id if like else ctx.user_id,
        flavor=msgspec.to_builtins(flavor),
        image=image,
        scheduler_hints=hints,
        requested_zone=asked.availability_zone or (like.requested_zone if like else None),
        requested_host=asked.host or (like.requested_host if like else None),
        group_id=group_id,
        volumes=like.volumes if like else None,
    )


async def _server(request: ComputeRequest, server_id: str) -> Server:
    async with cells.reading(request.service, server_id) as (_cell, tx):
        return await servers.find(tx, server_id)
