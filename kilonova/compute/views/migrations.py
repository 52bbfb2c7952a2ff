"""Migrations as the newest version shows them."""

import zlib
from typing import Any

from kilonova.compute.servers import migrations
from kilonova.compute.tables import Migration
from kilonova.kit.clock import iso8601_micro

Body = dict[str, Any]


def migration_view(migration: Migration, base_url: str) -> Body:
    """As administrators list it, with a link to one that is under way and can be aborted."""
    shown = {
        **_places(migration),
        "instance_uuid": migration.server_id,
        "old_instance_type_id": _flavor_number(migration.old_flavor_id),
        "new_instance_type_id": _flavor_number(migration.new_flavor_id),
        "migration_type": migration.kind,
    }
    if migration.kind == migrations.LIVE and migration.status in migrations.UNDER_WAY:
        path = f"servers/{migration.server_id}/migrations/{migration.number}"
        shown["links"] = [
            {"rel": "self", "href": f"{base_url}/v2.1/{path}"},
            {"rel": "bookmark", "href": f"{base_url}/{path}"},
        ]
    return shown


def _flavor_number(flavor_id: str) -> int:
    """Returns the same integer for the same flavor: clients refuse anything else here, and look nothing up by it."""
    return zlib.crc32(flavor_id.encode()) >> 1


def server_migration_view(migration: Migration) -> Body:
    """As it is shown below its server, with how far it is; nothing is known of that before it runs."""
    transfer = migration.transfer or {}
    amounts = (f"{kind}_{part}_bytes" for kind in ("memory", "disk") for part in ("total", "processed", "remaining"))
    return {
        **_places(migration),
        "server_uuid": migration.server_id,
        **{name: transfer.get(name) for name in amounts},
    }


def _places(migration: Migration) -> Body:
    return {
        "id": migration.number,
        "uuid": migration.id,
        "status": migration.status,
        "source_compute": migration.source_host,
        "source_node": migration.source_node,
        "dest_compute": migration.target_host,
        "dest_node": migration.target_node,
        "dest_host": migration.target_address,
        "project_id": migration.project_id,
        "user_id": migration.user_id,
        "created_at": iso8601_micro(migration.created_at),
        "updated_at": iso8601_micro(migration.updated_at),
    }
