"""/os-migrations and /servers/{id}/migrations: servers that were or are moved. None is, so far."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest, refuse_unknown_queries
from kilonova.compute.api.lookup import reading_server
from kilonova.kit.errors import NotFound

QUERY: dict[str, str | None] = {
    **dict.fromkeys(("hidden", "host", "instance_uuid", "source_compute", "status", "migration_type")),
    **dict.fromkeys(("limit", "marker", "changes-since"), "migration_paging"),
    "changes-before": "changes_before",
    **dict.fromkeys(("user_id", "project_id"), "migration_owners"),
}


async def list_migrations(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    refuse_unknown_queries(request, "migration_paging")
    return {"migrations": []}


async def list_migrations_of_server(request: ComputeRequest) -> dict[str, Any]:
    """Those under way."""
    async with reading_server(request):
        return {"migrations": []}


async def show_migration(request: ComputeRequest) -> None:
    async with reading_server(request) as found:
        migration_id = request.path["migration_id"]
        raise NotFound(f"In-progress live migration {migration_id} is not found for server {found.server.id}.")
