"""A region with two cells, installed in the guides' order: each daemon a process of its own, the second cell on a
database and a broker of its own; conductors that are killed at random under load.

Runs where a broker was asked for: `make test PART=e2e DATABASE=mariadb BUS=rabbit`.
"""

import asyncio
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from kilonova.cli.daemons.process import EX_CONFIG
from kilonova.compute.tables import metadata, server_history, server_mappings, servers, tasks
from kilonova.kit.db import Database
from kilonova.kit.tasks import TaskStep
from kilonova.kit.testing.brokers import NatsServer, RabbitMq
from tests.daemons import controller as apart
from tests.daemons.controller import BINARIES, DAEMONS, Controller, environment_has_servers, wait_for
from tests.databases import Databases

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NODES = {"-node1": "nova-node1.conf", "-node2": "nova-node2.conf"}
CONDUCTORS = {"nova-conductor": "nova.conf", "nova-conductor-b": "nova.conf", "nova-scheduler": "nova.conf"}


@dataclass
class Region(Controller):
    """The guides' layout (nova_api, nova_cell0, nova), and a second cell."""

    other_broker: Any = None
    urls: dict[str, str] = field(default_factory=dict)
    """Name of a database → its URL."""

    def write_files(self) -> None:
        super().write_files()
        make = self.databases.engine.create
        self.urls = {name: make(name, self.directory) for name in ("nova_api", "nova_cell0", "nova", "nova_cell2")}
        text = re.sub(r"(\[database\]\nconnection = ).*", rf"\1{self.urls['nova']}", self.read("nova.conf"))
        text += f"[api_database]\nconnection = {self.urls['nova_api']}\n"
        self.write("nova.conf", text)
        second = text.replace(self.broker.url, self.other_broker.url).replace(self.urls["nova"] + "\n", "CELL2\n")
        second = second.replace("CELL2", self.urls["nova_cell2"])
        self.write("nova-cell2.conf", second)
        self.write("nova-node1.conf", text.replace("host = controller", "host = node1"))
        self.write("nova-node2.conf", second.replace("host = controller", "host = node2"))
        for number in (1, 2):
            text = self.read("neutron.conf").replace("host = controller", f"host = node{number}")
            self.write(f"neutron-node{number}.conf", text + "[DEFAULT]\nnetwork_driver = fake\n")

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def nova_manage(self, words: str, file: str = "nova.conf", code: int = 0, *more: str) -> str:
        command = [BINARIES / "nova-manage", "--config-file", str(self.directory / file), *words.split(), *more]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    def run_daemon(self, name: str, file: str) -> None:
        """`name` begins with the program's, up to the number or letter of an instance."""
        program = re.sub(r"-(b|cell2|node\d)$", "", name)
        with (self.directory / f"{name}.log").open("ab") as log:
            command = [BINARIES / program, "--config-file", str(self.directory / file)]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def start_region(self) -> None:
        others = [name for name in DAEMONS if not name.startswith(("nova-", "neutron-linuxbridge"))]
        self.start_all(others)
        for name, file in {"nova-api": "nova.conf", **CONDUCTORS, "nova-conductor-cell2": "nova-cell2.conf"}.items():
            self.run_daemon(name, file)
        for suffix, file in NODES.items():
            self.run_daemon(f"nova-compute{suffix}", file)
            self.run_daemon(f"neutron-linuxbridge-agent{suffix}", file.replace("nova", "neutron"))
        for service in ("image", "placement", "network", "compute"):
            self.wait_api(service)

    def status_of(self, server_id: str) -> str:
        """Empty when it is gone."""
        headers = {"x-auth-token": self.token, "openstack-api-version": "compute 2.90"}
        path = f"/v2.1/servers/{server_id}"
        response = httpx.get(self.url("compute") + path, headers=headers, timeout=30)
        assert response.status_code in (200, 404), response.text
        return "" if response.status_code == 404 else str(response.json()["server"]["status"])

    def create_on(self, name: str, ground: dict[str, Any], **more: Any) -> str:
        made = self.call("compute", "POST", "/v2.1/servers", {"server": {"name": name, **ground, **more}})
        return str(made["server"]["id"])

    def listed(self, path: str = "/v2.1/servers/detail") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("compute", "GET", path)["servers"]
        return found

    async def rows(self, name: str, statement: Any) -> list[tuple[Any, ...]]:
        database = Database(self.urls[name], metadata)
        async with database.reading() as tx:
            found = await tx.tuples(statement)
        await database.close()
        return found

    def ids_in(self, name: str, table: Any) -> list[str]:
        return sorted(row[0] for row in asyncio.run(self.rows(name, select(table.c[0]))))

    def steps_in(self, name: str) -> list[TaskStep]:
        statement = select(tasks.steps).order_by(tasks.steps.c.task_id, tasks.steps.c.position)
        columns = [column.name for column in tasks.steps.c]
        return [TaskStep(**dict(zip(columns, row, strict=True))) for row in asyncio.run(self.rows(name, statement))]


