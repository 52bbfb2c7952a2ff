"""The disks of a server: a qcow2 overlay over the cached image, an ephemeral disk, a swap disk.

The rule: a disk that is there is never touched; a disk being made has another name until it is whole. So an existing
file is always a complete disk, whatever died while making it.
"""

import asyncio
import json
import os
import struct
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from kilonova.kit import host_commands
from kilonova.kit.disks import qemu_img
from kilonova.kit.host_commands import HostError

GIB = 1 << 30
MIB = 1 << 20
TIMEOUT_SECONDS = 120.0
COPY_TIMEOUT_SECONDS = 3600.0

ImageFormat = Literal["qcow2", "raw"]
"""Formats of disks that begin as an image, and of blank root disks."""

_INFO = dict[str, ImageFormat]
CacheMode = Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"]


async def ensure_overlay(path: Path, backing: Path, root_gib: int) -> None:
    """Makes the root disk over a raw image, enlarged to `root_gib` (0: as large as the image).

    Raises HostError when the flavor's disk is smaller than the image, or when the host cannot make the file.
    """
    size_bytes = _root_bytes(path, backing, root_gib)
    if size_bytes is None:
        return

    async def make(partial: Path) -> None:
        await qemu_img.create_overlay(partial, backing, size_bytes)

    await _make(path, make)


async def ensure_whole(path: Path, image: Path, root_gib: int) -> None:
    """Makes the root disk out of all the data of a raw image, enlarged to `root_gib`, with nothing under it.

    Raises HostError. It takes as long as the image is large.
    """
    size_bytes = _root_bytes(path, image, root_gib)
    if size_bytes is None:
        return

    async def make(partial: Path) -> None:
        await qemu_img.create_from_raw(partial, image, size_bytes)

    await _make(path, make)


async def ensure_copy(path: Path, source: Path, root_gib: int) -> None:
    """Makes the root disk as a raw file of its own out of a raw image; as long as the file system needs for a copy.

    Raises HostError like `ensure_overlay`.
    """
    size_bytes = _root_bytes(path, source, root_gib)
    if size_bytes is None:
        return

    async def make(partial: Path) -> None:
        command: list[str | os.PathLike[str]] = ["cp", "--reflink=auto", "--sparse=always", source, partial]
        await host_commands.run(command, timeout_seconds=COPY_TIMEOUT_SECONDS)
        await asyncio.to_thread(os.truncate, partial, size_bytes)

    await _make(path, make)


def _root_bytes(path: Path, image: Path, root_gib: int) -> int | None:
    """The size of a root disk that has yet to be made; None when it is there. Raises HostError for one too small."""
    if path.exists():
        return None
    image_bytes = image.stat().st_size
    size_bytes = root_gib * GIB or image_bytes
    if size_bytes < image_bytes:
        raise HostError(
            f"The image needs {image_bytes} bytes of root disk, the flavor has {root_gib} GiB ({size_bytes} bytes)."
        )
    return size_bytes


async def ensure_blank(path: Path, root_gib: int, disk_format: ImageFormat = "qcow2") -> None:
    """Makes an empty root disk, for a server without an image."""

    async def make(partial: Path) -> None:
        if disk_format == "raw":
            await asyncio.to_thread(_make_sparse, partial, root_gib * GIB)
        else:
            await qemu_img.create_blank(partial, root_gib * GIB)

    await _make(path, make)


async def ensure_ephemeral(path: Path, size_gib: int, label: str, file_system: str = "ext4") -> None:
    """Makes a disk with an empty file system of that label."""

    async def make(partial: Path) -> None:
        await asyncio.to_thread(_make_sparse, partial, size_gib * GIB)
        await host_commands.run(
            ["mke2fs", "-q", "-F", "-t", file_system, "-L", label, partial], timeout_seconds=TIMEOUT_SECONDS
        )

    await _make(path, make)


