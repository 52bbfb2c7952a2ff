"""The figures: each asks a running cloud as a client would, and says how it was measured.

Closed loop: each worker sends its next request when the last was answered. Client and cloud share the machine's cores.
"""

import asyncio
import contextlib
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import Connection, Refused

COMPUTE = {"OpenStack_API_Version": "compute 2.67"}
PLACEMENT = {"OpenStack_API_Version": "placement 1.36"}
MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    name: str
    value: str
    how: str


@dataclass
class Target:
    """A running cloud, and who measures it."""

    auth_url: str
    user: str
    password: str
    project: str
    pid: int
    token: str = ""
    project_id: str = ""
    urls: dict[str, str] = field(default_factory=dict)

    async def log_in(self) -> None:
        connection = Connection(self.auth_url)
        answer = await connection.request("POST", "/auth/tokens", body=self.credentials())
        document = answer.json()["token"]
        self.token, self.project_id = answer.headers["x-subject-token"], document["project"]["id"]
        for entry in document["catalog"]:
            self.urls[entry["type"]] = next(each["url"] for each in entry["endpoints"] if each["interface"] == "public")
        connection.close()

    def credentials(self) -> dict[str, object]:
        domain = {"name": "Default"}
        user = {"name": self.user, "domain": domain, "password": self.password}
        identity = {"methods": ["password"], "password": {"user": user}}
        return {"auth": {"identity": identity, "scope": {"project": {"name": self.project, "domain": domain}}}}

    @asynccontextmanager
    async def to(self, service: str) -> AsyncIterator[Connection]:
        connection = Connection(self.urls[service])
        try:
            yield connection
        finally:
            connection.close()


Call = Callable[[Connection], Awaitable[object]]


async def timed(target: Target, service: str, call: Call, *, workers: int, seconds: float) -> tuple[float, float]:
    """(requests per second, median milliseconds) of `call` by `workers` at once, after a short warm-up."""
    latencies: list[float] = []

    async def work() -> None:
        async with target.to(service) as connection:
            await call(connection)
            while time.perf_counter() < deadline:
                began = time.perf_counter()
                await call(connection)
                latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    deadline = began + seconds
    await asyncio.gather(*(work() for _ in range(workers)))
    return len(latencies) / (time.perf_counter() - began), statistics.median(latencies) * 1000


async def tokens(target: Target, seconds: float) -> list[Figure]:
    async def issue(connection: Connection) -> None:
        await connection.request("POST", "/auth/tokens", body=target.credentials())

    async def validate(connection: Connection) -> None:
        await connection.request("GET", "/auth/tokens", token=target.token, X_Subject_Token=target.token)

    figures = []
    for name, call, workers in (
        ("issue", issue, 1),
        ("issue", issue, 8),
        ("validate", validate, 1),
        ("validate", validate, 8),
    ):
        rate, median = await timed(target, "identity", call, workers=workers, seconds=seconds)
        how = f"closed loop, {workers} at once, {seconds:g} s; median {median:.1f} ms"
        figures.append(Figure(f"token {name}, {workers} at once", f"{rate:.0f}/s", how))
    return figures


async def make_network(target: Target) -> str:
    """A network with room for a thousand servers, and quotas that let them be."""
    async with target.to("network") as connection:
        network = {"network": {"name": "bench"}}
        network_id: str = (await connection.request("POST", "/v2.0/networks", token=target.token, body=network)).json()[
            "network"
        ]["id"]
        subnet = {"subnet": {"network_id": network_id, "ip_version": 4, "cidr": "10.64.0.0/16"}}
        await connection.request("POST", "/v2.0/subnets", token=target.token, body=subnet)
        await _lift_quota(connection, target, f"/v2.0/quotas/{target.project_id}", {"quota": {"port": -1}})
    async with target.to("compute") as connection:
        quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}
        await _lift_quota(connection, target, f"/os-quota-sets/{target.project_id}", quota)
    return network_id