def install(region: Region) -> tuple[str, str]:
    """As the guides do it; the ids of both cells."""
    apart_commands = tuple(words for words in apart.MANAGE if words[0] != "nova-manage")
    names = (*apart.SERVICES, "metadata")
    region.ports = dict(zip(names, apart.free_ports(len(names)), strict=True))
    region.write_files()
    for program, file, *words in apart_commands:
        region.manage(program, file, *words)
    words = ["--bootstrap-password", "ADMIN_PASS", "--bootstrap-public-url", f"{region.url('identity')}/v3/"]
    region.manage("keystone-manage", "keystone.conf", "bootstrap", *words)
    assert "nova-manage api_db sync" in region.nova_manage("db sync", code=1)
    region.nova_manage("api_db sync")
    region.nova_manage(f"cell_v2 map_cell0 --database_connection {region.urls['nova_cell0']}")
    first = UUID.search(region.nova_manage("cell_v2 create_cell --name=cell1 --verbose"))
    region.nova_manage("db sync")
    second = UUID.search(region.nova_manage("cell_v2 create_cell --name=cell2 --verbose", "nova-cell2.conf"))
    region.nova_manage("db sync", "nova-cell2.conf")
    assert first and second
    listed = region.nova_manage("cell_v2 list_cells")
    for name, cell_id in (("cell0", "0" * 8), ("cell1", first[0]), ("cell2", second[0])):
        assert re.search(rf"^\| {name} +\| {cell_id}", listed, re.MULTILINE), listed
    return first[0], second[0]


