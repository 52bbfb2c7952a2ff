"""Bounds of what a request may hold: the vocabulary of body types, and the check that no part of a body lacks one.

A body's size alone bounds nothing that grows faster than its bytes: a number of 400 digits makes rows, a list of
30,000 ids makes queries. So each number has a range, each string and list a length, in its type: the edge checks it
before a handler runs, and the OpenAPI document tells it. A bound belongs on the member of a union that it is for:
`Name | None | UnsetType`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct, inspect

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Route

MAX_INT32 = 2_147_483_647
MAX_INT64 = 9_223_372_036_854_775_807
MAX_FLOAT = 3.40282e38
"""Of single precision, rounded down as upstream does: a product with a number of 32 bits is finite."""

Id = Annotated[str, Meta(max_length=255)]
"""Names a thing by its id (or, where an API allows it, by its name)."""
Uuid = Annotated[
    str,
    Meta(
        max_length=36,
        pattern=r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$(?!\n)",
    ),
]
"""An id that is a UUID, with or without its hyphens."""
Word = Annotated[str, Meta(max_length=64)]
"""One of a few words, a protocol, an address, a MAC: what has a short spelling of its own and is looked at further."""
Name = Annotated[str, Meta(max_length=255)]
Text = Annotated[str, Meta(max_length=4096)]
"""A sentence or two: descriptions, URLs."""
MAX_TEXT_BYTES = 65_535
"""In UTF-8, of a column of text: MariaDB's holds no more."""
LongText = Annotated[str, Meta(max_length=MAX_TEXT_BYTES)]
"""A text that may fill a body by itself: user data, a key, a certificate, a policy. Its column needs `refuse_long`."""
Int32 = Annotated[int, Meta(ge=-MAX_INT32 - 1, le=MAX_INT32)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT32)]
"""How many, or how much in the unit its name says: a column of 32 bits holds it."""
BigCount = Annotated[int, Meta(ge=0, le=MAX_INT64)]
"""Bytes, and what else outgrows 32 bits."""
Float = Annotated[float, Meta(ge=-MAX_FLOAT, le=MAX_FLOAT)]
FREE = Meta(extra_json_schema={"x-free": True})
"""Marks a part of a body that is any JSON: the edge holds it to MAX_DEPTH, MAX_ITEMS and 64-bit integers."""
Free = Annotated[Any, FREE]

MAX_DEPTH = 32
"""Of arrays and objects inside each other, in a body or in a part marked FREE."""
MAX_ITEMS = 4096
"""Values in a part marked FREE, at all depths together."""

MAX_NAME = 255
"""Characters of the name of a field that an Open part keeps."""


