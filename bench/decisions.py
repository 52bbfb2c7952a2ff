"""One scheduling decision: what it costs by the number of hosts, and that it costs the same however many servers run.

Compute's region in this process, on a database of its own, with hosts of the fake driver and no placement: each has the
room it is said to have.
"""

import asyncio
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import MetaData

import kilonova
from bench.load import Figure
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.hosts import hosts
from kilonova.compute.programs import placing
from kilonova.compute.programs.build import BUILD
from kilonova.compute.servers import requests, servers
from kilonova.compute.service import Region
from kilonova.compute.tables import Flavor, Host, Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.placement.client import Room
from tests.worlds import CloudInProcess, compute

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTS, SERVERS, DECISIONS = (200, 1000), 2000, 40
CAPACITY = {"VCPU": 64, "MEMORY_MB": 262144, "DISK_GB": 2000}
(PACKAGE,) = map(Path, kilonova.__path__)


class _Caller:
    project_id = user_id = "bench"


def measure(scratch: Path) -> list[Figure]:
    return [figure for count in HOSTS for figure in asyncio.run(_decide(scratch / f"{count}-hosts", count))]


async def _decide(directory: Path, count: int) -> list[Figure]:
    directory.mkdir(parents=True)

    def make_database(service: str, tables: MetaData) -> Database:
        database = Database(f"sqlite:///{directory}/{service}.db", tables)
        upgrade(database, PACKAGE / service / "migrations")
        return database

    cloud = CloudInProcess(make_database=make_database, make_session=_no_session, authenticator=_nobody)
    await cloud.add_all(compute.API)
    region: Region = cloud.services["compute"]
    rows = await _register(region, count)
    empty = await _milliseconds(region, rows)
    await _fill(region, rows)
    full = await _milliseconds(region, rows)
    await cloud.close()
    how = f"processor time of looking and planning, median of {DECISIONS}, each after one server was placed"
    return [
        Figure(f"a decision, {count} hosts", f"{full:.1f} ms", f"{how}; {SERVERS} servers"),
        Figure(
            f"the same, of one without servers, {count} hosts", f"{full / empty:.2f}", "ratio: 1 is as it should be"
        ),
    ]


def _no_session(_user: str) -> Any:
    return None


async def _nobody(*_token: Any) -> Any:
    raise NotImplementedError("no request is made")


async def _register(region: Region, count: int) -> list[Host]:
    inventory = await FakeDriver(FakeHost("fake"), lambda _server_id: None).inventory()
    rows = []
    async with region.here.transaction() as tx:
        for number in range(count):
            new = hosts.NewHost(AGENT_BINARY, f"fake-{number:04}", "nova", msgspec.to_builtins(inventory))
            rows.append(await hosts.register(tx, new, NOW))
            region.here.liveness.heard(AGENT_BINARY, new.host)
    return rows


async def _insert(region: Region, count: int) -> list[Server]:
    flavor = Flavor("1", "m1.tiny", None, 1, 512, 1, 0, 0, "1.0", True, {}, [])
    wanted = requests.WantedServers(
        name="bench",
        hostname=None,
        description=None,
        count=count,
        flavor=flavor,
        image=None,
        keypair=None,
        networks=[],
        security_group_names=[],
        user_data=None,
        config_drive=False,
        metadata={},
        tags=[],
        requested_zone=None,
        requested_host=None,
        scheduler_hints={},
        disk_config="MANUAL",
        access_ip_v4="",
        access_ip_v6="",
    )
    made = requests.make_servers(wanted, _Caller(), NOW)  # type: ignore[arg-type]
    async with region.transaction() as tx:
        return [await servers.insert(tx, region.local(tx), each, BUILD.new_task(each.id), NOW) for each in made]


async def _fill(region: Region, rows: list[Host]) -> None:
    made = await _insert(region, SERVERS)
    async with region.here.transaction() as tx:
        for number, server in enumerate(made):
            row = rows[number % len(rows)]
            await servers.change(tx, server.id, NOW, host=row.host, node_id=row.id, vm_state="active")


async def _milliseconds(region: Region, rows: list[Host]) -> float:
    rooms = {row.id: Room(dict(CAPACITY), {"VCPU": number % 7}) for number, row in enumerate(rows)}
    took = []
    for server in await _insert(region, DECISIONS):
        began = time.process_time()
        plan = placing.plan(await placing.look(region.here, server.id, ()), rooms)
        took.append(time.process_time() - began)
        async with region.here.transaction() as tx:
            await servers.change(tx, server.id, NOW, host=plan.hosts[0].host, node_id=plan.hosts[0].id)
    return statistics.median(took) * 1000