async def _lift_quota(connection: Connection, target: Target, path: str, body: object) -> None:
    try:
        await connection.request("PUT", path, token=target.token, body=body)
    except Refused as refused:
        # An earlier revision without quotas has none to lift.
        if refused.status != 404:
            raise


@dataclass
class Recipe:
    """What every measured server is made of."""

    image_id: str
    flavor_id: str
    network_id: str

    def body(self, name: str, count: int = 1) -> dict[str, object]:
        server: dict[str, object] = {
            "name": name,
            "imageRef": self.image_id,
            "flavorRef": self.flavor_id,
            "networks": [{"uuid": self.network_id}],
        }
        if count > 1:
            server["min_count"] = server["max_count"] = count
        return {"server": server}


async def make_recipe(target: Target) -> Recipe:
    async with target.to("image") as connection:
        image = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
        image_id = (await connection.request("POST", "/v2/images", token=target.token, body=image)).json()["id"]
        await connection.upload(f"/v2/images/{image_id}/file", target.token, bytes(MIB), 1)
    async with target.to("compute") as connection:
        flavor = {"flavor": {"name": f"bench-{uuid.uuid4()}", "ram": 32, "vcpus": 1, "disk": 1}}
        flavor_id = (await connection.request("POST", "/flavors", token=target.token, body=flavor)).json()["flavor"][
            "id"
        ]
    return Recipe(image_id, flavor_id, await make_network(target))


async def boot(target: Target, recipe: Recipe) -> list[Figure]:
    singles = []
    async with target.to("compute") as connection:
        for number in range(10):
            began = time.perf_counter()
            body = recipe.body(f"single-{number}")
            answer = await connection.request("POST", "/servers", token=target.token, body=body, **COMPUTE)
            await wait_active(connection, target, [answer.json()["server"]["id"]], poll_seconds=0.02)
            singles.append(time.perf_counter() - began)
    began = time.perf_counter()
    await _create_many(target, recipe, 100, workers=8)
    async with target.to("compute") as connection:
        await wait_count(connection, target, 110)
    took = time.perf_counter() - began
    return [
        Figure(
            "one server, create to ACTIVE", f"{statistics.median(singles):.3f} s", "median of 10, polled every 20 ms"
        ),
        Figure("100 creates, 8 at once", f"{100 / took:.1f} servers/s", f"all ACTIVE after {took:.1f} s"),
    ]


async def _create_many(target: Target, recipe: Recipe, count: int, *, workers: int) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        async with target.to("compute") as connection:
            for number in numbers:
                body = recipe.body(f"many-{number}")
                await connection.request("POST", "/servers", token=target.token, body=body, **COMPUTE)

    await asyncio.gather(*(work() for _ in range(workers)))


async def wait_active(
    connection: Connection, target: Target, server_ids: list[str], *, poll_seconds: float, limit_seconds: float = 120
) -> None:
    deadline = time.monotonic() + limit_seconds
    for server_id in server_ids:
        while True:
            answer = await connection.request("GET", f"/servers/{server_id}", token=target.token, **COMPUTE)
            status = answer.json()["server"]["status"]
            if status == "ACTIVE":
                break
            if status == "ERROR" or time.monotonic() > deadline:
                raise RuntimeError(f"server {server_id} is {status}: {answer.json()['server'].get('fault')}")
            await asyncio.sleep(poll_seconds)


async def wait_count(connection: Connection, target: Target, count: int, limit_seconds: float = 300) -> None:
    """Until `count` servers are ACTIVE."""
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        answer = await connection.request("GET", "/servers?status=ACTIVE&limit=1000", token=target.token, **COMPUTE)
        if len(answer.json()["servers"]) >= min(count, 1000):
            return
        await asyncio.sleep(0.25)
    raise RuntimeError(f"{count} servers were not ACTIVE within {limit_seconds:g} s")


