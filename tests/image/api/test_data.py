"""Data in and out: hashed, inspected, refused, broken off, in ranges; a full disk, a deletion in between."""

import asyncio
import errno
import hashlib
import os
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message

from kilonova.image import images, leases, recovery, tables
from kilonova.image.images import Viewer
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore, IncomingFile
from kilonova.image.tables import Upload
from tests.image.conftest import after_the_lease

OCTETS = {"content-type": "application/octet-stream"}
DATA = os.urandom(3 << 20) + b"end"


async def make(client: httpx.AsyncClient, disk_format: str = "raw") -> str:
    body = {"name": "i", "disk_format": disk_format, "container_format": "bare"}
    url: str = (await client.post("/v2/images", json=body)).json()["self"]
    return url


def qcow2(virtual_size: int, backing_offset: int = 0) -> bytes:
    header = struct.pack(">IIQIIQIIQQIIQ", 0x514649FB, 2, backing_offset, 0, 16, virtual_size, 0, 0, 0, 0, 0, 0, 0)
    return header.ljust(1 << 16, b"\0")


async def assert_queued_again(client: httpx.AsyncClient, image: Image, url: str) -> None:
    shown = (await client.get(url)).json()
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert await image.store.names() == set()
    # Nothing stands in the way of the next try.
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204


async def file_of(image: Image) -> str:
    """The name of the only file in the store."""
    (name,) = await image.store.names()
    return name


def directory_of(image: Image) -> Path:
    assert isinstance(image.store, FileStore)
    return image.store.directory


async def test_data_goes_in_and_comes_out(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    assert (await client.get(f"{url}/file")).status_code == 204
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    shown = (await client.get(url)).json()
    expected = {
        "status": "active",
        "size": len(DATA),
        "virtual_size": len(DATA),
        "checksum": hashlib.md5(DATA).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(DATA).hexdigest(),
        "stores": "file",
    }
    assert {**shown, **expected} == shown
    answer = await client.get(f"{url}/file")
    assert answer.content == DATA
    assert answer.headers["content-md5"] == expected["checksum"]
    assert answer.headers["content-length"] == str(len(DATA))
    assert (await client.head(f"{url}/file")).headers["content-length"] == str(len(DATA))
    (path,) = directory_of(image).iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    again = await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert again.status_code == 409
    locked = [{"op": "replace", "path": "/disk_format", "value": "qcow2"}]
    patch = {"content-type": "application/openstack-images-v2.1-json-patch"}
    assert (await client.patch(url, json=locked, headers=patch)).status_code == 403
    assert (await client.delete(url)).status_code == 204
    assert await image.store.names() == set()


async def test_the_size_a_guest_sees_is_read_from_the_image(client: httpx.AsyncClient) -> None:
    url = await make(client, "qcow2")
    assert (await client.put(f"{url}/file", content=qcow2(10 << 30), headers=OCTETS)).status_code == 204
    shown = (await client.get(url)).json()
    assert (shown["size"], shown["virtual_size"]) == (1 << 16, 10 << 30)


async def test_an_empty_image_has_data_of_no_length(client: httpx.AsyncClient) -> None:
    url = await make(client)
    assert (await client.put(f"{url}/file", content=b"", headers=OCTETS)).status_code == 204
    answer = await client.get(f"{url}/file")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("requested", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, None),
        ("bytes=-5", -5, None),
        ("bytes=5-99999999999", 5, None),
        ("Bytes= 0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=-99999999", 0, None),
        (f"bytes=3-{'9' * 5000}", 3, None),
        (f"bytes=-{'9' * 5000}", 0, None),
    ],
)
async def test_a_range_is_answered_with_that_part(
    client: httpx.AsyncClient, requested: str, start: int, end: int | None
) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    answer = await client.get(f"{url}/file", headers={"range": requested})
    assert answer.status_code == 206
    assert answer.content == DATA[start:end]
    first = start % len(DATA)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    "requested",
    ["bytes=-", "bytes=9-1", "bytes=99999999-", "bytes=-0", "bytes=x-1", "bytes=10-", "bytes=\u0661-\u0662"],
)
async def test_a_range_that_is_not_there_is_416(client: httpx.AsyncClient, requested: str) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=b"0123456789", headers=OCTETS)
    answer = await client.get(f"{url}/file", headers=[("range", requested.encode())])
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize("requested", ["lines=1-2", "bytes=0-1,3-4", "bytes", ""])
async def test_what_is_no_single_range_of_bytes_is_answered_with_all(client: httpx.AsyncClient, requested: str) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=b"0123456789", headers=OCTETS)
    answer = await client.get(f"{url}/file", headers={"range": requested})
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert "content-range" not in answer.headers
    assert answer.headers["accept-ranges"] == "bytes"


