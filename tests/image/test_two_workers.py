"""Two processes of one image service, on one database and one store: each leaves the other's uploads alone."""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kilonova.image.tables import metadata
from kilonova.kit.testing.ports import free_ports
from tests.databases import Databases
from tools.stages import ROOT

OCTETS = {"content-type": "application/octet-stream"}
LEASE_SECONDS = 3.0
CHUNK = os.urandom(1 << 20)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


class Workers:
    """Starts workers; `client` speaks to one of them."""

    def __init__(self, url: str, directory: Path) -> None:
        self.directory = directory
        self._words = [sys.executable, "-m", "tests.image.worker", url, str(directory)]

    @contextmanager
    def started(self, port: int) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen([*self._words, str(port), str(LEASE_SECONDS)], cwd=ROOT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @staticmethod
    def client(port: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"x-auth-token": "t"}, timeout=60)


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthcheck")).status_code == 200
    except httpx.TransportError:
        return False


async def new_image(client: httpx.AsyncClient) -> str:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    url: str = (await client.post("/v2/images", json=body)).json()["self"]
    return url


async def status_of(client: httpx.AsyncClient, url: str) -> str:
    status: str = (await client.get(url)).json()["status"]
    return status


@pytest.fixture
def workers(databases: Databases, tmp_path: Path) -> Workers:
    database = databases.migrated("image", metadata, tmp_path)
    return Workers(database.url.render_as_string(hide_password=False), tmp_path / "images")


async def test_an_upload_outlives_the_death_and_the_start_of_the_worker_beside_it(workers: Workers) -> None:
    ports = free_ports(2)
    go_on = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield CHUNK
        await go_on.wait()
        yield CHUNK

    with workers.started(ports[0]), workers.started(ports[1]) as victim:
        async with workers.client(ports[0]) as one, workers.client(ports[1]) as other:
            for client in (one, other):
                await until(lambda client=client: answers(client))
            living, dying = await new_image(one), await new_image(other)
            lives = asyncio.create_task(one.put(f"{living}/file", content=stream(), headers=OCTETS))
            dies = asyncio.create_task(other.put(f"{dying}/file", content=stream(), headers=OCTETS))

            async def both_write() -> bool:
                return [each.stat().st_size > 0 for each in workers.directory.glob("*")] == [True, True]

            await until(both_write)
            victim.kill()
            victim.wait()
            dies.cancel()
            with workers.started(ports[1]):
                async with workers.client(ports[1]) as again:
                    await until(lambda: answers(again))
                    assert await status_of(again, living) == "saving"

                    async def is_queued() -> bool:
                        return await status_of(again, dying) == "queued"

                    await until(is_queued, seconds=3 * LEASE_SECONDS)
                    assert [each.name.partition(".")[0] for each in workers.directory.iterdir()] == [
                        living.rpartition("/")[2]
                    ]
                    go_on.set()
                    assert (await lives).status_code == 204
                    shown = (await again.get(living)).json()
                    assert (shown["status"], shown["os_hash_value"]) == (
                        "active",
                        hashlib.sha512(CHUNK * 4).hexdigest(),
                    )
                    assert (await again.get(f"{living}/file")).content == CHUNK * 4
                    assert (await again.put(f"{dying}/file", content=CHUNK, headers=OCTETS)).status_code == 204