async def ensure_swap(path: Path, size_mib: int) -> None:
    """Makes a swap area."""

    async def make(partial: Path) -> None:
        await asyncio.to_thread(_make_sparse, partial, size_mib * MIB)
        await host_commands.run(["mkswap", "-q", partial], timeout_seconds=TIMEOUT_SECONDS)

    await _make(path, make)


def ensure_info(path: Path, formats: Mapping[Path, str]) -> None:
    """Writes `disk.info`, which tells operators and their tools the format of each disk of the directory, as JSON."""
    text = json.dumps({str(disk): disk_format for disk, disk_format in formats.items()})
    partial = path.with_name(path.name + ".part")
    try:
        if not path.exists() or path.read_text() != text:
            partial.write_text(text)
            partial.replace(path)
    except OSError as error:
        raise HostError(f"Cannot write {path}: {error.strerror}.") from error


def remove(directory: Path, *, keeps_ephemeral: bool) -> None:
    """Removes the disks in a server's directory; ok for those that are gone. Raises HostError."""
    try:
        for path in directory.glob("disk*"):
            if not (keeps_ephemeral and path.name.startswith(("disk.eph", "disk.swap"))):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"Cannot remove the disks in {directory}: {error.strerror}.") from error


def remove_rescue(directory: Path, wanted: Collection[str]) -> None:
    """Removes the disks of rescues that are over; a guest that has one still goes on with it. Raises HostError."""
    try:
        for path in directory.glob("disk*rescue-*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"Cannot remove the disks in {directory}: {error.strerror}.") from error


def read_info(path: Path) -> dict[Path, ImageFormat]:
    """The format of each disk that `disk.info` knows; none while that is not there. Raises HostError."""
    try:
        return {Path(disk): kind for disk, kind in msgspec.json.decode(path.read_bytes(), type=_INFO).items()}
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise HostError(f"Cannot read {path}: {error}.") from error


QCOW2_MAGIC = b"QFI\xfb"
QCOW2_HEAD = struct.Struct(">4sIQIIQ")
"""Magic, version, where the name of the file under it stands (0: there is none), its length, cluster bits, size."""


def virtual_bytes(path: Path, disk_format: str) -> int:
    """Returns the size of a disk as its guest sees it. Raises HostError."""
    if disk_format == "raw":
        return path.stat().st_size
    return int(_head(path)[5])


def backing_of(path: Path, disk_format: str) -> Path | None:
    """Returns the file that a disk lies over; None: it holds all its data itself. Raises HostError."""
    if disk_format == "raw":
        return None
    _magic, _version, offset, length, *_others = _head(path)
    if offset == 0:
        return None
    with path.open("rb") as file:
        file.seek(offset)
        return Path(os.fsdecode(file.read(length)))


def _head(path: Path) -> tuple[Any, ...]:
    with path.open("rb") as file:
        head = file.read(QCOW2_HEAD.size)
    if len(head) < QCOW2_HEAD.size or not head.startswith(QCOW2_MAGIC):
        raise HostError(f"{path} is no qcow2 disk.")
    return QCOW2_HEAD.unpack(head)


async def _make(path: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    if path.exists():
        return
    partial = path.with_name(path.name + ".part")
    partial.unlink(missing_ok=True)
    try:
        await make(partial)
        partial.chmod(0o600)
        partial.replace(path)
    except OSError as error:
        raise HostError(f"Cannot make {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _make_sparse(path: Path, size_bytes: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def pick_cache_mode(directory: Path) -> CacheMode:
    """`none` when the file system of a directory allows direct I/O, which QEMU's mode of that name opens files with."""
    probe = directory / ".direct-io-probe"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    except OSError:
        return "writeback"
    finally:
        probe.unlink(missing_ok=True)
    os.close(descriptor)
    return "none"


def pick_cache_mode_of(path: Path) -> CacheMode:
    """`none` when a file that is there can be opened for direct I/O."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return "writeback"
    return "none"
