"""The migrations make exactly the tables the code speaks of, and may be run again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, select, text

from kilonova.compute.region import mappings
from kilonova.compute.tables import host_loads, metadata
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.testing.schema import differences
from tests.compute.loads import check_loads
from tests.databases import Databases

MIGRATIONS = Path(__file__).parents[2] / "kilonova/compute/migrations"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []


def fill(connection: Connection) -> None:
    """A host, and servers that run on it, could not be placed, and are to be placed."""
    insert(connection, "hosts", id="h", number=7, service_id="s", binary="nova-compute", host="node1")
    for number, (host, state) in enumerate([("node1", "active"), (None, "error"), (None, "building")], 1):
        insert(connection, "servers", id=f"s{number}", number=number, host=host, vm_state=state, group_id="g")
    insert(connection, "server_history", id="s4", number=4, record="{}")


def insert(connection: Connection, table: str, **values: object) -> None:
    """A row of the table as it is by now; a column that is not named gets what its type allows."""
    row: dict[str, object] = {}
    there = {each["name"] for each in inspect(connection).get_columns(table)}
    for column in metadata.tables[table].columns:
        if column.name not in there:
            continue
        kind = column.type.python_type if column.type.__class__.__name__ not in ("JSON", "UtcDateTime") else None
        default: object = {int: 1, str: "x", bool: False, bytes: b"x"}.get(kind, "{}") if kind else "{}"
        if column.type.__class__.__name__ == "UtcDateTime":
            default = NOW.replace(tzinfo=None)
        row[column.name] = values.get(column.name, None if column.nullable else default)
    names = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in row)
    statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"
    connection.execute(text(statement), row)


@pytest.mark.parametrize("again", [False, True])
async def test_what_a_cloud_of_the_last_version_had_is_mapped(
    databases: Databases, tmp_path: Path, again: bool
) -> None:
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0001")
    database.run_alone(fill)
    for _ in range(1 + again):
        upgrade(database, MIGRATIONS)
    async with database.reading() as tx:
        (host,) = await mappings.list_hosts(tx)
        found = {name: await mappings.find_server(tx, name) for name in ("s1", "s2", "s3", "s4")}
        assert await mappings.next_number(tx) == 5
    await database.close()
    assert (host.host, host.number, host.cell_id) == ("node1", 7, mappings.CELL1_ID)
    places = {name: (each.cell_id, each.host, each.deleted_at is None) for name, each in found.items() if each}
    assert places == {
        "s1": (mappings.CELL1_ID, "node1", True),
        "s2": (mappings.CELL0_ID, None, True),
        "s3": (None, None, True),
        "s4": (mappings.CELL1_ID, None, False),
    }


async def test_servers_that_were_there_before_loads_are_counted(databases: Databases, tmp_path: Path) -> None:
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0005")

    def fill(connection: Connection) -> None:
        inventory = '{"hypervisor_type": "QEMU", "supported_instances": []}'
        for number, name in enumerate(("node1", "node2"), 1):
            insert(connection, "hosts", id=name, number=number, service_id=name, host=name, inventory=inventory)
        places = [("node1", "active"), ("node1", "building"), ("gone", "building"), (None, "building"), (None, "error")]
        for number, (host, state) in enumerate(places, 1):
            insert(connection, "servers", id=f"s{number}", number=number, host=host, vm_state=state)

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)
    await check_loads(database)
    async with database.reading() as tx:
        rows = await tx.tuples(select(host_loads).order_by(host_loads.c.host))
    await database.close()
    assert [row[:3] for row in rows] == [("gone", 1, 1), ("node1", 2, 1), ("node2", 0, 0)]
    assert len({row[4] for row in rows}) == 3
