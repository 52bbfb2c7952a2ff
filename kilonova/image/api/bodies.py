"""Request bodies: new images, and patches.

An image has fields with a meaning and properties without one, side by side in one object. Sources: Image API v2
reference; RFC 6901 for the paths of patches, of which one level is used.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.image.errors import ReadOnlyField
from kilonova.image.images import CONTAINER_FORMATS, DISK_FORMATS
from kilonova.image.tables import MemberStatus, Visibility
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_ITEMS, Free, LongText, Open, Text, Word, read_open, refusal, refuse_long
from kilonova.kit.http.routes import MAX_BODY_BYTES

NEWEST_PATCH = "application/openstack-images-v2.1-json-patch"
OLDER_PATCH = "application/openstack-images-v2.0-json-patch"
"""Media types of patches: drafts 10 and 4 of JSON patch."""

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
Verb = Literal["add", "replace", "remove"]


class ImageFields(Open):
    """The fields with a meaning, as a body spells them; their defaults are a new image's.

    The fields that it keeps besides are the image's properties, which are counted as they are written (413).
    """

    most_extra: ClassVar[int] = MAX_ITEMS
    most_extra_bytes: ClassVar[int] = MAX_BODY_BYTES
    extra_type: ClassVar[Any] = LongText

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

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("disk_format", self.disk_format, DISK_FORMATS),
            ("container_format", self.container_format, CONTAINER_FORMATS),
        ):
            if value is not None and value not in allowed:
                raise BadRequest(f"Invalid {name} {value!r}; allowed are {', '.join(allowed)}.")

    @classmethod
    def refuse_extra(cls, name: str, value: object) -> None:
        """Raises ReadOnlyField for what the service alone writes, BadRequest for what is no name of a property."""
        _check_writable(name)
        if name != name.strip():
            raise BadRequest(f"The name of a property neither begins nor ends with a space, got {name!r}.")
        if isinstance(value, str):
            refuse_long(f"The property {name!r}", value)


COLUMNS = {"os_hidden": "hidden", "min_disk": "min_disk_gib", "min_ram": "min_ram_mib"}
"""Field → column, where they differ."""

FIELDS = tuple(ImageFields.__struct_fields__)


class NewMember(Struct):
    member: Annotated[str, Meta(min_length=1, max_length=255)]


class MemberAnswer(Struct):
    status: MemberStatus


class Change(Struct):
    """One operation of a patch, whichever draft spelled it."""

    operation: Verb
    name: str
    value: Any = None
    adds_only: bool = False
    """In the older draft `add` is for what the image does not have yet."""


class Operation(Struct):
    """As the newest media type spells it: `{"op": "add", "path": "/name", "value": …}`; `remove` has no value."""

    op: Verb
    path: Text
    value: Free = UNSET

    def change(self) -> Change:
        """Raises BadRequest, ReadOnlyField."""
        return _read_change(self.op, self.path, self.value)


class OlderOperation(Struct):
    """As the older media type spells it: `{"add": "/name", "value": …}`."""

    add: Text | UnsetType = UNSET
    replace: Text | UnsetType = UNSET
    remove: Text | UnsetType = UNSET
    value: Free = UNSET

    def change(self) -> Change:
        """Raises BadRequest, ReadOnlyField."""
        members: dict[Verb, Text | UnsetType] = {"add": self.add, "replace": self.replace, "remove": self.remove}
        found = [(verb, path) for verb, path in members.items() if path is not UNSET]
        if len(found) != 1:
            raise BadRequest(f"An operation has exactly one member named {', '.join(members)}.")
        ((verb, path),) = found
        change = _read_change(verb, path, self.value)
        change.adds_only = verb == "add"
        return change


Patch = Annotated[list[Operation], Meta(max_length=MAX_OPERATIONS)]
OlderPatch = Annotated[list[OlderOperation], Meta(max_length=MAX_OPERATIONS)]


def _read_change(verb: Verb, pointer: str, value: Any) -> Change:
    name = _name_of(pointer)
    _check_writable(name)
    if name == "id":
        raise ReadOnlyField("The attribute 'id' is read-only.")
    if verb == "remove":
        return Change(verb, name)
    if value is UNSET:
        raise BadRequest(f"The operation {verb} needs a value.")
    return Change(verb, name, value)


def read_attribute(name: str, value: object) -> ImageFields:
    """One field or property with a patch's value, which has the bounds that a new image's has.

    Raises BadRequest naming what is allowed.
    """
    try:
        fields: ImageFields = read_open({name: value}, ImageFields)
    except msgspec.ValidationError as error:
        raise BadRequest(refusal(error, ImageFields)) from error
    return fields


def _check_writable(name: str) -> None:
    if name in READ_ONLY:
        raise ReadOnlyField(f"The attribute {name!r} is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise ReadOnlyField(f"The attribute {name!r} is reserved.")


def different_tags(tags: Iterable[str]) -> list[str]:
    """Each once, without spaces around it: a filter is read without them, and MariaDB compares without those behind."""
    return sorted({tag.strip() for tag in tags})


def _name_of(pointer: str) -> str:
    if not pointer.startswith("/"):
        raise BadRequest(f"A path begins with a slash, got {pointer!r}.")
    part = pointer[1:]
    if not part.strip() or "/" in part:
        raise BadRequest(f"A path names one attribute, got {pointer!r}.")
    if "~" in part.replace("~0", "").replace("~1", ""):
        raise BadRequest(f"A ~ in a path is written ~0, and a slash ~1; got {pointer!r}.")
    return part.replace("~1", "/").replace("~0", "~").strip()
