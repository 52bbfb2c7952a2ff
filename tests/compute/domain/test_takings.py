"""Takings of a host's NUMA nodes: once each, never the same twice, and given back alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from kilonova.compute.hosts import hosts, takings
from kilonova.compute.scheduling.numa.guests import GuestTopology, topology_of
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology
from kilonova.compute.tables import Taking, host_loads, metadata
from kilonova.compute.transactions import cell_reading, cell_transaction
from kilonova.kit.db import Database

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NODES = HostTopology((HostNode(id=0, shared=frozenset({0}), dedicated=frozenset({1, 2, 3}), memory_mib=1024),))


@pytest.fixture
async def database(migrated: Any, tmp_path: Path) -> AsyncIterator[Database]:
    made: Database = migrated("compute", metadata, tmp_path)
    yield made
    await made.close()


def guest(vcpus: int) -> GuestTopology:
    found = topology_of({"hw:cpu_policy": "dedicated"}, {}, vcpus, 64)
    assert found is not None
    return found


async def host(database: Database, name: str, topology: HostTopology | None = NODES) -> str:
    inventory: dict[str, Any] = {"hostname": name, "topology": msgspec.to_builtins(topology)}
    async with cell_transaction(database) as tx:
        return (await hosts.register(tx, hosts.NewHost("nova-compute", name, "nova", inventory), NOW)).id


async def taken(database: Database) -> list[tuple[str, str, str, tuple[int, ...]]]:
    async with cell_reading(database) as tx:
        rows = await tx.all(Taking, select(takings.takings))
    return sorted((each.server_id, each.host, each.flavor_id, takings.read(each).taken_cpus) for each in rows)


async def test_a_taking_is_written_once_and_leaves_the_rest_to_others(database: Database) -> None:
    one = await host(database, "one")
    async with cell_transaction(database) as tx:
        assert await takings.take(tx, one, guest(2), "s1", "f1")
        assert await takings.take(tx, one, guest(2), "s1", "f1"), "safe to repeat"
        assert not await takings.take(tx, one, guest(2), "s2", "f1")
        assert await takings.take(tx, one, guest(1), "s2", "f1")
        assert not await takings.take(tx, "a host that is gone", guest(1), "s3", "f1")
    assert await taken(database) == [("s1", "one", "f1", (1, 2)), ("s2", "one", "f1", (3,))]
    async with cell_transaction(database) as tx:
        await takings.give_back(tx, "s1")
        await takings.give_back(tx, "s1")
        assert await takings.take(tx, one, guest(2), "s3", "f2")
    assert await taken(database) == [("s2", "one", "f1", (3,)), ("s3", "one", "f2", (1, 2))]


async def test_a_host_that_tells_no_nodes_takes_only_who_needs_none_of_its_own(database: Database) -> None:
    silent = await host(database, "silent", None)
    plain = topology_of({"hw:numa_nodes": "1"}, {}, 1, 64)
    assert plain is not None
    async with cell_transaction(database) as tx:
        assert await takings.take(tx, silent, plain, "s1", "f1")
        assert not await takings.take(tx, silent, guest(1), "s2", "f1")
    assert await taken(database) == []


async def test_every_taking_makes_its_host_be_read_again(database: Database) -> None:
    one = await host(database, "one")

    async def revision() -> int:
        async with cell_reading(database) as tx:
            return int(await tx.scalar(select(host_loads.c.row_revision).where(host_loads.c.host == "one")))

    seen = [await revision()]
    async with cell_transaction(database) as tx:
        await takings.take(tx, one, guest(1), "s1", "f1")
    seen.append(await revision())
    async with cell_transaction(database) as tx:
        await takings.take(tx, one, guest(1), "s1", "f1")
    assert await revision() == seen[-1], "nothing has changed"
    async with cell_transaction(database) as tx:
        await takings.give_back(tx, "s1")
    seen.append(await revision())
    assert seen == sorted(set(seen))


async def test_a_server_between_two_flavors_on_one_host_has_both_until_one_is_given_back(database: Database) -> None:
    one = await host(database, "one")
    async with cell_transaction(database) as tx:
        for flavor_id, vcpus in (("small", 1), ("large", 2)):
            assert await takings.take(tx, one, guest(vcpus), "s1", flavor_id)
    assert await taken(database) == [("s1", "one", "large", (2, 3)), ("s1", "one", "small", (1,))]
    async with cell_transaction(database) as tx:
        # No row says where the server is: it is nowhere.
        await takings.keep_own(tx, "s1")
    assert await taken(database) == []
