"""Every call of qemu-img. It reads what users have uploaded, so it gets an account that owns nothing else, and limits.

A crafted image may make a parser loop, or swell. The format is named, never guessed: what a guest wrote into a raw disk
must not make it another format.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kilonova.kit import host_commands
from kilonova.kit.disks.confinement import give, qemu_account
from kilonova.kit.host_commands import Account, Limits

MEMORY_BYTES = 2 << 30
CPU_SECONDS = 1800
FILES = 64
SLACK_BYTES = 64 << 20
"""Room for the headers and tables that an image format adds to a disk."""

MOST_DISK_BYTES = 1 << 42
"""Largest raw disk that it may write when the image's header does not give the size."""

CREATE_TIMEOUT_SECONDS = 120.0
CONVERT_TIMEOUT_SECONDS = 3600.0

WITH_SNAPSHOTS_BYTES = MOST_DISK_BYTES
"""Largest file of a disk that has snapshots inside: they may take more than the disk."""

FORMATS = {"qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx", "ploop": "parallels"}
"""Disk format of the image service → its name in qemu-img, for the formats that become a raw disk by conversion."""


def limits(disk_bytes: int) -> Limits:
    """Limits for a call that writes at most so many bytes of a disk's content."""
    return Limits(MEMORY_BYTES, CPU_SECONDS, FILES, file_bytes=disk_bytes + SLACK_BYTES)


async def create_overlay(path: Path, backing: Path, size_bytes: int) -> None:
    """Makes a qcow2 disk whose content is that of a raw file until it is written to. Raises HostError, OSError."""
    # -u: the size is given, so the file under it need not be opened.
    await _create(path, ["-u", "-F", "raw", "-b", backing], size_bytes)


async def create_blank(path: Path, size_bytes: int) -> None:
    """Makes an empty qcow2 disk. Raises HostError, OSError."""
    await _create(path, [], size_bytes)


async def _create(path: Path, options: Sequence[str | os.PathLike[str]], size_bytes: int) -> None:
    # The account may not make files in the directories of disks: it is given an empty one.
    account = qemu_account()
    _make_empty(path, account)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, path, str(size_bytes)]
    await host_commands.run(command, timeout_seconds=CREATE_TIMEOUT_SECONDS, account=account, limits=limits(0))


async def conversion_to_raw(
    source: Path, disk_format: str, target: Path, virtual_size_bytes: int | None
) -> host_commands.Command:
    """Makes an empty `target`, and returns the command that writes the disk in `source` to it.

    Both files become the account's own. `virtual_size_bytes` is the size that the inspection found, if it found one.
    Raises HostError, OSError.
    """
    account = qemu_account()
    await asyncio.to_thread(give, source, account)
    await asyncio.to_thread(_make_empty, target, account)
    return host_commands.Command(
        ["qemu-img", "convert", "-f", FORMATS[disk_format], "-O", "raw", source, target],
        CONVERT_TIMEOUT_SECONDS,
        account,
        limits(MOST_DISK_BYTES if virtual_size_bytes is None else virtual_size_bytes),
    )


async def create_from_raw(path: Path, source: Path, size_bytes: int) -> None:
    """Makes a qcow2 disk of that size that begins with a raw file's content. Raises HostError, OSError."""
    account = qemu_account()
    await asyncio.to_thread(give, source, account)
    await asyncio.to_thread(_make_empty, path, account)
    convert: list[str | Path] = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, path]
    resize: list[str | Path] = ["qemu-img", "resize", "-q", "-f", "qcow2", path, str(size_bytes)]
    for command in (convert, resize):
        await host_commands.run(
            command, timeout_seconds=CONVERT_TIMEOUT_SECONDS, account=account, limits=limits(size_bytes)
        )


async def grow(
    path: Path, disk_format: str, backing: Path | None, size_bytes: int, *, file_bytes: int | None = None
) -> None:
    """Enlarges a disk that no guest has. It becomes the account's own, and so does `backing`. Raises HostError.

    `file_bytes`: most that its file may take, where that is more than the disk, as with snapshots inside it.
    """
    account = qemu_account()
    for each in filter(None, (path, backing)):
        await asyncio.to_thread(give, each, account)
    await host_commands.run(
        ["qemu-img", "resize", "-q", "-f", disk_format, path, str(size_bytes)],
        timeout_seconds=CREATE_TIMEOUT_SECONDS,
        account=account,
        limits=limits(size_bytes if file_bytes is None else file_bytes),
    )


async def cut(path: Path, disk_format: str, size_bytes: int) -> None:
    """Shortens a disk that no guest has; what lies beyond is lost. Raises HostError."""
    await host_commands.run(
        ["qemu-img", "resize", "-q", "--shrink", "-f", disk_format, path, str(size_bytes)],
        timeout_seconds=CREATE_TIMEOUT_SECONDS,
        account=qemu_account(),
        limits=limits(MOST_DISK_BYTES),
    )


