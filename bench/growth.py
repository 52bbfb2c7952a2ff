"""The cost of one more server as their number grows: servers are booted in equal steps, all on one network.

On one process (`kilonova up --fake`), and on separate daemons with PostgreSQL and RabbitMQ whose simulated hosts are a
process of their own. The figure is the ratio of the CPU for a server in the last step to that in the second; flat is 1.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.client import Connection
from bench.load import COMPUTE, Figure, Target
from tests.daemons.controller import Controller, wait_for

HOSTS, AT_ONCE = 200, 8
UNLIMITED = {"instances": -1, "cores": -1, "ram": -1}
POLL_SECONDS, LIMIT_POLLS = 0.1, 6000
MIB = 1 << 20


def measure(target: Target, cpu_seconds: Callable[[], float], servers: int, step: int, where: str) -> list[Figure]:
    """A figure for each step and one for their ratio. Needs an administrator, and simulated hosts with room."""
    return asyncio.run(_measure(target, cpu_seconds, servers, step, where))


async def _measure(
    target: Target, cpu_seconds: Callable[[], float], servers: int, step: int, where: str
) -> list[Figure]:
    await target.log_in()
    recipe = await _prepare(target)
    spent: list[float] = []
    figures = []
    for there in range(0, servers, step):
        began, cpu = time.perf_counter(), cpu_seconds()
        await _boot(target, recipe, [f"growth-{there + number}" for number in range(step)])
        took = time.perf_counter() - began
        spent.append((cpu_seconds() - cpu) * 1000 / step)
        value = f"{spent[-1]:.0f} ms CPU a server"
        how = (
            f"{step} more on one network, {AT_ONCE} requests at once: {step / took:.1f} servers/s until all are ACTIVE"
        )
        figures.append(Figure(f"growth, {where}: {there} servers there", value, how))
        print(f"{figures[-1].name}: {value}; {how}", flush=True)
    if len(spent) > 2:
        how = "CPU for a server in the last step to that in the second"
        figures.append(Figure(f"growth, {where}: ratio", f"{spent[-1] / spent[1]:.2f}", how))
    return figures


async def _prepare(target: Target) -> dict[str, object]:
    """A flavor, an image and a network with room; returns the recipe of a server."""
    name = "growth"
    async with target.to("compute") as compute, target.to("network") as network, target.to("image") as image:

        async def make(connection: Connection, path: str, body: dict[str, Any]) -> Any:
            return (await connection.request("POST", path, token=target.token, body=body)).json()

        quota = {"quota_set": UNLIMITED}
        await compute.request("PUT", f"/os-quota-sets/{target.project_id}", token=target.token, body=quota)
        quota = {"quota": {"port": -1, "network": -1, "subnet": -1}}
        await network.request("PUT", f"/v2.0/quotas/{target.project_id}", token=target.token, body=quota)
        flavor = await make(compute, "/flavors", {"flavor": {"name": name, "ram": 64, "vcpus": 1, "disk": 1}})
        made = await make(image, "/v2/images", {"name": name, "disk_format": "raw", "container_format": "bare"})
        await image.upload(f"/v2/images/{made['id']}/file", target.token, bytes(MIB), 1)
        network_id = (await make(network, "/v2.0/networks", {"network": {"name": name}}))["network"]["id"]
        subnet = {"network_id": network_id, "cidr": "10.64.0.0/14", "ip_version": 4}
        await make(network, "/v2.0/subnets", {"subnet": subnet})
    return {"flavorRef": flavor["flavor"]["id"], "imageRef": made["id"], "networks": [{"uuid": network_id}]}


async def _boot(target: Target, recipe: dict[str, object], names: list[str]) -> None:
    async def work() -> None:
        async with target.to("compute") as connection:
            while names:
                body = {"server": {"name": names.pop(), **recipe}}
                await connection.request("POST", "/servers", token=target.token, body=body, **COMPUTE)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    async with target.to("compute") as connection:

        async def are_there(status: str) -> bool:
            answer = await connection.request("GET", f"/servers?status={status}&limit=1", token=target.token, **COMPUTE)
            return bool(answer.json()["servers"])

        for _ in range(LIMIT_POLLS):
            if not await are_there("BUILD"):
                break
            await asyncio.sleep(POLL_SECONDS)
        else:
            raise RuntimeError(f"servers are still being built after {LIMIT_POLLS * POLL_SECONDS:g} s")
        if await are_there("ERROR"):
            raise RuntimeError("a server is in ERROR")


@contextmanager
def hosts_of(controller: Controller, count: int) -> Iterator[None]:
    """Simulated hosts with both agents, in a process of their own, until the context ends."""
    command = [sys.executable, "-m", "bench.fake_hosts", controller.broker.url, str(count), "--network"]
    with (controller.directory / "fake-hosts.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: len(controller.hosts()) >= count, f"{count} compute hosts are up", seconds=300)
        wait_for(lambda: _bridge_agents(controller) >= count, f"{count} network agents are up", seconds=300)
        yield
    finally:
        process.kill()
        process.wait()


def _bridge_agents(controller: Controller) -> int:
    agents = controller.call("network", "GET", "/v2.0/agents?binary=neutron-linuxbridge-agent&alive=true")["agents"]
    return len(agents)


def cpu_seconds_of(pids: Callable[[], list[int]]) -> Callable[[], float]:
    """The CPU that some processes have used together, whenever it is asked."""

    def read() -> float:
        ticks = 0
        for pid in pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    return read
