"""/traits."""

import msgspec

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Listing
from kilonova.kit.http.routes import Reply
from kilonova.placement import traits
from kilonova.placement.api.bodies import CustomName, PlacementRequest, no_content
from kilonova.placement.api.media import dated
from kilonova.placement.api.queries import DIALECT

LISTING = Listing(dialect=DIALECT, others=dict.fromkeys(("name", "associated")))


async def list_traits(request: PlacementRequest) -> Reply:
    """`name=in:A,B` or `name=startswith:P`; `associated=true` for those that some provider has."""
    request.authorize()
    LISTING.read(request)
    names, prefix = _name_filter(request.query.get("name"))
    associated = request.query.get("associated")
    if associated is not None and associated.lower() not in ("true", "false"):
        raise BadRequest("The parameter associated must be true or false.")
    async with request.service.database.reading() as tx:
        found = await traits.list_all(
            tx,
            names=names,
            prefix=prefix,
            associated=None if associated is None else associated.lower() == "true",
        )
    return dated(request, {"traits": found})


def _name_filter(text: str | None) -> tuple[set[str] | None, str]:
    if text is None:
        return None, ""
    operator, colon, value = text.partition(":")
    if not colon:
        raise BadRequest(f"The parameter name must be of the form in:NAME,NAME or startswith:PREFIX, got {text!r}.")
    if operator == "in":
        return set(value.split(",")), ""
    return None, value if operator == "startswith" else ""


async def show_trait(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await traits.find(tx, request.path["name"])
    return dated(request, None, None if found is None else found.updated_at, status=204)


async def ensure_trait(request: PlacementRequest) -> Reply:
    request.authorize()
    try:
        name = msgspec.convert(request.path["name"], type=CustomName)
    except msgspec.ValidationError as error:
        raise BadRequest(
            "A trait of one's own begins with CUSTOM_, consists of A-Z, 0-9 and _, and has at most 255 characters."
        ) from error
    async with request.service.database.transaction() as tx:
        is_new = await traits.ensure(tx, name, request.service.clock.now())
        found = await traits.find(tx, name)
    assert found is not None  # noqa: S101 - standard names do not pass as custom ones
    reply = dated(request, None, found.updated_at)
    location = {"Location": f"{request.base_url}/traits/{name}"}
    return Reply(None, status=201 if is_new else 204, headers={**reply.headers, **location})


async def delete_trait(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await traits.remove(tx, request.path["name"])
    return no_content()
