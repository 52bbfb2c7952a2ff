"""The image cache: only whole, verified, inspected images get a name; failures leave no file."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.drivers.errands import Errands
from kilonova.compute.agent.drivers.image_cache import ImageCache
from kilonova.compute.agent.spec import SpecImage
from kilonova.kit.agents import Jobs
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.disks.inspection import inspect_file
from kilonova.kit.host_commands import Command, HostError
from tests.compute.agent.rigs import MIB, Images

SERVER_ID = "0e6cbd5a-4a3b-4c3c-9a34-1f0d7b1f6a11"


def inspect(path: Path, disk_format: str) -> int | None:
    return inspect_file(path, disk_format).virtual_size_bytes


async def fetch(cache: ImageCache, image: SpecImage) -> Path:
    """Waits until the image is there, or raises what its errand failed with."""
    events: list[str] = []
    errands = Errands(events.append)
    try:
        while cache.ensure(image, errands, server_id=SERVER_ID):
            async with asyncio.timeout(20):
                while not events:
                    await asyncio.sleep(0.005)
            events.clear()
    finally:
        await errands.close()
    return cache.path_of(image)


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def cache(tmp_path: Path, images: Images) -> ImageCache:
    return make_cache(tmp_path, images.fetch)


def make_cache(directory: Path, fetch: FetchImage) -> ImageCache:
    return ImageCache(directory / "_base", Jobs(directory / "jobs"), fetch, inspect)


async def test_a_raw_image_is_kept_as_it_is(cache: ImageCache, images: Images) -> None:
    content = os.urandom(3 * MIB + 17)
    path = await fetch(cache, images.add(content))
    assert path.read_bytes() == content
    assert list(cache.base_path.iterdir()) == [path]


@pytest.mark.parametrize(("disk_format", "qemu_format"), [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc")])
async def test_other_formats_are_converted_to_raw(
    cache: ImageCache, images: Images, tmp_path: Path, disk_format: str, qemu_format: str
) -> None:
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    content = (b"kilonova" * 64).ljust(4 * MIB, b"\0")
    raw.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", qemu_format, raw, packed], check=True)
    path = await fetch(cache, images.add(packed.read_bytes(), disk_format=disk_format))
    assert path.read_bytes()[: len(content)] == content
    assert list(cache.base_path.iterdir()) == [path]


async def test_an_image_with_a_backing_file_is_refused_before_it_is_opened(
    cache: ImageCache, images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "evil.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", path]
    subprocess.run(command, check=True)
    image = images.add(path.read_bytes(), disk_format="qcow2")
    with pytest.raises(HostError, match=f"Image {image.id} is refused: The qcow2 image has a backing file"):
        await fetch(cache, image)
    assert list(cache.base_path.iterdir()) == []


async def test_a_raw_disk_whose_content_is_qcow2_is_refused(cache: ImageCache, images: Images) -> None:
    with pytest.raises(HostError, match="declared as raw, but its content is qcow2"):
        await fetch(cache, images.add(b"QFI\xfb" + bytes(MIB)))
    assert list(cache.base_path.iterdir()) == []


async def test_a_format_servers_cannot_boot_from_is_refused_without_a_download(
    cache: ImageCache, images: Images
) -> None:
    with pytest.raises(HostError, match="disk format vmx"):
        await fetch(cache, images.add(b"guest", disk_format="vmx"))
    assert images.fetched == []


async def test_a_damaged_image_is_an_error_with_qemu_imgs_words(
    cache: ImageCache, images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    content = bytearray(path.read_bytes())
    content[40:48] = b"\xff" * 8  # the offset of the first table
    with pytest.raises(HostError, match=r"qemu-img failed with status 1: .*L1"):
        await fetch(cache, images.add(bytes(content), disk_format="qcow2"))
    assert list(cache.base_path.iterdir()) == []


async def test_a_download_that_breaks_off_is_an_error_naming_the_image(tmp_path: Path, images: Images) -> None:
    async def broken(image_id: str) -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise ConnectionError("connection reset by peer")

    cache = make_cache(tmp_path, broken)
    image = images.add(bytes(MIB))
    with pytest.raises(HostError, match=f"{image.id}.*connection reset by peer"):
        await fetch(cache, image)
    assert list(cache.base_path.iterdir()) == []


async def test_an_image_that_cannot_fit_is_refused_without_a_download(cache: ImageCache, images: Images) -> None:
    image = msgspec.structs.replace(images.add(b""), size_bytes=1 << 60)
    with pytest.raises(HostError, match=f"Image {image.id} has {1 << 60} bytes, the file system of .* bytes free"):
        await fetch(cache, image)
    assert images.fetched == []


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.root
async def test_a_disk_that_becomes_full_is_an_error_and_leaves_no_file(small_file_system: Path, images: Images) -> None:
    async def fill_and_fetch(image_id: str) -> AsyncIterator[bytes]:
        (small_file_system / "other").write_bytes(bytes(MIB))
        async for chunk in images.fetch(image_id):
            yield chunk

    cache = make_cache(small_file_system, fill_and_fetch)
    with pytest.raises(HostError, match=f"The file system of {cache.base_path} is full"):
        await fetch(cache, images.add(os.urandom(3 * MIB // 2)))
    assert list(cache.base_path.iterdir()) == []


@pytest.mark.root
async def test_a_disk_that_becomes_full_by_the_conversion_leaves_no_file(
    small_file_system: Path, tmp_path: Path, images: Images
) -> None:
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(b"compressible" * MIB)
    subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
    cache = make_cache(small_file_system, images.fetch)
    with pytest.raises(HostError, match="No space left on device"):
        await fetch(cache, images.add(packed.read_bytes(), disk_format="qcow2"))
    assert list(cache.base_path.iterdir()) == []


def test_downloads_of_a_dead_process_are_discarded_and_all_else_is_kept(cache: ImageCache) -> None:
    cache.discard_downloads()
    cache.base_path.mkdir()
    kept = ["a" * 40, "b" * 40 + ".verified", "c" * 40 + ".raw-part"]
    for name in (*kept, "d" * 40 + ".part"):
        (cache.base_path / name).touch()
    cache.discard_downloads()
    assert sorted(path.name for path in cache.base_path.iterdir()) == kept


async def test_the_sweep_takes_old_unused_images_and_old_unfinished_ones(cache: ImageCache, images: Images) -> None:
    assert await cache.sweep([]) == []
    cache.base_path.mkdir()
    used, unused, young, begun = (
        images.add(name.encode(), image_id=name) for name in ("used", "unused", "young", "begun")
    )
    former, begun_path = former_path(cache, used), cache.path_of(begun).with_suffix(".raw-part")
    other = cache.base_path / "not-ours"
    for path in (former, *map(cache.path_of, (used, unused, young)), other, begun_path):
        path.touch()
    name = f"convert {cache.path_of(begun)}"
    await cache.jobs.start(name, Command(["true"], 10))
    await cache.jobs.wait(name)
    old = time.time() - 1000
    for path in (former, cache.path_of(used), cache.path_of(unused), other, begun_path):
        os.utime(path, (old, old))
    assert await cache.sweep([used], min_age_seconds=500) == sorted([cache.path_of(unused), begun_path])
    kept = [former, cache.path_of(used), cache.path_of(young), other]
    assert sorted(cache.base_path.iterdir()) == sorted(kept)
    assert await cache.jobs.list_all() == []


AGENT = """
import asyncio, sys
from pathlib import Path
from kilonova.compute.agent.drivers.errands import Errands
from kilonova.compute.agent.drivers.image_cache import ImageCache
from kilonova.kit.agents import Jobs
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.disks.inspection import inspect_file
from kilonova.kit.host_commands import Command
from tests.compute.agent.rigs import Images

