"""The record of an image that is made of a server; pure but for the quotas."""

from typing import Any

from kilonova.compute.agent.spec import Quiescence
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.tables import Server
from kilonova.kit.auth import RequestContext
from kilonova.kit.http.queries import TRUE

NOT_INHERITED = frozenset(
    "img_signature img_signature_certificate_uuid img_signature_hash_method img_signature_key_type signature_verified "
    "owner_specified.openstack.md5 owner_specified.openstack.sha256 owner_specified.openstack.object".split()
)
"""Properties that are about the data of the server's own image."""
RESERVED_PREFIX = "os_glance"
OWN = frozenset(
    "base_image_ref backup_type boot_roles image_location image_state image_type instance_uuid owner_id "
    "owner_project_name owner_user_name user_id".split()
)
"""Properties that say where an image comes from; those of the server's image are about that one."""


def image_fields(
    server: Server,
    ctx: RequestContext,
    options: ServerOptions,
    *,
    name: str,
    image_type: str = "snapshot",
    metadata: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The new image's record, without the formats of its data."""
    image: dict[str, Any] = server.image or {"properties": {}}
    left_out = {*options.non_inheritable_image_properties, *NOT_INHERITED, *OWN}
    inherited = {
        name: value
        for name, value in image["properties"].items()
        if name not in left_out and not name.startswith(RESERVED_PREFIX)
    }
    own = {
        "image_type": image_type,
        "instance_uuid": server.id,
        "user_id": ctx.user_id,
        "base_image_ref": image.get("id", ""),
        "boot_roles": ",".join(sorted(ctx.roles)),
        "image_location": "snapshot",
        "image_state": "available",
        "owner_id": server.project_id,
        "owner_user_name": ctx.user_name,
        "owner_project_name": ctx.project_name or "",
    }
    return {
        "name": name,
        "visibility": "private",
        "min_ram": image.get("min_ram_mib", 0),
        "min_disk": max(image.get("min_disk_gib", 0), server.flavor["root_gib"]),
        **inherited,
        **own,
        **(metadata or {}),
    }


def quiescence(server: Server) -> Quiescence:
    """Whether the guest's file systems are to be still while the disk is copied, as its image says."""
    properties = (server.image or {}).get("properties", {})
    if _is_true(properties.get("os_require_quiesce")):
        return "required"
    return "wanted" if _is_true(properties.get("hw_qemu_guest_agent")) else "no"


def _is_true(value: str | None) -> bool:
    return (value or "").strip().lower() in TRUE
