"""/os-migrations and /servers/{id}/migrations: servers that were or are moved."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import Struct

from kilonova.compute.api.bodies import ComputeRequest, flag
from kilonova.compute.api.listing import DIALECT, strict_from
from kilonova.compute.api.lookup import Found, reading_server, writing_server
from kilonova.compute.errors import InvalidMigration, MigrationNotOfServer
from kilonova.compute.region import cells
from kilonova.compute.servers import migrations
from kilonova.compute.service import Cell
from kilonova.compute.tables import Migration
from kilonova.compute.transactions import CellTx
from kilonova.compute.views.migrations import migration_view, server_migration_view
from kilonova.kit.db.selections import Condition, Filter, Selection
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Cut, Listing, cut, text
from kilonova.kit.http.queries import moment


def _links(_plural: str, shown: Cut[Any]) -> dict[str, Any]:
    return {} if shown.next is None else {"migrations_links": [{"rel": "next", "href": shown.next}]}


def _on_either_host(_name: str, texts: Sequence[str]) -> Condition:
    return migrations.touches(texts[-1])


LISTING = Listing(
    dialect=replace(DIALECT, refuse=strict_from("migration_paging"), links=_links),
    filters={
        "host": _on_either_host,
        "instance_uuid": text("server_id"),
        "source_compute": text("source_host"),
        "status": text("status"),
        "migration_type": text("kind"),
    },
    others={
        "hidden": None,
        "changes-since": "migration_paging",
        "changes-before": "changes_before",
        **dict.fromkeys(("user_id", "project_id"), "migration_owners"),
    },
    since="migration_paging",
)
QUERY = LISTING.query


class ForceComplete(Struct, forbid_unknown_fields=True):
    """The whole body of an action: `{"force_complete": null}`."""

    force_complete: None


async def list_migrations(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-migrations, the newest first."""
    request.authorize()
    page = LISTING.read(request)
    selection = page.selection.narrowed(*_others(request))
    # None is ever hidden: that was said of what an older release had cleaned up.
    rows = [] if flag(request, "hidden") else await _rows(request, selection)
    shown = cut(rows, page)
    views = [migration_view(each, request.base_url) for each in shown.rows]
    if not request.allows("migration_paging"):
        return {"migrations": views}
    return {"migrations": views, **shown.links("")}


def _others(request: ComputeRequest) -> list[Filter]:
    given = {name: request.query[name] for name in request.known_queries if name in request.query}
    moments: dict[str, datetime] = {
        name: moment(name, given[name]) for name in ("changes-since", "changes-before") if name in given
    }
    if len(moments) == 2 and moments["changes-since"] > moments["changes-before"]:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    found = [Filter(name, "eq", given[name]) for name in ("user_id", "project_id") if name in given]
    if "changes-since" in moments:
        found.append(Filter("updated_at", "ge", moments["changes-since"]))
    if "changes-before" in moments:
        found.append(Filter("updated_at", "le", moments["changes-before"]))
    return found


async def _rows(request: ComputeRequest, selection: Selection) -> list[Migration]:
    """Returns the migrations of all cells, one more than a page shows."""
    marker = None if selection.marker is None else await _marker(request, selection)

    async def ask(_cell: Cell, tx: CellTx) -> list[Migration]:
        return await migrations.list_newest(tx, selection, marker)

    gathered = await cells.gather(request.service, ask)
    found = sorted((each for rows in gathered.values() for each in rows), key=migrations.order, reverse=True)
    return found[: selection.limit]


async def _marker(request: ComputeRequest, selection: Selection) -> Migration:
    wanted = selection.marker or ""

    async def ask(_cell: Cell, tx: CellTx) -> Migration | None:
        return await migrations.find_any(tx, wanted)

    found = [each for each in (await cells.gather(request.service, ask)).values() if each is not None]
    if not found:
        raise selection.lost(wanted)
    return found[0]


async def list_migrations_of_server(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/migrations: the live migrations that are under way."""
    async with reading_server(request) as found:
        rows = await migrations.under_way(found.tx, found.server.id)
    return {"migrations": [server_migration_view(each) for each in rows if each.kind == migrations.LIVE]}


async def show_migration(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request) as found:
        return {"migration": server_migration_view(await _under_way(request, found))}


async def delete_migration(request: ComputeRequest) -> None:
    """Aborts it: the server goes on where it was. Once the guest has moved, there is nothing to be aborted any more."""
    async with writing_server(request, unlocked=True) as found:
        migration = await _under_way(request, found)
        if migration.status != "running" and not request.allows("abort_queued_migrations"):
            raise InvalidMigration(migration.number, found.server.id, f"it is {migration.status}, not running yet")
        now = found.cell.clock.now()
        await migrations.cancel(found.tx, migration, now)
        await found.cell.tasks.wake_subjects(found.tx, [found.server.id], now)


async def act_on_migration(request: ComputeRequest, _body: ForceComplete) -> None:
    """Pauses the guest until it has moved, however much it writes."""
    async with writing_server(request, unlocked=True) as found:
        migration = await _under_way(request, found)
        if migration.status != "running":
            raise InvalidMigration(migration.number, found.server.id, f"it is {migration.status}, not running yet")
        now = found.cell.clock.now()
        await migrations.hasten(found.tx, migration, now)
        await found.cell.tasks.wake_subjects(found.tx, [found.server.id], now)


async def _under_way(request: ComputeRequest, found: Found) -> Migration:
    """The one that the path names. Raises MigrationNotOfServer."""
    reference = request.path["migration_id"]
    migration = await migrations.find_of_server(found.tx, found.server.id, reference)
    if migration is None:
        raise MigrationNotOfServer(reference, found.server.id)
    return migration
