"""The version edge: the only place that knows which microversion a request speaks (design §1, principle 5).

Handlers, domain and programs are written for the newest version. A service lists its named changes; the edge refuses
what an older request must not send, hands behaviour on as named flags (`request.allows("…")`), and takes newer fields
out of the answer again. Source: the API guidelines on microversions (`OpenStack-API-Version: compute 2.79`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, total_ordering
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct
from starlette.datastructures import Headers

from kilonova.kit.errors import BadRequest, NotAcceptable

Body = dict[str, Any]
_VERSION = re.compile(r"([0-9]{1,4})\.(0|[1-9][0-9]{0,3})")
Downgrade = Callable[[Body], None]


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """`2.79`. Raises BadRequest."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise BadRequest(
                f"API Version String {text[:64]!r} is of invalid format. Must be of format MajorNum.MinorNum."
            )
        return cls(int(match[1]), int(match[2]))

    def __lt__(self, other: "Version") -> bool:
        return (self.major, self.minor) < (other.major, other.minor)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Change:
    """One named microversion. `downgrades` undo it in an answer, by the shape (`server`, `flavor`) they apply to."""

    number: str
    name: str
    reason: str
    downgrades: Mapping[str, Downgrade] = field(default_factory=dict)

    @property
    def version(self) -> Version:
        return Version.parse(self.number)


def without(*keys: str) -> Downgrade:
    """A downgrade that takes fields out again."""

    def downgrade(body: Body) -> None:
        for key in keys:
            body.pop(key, None)

    return downgrade


class VersionEdge:
    """The versions one service speaks. `service_type` is the word in the header; `legacy_header` an older spelling."""

    def __init__(
        self, service_type: str, minimum: str, maximum: str, changes: Sequence[Change], legacy_header: str | None = None
    ) -> None:
        self.service_type = service_type
        self.minimum = Version.parse(minimum)
        self.maximum = Version.parse(maximum)
        self.changes = tuple(changes)
        self.legacy_header = legacy_header
        self._named = {change.name: change.version for change in changes}
        self._newest_of_shape = {shape: each.version for each in changes for shape in each.downgrades}
        if len(self._named) != len(changes):
            raise ValueError(f"{service_type}: two changes have one name")
        if list(changes) != sorted(changes, key=lambda change: change.version):
            raise ValueError(f"{service_type}: changes are not in the order of their numbers")

    def negotiate(self, headers: Headers, wanted: str | None = None, default: Version | None = None) -> Version:
        """The version a request asks for: `wanted`, else by its headers, else `default`, else the minimum.

        Raises BadRequest, NotAcceptable.
        """
        wanted = wanted or self._asked(headers)
        if wanted is None:
            return default or self.minimum
        if wanted == "latest":
            return self.maximum
        version = Version.parse(wanted)
        if not self.minimum <= version <= self.maximum:
            raise NotAcceptable(
                f"Version {version} is not supported by the API. "
                f"Minimum is {self.minimum} and maximum is {self.maximum}.",
                headers=self.response_headers(self.minimum),
            )
        return version

    def _asked(self, headers: Headers) -> str | None:
        for value in headers.getlist("openstack-api-version"):
            for part in value.split(","):
                service, _, version = part.strip().partition(" ")
                if service == self.service_type and version:
                    return version.strip()
        if self.legacy_header is not None:
            return headers.get(self.legacy_header)
        return None

    def response_headers(self, version: Version) -> dict[str, str]:
        names = {"OpenStack-API-Version": f"{self.service_type} {version}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header is not None:
            names[self.legacy_header] = str(version)
            names["Vary"] += f", {self.legacy_header}"
        return names

    def allows(self, version: Version, name: str) -> bool:
        """Whether the named change is in `version`. An unknown name is a programming error."""
        return version >= self._named[name]

    def in_range(self, version: Version, since: str | None, until: str | None) -> bool:
        return (since is None or version >= Version.parse(since)) and (until is None or version <= Version.parse(until))

    def as_of(self, version: Version, shape: str, body: Any) -> Any:
        """The answer as the version has it: every later change undone, newest first, in a copy.

        The things of that shape are under `{shape: {...}}` or `{shape + "s": [...]}`, or else the answer itself.
        """
        newest = self._newest_of_shape.get(shape)
        if newest is None or newest <= version:
            return body
        older = msgspec.to_builtins(body)
        self._downgrade(version, shape, older)
        return older

    def _downgrade(self, version: Version, shape: str, body: Any) -> None:
        items = _items(body, shape)
        for change in reversed(self.changes):
            if change.version <= version:
                break
            undo = change.downgrades.get(shape)
            if undo is not None:
                for item in items:
                    undo(item)


def _items(body: Any, shape: str) -> list[Body]:
    if not isinstance(body, dict):
        return []
    for key, value in body.items():
        if key == shape and isinstance(value, dict):
            return [value]
        if isinstance(value, list) and key in (shape + "s", shape):
            return [item for item in value if isinstance(item, dict)]
    return [body]


SINCE, UNTIL = "x-openstack-since", "x-openstack-until"
"""Keywords of a field's schema: the first and the last microversion that know it."""


def since(number: str) -> Meta:
    """Marks a request field as known from a microversion on: `Annotated[str | UnsetType, since("2.19")] = UNSET`."""
    return Meta(extra_json_schema={SINCE: number})


def until(number: str) -> Meta:
    """Marks a request field as known up to and including a microversion."""
    return Meta(extra_json_schema={UNTIL: number})


def refuse_fields_outside(value: Any, version: Version, path: str = "$") -> None:
    """Raises BadRequest for a field this request's version does not know, as if the field did not exist."""
    if isinstance(value, Struct):
        bounds = _bounds(type(value))
        for name in value.__struct_fields__:
            content = getattr(value, name)
            if content is UNSET:
                continue
            low, high, wire_name = bounds[name]
            if (low is not None and version < low) or (high is not None and version > high):
                raise BadRequest(
                    f"Additional properties are not allowed ({wire_name!r} was unexpected at {path}): "
                    f"version {version} does not know it."
                )
            refuse_fields_outside(content, version, f"{path}.{wire_name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_fields_outside(item, version, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_fields_outside(item, version, f"{path}.{key}")


@cache
def _bounds(struct_type: type[Struct]) -> dict[str, tuple[Version | None, Version | None, str]]:
    wire_names = {each.name: each.encode_name for each in msgspec.structs.fields(struct_type)}
    found: dict[str, tuple[Version | None, Version | None, str]] = {}
    for name, hint in _hints(struct_type).items():
        low = high = None
        if get_origin(hint) is Annotated:
            for note in get_args(hint)[1:]:
                extra = (note.extra_json_schema or {}) if isinstance(note, Meta) else {}
                low = Version.parse(extra[SINCE]) if SINCE in extra else low
                high = Version.parse(extra[UNTIL]) if UNTIL in extra else high
        found[name] = (low, high, wire_names[name])
    return found


def _hints(struct_type: type[Struct]) -> dict[str, Any]:
    # msgspec resolves postponed annotations the same way it will decode them.
    return {each.name: each.type for each in msgspec.structs.fields(struct_type)}
