"""A cloud of separate daemons on MariaDB and RabbitMQ, with simulated hosts: what more conductors and hosts change."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench import growth
from bench.load import Figure, Target
from kilonova.kit.testing.brokers import RabbitMq
from tests.daemons.controller import Controller, wait_for
from tests.databases import databases

CONTROL = ("keystone", "glance-api", "placement-api", "neutron-server", "nova-api", "nova-conductor")
CREATES, AT_ONCE = 60, 8
CONDUCTORS = (1, 2, 4)
NEWEST = {"openstack-api-version": "compute 2.90"}
NETWORK_QUOTAS = ("network", "subnet", "port", "security_group", "security_group_rule")
QUOTAS = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}


def measure(scratch: Path, host_counts: tuple[int, ...]) -> list[Figure]:
    with controller_on("mariadb", scratch, CONTROL) as controller:
        figures = [_agent_start(controller)]
        body = _make_recipe(controller)
        # Before there are hosts that end with their measurement: nobody knows yet then that they are gone.
        figures.append(_recovery(controller, body))
        for count in host_counts:
            with _fake_hosts(controller, count):
                figures += _creates(controller, body, count)
    return figures


@contextmanager
def controller_on(database: str, scratch: Path, names: Sequence[str], workers: int = 1) -> Iterator[Controller]:
    """A controller of separate daemons, its APIs with so many processes each, on private servers."""
    broker = RabbitMq(scratch / "rabbitmq")
    broker.start()
    with databases(database, scratch) as engine:
        controller = Controller(scratch, engine, broker)
        try:
            controller.install()
            if workers > 1:
                _give_workers(controller, workers)
            controller.start_all(names)
            for service in ("image", "placement", "network", "compute"):
                controller.wait_api(service)
            yield controller
        finally:
            controller.close()
            broker.remove()


def _give_workers(controller: Controller, count: int) -> None:
    for file, option in (
        ("glance-api.conf", "workers"),
        ("nova.conf", "osapi_compute_workers"),
        ("neutron.conf", "api_workers"),
    ):
        path = controller.directory / file
        path.write_text(path.read_text().replace("[DEFAULT]\n", f"[DEFAULT]\n{option} = {count}\n", 1))


def _agent_start(controller: Controller) -> Figure:
    began = time.perf_counter()
    controller.start("nova-compute")
    wait_for(controller.hosts, "the compute host is up")
    took = time.perf_counter() - began
    return Figure(
        "agent start to schedulable", f"{took:.2f} s", "nova-compute's process to its host up, MariaDB, RabbitMQ"
    )


def _make_recipe(controller: Controller) -> dict[str, object]:
    ground = controller.make_ground()
    lift_quotas(controller)
    return {"imageRef": ground["imageRef"], "flavorRef": ground["flavorRef"], "networks": "none"}


def lift_quotas(controller: Controller) -> None:
    """The administrator's own project may have as much as it likes."""
    project = controller.call("identity", "GET", "/v3/projects?name=admin")["projects"][0]["id"]
    controller.call("compute", "PUT", f"/v2.1/os-quota-sets/{project}", QUOTAS)
    controller.call("network", "PUT", f"/v2.0/quotas/{project}", {"quota": dict.fromkeys(NETWORK_QUOTAS, -1)})


@contextmanager
def _fake_hosts(controller: Controller, count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.fake_hosts", controller.broker.url, str(count)]
    with (controller.directory / "fake-hosts.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: len(controller.hosts()) >= count, f"{count} hosts are up", seconds=300)
        yield
    finally:
        process.kill()
        process.wait()


def _creates(controller: Controller, body: dict[str, object], hosts: int) -> list[Figure]:
    """With 1, 2 and 4 conductors; those beyond the first end again."""
    figures = []
    for conductors in CONDUCTORS:
        names = [f"-{number}" for number in range(1, conductors)]
        for name in names:
            controller.start("nova-conductor", name)
        time.sleep(3 if names else 0)
        took = asyncio.run(_create_all(controller, body))
        for name in names:
            controller.kill(f"nova-conductor{name}")
        figures.append(
            Figure(
                f"creates, {hosts} hosts, conductors: {conductors}",
                f"{CREATES / took:.1f} servers/s",
                f"{CREATES} servers without a network, {AT_ONCE} at once, all ACTIVE after {took:.1f} s",
            )
        )
    return figures


def measure_growth(scratch: Path, servers: int, step: int) -> list[Figure]:
    """The growth of a cloud of daemons on PostgreSQL; the CPU is that of the daemons, without database and hosts."""
    with controller_on("postgresql", scratch, CONTROL) as controller:
        with growth.hosts_of(controller, growth.HOSTS):
            target = Target(controller.url("identity") + "/v3", "admin", "ADMIN_PASS", "admin", 0)
            spent = growth.cpu_seconds_of(lambda: [each.pid for each in controller.processes.values()])
            return growth.measure(target, spent, servers, step, "daemons, PostgreSQL")


async def _create_all(controller: Controller, body: dict[str, object]) -> float:
    url = controller.url("compute") + "/v2.1/servers"
    headers = {"x-auth-token": controller.token, **NEWEST}
    numbers = iter(range(CREATES))
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:

        async def work() -> None:
            for number in numbers:
                made = await client.post(url, json={"server": {"name": f"bench-{number}", **body}})
                made.raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await _until_states(client, url, {"ACTIVE": CREATES})
        took = time.perf_counter() - began
        await _delete_all(client, url)
    return took


async def _delete_all(client: httpx.AsyncClient, url: str) -> None:
    for server in (await client.get(f"{url}?limit=1000")).json()["servers"]:
        await client.delete(f"{url}/{server['id']}")
    await _until_states(client, url, {})


async def _until_states(
    client: httpx.AsyncClient, url: str, wanted: dict[str, int], limit_seconds: float = 300
) -> None:
    deadline = time.monotonic() + limit_seconds
    found: dict[str, int] = {}
    while time.monotonic() < deadline:
        servers = (await client.get(f"{url}/detail?limit=1000")).json()["servers"]
        found = {}
        for each in servers:
            found[each["status"]] = found.get(each["status"], 0) + 1
        if found == wanted:
            return
        await asyncio.sleep(0.2)
    raise RuntimeError(f"servers are {found} and not {wanted} after {limit_seconds:g} s")


def _recovery(controller: Controller, body: dict[str, object]) -> Figure:
    """Every daemon of the controller is killed while servers are being built, and started again."""
    for number in range(4):
        controller.call("compute", "POST", "/v2.1/servers", {"server": {"name": f"killed-{number}", **body}})
    for name in CONTROL:
        controller.kill(name)
    began = time.perf_counter()
    for name in CONTROL:
        controller.start(name)
    for service in ("identity", "image", "placement", "network", "compute"):
        controller.wait_api(service)
    url = controller.url("compute") + "/v2.1/servers"

    async def all_active() -> float:
        async with httpx.AsyncClient(headers={"x-auth-token": controller.token, **NEWEST}, timeout=60) as client:
            await _until_states(client, url, {"ACTIVE": 4})
            took = time.perf_counter() - began
            await _delete_all(client, url)
            return took

    took = asyncio.run(all_active())
    return Figure(
        "recovery of a killed controller",
        f"{took:.1f} s",
        "six daemons killed and started; four servers under way ACTIVE",
    )
