"""`nova-manage db`: what becomes of the rows of deleted servers. Words and exit codes are upstream's.

Source: the Compute command reference, "nova-manage db".
"""

import asyncio
from collections import Counter
from typing import Any

from kilonova.cli.daemons.region_commands import Command, Refused, Region, command, moment, whole
from kilonova.cli.frames import render_frame
from kilonova.compute.servers import archive
from kilonova.kit.clock import SystemClock

MOST_ROWS = "1000"
TASK_LOG = "No task log is kept, so none was archived: usage is counted from the servers themselves."


async def _archive(region: Region, asked: Any) -> int:
    """Returns 1 when something was archived, for a loop that ends with 0."""
    most = whole(asked.max_rows or MOST_ROWS, 2, "--max_rows")
    before = moment(asked.before, 4, "--before")
    pause = whole(asked.sleep or "0", 2, "--sleep", least=0)
    rows: Counter[str] = Counter()
    while True:
        archived = await _archive_batch(region, asked, before, most)
        rows.update(archived)
        if not archived or not asked.until_complete:
            break
        await asyncio.sleep(pause)
    if asked.verbose:
        print(_table("Number of Rows Archived", rows) if rows else "Nothing was archived.")
    if asked.task_log:
        print(TASK_LOG)
    if rows and asked.purge:
        await _purge_rows(region, everywhere=asked.all_cells, before=None, verbose=asked.verbose)
    return int(bool(rows))


async def _archive_batch(region: Region, asked: Any, before: Any, most: int) -> Counter[str]:
    """Archives as many deleted servers as one batch may have, over all databases that were asked for."""
    rows: Counter[str] = Counter()
    for database in await region.databases(everywhere=asked.all_cells):
        while (left := most - rows["server_history"]) > 0:
            done = await archive.archive_some(region.database, database, before, left, SystemClock().now())
            if not done:
                break
            rows.update(done)
    return rows


async def _purge(region: Region, asked: Any) -> int:
    """Returns 3 when there was nothing to purge."""
    if not asked.all and asked.before is None:
        raise Refused(1, "Either --before DATE or --all is needed: a purge deletes rows for good.")
    before = moment(asked.before, 2, "--before")
    rows = await _purge_rows(region, everywhere=asked.all_cells, before=before, verbose=asked.verbose)
    return 0 if rows else 3


async def _purge_rows(region: Region, *, everywhere: bool, before: Any, verbose: bool) -> Counter[str]:
    rows: Counter[str] = Counter()
    for database in await region.databases(everywhere=everywhere):
        while done := await archive.purge_some(region.database, database, before):
            rows.update(done)
    if verbose:
        for name, count in sorted(rows.items()):
            print(f"{count} rows were deleted from {name}.")
    return rows


def _table(title: str, rows: Counter[str]) -> str:
    return render_frame(("Table", title), [(name, str(count)) for name, count in sorted(rows.items())])


async def _migrate_online(_region: Region, asked: Any) -> int:
    if asked.max_count is not None:
        whole(asked.max_count, 127, "--max-count")
    print("Nothing is left to migrate: `nova-manage api_db sync` and `db sync` change the rows with the tables.")
    print(render_frame(("Migration", "Total Needed", "Completed"), []))
    return 0


async def _move_ironic_node(_region: Region, asked: Any) -> int:
    raise Refused(1, f"There is no bare metal node {asked.ironic_node_uuid}: hosts run guests, by libvirt.")


def row_commands() -> dict[str, Command]:
    return {
        "db archive_deleted_rows": command(
            "db archive_deleted_rows",
            _archive,
            *("--max_rows", "--before", "--sleep"),
            flags=("--verbose", "--until-complete", "--purge", "--all-cells", "--task-log"),
        ),
        "db purge": command("db purge", _purge, "--before", flags=("--all", "--verbose", "--all-cells")),
        "db online_data_migrations": command("db online_data_migrations", _migrate_online, "--max-count"),
        "db ironic_compute_node_move": command(
            "db ironic_compute_node_move",
            _move_ironic_node,
            *("--ironic-node-uuid", "--destination-host"),
            required=("--ironic-node-uuid", "--destination-host"),
        ),
    }
