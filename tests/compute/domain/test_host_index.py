"""Hosts and their loads in memory: what is known is what the database has, whoever writes it and however."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.hosts import hosts
from kilonova.compute.hosts.index import HostIndex
from kilonova.compute.region import moving
from kilonova.compute.servers import servers
from kilonova.compute.tables import Server, metadata
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.db import Database
from tests.compute.domain.test_servers import insert
from tests.compute.loads import check_loads

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
HOSTS = ("node1", "node2", "node3")
INVENTORY: dict[str, Any] = {
    "hostname": "node.example.org",
    "hypervisor_type": "QEMU",
    "supported_instances": [["x86_64", "qemu", "hvm"]],
}


@pytest.fixture
async def database(migrated: Any, tmp_path: Path) -> AsyncIterator[Database]:
    made: Database = migrated("compute", metadata, tmp_path)
    yield made
    await made.close()


async def register(database: Database, *names: str) -> None:
    async with database.transaction() as tx:
        for name in names:
            await hosts.register(CellTx(tx), hosts.NewHost("nova-compute", name, "nova", INVENTORY), NOW)


async def change_host(tx: CellTx, host: str, how: str) -> None:
    row = await hosts.find(tx, "nova-compute", host)
    if row is None or how == "register":
        await hosts.register(tx, hosts.NewHost("nova-compute", host, "nova", INVENTORY), NOW)
    elif how == "remove":
        await hosts.remove(tx, row)
    elif how == "disable":
        await hosts.change(tx, row, NOW, disabled=not row.disabled)
    elif how == "fail":
        await hosts.count_failed_build(tx, host)
    else:
        await hosts.count_success(tx, host)


async def change_server(tx: CellTx, server: Server, host: str | None, how: str) -> None:
    if how == "place":
        await servers.change(tx, server.id, NOW, host=host, node_id="n")
    elif how == "forget":
        await servers.forget(tx, server, NOW)
    else:
        await servers.change(tx, server.id, NOW, vm_state=how)


host_changes = st.tuples(st.sampled_from(HOSTS), st.sampled_from(["register", "remove", "disable", "fail", "succeed"]))
server_changes = st.tuples(
    st.integers(0, 3),
    st.sampled_from([*HOSTS, None]),
    st.sampled_from(["place", "active", "building", "error", "forget"]),
)


@given(changes=st.lists(host_changes | server_changes, max_size=25))
def test_the_index_follows_every_change(
    migrated: Any, tmp_path_factory: pytest.TempPathFactory, changes: list[Any]
) -> None:
    async def follow() -> None:
        database = migrated("compute", metadata, tmp_path_factory.mktemp("compute"))
        index = HostIndex()
        made = [await insert(database) for _ in range(4)]
        for change in changes:
            async with database.transaction() as tx:
                if len(change) == 2:
                    await change_host(tx, *change)
                else:
                    await change_server(tx, made[change[0]], *change[1:])
            await check_loads(database, index)
        await database.close()

    asyncio.run(follow())


async def test_hosts_are_known_in_the_order_of_their_numbers_and_gone_when_removed(database: Database) -> None:
    index = HostIndex()
    await register(database, "b", "a", "c")
    await check_loads(database, index)
    async with database.transaction() as tx:
        await change_host(CellTx(tx), "a", "remove")
    async with database.reading() as tx:
        assert list((await index.refresh(CellTx(tx))).hosts) == ["b", "c"]
    await register(database, "a")
    async with database.reading() as tx:
        assert list((await index.refresh(CellTx(tx))).hosts) == ["b", "c", "a"]


async def test_a_change_of_one_host_reads_one_host(database: Database) -> None:
    index = HostIndex()
    await register(database, *HOSTS)
    server = await insert(database)
    await check_loads(database, index)
    async with database.reading() as tx:
        before = (await index.refresh(CellTx(tx))).hosts
    async with database.transaction() as tx:
        await change_server(CellTx(tx), server, "node2", "place")
    async with database.reading() as tx:
        after = (await index.refresh(CellTx(tx))).hosts
    assert [name for name in HOSTS if after[name] is not before[name]] == ["node2"]
    # A load alone does not have the row read again.
    assert after["node2"].row is before["node2"].row
    async with database.reading() as tx:
        assert (await index.refresh(CellTx(tx))).hosts is after


async def test_an_older_database_in_its_place_is_noticed(migrated: Any, database: Database, tmp_path: Path) -> None:
    index = HostIndex()
    await register(database, *HOSTS)
    await check_loads(database, index)
    for names in (("node9",), ()):
        directory = tmp_path / f"older{len(names)}"
        directory.mkdir()
        older: Database = migrated("compute", metadata, directory)
        await register(older, *names)
        await check_loads(older, index)
        await older.close()


async def test_a_server_that_moves_between_cells_counts_where_it_is(
    migrated: Any, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    there: Database = migrated("compute", metadata, tmp_path / "there")
    server = await insert(database)
    async with database.transaction() as tx:
        await servers.change(CellTx(tx), server.id, NOW, host="node1")
        load = await moving.pack(CellTx(tx), server.id)
    mover = load.tasks[0]
    copy = moving.as_copy(load, load.server, mover, NOW)
    # A mover that has died repeats it.
    for _ in range(2):
        async with there.transaction() as tx:
            await moving.unpack(CellTx(tx), copy, mover)
        await check_loads(there)
    async with database.transaction() as tx:
        await moving.leave(RegionTx(tx), CellTx(tx), load, mover, "cell", None)
    await check_loads(database)
    await there.close()


WRITERS, SERVERS_EACH = 6, 8


async def test_the_counts_stay_right_under_parallel_writers(database: Database) -> None:
    """Each with a database of its own, as processes have, and an index that looks all along."""
    await register(database, *HOSTS)
    opened = [Database(database.url.render_as_string(hide_password=False), metadata) for _ in range(WRITERS)]
    indexes = [HostIndex() for _ in opened]

    async def write(number: int) -> None:
        its, dice = opened[number], random.Random(number)
        for _ in range(SERVERS_EACH):
            server = await insert(its)
            for how in ("place", "active", "place", "building", "place", "forget"):
                if how == "forget" and dice.random() < 0.5:
                    continue
                async with its.transaction() as tx:
                    await change_server(CellTx(tx), server, dice.choice(HOSTS), how)
                async with its.reading() as tx:
                    await indexes[number].refresh(CellTx(tx))
                await asyncio.sleep(0)

    await asyncio.gather(*(write(number) for number in range(WRITERS)))
    for its, index in zip(opened, indexes, strict=True):
        await check_loads(its, index)
        await its.close()


async def test_a_host_that_comes_back_spelled_otherwise_is_known(database: Database) -> None:
    index = HostIndex()
    await register(database, "node1")
    async with database.transaction() as tx:
        await change_host(CellTx(tx), "node1", "remove")
    await register(database, "Node1")
    await check_loads(database, index)
