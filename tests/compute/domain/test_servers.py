"""Servers' own rules: numbers, statuses, faults, and what hints may learn."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.programs.build import BUILD
from kilonova.compute.region import mappings
from kilonova.compute.servers import requests, servers
from kilonova.compute.tables import Flavor, Server, metadata, tasks
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.db import Database
from kilonova.kit.tasks.programs import step_name

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


class Caller:
    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.user_id = "u"


@pytest.fixture
async def database(migrated: Any, tmp_path: Path) -> AsyncIterator[Database]:
    made: Database = migrated("compute", metadata, tmp_path)
    yield made
    await made.close()


def make_server(project_id: str = "p", **values: Any) -> Server:
    wanted = requests.WantedServers(
        name="web",
        hostname=None,
        description=None,
        count=1,
        flavor=Flavor("1", "m1.tiny", None, 1, 512, 1, 0, 0, "1.0", True, {}, []),
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
    (server,) = requests.make_servers(wanted, Caller(project_id), NOW)  # type: ignore[arg-type]
    for name, value in values.items():
        setattr(server, name, value)
    return server


async def insert(database: Database, project_id: str = "p", **values: Any) -> Server:
    server = make_server(project_id, **values)
    async with database.transaction() as tx:
        return await servers.insert(RegionTx(tx), CellTx(tx), server, BUILD.new_task(server.id), NOW)


async def test_numbers_are_never_given_twice(database: Database) -> None:
    first, second = await insert(database), await insert(database)
    assert [servers.instance_name(each) for each in (first, second)] == ["instance-00000001", "instance-00000002"]
    async with database.transaction() as tx:
        await servers.forget(tx, second, NOW)
    # The domain of the deleted one may still be on a host that was away: its name is not for another server.
    assert servers.instance_name(await insert(database)) == "instance-00000003"


async def test_forgetting_may_be_repeated(database: Database) -> None:
    server = await insert(database)
    for _ in range(2):
        async with database.transaction() as tx:
            await servers.forget(tx, server, NOW)
    async with database.reading() as tx:
        deleted = await servers.find_deleted(tx, server.id)
    assert deleted is not None
    assert (deleted.id, deleted.record["name"]) == (server.id, "web")


async def test_hints_learn_of_hosts_of_the_same_project_only(database: Database) -> None:
    mine, waiting = await insert(database, host="node1"), await insert(database)
    theirs = await insert(database, "q", host="node2")
    wanted = [mine.id, waiting.id, theirs.id, "never-was"]
    async with database.reading() as tx:
        assert await servers.hosts_of(tx, wanted, "p") == {mine.id: "node1"}


async def test_use_of_a_project_is_the_sum_of_its_servers(database: Database) -> None:
    for project in ("p", "p", "q"):
        await insert(database, project)
    async with database.reading() as tx:
        assert await mappings.usage_of_project(tx, "p") == {"instances": 2, "cores": 2, "ram": 1024}
        assert await mappings.usage_of_project(tx, "r") == {"instances": 0, "cores": 0, "ram": 0}


def test_every_step_of_every_program_is_a_task_state() -> None:
    for program in PROGRAMS.values():
        for step in program.all_steps():
            assert OPERATIONS[program.name].task_state(step_name(step))


def test_programs_and_operations_are_each_others() -> None:
    assert set(PROGRAMS) == set(OPERATIONS)
    assert all(name == each.program for name, each in OPERATIONS.items())


def test_an_operation_replaces_programs_that_there_are_and_begins_in_states_that_there_are() -> None:
    for each in OPERATIONS.values():
        assert set(each.replaces) <= set(PROGRAMS)
        assert {*each.begins_in, *filter(None, [each.ends_in])} <= set(servers.STATUSES)
        assert (each.wants is None) == (each.ends_in is None)


@pytest.mark.parametrize(
    ("vm_state", "program", "status", "task_state"),
    [
        ("active", None, "ACTIVE", None),
        ("active", "reboot", "REBOOT", "rebooting"),
        ("active", "reboot_hard", "HARD_REBOOT", "rebooting_hard"),
        ("active", "stop", "ACTIVE", "powering-off"),
        ("stopped", None, "SHUTOFF", None),
        ("stopped", "rebuild", "REBUILD", "rebuilding"),
        ("stopped", "start", "SHUTOFF", "powering-on"),
        ("error", None, "ERROR", None),
        ("building", "build", "BUILD", "scheduling"),
        ("building", "destroy", "BUILD", "deleting"),
    ],
)
async def test_status_and_task_state_are_views_of_the_row_and_its_task(
    database: Database, vm_state: str, program: str | None, status: str, task_state: str | None
) -> None:
    server = await insert(database, vm_state=vm_state)
    async with database.transaction() as tx:
        build = await tasks.active(tx, server.id)
        assert build is not None
        if program != "build":
            await tasks.compare_and_set(tx, build, finished_at=NOW, active_subject=None)
        if program is not None and program != "build":
            await tasks.start(tx, PROGRAMS[program].new_task(server.id), NOW)
        found = await servers.find_with_task(tx, server.id)
    assert (servers.status(found), servers.task_state(found)) == (status, task_state)


def test_a_fault_without_a_reason_is_a_defect() -> None:
    with pytest.raises(ValueError, match="reason"):
        servers.fault("", NOW)
