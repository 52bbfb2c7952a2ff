"""Each part of each body has a bound in its type: of the vocabulary, and of every route of every service."""

import functools
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType, inspect

from kilonova.block_storage import app as block_storage_app
from kilonova.compute import app as compute_app
from kilonova.identity import app as identity_app
from kilonova.image import app as image_app
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import (
    MAX_DEPTH,
    MAX_ITEMS,
    Count,
    Float,
    Free,
    Name,
    Open,
    body_types,
    has_free_parts,
    open_types,
    read_open,
    refusal,
    refuse_excess,
    refuse_long,
    unbounded_parts,
)
from kilonova.kit.http.routes import Action, Route
from kilonova.network import app as network_app
from kilonova.placement import app as placement_app


async def handle(*_: Any) -> None:
    """No handler is called here."""


class Bounded(Struct):
    name: Name | None | UnsetType = UNSET
    kind: Literal["a", "b"] = "a"
    key: UUID | None = None
    ratio: Float = 1.0
    sizes: Annotated[list[Count], Meta(max_length=3)] = []
    free: Free = None
    on: bool = True


class Unbounded(Struct):
    name: str
    size: int
    half: Annotated[int, Meta(ge=0)]
    ratio: Annotated[float, Meta(le=1)]
    sizes: list[Count]
    inside: Annotated[list[str | None], Meta(max_length=2)]
    table: dict[str, int]
    free: Any
    word: Annotated[str, Meta(max_length=9, pattern="^[a-z]+$")]
    again: "Unbounded | None" = None


class Kept(Open):
    """Keeps three words that it does not know, of no reserved name."""

    most_extra: ClassVar[int] = 3
    most_extra_bytes: ClassVar[int] = 40
    extra_type: ClassVar[Any] = Annotated[str, Meta(max_length=5)]

    name: Name = ""

    @classmethod
    def refuse_extra(cls, name: str, value: object) -> None:
        if name.startswith("own:"):
            raise BadRequest(f"{name} is reserved.")


class KeptBody(Struct):
    thing: Kept
    others: Annotated[list[Kept], Meta(max_length=3)] = []


def lacks(body: Any) -> list[str]:
    return [line.removeprefix("POST /x: ") for line in unbounded_parts([Route("POST", "/x", handle, "r", body=body)])]


def test_a_bounded_body_lacks_nothing() -> None:
    assert lacks(Bounded) == []


def test_each_part_without_a_bound_is_named() -> None:
    assert lacks(Unbounded) == [
        "name: str without max_length",
        "size: int without a range",
        "half: int without a range",
        "ratio: float without a range",
        "sizes: list without max_length",
        "inside[]: str without max_length",
        "table: dict without max_length",
        "table.key: str without max_length",
        "table.*: int without a range",
        "free: any JSON, not marked FREE",
        "word: pattern whose $ lets a line break follow: $(?!\\n)",
    ]


def test_the_fields_that_an_open_part_keeps_have_a_bound_too() -> None:
    class Careless(Open):
        extra_type: ClassVar[Any] = str

    assert lacks(KeptBody) == []
    assert lacks(Careless) == ["*: str without max_length"]


def test_open_parts_are_found_wherever_they_are() -> None:
    assert open_types(KeptBody) == {Kept}
    assert open_types(Annotated[list[Kept | None], Meta(max_length=2)]) == {Kept}
    assert open_types(dict[str, Kept]) == {Kept}
    assert open_types(Bounded) == set()


def test_an_open_part_keeps_what_it_does_not_name() -> None:
    body = read_open({"thing": {"name": "x", "hue": "red"}, "others": [{}, {"a": "b"}], "more": 1}, KeptBody)
    assert (body.thing.name, body.thing.extra) == ("x", {"hue": "red"})
    assert [each.extra for each in body.others] == [{}, {"a": "b"}]


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        ({"hue": 5}, "Expected `str`, got `int` - at `$.thing.hue`"),
        ({"hue": "x" * 6}, "Expected `str` of length <= 5 - at `$.thing.hue`"),
        ({"name": 5}, "Expected `str`, got `int` - at `$.thing.name`"),
        (dict.fromkeys("abcd", ""), "`$.thing` has 3 additional attributes at most, not 4."),
        ({"a" * 40: ""}, "The additional attributes of `$.thing` take 40 bytes at most, not 47."),
        ({"": "x"}, "The name of an additional attribute has 1 to 255 characters."),
        ({"own:x": 5}, "own:x is reserved."),
    ],
)
def test_what_an_open_part_keeps_is_bounded(thing: Any, sentence: str) -> None:
    with pytest.raises((BadRequest, msgspec.ValidationError)) as refused:
        read_open({"thing": thing}, KeptBody)
    assert str(refused.value) == sentence


def test_actions_and_bodies_of_other_media_types_are_looked_at_too() -> None:
    actions = (Action("stop", handle, "r"), Action("start", handle, "r", body=Bounded))
    assert unbounded_parts([Route("POST", "/a", actions)]) == ["POST /a: stop: any JSON, not marked FREE"]
    other = Route("POST", "/b", handle, "r", body=Bounded, also_read={"text/other": Unbounded})
    assert "POST /b: name: str without max_length" in unbounded_parts([other])