class Open(Struct, dict=True):
    """A part of a body that keeps the fields it does not name, in `extra`.

    Decoders drop such fields; the edge reads a body that has an Open part with `read_open`, which keeps them. A
    subclass may bound them otherwise than this one, and refuse some by their names.
    """

    most_extra: ClassVar[int] = 64
    most_extra_bytes: ClassVar[int] = 16_384
    """Of JSON in UTF-8: names and values of all of them together."""
    extra_type: ClassVar[Any] = Free
    """The type of the value of each."""

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that the type does not name."""
        kept: dict[str, Any] = self.__dict__.get("extra", {})
        return kept

    @classmethod
    def refuse_extra(cls, name: str, value: object) -> None:
        """Raises a Fault for a field that may not be there. It is called before the value is checked by its type."""

    def keep_extra(self, extra: dict[str, Any], path: str) -> None:
        """Raises BadRequest for too much of them, msgspec.ValidationError for a value, and what `refuse_extra` raises.

        `path` is the part's place in the body.
        """
        if len(extra) > self.most_extra:
            raise BadRequest(f"`{path}` has {self.most_extra} additional attributes at most, not {len(extra)}.")
        if (size := len(msgspec.json.encode(extra))) > self.most_extra_bytes:
            raise BadRequest(
                f"The additional attributes of `{path}` take {self.most_extra_bytes} bytes at most, not {size}."
            )
        if any(not 0 < len(name) <= MAX_NAME for name in extra):
            raise BadRequest(f"The name of an additional attribute has 1 to {MAX_NAME} characters.")
        for name, value in extra.items():
            self.refuse_extra(name, value)
            try:
                msgspec.convert(value, self.extra_type)
            except msgspec.ValidationError as error:
                raise msgspec.ValidationError(f"{error} - at `{path}.{name}`") from error
        self.__dict__["extra"] = extra


_ENDS_BEFORE_LINE_BREAK = re.compile(r"(?<!\\)\$(?!\(\?!\\n\))")
"""A `$` by itself: it matches at the end of a text, and also before a line break there."""


def unbounded_parts(routes: Sequence[Route]) -> list[str]:
    """`POST /v3/users: user.name: str without max_length`, for each part of a body that has no bound in its type."""
    lines = []
    for route in routes:
        for name, body_type in body_types(route):
            place = f"{route.method} {route.path}"
            lines += [f"{place}: {path or 'the body'}: {lack}" for path, lack in _lacks(body_type, name)]
    return lines


def body_types(route: Route) -> Iterator[tuple[str, Any]]:
    """(key of the body or "", the type of what is under it) of all that a route decodes."""
    if isinstance(route.handler, tuple):
        for action in route.handler:
            yield action.key, Any if action.body is None else action.body
    elif route.body is not None:
        for body_type in (route.body, *route.also_read.values()):
            yield "", body_type


def _lacks(body_type: Any, name: str) -> Iterator[tuple[str, str]]:
    yield from _walk(inspect.type_info(body_type), name, frozenset())


def _walk(info: inspect.Type, path: str, seen: frozenset[type]) -> Iterator[tuple[str, str]]:
    """(path, what is missing), depth first."""
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=extra):
            if not (extra or {}).get("x-free"):
                yield from _walk(inner, path, seen)
        case inspect.AnyType() | inspect.RawType():
            yield path, "any JSON, not marked FREE"
        case inspect.IntType(ge=ge, gt=gt, le=le, lt=lt):
            if (ge is None and gt is None) or (le is None and lt is None):
                yield path, "int without a range"
        case inspect.FloatType(ge=ge, gt=gt, le=le, lt=lt):
            if (ge is None and gt is None) or (le is None and lt is None):
                yield path, "float without a range"
        case inspect.StrType(max_length=longest, pattern=pattern):
            if longest is None:
                yield path, "str without max_length"
            if pattern is not None and _ENDS_BEFORE_LINE_BREAK.search(pattern):
                yield path, "pattern whose $ lets a line break follow: $(?!\\n)"
        case inspect.BytesType(max_length=None):
            yield path, "str without max_length"
        case (
            inspect.ListType(item_type=item, max_length=longest)
            | inspect.VarTupleType(item_type=item, max_length=longest)
            | inspect.SetType(item_type=item, max_length=longest)
        ):
            if longest is None:
                yield path, "list without max_length"
            yield from _walk(item, f"{path}[]", seen)
        case inspect.DictType(key_type=key, value_type=value, max_length=longest):
            if longest is None:
                yield path, "dict without max_length"
            yield from _walk(key, f"{path}.key", seen)
            yield from _walk(value, f"{path}.*", seen)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _walk(each, path, seen)
        case inspect.StructType(cls=cls, fields=fields):
            if cls not in seen:
                for field in fields:
                    yield from _walk(field.type, f"{path}.{field.encode_name}".lstrip("."), seen | {cls})
                if issubclass(cls, Open):
                    yield from _walk(inspect.type_info(cls.extra_type), f"{path}.*".lstrip("."), seen | {cls})
        case _:
            pass


def has_free_parts(body_type: Any) -> bool:
    """Whether a body of this type may hold JSON of any shape, which only `refuse_excess` bounds."""
    free = inspect.AnyType | inspect.RawType | inspect.DictType
    return any(isinstance(part, free) for part in _parts(inspect.type_info(body_type), frozenset()))


def open_types(body_type: Any) -> set[type[Open]]:
    """The types of the Open parts that a body of this type may have."""
    return {
        part.cls
        for part in _parts(inspect.type_info(body_type), frozenset())
        if isinstance(part, inspect.StructType) and issubclass(part.cls, Open)
    }


def _parts(info: Any, seen: frozenset[type]) -> Iterator[Any]:
    """The type, and the types of what is in it, at any depth."""
    yield info
    if isinstance(info, inspect.StructType):
        if info.cls not in seen:
            for field in info.fields:
                yield from _parts(field.type, seen | {info.cls})
        return
    inner = getattr(info, "types", None) or [getattr(info, name, None) for name in ("type", "item_type", "value_type")]
    for each in inner:
        if each is not None:
            yield from _parts(each, seen)


_NOT_LISTED = re.compile(r"^Invalid enum value .* - at `(?:key in )?(\$.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[[^\]]*\]")
"""One step of a place in a body, as msgspec spells it: `.subnet`, `[0]`, `[...]`."""


def refusal(error: msgspec.ValidationError, body_type: Any) -> str:
    """The sentence for a body that is not of its type, with the values that are allowed where they are listed."""
    # Nobody who reads it needs to know that a line break may not follow either.
    sentence = f"Invalid input: {error}".replace(r"$(?!\\n)", "$")
    place = _NOT_LISTED.match(str(error))
    allowed = allowed_at(body_type, place[1]) if place else []
    return f"{sentence}; allowed are {', '.join(map(str, allowed))}." if allowed else f"{sentence}."


def allowed_at(body_type: Any, place: str) -> list[Any]:
    """The values that a body of this type may have at a place such as `$.subnet.ip_version`, if they are listed."""
    infos = [inspect.type_info(body_type)]
    for step in _STEP.finditer(place):
        infos = [inner for info in infos for each in _choices(info) for inner in _inside(each, step[1])]
    values = [
        value
        for info in infos
        for each in _choices(info)
        if isinstance(each, inspect.LiteralType)
        for value in each.values
    ]
    return list(dict.fromkeys(values))


def _choices(info: inspect.Type) -> Iterator[inspect.Type]:
    """The type itself, or the types of a union, without what annotates them."""
    if isinstance(info, inspect.Metadata):
        yield from _choices(info.type)
    elif isinstance(info, inspect.UnionType):
        for each in info.types:
            yield from _choices(each)
    else:
        yield info


def _inside(info: inspect.Type, field: str | None) -> list[inspect.Type]:
    """The types of a field; with None, of an item or of a value under any key."""
    if isinstance(info, inspect.StructType) and field is not None:
        return [each.type for each in info.fields if each.encode_name == field]
    if isinstance(info, inspect.ListType | inspect.VarTupleType | inspect.SetType) and field is None:
        return [info.item_type]
    return [info.value_type] if isinstance(info, inspect.DictType) and field is None else []


def read_open(content: Any, body_type: Any, *, strict: bool = True) -> Any:
    """A body of plain JSON as its type, with the fields that its Open parts keep.

    Raises msgspec.ValidationError, BadRequest, and what an Open part raises for a field it refuses.
    """
    refuse_excess(content)
    value = msgspec.convert(content, body_type, strict=strict)
    _keep_extra(value, content, "$")
    return value


def _keep_extra(part: Any, content: Any, path: str) -> None:
    if isinstance(part, list):
        for number, (each, inner) in enumerate(zip(part, content, strict=True)):
            _keep_extra(each, inner, f"{path}[{number}]")
    if not isinstance(part, Struct):
        return
    names = dict(zip(part.__struct_encode_fields__, part.__struct_fields__, strict=True))
    for spelled, name in names.items():
        if spelled in content:
            _keep_extra(getattr(part, name), content[spelled], f"{path}.{spelled}")
    if isinstance(part, Open):
        part.keep_extra({name: value for name, value in content.items() if name not in names}, path)


def refuse_long(name: str, text: str) -> None:
    """Raises BadRequest for a text that takes more than MAX_TEXT_BYTES, which no type says: a character takes up to
    four."""
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise BadRequest(f"{name} takes {MAX_TEXT_BYTES} bytes at most in UTF-8, got {size}.")


def refuse_excess(value: Any) -> None:
    """Raises BadRequest for JSON that is nested too deep, has too many values, or a number beyond 64 bits.

    Reads plain JSON and Structs alike and never recurses, so that no depth can hurt it.
    """
    left, items = [(value, 0)], 0
    while left:
        part, depth = left.pop()
        items += 1
        if items > MAX_ITEMS:
            raise BadRequest(f"The body holds more than {MAX_ITEMS} values.")
        if isinstance(part, int) and not -MAX_INT64 - 1 <= part <= MAX_INT64:
            raise BadRequest("The body holds an integer beyond 64 bits.")
        inner = _inner(part)
        if inner and depth >= MAX_DEPTH:
            raise BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
        left.extend((each, depth + 1) for each in inner)


def _inner(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple):
        return list(part)
    if isinstance(part, msgspec.Struct):
        return [getattr(part, name) for name in part.__struct_fields__]
    return []
