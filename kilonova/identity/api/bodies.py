"""Reading request bodies of identity, where attributes without a meaning are kept, not refused.

Source: Identity API v3: "additional attributes" of users, projects, domains and roles are stored and shown as given.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from kilonova.identity.service import Identity
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import yes_or_no
from kilonova.kit.http.routes import Request

IdentityRequest = Request[Identity]
FieldsT = TypeVar("FieldsT", bound=Struct)


def read_fields(body: Mapping[str, Any], key: str, fields_type: type[FieldsT]) -> tuple[FieldsT, dict[str, Any]]:
    """`{"user": {...}}` → the known fields, checked, and the extra ones. Raises BadRequest."""
    content = body.get(key)
    if not isinstance(content, dict):
        raise BadRequest(f"Expecting to find {key} in request body.")
    if not isinstance(content.get("options", {}), dict):
        raise BadRequest(f"Invalid input for {key}: options is an object of option and value.")
    try:
        fields = msgspec.convert(content, type=fields_type)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for {key}: {error}.") from error
    known = set(fields_type.__struct_encode_fields__)
    return fields, {name: value for name, value in content.items() if name not in known and name not in ("id", "links")}


def given(fields: Struct, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that were in the body."""
    values = {name: getattr(fields, name) for name in fields.__struct_fields__ if name not in without}
    return {name: value for name, value in values.items() if value is not UNSET}


def listing(request: IdentityRequest, plural: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """`{"users": [...], "links": {"self", "previous", "next"}}`: identity's lists come in one page."""
    query = f"?{request.query}" if str(request.query) else ""
    url = f"{request.base_url}{request.url_path}{query}"
    return {plural: items, "links": {"self": url, "previous": None, "next": None}}


def flag(request: IdentityRequest, name: str) -> bool | None:
    """A boolean such as `effective` or `include_names=true`; None when it is not given. Raises BadRequest."""
    text = request.query.get(name)
    if text is None:
        return None
    return text == "" or yes_or_no(name, text)