if environment_has_servers():

    @pytest.fixture
    def region(databases: Databases, tmp_path: Path) -> Iterator[tuple[Region, str, str]]:
        broker, other = RabbitMq(tmp_path / "rabbitmq"), NatsServer(tmp_path / "nats")
        broker.start()
        other.start()
        made = Region(tmp_path, databases, broker, other_broker=other)
        try:
            ids = install(made)
            made.start_region()
            wait_for(lambda: sorted(made.hosts()) == ["node1", "node2"], "both hosts are up")
            body = {"quota_set": dict.fromkeys(("instances", "cores", "ram"), -1)}
            project = made.call("identity", "GET", "/v3/projects?name=admin")["projects"][0]["id"]
            made.call("compute", "PUT", f"/v2.1/os-quota-sets/{project}", body)
            yield made, *ids
        finally:
            made.close()
            broker.remove()
            other.remove()

    @pytest.mark.e2e
    def test_a_region_of_two_cells(region: tuple[Region, str, str]) -> None:
        cloud, first, second = region
        ground = cloud.make_ground()
        made = {host: cloud.create_on(f"on-{host}", ground, host=host) for host in ("node1", "node2")}
        flavor = {"flavor": {"name": "giant", "ram": 1 << 30, "vcpus": 1, "disk": 1}}
        giant = cloud.call("compute", "POST", "/v2.1/flavors", flavor)["flavor"]["id"]
        lost = cloud.create_on("too-large", {**ground, "flavorRef": giant})
        wait_for(lambda: all(cloud.status_of(each) == "ACTIVE" for each in made.values()), "both are ACTIVE")
        wait_for(lambda: cloud.status_of(lost) == "ERROR", "the third is in ERROR")
        assert cloud.ids_in("nova", servers) == [made["node1"]]
        assert cloud.ids_in("nova_cell2", servers) == [made["node2"]]
        assert cloud.ids_in("nova_cell0", servers) == [lost]
        assert cloud.ids_in("nova_api", servers) == []
        for server, cell in ((made["node1"], first), (made["node2"], second), (lost, "0" * 8)):
            assert cell in cloud.nova_manage(f"cell_v2 verify_instance --uuid {server}")
        assert "Found 0 unmapped computes" in cloud.nova_manage("cell_v2 discover_hosts --verbose")
        assert re.search(rf"cell2 +\| {second} \| node2", cloud.nova_manage("cell_v2 list_hosts"))
        cloud.nova_manage(f"cell_v2 delete_cell --cell_uuid {second}", code=2)
        status = [BINARIES / "nova-status", "--config-file", str(cloud.directory / "nova.conf"), "upgrade", "check"]
        checked = subprocess.run(status, capture_output=True, text=True)
        assert (checked.returncode, "Failure" in checked.stdout) == (0, False), checked.stdout + checked.stderr
        check_a_cell_that_is_down(cloud, second, made)
        check_two_of_one_name(cloud)
        for each in (*made.values(), lost):
            cloud.call("compute", "DELETE", f"/v2.1/servers/{each}")
        wait_for(lambda: cloud.listed() == [], "no server is left")
        cloud.check_running()
        cloud.stop()

    def check_a_cell_that_is_down(cloud: Region, cell_id: str, made: dict[str, str]) -> None:
        """Its database is looked for where nobody answers; then it is back."""
        wrong = re.sub(r"@127\.0\.0\.1:\d+", "@127.0.0.1:9", cloud.urls["nova_cell2"])
        update = f"cell_v2 update_cell --cell_uuid {cell_id} --transport-url {cloud.other_broker.url}"
        cloud.nova_manage(f"{update} --database_connection {wrong}")
        states = {made["node1"]: "ACTIVE", made["node2"]: "UNKNOWN"}

        def seen() -> dict[str, str]:
            found = {each["id"]: each["status"] for each in cloud.listed()}
            return {server: found[server] for server in states}

        wait_for(lambda: seen() == states, "the servers of the cell that is down are UNKNOWN")
        cloud.nova_manage(f"{update} --database_connection {cloud.urls['nova_cell2']}")
        wait_for(lambda: set(seen().values()) == {"ACTIVE"}, "the cell is back")

    def check_two_of_one_name(cloud: Region) -> None:
        command = [BINARIES / "nova-compute", "--config-file", str(cloud.directory / "nova-node1.conf")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert second.returncode == EX_CONFIG, second.stderr
        assert "another nova-compute is alive under the name node1" in second.stderr
        cloud.check_running()

    @pytest.mark.e2e
    def test_conductors_that_are_killed_lose_nothing(region: tuple[Region, str, str]) -> None:
        cloud, _first, _second = region
        ground = cloud.make_ground()
        dice = random.Random(20)
        made: list[str] = []
        for round_number in range(10):
            made += [cloud.create_on(f"s{round_number}-{number}", ground) for number in range(3)]
            if round_number % 3 == 2:
                cloud.call("compute", "DELETE", f"/v2.1/servers/{made.pop(dice.randrange(len(made)))}")
            victim = dice.choice([*CONDUCTORS, "nova-conductor-cell2"])
            cloud.kill(victim)
            cloud.run_daemon(victim, CONDUCTORS.get(victim, "nova-cell2.conf"))
        wait_for(
            lambda: {each["status"] for each in cloud.listed()} == {"ACTIVE"}, "every server is ACTIVE", seconds=120
        )
        assert sorted(each["id"] for each in cloud.listed()) == sorted(made)
        check_nothing_was_done_twice(cloud, made)
        for each in made:
            cloud.call("compute", "DELETE", f"/v2.1/servers/{each}")
        wait_for(lambda: cloud.listed() == [], "no server is left", seconds=120)
        assert claimed(cloud) == {}
        assert cloud.call("network", "GET", "/v2.0/ports?device_owner=compute:nova")["ports"] == []
        everything = set(cloud.ids_in("nova_api", server_mappings))
        gone = {each for name in ("nova_api", "nova", "nova_cell2") for each in cloud.ids_in(name, server_history)}
        assert everything == gone
        cloud.check_running()

    def check_nothing_was_done_twice(cloud: Region, made: list[str]) -> None:
        """One claim for each server, one row in one database, one way through the steps."""
        assert sorted(claimed(cloud)) == sorted(made)
        assert set(claimed(cloud).values()) == {1}
        placed = cloud.ids_in("nova", servers) + cloud.ids_in("nova_cell2", servers)
        assert (sorted(placed), cloud.ids_in("nova_api", servers)) == (sorted(made), [])
        for name in ("nova", "nova_cell2"):
            before: TaskStep | None = None
            for step in cloud.steps_in(name):
                if before is not None and before.task_id == step.task_id:
                    assert step.position == before.position + 1
                    assert step.started_at >= before.finished_at
                before = step

    def claimed(cloud: Region) -> dict[str, int]:
        """Consumer → how many providers it holds something of."""
        holders: dict[str, int] = {}
        providers = cloud.call("placement", "GET", "/resource_providers")["resource_providers"]
        for each in providers:
            for consumer in cloud.call("placement", "GET", f"/resource_providers/{each['uuid']}/allocations")[
                "allocations"
            ]:
                holders[consumer] = holders.get(consumer, 0) + 1
        return holders