async def test_a_part_is_given_to_who_has_parts_of_the_same_data(client: httpx.AsyncClient) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=b"0123456789", headers=OCTETS)
    whole = await client.get(f"{url}/file")
    etag = whole.headers["etag"]
    assert etag == f'"{hashlib.sha512(b"0123456789").hexdigest()}"'
    asked = {"range": "bytes=0-3"}
    part = await client.get(f"{url}/file", headers={**asked, "if-range": etag})
    assert (part.status_code, part.content) == (206, b"0123")
    assert "content-md5" not in part.headers
    for other in (f"W/{etag}", '"other"', "Sat, 29 Oct 1994 19:43:31 GMT"):
        answer = await client.get(f"{url}/file", headers={**asked, "if-range": other})
        assert (answer.status_code, answer.content) == (200, b"0123456789")
    # Only GET has ranges.
    head = await client.head(f"{url}/file", headers=asked)
    assert (head.status_code, head.headers["content-length"]) == (200, "10")


@pytest.mark.parametrize(
    ("disk_format", "content", "sentence"),
    [
        ("qcow2", DATA, "its content is raw"),
        ("raw", qcow2(1 << 20), "its content is qcow2"),
        ("qcow2", qcow2(1 << 20, backing_offset=512), "has a backing file"),
        ("qcow2", b"QFI\xfb", "ends in the middle"),
    ],
)
async def test_what_inspection_refuses_is_400_and_not_kept(
    client: httpx.AsyncClient, image: Image, disk_format: str, content: bytes, sentence: str
) -> None:
    url = await make(client, disk_format)
    response = await client.put(f"{url}/file", content=content, headers=OCTETS)
    assert response.status_code == 400
    assert sentence in response.text
    patch = {"content-type": "application/openstack-images-v2.1-json-patch"}
    await client.patch(url, json=[{"op": "replace", "path": "/disk_format", "value": "raw"}], headers=patch)
    await assert_queued_again(client, image, url)


