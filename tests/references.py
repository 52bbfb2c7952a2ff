"""The parts of bodies that may name a thing: a table of references has to say of each of them what it is."""

from collections.abc import Iterable, Iterator

from msgspec import inspect

from kilonova.kit.http.bounds import body_types
from kilonova.kit.http.routes import Route

Place = tuple[str, str, str]
"""Method, path, and the part: dots lead inside, `[]` to the entries of a list."""

NOWHERE = "12345678-1234-1234-1234-123456789abc"
"""The id of nothing."""


def texts_of(info: inspect.Type, path: str = "") -> Iterator[str]:
    """Every part that may be a text of the sender's own; one that may hold anything counts as well."""
    match info:
        case inspect.Metadata(type=inner):
            yield from texts_of(inner, path)
        case inspect.UnionType(types=types):
            for each in types:
                yield from texts_of(each, path)
        case inspect.ListType(item_type=item):
            yield from texts_of(item, f"{path}[]")
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from texts_of(field.type, f"{path}.{field.encode_name}".lstrip("."))
        case inspect.StrType() | inspect.AnyType() | inspect.RawType() | inspect.DictType():
            yield path
        case _:
            pass


def places_of(routes: Iterable[Route]) -> set[Place]:
    """The text parts of every body that the routes read."""
    return {
        (route.method, route.path, path)
        for route in routes
        for key, body_type in body_types(route)
        for path in texts_of(inspect.type_info(body_type), key)
    }
