"""What compute's handlers share: the request type, and reading the strange booleans old clients send."""

from typing import Any

from kilonova.compute.service import Compute
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Request

ComputeRequest = Request[Compute]

_TRUE, _FALSE = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no", "")


def as_boolean(value: bool | str | int | None, name: str) -> bool:
    """True and False in all the spellings upstream takes. Raises BadRequest naming the field."""
    text = str(value if value is not None else "").strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadRequest(f"Invalid input for {name}: {value!r} is not a boolean.")


def seen_project(request: ComputeRequest) -> str | None:
    """The project a lookup is narrowed to; None for those who see every project's servers."""
    return None if request.ctx.is_admin else request.ctx.project_id


def page_links(plural: str, url: str | None) -> dict[str, Any]:
    return {} if url is None else {f"{plural}_links": [{"rel": "next", "href": url}]}