async def main(directory, packed):
    def inspect(path, disk_format):
        return inspect_file(path, disk_format).virtual_size_bytes

    images = Images()
    image = images.add(packed.read_bytes(), disk_format="qcow2")
    cache = ImageCache(directory / "_base", Jobs(directory / "jobs"), images.fetch, inspect)
    assert cache.ensure(image, Errands(lambda _server_id: None), server_id="s1")
    while not await cache.jobs.list_all():
        await asyncio.sleep(0.01)
    print("converting", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""
"""Downloads the image and dies while a job converts it."""


async def test_the_next_agent_goes_on_with_the_conversion_of_one_that_was_killed(
    cache: ImageCache, images: Images, tmp_path: Path
) -> None:
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(os.urandom(8 * MIB))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AGENT, tmp_path, packed), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert agent.stdout is not None
    assert await agent.stdout.readline() == b"converting\n"
    os.killpg(agent.pid, signal.SIGKILL)
    await agent.wait()
    cache.discard_downloads()
    path = await fetch(cache, images.add(packed.read_bytes(), disk_format="qcow2"))
    assert path.read_bytes() == raw.read_bytes()
    assert images.fetched == []
    assert list(cache.base_path.iterdir()) == [path]
    assert await cache.jobs.list_all() == []


async def test_a_verified_image_whose_conversion_was_killed_is_converted_again(
    cache: ImageCache, images: Images, tmp_path: Path
) -> None:
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(b"kilonova".ljust(MIB, b"\0"))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
    image = images.add(packed.read_bytes(), disk_format="qcow2")
    cache.base_path.mkdir(mode=0o711)
    cache.path_of(image).with_suffix(".verified").write_bytes(packed.read_bytes())
    cache.path_of(image).with_suffix(".raw-part").write_bytes(b"half")
    path = await fetch(cache, image)
    assert path.read_bytes() == raw.read_bytes()
    assert images.fetched == []
    assert list(cache.base_path.iterdir()) == [path]


def former_path(cache: ImageCache, image: SpecImage) -> Path:
    """Where an image lay before its hash was part of the name."""
    return cache.base_path / hashlib.sha1(image.id.encode()).hexdigest()


async def test_an_id_alone_does_not_find_what_is_cached(cache: ImageCache, images: Images) -> None:
    """A record may name an id whose data is not its own: by the id of another one's image, or of one made again."""
    there = await fetch(cache, images.add(b"secret"))
    claimed = msgspec.structs.replace(images.add(b"public"), sha512=hashlib.sha512(b"other").hexdigest())
    with pytest.raises(HostError, match="SHA-512"):
        await fetch(cache, claimed)
    again = await fetch(cache, images.add(b"second"))
    assert (there.read_bytes(), again.read_bytes()) == (b"secret", b"second")
    assert len(images.fetched) == 3


async def test_a_disk_made_over_a_file_of_the_former_name_needs_no_other(cache: ImageCache, images: Images) -> None:
    image = images.add(b"content")
    cache.base_path.mkdir()
    former_path(cache, image).write_bytes(b"content")
    errands = Errands(lambda _server_id: None)
    assert cache.ensure(image, errands, server_id=SERVER_ID, has_disk=True) is None
    assert images.fetched == []
    assert (await fetch(cache, image)).read_bytes() == b"content"
    assert images.fetched == [image.id]