async def test_uploads_are_refused_before_a_byte_is_stored(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    assert (await client.put(f"{url}/file", content=DATA)).status_code == 415
    store = {**OCTETS, "x-image-meta-store": "tape"}
    assert (await client.put(f"{url}/file", content=DATA, headers=store)).status_code == 400
    size = {**OCTETS, "x-openstack-image-size": "many"}
    assert (await client.put(f"{url}/file", content=DATA, headers=size)).status_code == 400
    bare = (await client.post("/v2/images", json={"name": "i"})).json()["self"]
    without = await client.put(f"{bare}/file", content=DATA, headers=OCTETS)
    assert without.status_code == 400
    assert "disk_format and container_format" in without.text
    await assert_queued_again(client, image, url)


async def test_an_image_of_another_size_than_announced_is_refused(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    headers = {**OCTETS, "x-openstack-image-size": "5"}
    assert (await client.put(f"{url}/file", content=DATA, headers=headers)).status_code == 400
    await assert_queued_again(client, image, url)


async def test_a_limit_holds_for_announced_and_for_arriving_bytes(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    image.max_image_bytes = len(DATA)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield DATA

    announced = await client.put(f"{url}/file", content=DATA + b"x", headers=OCTETS)
    assert announced.status_code == 413
    arriving = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert arriving.status_code == 413
    await assert_queued_again(client, image, url)


@pytest.mark.parametrize("failing", ["_write", "_commit"])
async def test_a_full_disk_is_413_and_leaves_nothing(
    client: httpx.AsyncClient, image: Image, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    url = await make(client)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(IncomingFile, failing, full)
        response = await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert response.status_code == 413
    assert "Image storage media is full" in response.text
    await assert_queued_again(client, image, url)


@pytest.mark.root
async def test_a_disk_that_is_really_full_is_413(client: httpx.AsyncClient, image: Image, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        roomy, image.store = image.store, FileStore(small)
        url = await make(client)
        assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 413
        assert await image.store.names() == set()
        image.store = roomy
        await assert_queued_again(client, image, url)
    finally:
        subprocess.run(["umount", small], check=True)


async def test_another_failure_of_the_disk_is_500_and_leaves_nothing(
    client: httpx.AsyncClient, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await make(client)

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "/secret/path is broken")

    with monkeypatch.context() as patched:
        patched.setattr(IncomingFile, "_write", broken)
        response = await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert response.status_code == 500
    assert "secret" not in response.text
    await assert_queued_again(client, image, url)


async def test_a_sender_who_goes_away_leaves_nothing(
    client: httpx.AsyncClient, app: Any, identity: Any, image: Image
) -> None:
    url = await make(client)
    messages: list[Message] = [
        {"type": "http.request", "body": DATA, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        await asyncio.sleep(0)
        return messages.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("nobody is there to be answered")

    headers = [(b"x-auth-token", (await identity.token()).encode()), (b"content-type", b"application/octet-stream")]
    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"{url}/file",
        "headers": headers,
        "query_string": b"",
        "server": ("service.local", 80),
        "scheme": "http",
    }
    await app(scope, receive, send)
    await assert_queued_again(client, image, url)


async def test_a_cancelled_upload_leaves_nothing(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    arrived = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        arrived.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(client.put(f"{url}/file", content=stream(), headers=OCTETS))
    await arrived.wait()
    assert (await client.get(url)).json()["status"] == "saving"
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 409
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_queued_again(client, image, url)


async def test_an_image_deleted_while_its_data_arrives_is_410_and_leaves_nothing(
    client: httpx.AsyncClient, image: Image
) -> None:
    url = await make(client)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        assert (await client.delete(url)).status_code == 204
        yield DATA

    response = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert response.status_code == 410
    assert await image.store.names() == set()
    assert (await client.get(url)).status_code == 404


async def test_a_deactivated_image_is_not_downloaded(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    url = await make(client)
    assert (await client.post(f"{url}/actions/deactivate")).status_code == 403
    await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert (await client.post(f"{url}/actions/deactivate")).status_code == 204
    assert (await client.get(url)).json()["status"] == "deactivated"
    assert (await client.get(f"{url}/file")).status_code == 403
    assert (await admin.get(f"{url}/file")).content == DATA
    assert (await client.post(f"{url}/actions/reactivate")).status_code == 204
    assert (await client.get(f"{url}/file")).content == DATA


async def test_data_that_the_store_has_lost_is_404(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    await image.store.remove(await file_of(image))
    response = await client.get(f"{url}/file")
    assert response.status_code == 404
    assert "is not in the store" in response.text


async def test_a_download_goes_on_after_the_image_is_deleted(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    chunks = await image.store.read(await file_of(image), 0, len(DATA))
    first = await anext(chunks)
    await client.delete(url)
    assert first + b"".join([chunk async for chunk in chunks]) == DATA


async def test_the_loop_is_never_held_by_an_upload(client: httpx.AsyncClient) -> None:
    url = await make(client)
    longest = 0.0

    async def watch() -> None:
        # The loop's own computing time between two turns: what others do on this machine does not count.
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(10):
            for start in range(0, len(DATA), 1 << 16):
                yield DATA[start : start + (1 << 16)]

    watcher = asyncio.create_task(watch())
    assert (await client.put(f"{url}/file", content=stream(), headers=OCTETS)).status_code == 204
    assert len((await client.get(f"{url}/file")).content) == 10 * len(DATA)
    watcher.cancel()
    assert longest < 0.05


async def claim(image: Image, url: str) -> Upload:
    """What a request does before it takes in the first byte."""
    async with image.database.transaction() as tx:
        record = await images.find(tx, url.rpartition("/")[2], Viewer(None, True))
        now = image.clock.now()
        return await leases.begin(tx, record.row, "file", now, now + image.upload_lease)


async def test_recovery_queues_dead_uploads_and_removes_what_belongs_to_no_image(
    client: httpx.AsyncClient, image: Image
) -> None:
    kept, dying = await make(client), await make(client)
    await client.put(f"{kept}/file", content=DATA, headers=OCTETS)
    whole = await file_of(image)
    # What a process killed in the middle of an upload leaves.
    upload = await claim(image, dying)
    (directory_of(image) / upload.name).write_bytes(b"half")
    (directory_of(image) / "00000000-0000-0000-0000-000000000000").write_bytes(b"whose?")
    found = await recovery.recover(image)
    assert (found.requeued, found.removed) == ([], ["00000000-0000-0000-0000-000000000000"])
    found = await recovery.recover(after_the_lease(image))
    assert (found.requeued, found.removed) == ([upload.image_id], [])
    assert await file_of(image) == whole
    assert (await client.get(f"{kept}/file")).content == DATA
    assert (await client.put(f"{dying}/file", content=DATA, headers=OCTETS)).status_code == 204
    again = await recovery.recover(image)
    assert (again.requeued, again.removed) == ([], [])


async def test_recovery_leaves_an_upload_alone_that_is_alive(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        # As another process of the service does when it starts.
        found = await recovery.recover(replace(image, store=FileStore(directory_of(image))))
        assert (found.requeued, found.removed) == ([], [])
        yield DATA

    assert (await client.put(f"{url}/file", content=stream(), headers=OCTETS)).status_code == 204
    assert (await client.get(f"{url}/file")).content == DATA + DATA


async def test_an_upload_that_lasts_keeps_its_lease(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    image.upload_lease = timedelta(seconds=0.6)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        # Nothing arrives for longer than the lease.
        await asyncio.sleep(1.2)
        found = await recovery.recover(image)
        assert (found.requeued, found.removed) == ([], [])
        yield DATA

    assert (await client.put(f"{url}/file", content=stream(), headers=OCTETS)).status_code == 204
    assert (await client.get(f"{url}/file")).content == DATA + DATA
    async with image.database.reading() as tx:
        assert await leases.lapsed(tx, datetime.max.replace(tzinfo=UTC)) == []


async def test_an_upload_that_has_lost_its_lease_ends_before_its_data_does(
    client: httpx.AsyncClient, image: Image
) -> None:
    url, sent = await make(client), 0
    image.upload_lease = timedelta(seconds=0.3)

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        async with image.database.transaction() as tx:
            (upload,) = await leases.lapsed(tx, image.clock.now() + 2 * image.upload_lease)
            assert await leases.give_up(tx, upload, image.clock.now())
        while sent < 1000:
            sent += 1
            await asyncio.sleep(0.02)
            yield DATA[: 1 << 20]

    answer = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert answer.status_code == 409
    assert sent < 100
    await assert_queued_again(client, image, url)


async def test_who_comes_when_a_lease_has_lapsed_takes_the_image_over(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    dead = await claim(image, url)
    (directory_of(image) / dead.name).write_bytes(b"half")
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 409
    image.clock = after_the_lease(image).clock
    assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    assert (await client.get(f"{url}/file")).content == DATA
    assert await file_of(image) != dead.name


async def test_an_image_has_a_location_in_the_store_that_its_data_was_sent_to(
    client: httpx.AsyncClient, image: Image, tmp_path: Path
) -> None:
    second = FileStore(tmp_path / "second", store_id="second")
    image.other_stores = [second]
    stores = (await client.get("/v2/info/stores")).json()["stores"]
    assert [(each["id"], each.get("default")) for each in stores] == [("file", "true"), ("second", None)]
    url = await make(client)
    to_second = {**OCTETS, "x-image-meta-store": "second"}
    assert (await client.put(f"{url}/file", content=DATA, headers=to_second)).status_code == 204
    assert (await client.get(url)).json()["stores"] == "second"
    assert (await image.store.names(), len(await second.names())) == (set(), 1)
    assert (await recovery.recover(image)).removed == []
    assert (await client.get(f"{url}/file", headers={"range": "bytes=5-9"})).content == DATA[5:10]
    image.other_stores = []
    assert (await client.get(f"{url}/file")).status_code == 404
    image.other_stores = [second]
    assert (await client.delete(url)).status_code == 204
    assert await second.names() == set()


async def test_an_upload_that_has_lost_the_image_is_409_and_the_other_ones_data_stays(
    client: httpx.AsyncClient, image: Image
) -> None:
    url, other = await make(client), os.urandom(1000)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        async with image.database.transaction() as tx:
            (upload,) = await leases.lapsed(tx, image.clock.now() + 2 * image.upload_lease)
            assert await leases.give_up(tx, upload, image.clock.now())
        assert (await client.put(f"{url}/file", content=other, headers=OCTETS)).status_code == 204
        yield DATA

    late = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert late.status_code == 409
    assert "waits for this data no longer" in late.text
    shown = (await client.get(url)).json()
    assert (shown["status"], shown["os_hash_value"]) == ("active", hashlib.sha512(other).hexdigest())
    assert (await client.get(f"{url}/file")).content == other
    await file_of(image)


async def test_of_eight_uploads_at_once_one_is_taken(client: httpx.AsyncClient, image: Image) -> None:
    url = await make(client)
    contents = [os.urandom(1 << 20) for _ in range(8)]
    answers = await asyncio.gather(*(client.put(f"{url}/file", content=each, headers=OCTETS) for each in contents))
    assert sorted(each.status_code for each in answers) == [204] + 7 * [409]
    (won,) = [content for content, answer in zip(contents, answers, strict=True) if answer.status_code == 204]
    assert (await client.get(url)).json()["os_hash_value"] == hashlib.sha512(won).hexdigest()
    assert (await client.get(f"{url}/file")).content == won
    await file_of(image)


async def test_a_file_that_was_replaced_while_it_was_written_is_no_image(
    client: httpx.AsyncClient, image: Image
) -> None:
    url = await make(client)

    async def stream() -> AsyncIterator[bytes]:
        yield DATA
        (path,) = directory_of(image).iterdir()
        path.unlink()
        path.write_bytes(b"another's")
        yield DATA

    response = await client.put(f"{url}/file", content=stream(), headers=OCTETS)
    assert response.status_code == 503
    assert "was taken out of the store" in response.text
    await assert_queued_again(client, image, url)


async def test_data_from_before_uploads_had_names_is_found_by_the_images_id(
    client: httpx.AsyncClient, image: Image
) -> None:
    url = await make(client)
    await client.put(f"{url}/file", content=DATA, headers=OCTETS)
    image_id = url.rpartition("/")[2]
    (path,) = directory_of(image).iterdir()
    path.rename(directory_of(image) / image_id)
    async with image.database.transaction() as tx:
        await tx.execute(tables.image_locations.update().values(name=image_id))
    assert (await recovery.recover(image)).removed == []
    assert (await client.get(f"{url}/file")).content == DATA
    assert (await client.delete(url)).status_code == 204
    assert await image.store.names() == set()
