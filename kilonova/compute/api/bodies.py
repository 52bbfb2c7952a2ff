"""What compute's handlers share: the request type, and reading the strange booleans old clients send."""

import re
from typing import Annotated

from msgspec import Meta

from kilonova.compute.service import Region
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import FALSE, TRUE
from kilonova.kit.http.routes import Request

ComputeRequest = Request[Region]

UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Name = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"^(?!\s)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?<!\s)$(?!\n)")
]
"""Printable characters, no white space at either end."""


def as_boolean(value: bool | str | int | None, name: str) -> bool:
    """True and False in all the spellings upstream takes. Raises BadRequest naming the field."""
    text = str(value if value is not None else "").strip().lower()
    if text in TRUE:
        return True
    if text in ("", *FALSE):
        return False
    raise BadRequest(f"Invalid input for {name}: {value!r} is not a boolean.")


def seen_project(request: ComputeRequest) -> str | None:
    """The project a lookup is narrowed to; None for those who see every project's servers."""
    return None if request.ctx.is_admin else request.ctx.project_id


def flag(request: ComputeRequest, name: str) -> bool:
    """A boolean query parameter; False when it is not given. Raises BadRequest."""
    return name in request.query and as_boolean(request.query[name], name)


def refuse_unknown_queries(request: ComputeRequest, change: str = "strict_queries") -> None:
    """Raises BadRequest for a query parameter that the route does not name, from the version of `change` on."""
    unknown = sorted(set(request.query) - set(request.known_queries))
    if unknown and request.allows(change):
        allowed = ", ".join(sorted(request.known_queries)) or "none"
        raise BadRequest(f"Additional properties are not allowed ({', '.join(unknown)}); allowed here: {allowed}.")


def path_uuid(request: ComputeRequest, name: str) -> str:
    """A variable of the path that is the id of another service's thing. Raises BadRequest for what is no UUID."""
    value = request.path[name]
    if not UUID.fullmatch(value):
        raise BadRequest(f"{name} is a UUID, got {value!r}.")
    return value.lower()