async def flattening(
    disk: Path,
    kind: str,
    backing: Path | None,
    target: Path,
    disk_format: str,
    *,
    snapshot: str | None = None,
    disk_bytes: int = MOST_DISK_BYTES,
) -> host_commands.Command:
    """Makes an empty `target`, and returns the command that writes the content of a disk of that kind to it.

    They become the account's own, and so does `backing`, which the disk lies over. `snapshot` names one inside the
    disk, whose content is written instead. Raises HostError, OSError.
    """
    account = qemu_account()
    for each in filter(None, (disk, backing)):
        await asyncio.to_thread(give, each, account)
    await asyncio.to_thread(_make_empty, target, account)
    chosen = [] if snapshot is None else ["-l", f"snapshot.name={snapshot}"]
    command: list[str | Path] = ["qemu-img", "convert", "-f", kind, "-O", disk_format, *chosen, disk, target]
    return host_commands.Command(command, CONVERT_TIMEOUT_SECONDS, account, limits(disk_bytes))


async def exporting(
    disk: Sequence[str], target: Path, disk_format: str, disk_bytes: int, timeout_seconds: float
) -> host_commands.Command:
    """Makes an empty `target`, and returns the command that writes a disk to it, telling its progress.

    `disk`: the words that name it (`kit.connectors.qemu_words`). `disk_format`: the image service's. Raises OSError.
    """
    account = qemu_account()
    await asyncio.to_thread(_make_empty, target, account)
    *options, source = disk
    name = {"raw": "raw", **FORMATS}[disk_format]
    # Else this format rounds a disk up to whole cylinders, and a volume of the same size would be too small for it.
    exact = ["-o", "force_size=on"] if name == "vpc" else []
    words: list[str | Path] = ["qemu-img", "convert", "-p", *options, "-O", name, *exact, source, target]
    return host_commands.Command(words, timeout_seconds, account, limits(disk_bytes))


async def filling(source: Path, kind: str, device: Path, *, is_blank: bool) -> host_commands.Command:
    """Returns the command that writes the content of a disk of that kind to a block device, which is as large at least.

    They become the account's own. `is_blank`: the device reads as zeros, which need not be written. Raises OSError.
    """
    account = qemu_account()
    for each in (source, device):
        await asyncio.to_thread(give, each, account)
    blank = ["--target-is-zero"] if is_blank else []
    command: list[str | Path] = ["qemu-img", "convert", "-n", *blank, "-f", kind, "-O", "raw", source, device]
    return host_commands.Command(command, CONVERT_TIMEOUT_SECONDS, account, limits(MOST_DISK_BYTES))


async def copying(
    source: Mapping[str, object], tls: str, target: Path, disk_format: str, timeout_seconds: float, allowed: Limits
) -> host_commands.Command:
    """Makes an empty `target`, and returns the command that copies a disk of another host to it, telling its progress.

    `source`: the block device to read, in QEMU's words; `tls`: the object that holds its key. Raises HostError and
    OSError.
    """
    account = qemu_account()
    await asyncio.to_thread(_make_empty, target, account)
    words: list[str | Path] = ["qemu-img", "convert", "-p", "--object", tls, "-O", disk_format]
    words += [f"json:{json.dumps(source)}", target]
    return host_commands.Command(words, timeout_seconds, account, allowed)


class Snapshot(Struct, frozen=True, rename="kebab"):
    name: str


class DiskInfo(Struct, frozen=True, rename="kebab"):
    """A disk as qemu-img describes it."""

    virtual_size: int
    """In bytes."""
    snapshots: tuple[Snapshot, ...] = ()
    """Those inside it."""


async def describe(path: Path, disk_format: str) -> DiskInfo:
    """Returns the size of a disk and the snapshots inside it. It becomes the account's own. Raises HostError."""
    account = qemu_account()
    await asyncio.to_thread(give, path, account)
    output = await host_commands.run(
        ["qemu-img", "info", "--output=json", "-f", disk_format, path],
        timeout_seconds=CREATE_TIMEOUT_SECONDS,
        account=account,
        limits=limits(0),
    )
    return msgspec.json.decode(output, type=DiskInfo)


SnapshotAct = Literal["create", "apply", "delete"]
_ACTS: Mapping[SnapshotAct, str] = {"create": "-c", "apply": "-a", "delete": "-d"}


async def act_on_snapshot(path: Path, act: SnapshotAct, name: str) -> None:
    """Creates, applies or deletes a snapshot inside a qcow2 disk that no guest has. Raises HostError."""
    await host_commands.run(
        ["qemu-img", "snapshot", "-q", _ACTS[act], name, "--image-opts", f"driver=qcow2,file.filename={path}"],
        timeout_seconds=CREATE_TIMEOUT_SECONDS,
        account=qemu_account(),
        limits=limits(WITH_SNAPSHOTS_BYTES),
    )


async def compress(raw: Path, target: Path) -> None:
    """Writes a raw disk of our own making to a compressed qcow2 image. Raises HostError."""
    options = ["-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zlib"]
    await host_commands.run(
        ["qemu-img", "convert", *options, raw, target],
        timeout_seconds=CONVERT_TIMEOUT_SECONDS,
        limits=limits(raw.stat().st_size),
    )


def _make_empty(path: Path, account: Account | None) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    give(path, account)