def test_only_types_with_free_parts_are_walked() -> None:
    assert not has_free_parts(Annotated[list[Name], Meta(max_length=3)])
    assert has_free_parts(Bounded)
    assert has_free_parts(Unbounded)
    assert has_free_parts(dict[str, Any])


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [deep(MAX_DEPTH + 1), [1] * MAX_ITEMS, {"a": 1 << 63}, Bounded(free=deep(100_000))])
def test_too_much_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest):
        refuse_excess(value)


def test_as_much_as_is_allowed_passes() -> None:
    refuse_excess([deep(MAX_DEPTH - 1), [1] * (MAX_ITEMS - 100), (1 << 63) - 1, -(1 << 63), True, None, "x"])


TABLES = {
    "identity": identity_app.ROUTES,
    "image": image_app.ROUTES,
    "placement": placement_app.ROUTES,
    "network": network_app.ROUTES + network_app.TAG_ROUTES,
    "compute": compute_app.ROUTES,
    "block-storage": block_storage_app.ROUTES,
}


@pytest.mark.parametrize("service", TABLES)
def test_every_part_of_every_body_has_a_bound(service: str) -> None:
    assert unbounded_parts(TABLES[service]) == []


def patterns_of(info: Any, seen: frozenset[type] = frozenset()) -> Iterator[str]:
    """Every pattern inside a type."""
    if isinstance(info, inspect.StructType):
        if info.cls not in seen:
            for field in info.fields:
                yield from patterns_of(field.type, seen | {info.cls})
    elif isinstance(info, inspect.StrType):
        yield from [] if info.pattern is None else [info.pattern]
    elif isinstance(info, inspect.Type):
        for name in info.__struct_fields__:
            inner = getattr(info, name)
            for each in inner if isinstance(inner, tuple) else (inner,):
                yield from patterns_of(each, seen)


PATTERNS = sorted(
    {
        pattern
        for routes in TABLES.values()
        for route in routes
        for _, body_type in body_types(route)
        for pattern in patterns_of(inspect.type_info(body_type))
    }
)


def test_patterns_are_found() -> None:
    assert len(PATTERNS) > 10
    assert set(patterns_of(inspect.type_info(Unbounded))) == {"^[a-z]+$"}


@functools.cache
def texts_like(pattern: str) -> st.SearchStrategy[str]:
    """Texts that match the pattern, some with a line break after them. Made once: it takes longer than a test."""
    matching = st.from_regex(pattern)
    return matching | matching.map(lambda text: f"{text}\n")


@functools.cache
def checked_by(pattern: str) -> Any:
    return Annotated[str, Meta(pattern=pattern)]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_no_pattern_takes_a_line_break_that_it_does_not_name(pattern: str, data: st.DataObject) -> None:
    """What the decoder takes is what the pattern matches up to the very end of the text."""
    text = data.draw(texts_like(pattern))
    strict = pattern.replace("$(?!\\n)", r"\Z")
    checked = checked_by(pattern)
    try:
        msgspec.convert(text, checked)
        is_taken = True
    except msgspec.ValidationError:
        is_taken = False
    assert is_taken == (re.search(strict, text) is not None)
    assert not strict.endswith("$")


def test_texts_are_measured_as_a_column_keeps_them() -> None:
    for text in ("x" * 65_535, "é" * 32_767 + "x", "𝄞" * 16_383):
        refuse_long("The note", text)
        with pytest.raises(BadRequest, match="The note takes 65535 bytes at most in UTF-8"):
            refuse_long("The note", text + "𝄞")


class Choice(Struct):
    colour: Literal["red", "green"] = "red"
    sizes: Annotated[list[Literal[1, 2] | None], Meta(max_length=3)] = []
    by_name: dict[str, Literal["a"]] = {}
    inner: "Choice | None" = None
    word: Annotated[str, Meta(max_length=5)] = ""


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ({"colour": "blue"}, "'blue' - at `$.colour`; allowed are green, red."),
        ({"sizes": [1, 3]}, "3 - at `$.sizes[1]`; allowed are 1, 2."),
        ({"by_name": {"x.y": "b"}}, "'b' - at `$.by_name[...]`; allowed are a."),
        ({"inner": {"inner": {"colour": "x` - at `$"}}}, "- at `$.inner.inner.colour`; allowed are green, red."),
        ({"colour": 5}, "Expected `str`, got `int` - at `$.colour`."),
        ({"word": "longer"}, "Expected `str` of length <= 5 - at `$.word`."),
    ],
)
def test_a_refusal_tells_the_values_that_are_allowed(body: Any, end: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(msgspec.json.encode(body), type=Choice)
    assert refusal(refused.value, Choice).endswith(end)


def test_a_refusal_tells_them_of_any_place() -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(b'[{"colour": "blue"}]', type=list[Choice])
    assert refusal(refused.value, list[Choice]).endswith("`$[0].colour`; allowed are green, red.")
