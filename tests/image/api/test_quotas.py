"""What a project may have of images: how many, and how many bytes of data in all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from kilonova.image.quotas import Limits
from kilonova.image.service import Image

OCTETS = {"content-type": "application/octet-stream"}
FORMATS = {"name": "i", "disk_format": "raw", "container_format": "bare"}
MIB = 1 << 20


@pytest.fixture
def limited(image: Image) -> Image:
    image.limits = Limits(image_count_total=3, image_size_total=2)
    return image


async def make(client: httpx.AsyncClient) -> str:
    response = await client.post("/v2/images", json=FORMATS)
    assert response.status_code == 201, response.text
    url: str = response.json()["self"]
    return url


async def put(client: httpx.AsyncClient, url: str, content: Any) -> httpx.Response:
    return await client.put(f"{url}/file", content=content, headers=OCTETS)


async def test_a_project_has_so_many_images(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient, limited: Image, identity: Any
) -> None:
    urls = [await make(client) for _ in range(3)]
    refused = await client.post("/v2/images", json=FORMATS)
    assert refused.status_code == 413
    project_id = await identity.project_id("demo")
    assert f"Project {project_id} has 3 images, and its limit is 3 (image_count_total)." in refused.text
    # Whoever makes it, it is the owner's.
    assert (await admin.post("/v2/images", json={**FORMATS, "owner": project_id})).status_code == 413
    await make(other)
    await client.delete(urls[0])
    await make(client)
    usage = (await client.get("/v2/info/usage")).json()["usage"]
    assert usage["image_count_total"] == {"usage": 3, "limit": 3}


async def test_of_eight_images_at_once_three_are_made(client: httpx.AsyncClient, limited: Image) -> None:
    answers = await asyncio.gather(*(client.post("/v2/images", json=FORMATS) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [201] * 3 + [413] * 5


async def test_a_project_stores_so_many_bytes(
    client: httpx.AsyncClient, other: httpx.AsyncClient, limited: Image
) -> None:
    first, second = await make(client), await make(client)
    assert (await put(client, first, bytes(MIB))).status_code == 204
    refused = await put(client, second, bytes(MIB + 1))
    assert refused.status_code == 413
    assert f"may store {MIB} bytes more in its images (image_size_total), not {MIB + 1}." in refused.text
    assert (await client.get(second)).json()["status"] == "queued"
    assert (await put(client, second, bytes(MIB))).status_code == 204
    usage = (await client.get("/v2/info/usage")).json()["usage"]
    assert usage["image_size_total"] == {"usage": 2, "limit": 2}
    third = await make(client)
    assert (await put(client, third, b"x")).status_code == 413
    await client.delete(first)
    assert (await put(client, third, b"x")).status_code == 204
    assert (await put(other, await make(other), bytes(2 * MIB))).status_code == 204


async def test_data_of_no_announced_length_ends_at_the_limit(client: httpx.AsyncClient, limited: Image) -> None:
    url, sent = await make(client), []

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(1000):
            sent.append(1)
            yield bytes(MIB)

    assert (await put(client, url, stream())).status_code == 413
    assert len(sent) < 10
    assert await limited.store.names() == set()


async def test_uploads_at_once_share_what_is_left(client: httpx.AsyncClient, limited: Image) -> None:
    urls = [await make(client) for _ in range(3)]
    answers = await asyncio.gather(*(put(client, url, bytes(MIB)) for url in urls))
    assert sorted(each.status_code for each in answers) == [204, 204, 413]
    assert len(await limited.store.names()) == 2
