"""Request bodies: new images, and patches.

An image has fields with a meaning and properties without one, side by side in one object. Sources: Image API v2
reference; RFC 6901 for the paths of patches, of which one level is used.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from kilonova.image.errors import ReadOnlyField
from kilonova.image.images import CONTAINER_FORMATS, DISK_FORMATS
from kilonova.image.tables import MemberStatus, Visibility
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Free, Text, Word, refuse_long

NEWEST_PATCH = "application/openstack-images-v2.1-json-patch"
PATCH_CONTENT_TYPES = {
    NEWEST_PATCH: 10,
    "application/openstack-images-v2.0-json-patch": 4,
}
"""Content type → draft of JSON patch it stands for."""

READ_ONLY = (
    "created_at updated_at status checksum size virtual_size os_hash_algo os_hash_value "
    "direct_url self file schema stores"
).split()
RESERVED = ("location", "locations", "deleted", "deleted_at")
RESERVED_PREFIX = "os_glance"
MAX_OPERATIONS = 256
"""Of one patch: more than an image may have fields and properties."""
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$(?!\n)"

Text255 = Annotated[str, Meta(max_length=255)]
Number = Annotated[int, Meta(ge=0, le=0x7FFFFFFF)]
Operation = Literal["add", "replace", "remove"]


class ImageFields(Struct):
    """The fields with a meaning, as a body spells them; their defaults are a new image's."""

    id: Annotated[str, Meta(pattern=UUID_PATTERN, max_length=36)] | None = None
    name: Text255 | None = None
    visibility: Visibility = "shared"
    protected: bool = False
    os_hidden: bool = False
    owner: Text255 | None = None
    disk_format: Word | None = None
    container_format: Word | None = None
    min_disk: Number = 0
    min_ram: Number = 0
    tags: Annotated[list[Text255], Meta(max_length=1000)] = []


COLUMNS = {"os_hidden": "hidden", "min_disk": "min_disk_gib", "min_ram": "min_ram_mib"}
"""Field → column, where they differ."""

FIELDS = tuple(ImageFields.__struct_fields__)


class NewMember(Struct):
    member: Annotated[str, Meta(min_length=1, max_length=255)]


class MemberAnswer(Struct):
    status: MemberStatus


class PatchOperation(Struct):
    """One operation as the newest patch media type spells it; `remove` has no value."""

    op: Operation
    path: Text
    value: Free = None


class Change(Struct):
    """One operation of a patch."""

    operation: Operation
    name: str
    value: Any = None


def read_fields(values: Mapping[str, Any]) -> ImageFields:
    """Raises BadRequest naming what is allowed."""
    try:
        fields = msgspec.convert(dict(values), type=ImageFields)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for an image: {error}.") from error
    for name, value, allowed in (
        ("disk_format", fields.disk_format, DISK_FORMATS),
        ("container_format", fields.container_format, CONTAINER_FORMATS),
    ):
        if value is not None and value not in allowed:
            raise BadRequest(f"Invalid {name} {value!r}; allowed are {', '.join(allowed)}.")
    return fields


def read_image(body: Mapping[str, Any]) -> tuple[ImageFields, dict[str, str]]:
    """Fields and properties of a new image. Raises BadRequest, ReadOnlyField."""
    known = {name: value for name, value in body.items() if name in FIELDS}
    properties = {name: value for name, value in body.items() if name not in FIELDS}
    for name in properties:
        _check_writable(name)
    for name, value in properties.items():
        check_property(name, value)
    return read_fields(known), properties


def _check_writable(name: str) -> None:
    if name in READ_ONLY:
        raise ReadOnlyField(f"The attribute {name!r} is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise ReadOnlyField(f"The attribute {name!r} is reserved.")


def different_tags(tags: Iterable[str]) -> list[str]:
    """Each once, without spaces around it: a filter is read without them, and MariaDB compares without those behind."""
    return sorted({tag.strip() for tag in tags})


def check_property(name: str, value: object) -> None:
    """Raises BadRequest: a property is a short name with a text."""
    if not 0 < len(name) <= 255:
        raise BadRequest("The name of a property has 1 to 255 characters.")
    if name != name.strip():
        raise BadRequest(f"The name of a property neither begins nor ends with a space, got {name!r}.")
    if not isinstance(value, str):
        raise BadRequest(f"The property {name!r} must be a string, got {type(value).__name__}.")
    refuse_long(f"The property {name!r}", value)


def read_changes(body: object, draft: int) -> list[Change]:
    """The operations of a patch. Raises BadRequest, ReadOnlyField."""
    if isinstance(body, list) and len(body) > MAX_OPERATIONS:
        raise BadRequest(f"A patch has {MAX_OPERATIONS} operations at most, got {len(body)}.")
    if not isinstance(body, list):
        raise BadRequest("A patch is a JSON array of operations.")
    return [_read_change(each, draft) for each in body]


def _read_change(raw: object, draft: int) -> Change:
    if not isinstance(raw, dict):
        raise BadRequest("An operation of a patch is a JSON object.")
    operation, pointer = _operation_10(raw) if draft == 10 else _operation_4(raw)
    name = _name_of(pointer)
    _check_writable(name)
    if name == "id":
        raise ReadOnlyField("The attribute 'id' is read-only.")
    if operation == "remove":
        return Change(operation, name)
    if "value" not in raw:
        raise BadRequest(f"The operation {operation} needs a value.")
    return Change(operation, name, raw["value"])


_OPERATIONS: tuple[Operation, ...] = ("add", "replace", "remove")


def _operation_10(raw: Mapping[str, Any]) -> tuple[Operation, Any]:
    """`{"op": "add", "path": "/name", "value": …}`"""
    for operation in _OPERATIONS:
        if raw.get("op") == operation:
            return operation, raw.get("path")
    raise BadRequest(f"An operation's op is one of {', '.join(_OPERATIONS)}; got {raw.get('op')!r}.")


def _operation_4(raw: Mapping[str, Any]) -> tuple[Operation, Any]:
    """`{"add": "/name", "value": …}`"""
    found = [operation for operation in _OPERATIONS if operation in raw]
    if len(found) != 1:
        raise BadRequest(f"An operation has exactly one member named {', '.join(_OPERATIONS)}.")
    return found[0], raw[found[0]]


def _name_of(pointer: object) -> str:
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise BadRequest(f"A path begins with a slash, got {pointer!r}.")
    part = pointer[1:]
    if not part.strip() or "/" in part:
        raise BadRequest(f"A path names one attribute, got {pointer!r}.")
    if "~" in part.replace("~0", "").replace("~1", ""):
        raise BadRequest(f"A ~ in a path is written ~0, and a slash ~1; got {pointer!r}.")
    return part.replace("~1", "/").replace("~0", "~").strip()
