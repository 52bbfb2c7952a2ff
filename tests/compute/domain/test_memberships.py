"""The aggregates of hosts in memory: what is known is what the database has, and hosts are read anew for none of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kilonova.compute.hosts import aggregates, hosts
from kilonova.compute.hosts.index import HostIndex
from kilonova.compute.hosts.memberships import AggregateIndex, Memberships
from kilonova.compute.tables import metadata
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.db import Database
from tests.compute.domain.test_host_index import INVENTORY

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
"""A clock that stands still: versions do not depend on it."""


@pytest.fixture
async def database(migrated: Any, tmp_path: Path) -> AsyncIterator[Database]:
    made: Database = migrated("compute", metadata, tmp_path)
    async with made.transaction() as tx:
        for name in ("node1", "node2", "node3"):
            await hosts.register(CellTx(tx), hosts.NewHost("nova-compute", name, "nova", INVENTORY), NOW)
    yield made
    await made.close()


async def change(database: Database, name: str, how: str, value: Any = None, at: datetime = NOW) -> None:
    async with database.transaction() as opened:
        tx, cells = RegionTx(opened), [CellTx(opened)]
        if how == "insert":
            await aggregates.insert(tx, name, None, at)
            return
        (aggregate,) = [each for each in await aggregates.list_all(tx) if each.name == name]
        match how:
            case "add":
                await aggregates.add_host(tx, cells, aggregate, value, at)
            case "take":
                await aggregates.remove_host(tx, cells, aggregate, value, "nova", at)
            case "metadata":
                await aggregates.change_metadata(tx, cells, aggregate, value, "nova", at)
            case "remove":
                await aggregates.remove(tx, aggregate)


async def known(database: Database, index: AggregateIndex) -> Memberships:
    async with database.reading() as tx:
        return await index.refresh(RegionTx(tx))


def shown(memberships: Memberships) -> dict[str, list[dict[str, str]]]:
    return {host: [each.metadata for each in found] for host, found in memberships.by_host.items()}


async def test_every_change_is_seen_even_by_a_clock_that_stands_still_or_goes_back(database: Database) -> None:
    index = AggregateIndex()
    earlier = NOW - timedelta(hours=1)
    steps: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("fast", "insert"), {}),
        (("fast", "add", "node1"), {"node1": [{}]}),
        (("fast", "metadata", {"ssd": "true"}), {"node1": [{"ssd": "true"}]}),
        (("fast", "metadata", {"ssd": "no"}, earlier), {"node1": [{"ssd": "no"}]}),
        (("fast", "add", "node2"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}]}),
        (("big", "insert"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}]}),
        (("big", "add", "node1"), {"node1": [{"ssd": "no"}, {}], "node2": [{"ssd": "no"}]}),
        (("big", "take", "node1"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}]}),
        (("big", "remove"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}]}),
        # The same number and the same times as the one before.
        (("big", "insert"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}]}),
        (("big", "add", "node3"), {"node1": [{"ssd": "no"}], "node2": [{"ssd": "no"}], "node3": [{}]}),
    ]
    for step, expected in steps:
        await change(database, *step)
        assert shown(await known(database, index)) == expected == shown(await known(database, AggregateIndex()))
    assert (await known(database, index)).keys == {"ssd"}


async def test_nothing_is_read_again_while_nothing_changes(database: Database) -> None:
    index, hosts_known = AggregateIndex(), HostIndex()
    await change(database, "fast", "insert")
    await change(database, "fast", "add", "node2")
    first = await known(database, index)
    assert await known(database, index) is first
    async with database.reading() as tx:
        snapshot = await hosts_known.refresh(CellTx(tx))
    joined = hosts_known.join(snapshot, first)
    assert [len(each.state.aggregates) for each in joined.hosts.values()] == [0, 1, 0]
    async with database.reading() as tx:
        assert await hosts_known.refresh(CellTx(tx)) is joined
    assert hosts_known.join(joined, first) is joined


async def test_a_host_that_changes_stays_in_its_aggregates(database: Database) -> None:
    index, hosts_known = AggregateIndex(), HostIndex()
    await change(database, "fast", "insert")
    await change(database, "fast", "add", "node2")
    memberships = await known(database, index)
    async with database.reading() as tx:
        joined = hosts_known.join(await hosts_known.refresh(CellTx(tx)), memberships)
    async with database.transaction() as tx:
        await hosts.count_failed_build(CellTx(tx), "node2")
    async with database.reading() as tx:
        later = await hosts_known.refresh(CellTx(tx))
    assert later.hosts["node1"] is joined.hosts["node1"]
    state = later.hosts["node2"].state
    assert (state.failed_builds, state.aggregates) == (1, joined.hosts["node2"].state.aggregates)
    assert hosts_known.join(later, memberships) is later