async def lists(target: Target, recipe: Recipe) -> list[Figure]:
    async with target.to("compute") as connection:
        for number in range(9):
            body = recipe.body(f"batch-{number}", 100)
            await connection.request("POST", "/servers", token=target.token, body=body, **COMPUTE)
        await wait_count(connection, target, 1000)
        took = []
        for _ in range(5):
            began = time.perf_counter()
            answer = await connection.request("GET", "/servers/detail?limit=1000", token=target.token, **COMPUTE)
            took.append(time.perf_counter() - began)
        shown = answer.json()["servers"]
        path = f"/servers/{shown[0]['id']}"
        rate, median = await timed(
            target,
            "compute",
            lambda each: each.request("GET", path, token=target.token, **COMPUTE),
            workers=1,
            seconds=2,
        )
    how = f"median of 5, {len(shown)} servers with one port each, {len(answer.body) // 1024} KiB"
    return [
        Figure("GET /servers/detail, 1000 servers", f"{statistics.median(took) * 1000:.0f} ms", how),
        Figure("GET /servers/ID", f"{rate:.0f}/s", f"closed loop, 1 at once, 2 s; median {median:.1f} ms"),
    ]


async def candidates(target: Target) -> list[Figure]:
    figures = []
    made = 0
    inventory = {"VCPU": {"total": 64}, "MEMORY_MB": {"total": 262144}, "DISK_GB": {"total": 2000}}
    async with target.to("placement") as connection:
        for count in (1000, 5000):
            for number in range(made, count):
                provider = {"name": f"bench-{number}", "uuid": str(uuid.uuid4())}
                await connection.request("POST", "/resource_providers", token=target.token, body=provider, **PLACEMENT)
                path = f"/resource_providers/{provider['uuid']}/inventories"
                body = {"resource_provider_generation": 0, "inventories": inventory}
                await connection.request("PUT", path, token=target.token, body=body, **PLACEMENT)
            made = count
            for limit in (10, 1000):
                path = f"/allocation_candidates?resources=VCPU:1,MEMORY_MB:512,DISK_GB:1&limit={limit}"
                took = []
                for _ in range(10):
                    began = time.perf_counter()
                    await connection.request("GET", path, token=target.token, **PLACEMENT)
                    took.append(time.perf_counter() - began)
                name = f"candidates, {count} providers, limit {limit}"
                figures.append(Figure(name, f"{statistics.median(took) * 1000:.0f} ms", "median of 10"))
    return figures


async def images(target: Target, mib: int) -> list[Figure]:
    piece = bytes(range(256)) * (MIB // 256)
    async with target.to("image") as connection:
        image = {"name": "large", "disk_format": "raw", "container_format": "bare"}
        image_id = (await connection.request("POST", "/v2/images", token=target.token, body=image)).json()["id"]
        began = time.perf_counter()
        await connection.upload(f"/v2/images/{image_id}/file", target.token, piece, mib)
        up = time.perf_counter() - began
        began = time.perf_counter()
        await connection.download(f"/v2/images/{image_id}/file", target.token)
        down = time.perf_counter() - began
        await connection.request("DELETE", f"/v2/images/{image_id}", token=target.token)
    peak = peak_memory_mib(target.pid)
    how = f"{mib} MiB over loopback; the process's peak resident memory so far {peak:.0f} MiB"
    return [
        Figure("image upload", f"{mib / up:.0f} MiB/s", how),
        Figure("image download", f"{mib / down:.0f} MiB/s", "from the page cache"),
    ]


def peak_memory_mib(pid: int) -> float:
    return _kib(Path(f"/proc/{pid}/status"), "VmHWM:") / 1024


def pss_mib(pids: list[int]) -> float:
    """Proportional set size of processes together (proc(5), smaps_rollup)."""
    total = 0
    for pid in pids:
        # A process that ends while it is looked at holds nothing any more.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    return total / 1024


def _kib(path: Path, key: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(key))
