"""The JSON schemas at /v2/schemas: what clients build their forms and checks from. Source: Image API v2 reference."""

from typing import Any, get_args

from kilonova.image.images import CONTAINER_FORMATS, DISK_FORMATS
from kilonova.image.tables import MemberStatus, Status, Visibility

ID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _nullable(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": ["null", kind], "description": description, **more}


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "readOnly": True}


IMAGE_PROPERTIES: dict[str, Any] = {
    "id": _text("Identifier of the image", pattern=ID_PATTERN),
    "name": _nullable("string", "Name for people", maxLength=255),
    "status": _shown(_text("Where the image is in its life", enum=list(get_args(Status)))),
    "visibility": _text("Who sees the image", enum=list(get_args(Visibility))),
    "protected": {"type": "boolean", "description": "Whether the image is kept from being deleted"},
    "os_hidden": {"type": "boolean", "description": "Whether lists leave the image out"},
    "checksum": _shown(_nullable("string", "MD5 of the data", maxLength=32)),
    "os_hash_algo": _shown(_nullable("string", "How os_hash_value is made", maxLength=64)),
    "os_hash_value": _shown(_nullable("string", "Hash of the data, in hexadecimal", maxLength=128)),
    "owner": _nullable("string", "Project that owns the image", maxLength=255),
    "size": _shown(_nullable("integer", "Size of the data in bytes")),
    "virtual_size": _shown(_nullable("integer", "Size in bytes of the disk a guest sees")),
    "container_format": _nullable("string", "What is wrapped around the disk", enum=[None, *CONTAINER_FORMATS]),
    "disk_format": _nullable("string", "Format of the disk", enum=[None, *DISK_FORMATS]),
    "created_at": _shown(_text("When the image was made")),
    "updated_at": _shown(_text("When the image was last changed")),
    "tags": {"type": "array", "description": "Words to find it by", "items": {"type": "string", "maxLength": 255}},
    "min_ram": {"type": "integer", "description": "Memory in MiB a guest needs"},
    "min_disk": {"type": "integer", "description": "Disk in GiB a guest needs"},
    "self": _shown(_text("URL of the image")),
    "file": _shown(_text("URL of the data")),
    "schema": _shown(_text("URL of this schema")),
    "stores": _shown(_text("Stores the data is in")),
}

MEMBER_PROPERTIES: dict[str, Any] = {
    "member_id": _text("Project the image is shared with"),
    "image_id": _text("Identifier of the image", pattern=ID_PATTERN),
    "created_at": _text("When the image was shared"),
    "updated_at": _text("When the answer was last changed"),
    "status": _text("Whether the project took the image", enum=list(get_args(MemberStatus))),
    "schema": _shown({"type": "string"}),
}

IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": IMAGE_PROPERTIES,
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBER: dict[str, Any] = {"name": "member", "properties": MEMBER_PROPERTIES}
TASK: dict[str, Any] = {
    "name": "task",
    "properties": {
        "id": _text("Identifier of the task", pattern=ID_PATTERN),
        "type": _text("What it does", enum=["import"]),
        "status": _text("How far it is", enum=["pending", "processing", "success", "failure"]),
        "input": _nullable("object", "What it was given"),
        "result": _nullable("object", "What came of it"),
        "owner": _text("Project that owns the task"),
        "message": _text("What there is to say of its status"),
        "expires_at": _nullable("string", "When it is forgotten"),
        "created_at": _text("When the task was made"),
        "updated_at": _text("When the task was last changed"),
        "self": _shown({"type": "string"}),
        "schema": _shown({"type": "string"}),
    },
}


def _collection(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "properties": {
            name: {"type": "array", "items": item},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


SCHEMAS = {
    "image": IMAGE,
    "images": _collection("images", IMAGE),
    "member": MEMBER,
    "members": {
        "name": "members",
        "properties": {"members": {"type": "array", "items": MEMBER}, "schema": {"type": "string"}},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    },
    "task": TASK,
    "tasks": _collection("tasks", TASK),
}

NAMESPACE: dict[str, Any] = {
    "name": "namespace",
    "properties": {
        "namespace": _text("Name of the namespace", maxLength=80),
        "display_name": _text("Name for people", maxLength=80),
        "description": _text("What the definitions are for", maxLength=500),
        "visibility": _text("Who sees the namespace", enum=["public", "private"]),
        "protected": {"type": "boolean", "description": "Whether the namespace is kept from being deleted"},
        "owner": _text("Project that owns the namespace", maxLength=255),
        "created_at": _shown(_text("When the namespace was made")),
        "updated_at": _shown(_text("When the namespace was last changed")),
        "self": _shown({"type": "string"}),
        "schema": _shown({"type": "string"}),
    },
    "required": ["namespace"],
}
RESOURCE_TYPE: dict[str, Any] = {
    "name": "resource_type",
    "properties": {
        "name": _text("Name of the kind of resource, such as OS::Nova::Flavor", maxLength=80),
        "created_at": _shown(_text("When the kind was first named")),
        "updated_at": _shown(_text("When the kind was last changed")),
    },
    "required": ["name"],
}
METADEF_SCHEMAS = {
    "namespace": NAMESPACE,
    "namespaces": _collection("namespaces", NAMESPACE),
    "resource_type": RESOURCE_TYPE,
    "resource_types": _collection("resource_types", RESOURCE_TYPE),
}
