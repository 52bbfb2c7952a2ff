"""The base of identity's request bodies: they keep attributes that mean nothing here, instead of refusing them.

Source: Identity API v3: "additional attributes" are stored and shown as given. Attributes that have a meaning upstream
and none here are refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta

from kilonova.identity.records import MOST_ATTRIBUTE_BYTES, MOST_ATTRIBUTES, refuse_large
from kilonova.identity.service import Identity
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Free, Id, Open, refuse_long
from kilonova.kit.http.queries import yes_or_no
from kilonova.kit.http.routes import Request

IdentityRequest = Request[Identity]

RecordId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9-]+$(?!\n)")]
"""Names one of identity's records; regions are called what their makers like."""


EMPTY: tuple[object, ...] = (None, "", [], {})


class Fields(Open, kw_only=True):
    """The fields of one resource, which keeps those that mean nothing as additional attributes."""

    kind: ClassVar[str]
    """`user`, as sentences call it."""
    lacking: ClassVar[Mapping[str, str]] = {}
    """Fields that upstream gives a meaning and this service does not → the sentence that refuses them. Empty values
    pass: clients send back what they were shown."""
    most_extra: ClassVar[int] = MOST_ATTRIBUTES
    most_extra_bytes: ClassVar[int] = MOST_ATTRIBUTE_BYTES

    id: Id | None = None
    links: Free = None
    """Clients send back what they were shown; nobody reads it."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if isinstance(text := getattr(self, name), str):
                refuse_long(name, text)
        for name, sentence in self.lacking.items():
            if getattr(self, name) not in EMPTY:
                raise BadRequest(sentence)

    def given(self, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """The values of the record that were in the body. A description of null is none."""
        left_out = {"id", "links", "options", *self.lacking, *without}
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name not in left_out}
        if values.get("description", "") is None:
            values["description"] = ""
        return {name: value for name, value in values.items() if value is not UNSET}

    def attributes(self) -> dict[str, Any]:
        """Returns what a record keeps besides its columns: additional attributes, and options. Raises BadRequest when
        both together are too large."""
        options = getattr(self, "options", UNSET)
        kept = self.extra if options is UNSET else {**self.extra, "options": msgspec.to_builtins(options)}
        refuse_large(kept)
        return kept

    def refuse_other_id(self, own_id: str) -> None:
        """Raises BadRequest for an id in the body that is not the one in the path."""
        if self.id not in (None, own_id):
            raise BadRequest(f"The id of a {self.kind} cannot be changed.")


class NewFields(Fields, kw_only=True):
    """The fields of a resource whose id this service gives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.id is not None:
            raise BadRequest(f"The id of a new {self.kind} is given by this service, and cannot be chosen.")


def flag(request: IdentityRequest, name: str) -> bool | None:
    """A boolean such as `effective` or `include_names=true`; None when it is not given. Raises BadRequest."""
    text = request.query.get(name)
    if text is None:
        return None
    return text == "" or yes_or_no(name, text)
