"""Images and members as the API shows them. Pure."""

from collections.abc import Iterable
from typing import Any

from kilonova.image.images import ImageRecord
from kilonova.image.tables import ImageMember
from kilonova.kit.clock import iso8601


def image_view(record: ImageRecord) -> dict[str, Any]:
    row = record.row
    url = f"/v2/images/{row.id}"
    stored = {"stores": ",".join(each.store for each in record.locations)} if record.locations else {}
    return {
        **record.properties,
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "visibility": row.visibility,
        "protected": row.protected,
        "os_hidden": row.hidden,
        "owner": row.owner,
        "disk_format": row.disk_format,
        "container_format": row.container_format,
        "min_disk": row.min_disk_gib,
        "min_ram": row.min_ram_mib,
        "size": row.size_bytes,
        "virtual_size": row.virtual_size_bytes,
        "checksum": row.checksum,
        "os_hash_algo": row.hash_algorithm,
        "os_hash_value": row.hash_value,
        "created_at": iso8601(row.created_at),
        "updated_at": iso8601(row.updated_at),
        "tags": record.tags,
        "self": url,
        "file": f"{url}/file",
        "schema": "/v2/schemas/image",
        **stored,
    }


def member_view(member: ImageMember) -> dict[str, Any]:
    return {
        "member_id": member.member_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": iso8601(member.created_at),
        "updated_at": iso8601(member.updated_at),
        "schema": "/v2/schemas/member",
    }


def members_view(members: Iterable[ImageMember]) -> dict[str, Any]:
    return {"members": [member_view(each) for each in members], "schema": "/v2/schemas/members"}
