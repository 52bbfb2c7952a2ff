"""A full disk: uploads stop before it is, what is deleted makes room, and who looks is told."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from kilonova.image import tables
from kilonova.image.app import make_app
from kilonova.image.service import Image
from kilonova.image.stores import file as file_store
from kilonova.image.stores.file import FileStore, measure
from kilonova.kit.db import Database

OCTETS = {"content-type": "application/octet-stream"}
MIB = 1 << 20
DATA = bytes(4 * MIB)


async def make(client: httpx.AsyncClient) -> str:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    url: str = (await client.post("/v2/images", json=body)).json()["self"]
    return url


# --- the reserve -----------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the store is told of its disk: blocks of 1 KiB."""
    told = SimpleNamespace(f_blocks=1 << 20, f_bavail=1 << 19, f_frsize=1024)
    monkeypatch.setattr(file_store.os, "statvfs", lambda _path: told)
    return told


def test_a_twentieth_is_reserved_and_1_gib_at_most(tmp_path: Path, disk: SimpleNamespace) -> None:
    assert measure(tmp_path, -1).reserve == (1 << 30) // 20
    disk.f_blocks = 1 << 30
    assert measure(tmp_path, -1).reserve == 1 << 30
    assert measure(tmp_path, 0).reserve == 0
    assert measure(tmp_path, 5).reserve == 5


async def test_an_announced_upload_is_refused_before_a_byte_is_stored(
    client: httpx.AsyncClient, image: Image, disk: SimpleNamespace
) -> None:
    url = await make(client)
    disk.f_bavail = (1 << 20) // 20 + 1
    response = await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert response.status_code == 413
    assert "Image storage media is full" in response.text
    assert (await client.get(url)).json()["status"] == "queued"
    assert await image.store.names() == set()


async def test_an_upload_stops_at_the_reserve_and_leaves_nothing(
    client: httpx.AsyncClient, image: Image, disk: SimpleNamespace
) -> None:
    url = await make(client)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        disk.f_bavail = 0
        yield DATA

    response = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert response.status_code == 413
    assert "0 bytes are free, and uploads leave 53687091 to others" in response.text
    assert (await client.get(url)).json()["status"] == "queued"
    assert await image.store.names() == set()
    disk.f_bavail = 1 << 19
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204


async def test_health_tells_and_still_says_ok(client: httpx.AsyncClient, disk: SimpleNamespace) -> None:
    assert (await client.get("/healthcheck")).text == "OK"
    disk.f_bavail = 0
    answer = await client.get("/healthcheck")
    assert answer.status_code == 200
    assert answer.text.startswith("OK\nImage storage media is full: 0 bytes are free")


# --- a disk that is really full --------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def fill(directory: Path) -> None:
    """As guests' disks do."""
    with (directory / "others").open("ab", 0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(directory).free == 0


@pytest.fixture
async def on_small(image: Image, small: Path) -> AsyncIterator[Image]:
    """The service with everything it has on the small disk."""
    if image.database.url.get_backend_name() != "sqlite":
        pytest.skip("a database server has a disk of its own")
    source = make_url(str(image.database.url)).database
    assert source is not None
    shutil.copy(source, small / "image.db")
    database = Database(f"sqlite:///{small}/image.db", tables.metadata, has_ballast=True)
    yield replace(image, database=database, store=FileStore(small / "images"))
    await database.close()


@pytest.fixture
async def demo(on_small: Image, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with await identity.client_for(make_app(on_small, identity.verifier("glance")), "demo") as found:
        yield found


@pytest.mark.root
async def test_on_a_full_disk_uploads_are_refused_and_deletes_work(
    demo: httpx.AsyncClient, on_small: Image, small: Path
) -> None:
    urls = [await make(demo) for _ in range(30)]
    assert (await demo.put(f"{urls[0]}/file", content=DATA, headers=OCTETS)).status_code == 204
    fill(small)
    assert "Image storage media is full" in (await demo.get("/healthcheck")).text
    refused = await demo.put(f"{urls[1]}/file", content=DATA, headers=OCTETS)
    assert refused.status_code == 413
    assert "Image storage media is full" in refused.text
    for url in reversed(urls):
        assert (await demo.delete(url)).status_code == 204
    assert (await demo.get("/v2/images")).json()["images"] == []
    assert await on_small.store.names() == set()
    (small / "others").unlink()
    url = await make(demo)
    assert (await demo.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    assert (small / "image.db.ballast").exists()


@pytest.mark.root
async def test_when_others_take_that_room_too_the_image_makes_the_room_its_record_needs(
    demo: httpx.AsyncClient, small: Path
) -> None:
    urls = [await make(demo) for _ in range(3)]
    for url in urls[:2]:
        assert (await demo.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    (small / "image.db.ballast").unlink()
    fill(small)
    for _ in range(1000):
        refused = await demo.post("/v2/images", json={"name": "x" * 255, "tags": ["x" * 255], "colour": "x" * 9999})
        if refused.status_code != 201:
            break
    assert refused.status_code == 503
    assert "is full: delete something" in refused.text
    assert (await demo.delete(urls[0])).status_code == 204
    assert (await demo.get(urls[0])).status_code == 404
    assert (await demo.delete(urls[2])).status_code == 204
    assert (await demo.get(f"{urls[1]}/file")).content == DATA


@pytest.mark.root
async def test_a_service_that_starts_on_a_full_disk_deletes(
    demo: httpx.AsyncClient, on_small: Image, small: Path, identity: Any
) -> None:
    url = await make(demo)
    await on_small.database.close()
    fill(small)
    database = Database(f"sqlite:///{small}/image.db", tables.metadata, has_ballast=True)
    app = make_app(replace(on_small, database=database), identity.verifier("glance"))
    async with await identity.client_for(app, "demo") as client:
        assert (await client.delete(url)).status_code == 204
    await database.close()


@pytest.mark.root
async def test_a_protected_image_is_not_touched_on_a_full_disk(demo: httpx.AsyncClient, small: Path) -> None:
    url = await make(demo)
    assert (await demo.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    patch = {"content-type": "application/openstack-images-v2.1-json-patch"}
    protect = [{"op": "replace", "path": "/protected", "value": True}]
    assert (await demo.patch(url, json=protect, headers=patch)).status_code == 200
    (small / "image.db.ballast").unlink()
    fill(small)
    assert (await demo.delete(url)).status_code == 403
    assert (await demo.get(f"{url}/file")).content == DATA
