"""/os-migrations and /servers/{id}/migrations: servers that were or are moved. None is, so far."""

from dataclasses import replace
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import DIALECT, strict_from
from kilonova.compute.api.lookup import reading_server
from kilonova.kit.errors import NotFound
from kilonova.kit.http.lists import Listing

LISTING = Listing(
    dialect=replace(DIALECT, refuse=strict_from("migration_paging")),
    others={
        **dict.fromkeys(("hidden", "host", "instance_uuid", "source_compute", "status", "migration_type")),
        "changes-since": "migration_paging",
        "changes-before": "changes_before",
        **dict.fromkeys(("user_id", "project_id"), "migration_owners"),
    },
    since="migration_paging",
)
QUERY = LISTING.query


async def list_migrations(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    LISTING.read(request)
    return {"migrations": []}


async def list_migrations_of_server(request: ComputeRequest) -> dict[str, Any]:
    """Those under way."""
    async with reading_server(request):
        return {"migrations": []}


async def show_migration(request: ComputeRequest) -> None:
    async with reading_server(request) as found:
        migration_id = request.path["migration_id"]
        raise NotFound(f"In-progress live migration {migration_id} is not found for server {found.server.id}.")
