"""The inspector against `qemu-img info`, over files of every accepted format with parts of them changed.

The inspector may refuse what QEMU opens. What it accepts, QEMU takes for the same format with a disk of the same size,
and for one that reaches no other file, or it does not open it at all.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kilonova.image.images import DISK_FORMATS
from kilonova.kit.disks.inspection import ImageRefused, Inspection, inspect_file

SEED = int(os.environ.get("KILONOVA_FUZZ_SEED", "20261101"))
"""Another one than the usual looks elsewhere."""

MUTANTS = int(os.environ.get("KILONOVA_FUZZ_EXAMPLES", "0")) or 60
"""For each kind of file."""

MOST_SECONDS = 12.0
"""For each format: a slow machine looks at fewer files, the same ones first."""

MIB = 1 << 20
QEMU_NAMES = {"vhd": "vpc", "ploop": "parallels", "aki": "raw", "ari": "raw", "ami": "raw", "iso": "raw"}
"""Disk format → what QEMU calls it; the others have the same name."""

CREATED = {
    "qcow2": [["-o", "compat=1.1"], ["-o", "compat=0.10"], ["-o", "compression_type=zstd,extended_l2=on"]],
    "vmdk": [["-o", "subformat=monolithicSparse"]],
    "vdi": [[], ["-o", "static=on"]],
    "vhd": [["-o", "force_size=on"], ["-o", "subformat=fixed,force_size=on"], ["-o", "subformat=fixed"], []],
    "vhdx": [[], ["-o", "subformat=fixed"]],
    "ploop": [[]],
    "raw": [[]],
}

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def make_kinds(disk_format: str, directory: Path) -> list[bytes]:
    """Whole files of a format, small ones."""
    if disk_format in ("ami", "aki", "ari"):
        return make_kinds("raw", directory)
    found = []
    if disk_format == "iso":
        (directory / "tree").mkdir()
        (directory / "tree/file").write_text("content")
        run("genisoimage", "-quiet", "-o", directory / "image", directory / "tree")
        return [(directory / "image").read_bytes()]
    name = QEMU_NAMES.get(disk_format, disk_format)
    for number, options in enumerate(CREATED[disk_format]):
        path = directory / f"{disk_format}{number}"
        run("qemu-img", "create", "-q", "-f", name, *options, path, "1M")
        found.append(path.read_bytes())
    if disk_format == "vmdk":
        run("qemu-img", "create", "-q", "-f", "raw", directory / "raw", "1M")
        stream = ["-O", "vmdk", "-o", "subformat=streamOptimized"]
        run("qemu-img", "convert", "-f", "raw", *stream, directory / "raw", directory / "stream")
        found += [(directory / "stream").read_bytes(), with_footer((directory / "stream").read_bytes())]
    if disk_format == "raw":
        found.append(b"\0" * 446 + struct.pack("<B3xB3xII", 0x80, 0x83, 1, 100) + bytes(48) + b"\x55\xaa" + bytes(4096))
    return found


def with_footer(stream: bytes) -> bytes:
    """A stream-optimized VMDK as other programs write it: its grain directory named by a footer."""
    head = bytearray(stream[:512])
    footer = bytes(head)
    head[56:64] = b"\xff" * 8
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    body = stream[512:].ljust(-(-len(stream[512:]) // 512) * 512, b"\0")
    return bytes(head) + body + marker + footer + bytes(512)


# --- what is changed -------------------------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x200, 0xFFFF, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 64) - 1)
MARKS = (
    (0, b"QFI\xfb\0\0\0\3"),
    (0, b"QFI\xfb\0\0\0\1"),
    (0, b"QED\0"),
    (0, b"KDMV"),
    (0, b"COWD"),
    (0, b'# a comment\n\nversion=1\nRW 1 FLAT "/etc/passwd" 0\n'),
    (0, b"  \n# Disk DescriptorFile\nversion=2\n"),
    (0, b"conectix"),
    (0, b"vhdxfile"),
    (0, b"LUKS\xba\xbe\0\1"),
    (0, b"WithoutFreeSpace\2\0\0\0"),
    (0, b"Bochs Virtual HD Image"),
    (0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"),
    (64, b"\x7f\x10\xda\xbe\1\0\1\0"),
    (510, b"\x55\xaaEFI PART"),
    (32769, b"CD001"),
    (-512, b"conectix"),
    (-1536, struct.pack("<QII", 1, 0, 3)),
    (-1024, b"KDMV"),
)
AREAS = (0, 0, 0, 64, 72, 104, 256, 384, 512, 1024, 64 << 10, 128 << 10, 192 << 10, 256 << 10, MIB, 2 * MIB, 3 * MIB)
WORDS = (b"parentCID=ffffffff", b"createType", b"SPARSE", b"RW ", b"CID=", b"conectix", b"cxsparse", b"metadata")


def put(content: bytearray, position: int, data: bytes) -> None:
    start = position if position >= 0 else len(content) + position
    if 0 <= start <= len(content):
        # It stays as long as it was, or grows: what lies behind keeps its place.
        content[start : start + len(data)] = data


FIELDS: dict[str, tuple[int, ...]] = {
    "qcow2": (4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 60, 64, 72, 76, 80, 96, 100, 104, 105, 112, 116),
    "vmdk": (
        *(4, 8, 12, 16, 20, 28, 36, 44, 48, 56, 60, 64, 72, 76, 77),
        *(-1020, -1016, -1012, -1008, -1004, -996, -988, -980, -976, -968, -964, -960, -947),
        *(-512, -504, -500, -1528, -1524),
    ),
    "vdi": (0x44, 0x48, 0x4C, 0x50, 0x154, 0x158, 0x168, 0x170, 0x174, 0x178, 0x17C, 0x180, 0x184, 0x1A8, 0x1B8),
    "vhd": tuple(start + offset for start in (0, -512) for offset in (8, 12, 16, 28, 40, 48, 52, 56, 58, 60, 64)),
    "vhdx": tuple((64 << 10) * place + offset for place in (1, 2, 3, 4) for offset in (0, 4, 8, 16, 32, 48, 64, 72)),
    "ploop": (16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56),
}
"""Where a format's headers have their numbers; from the end, for footers."""


def set_number(content: bytearray, rng: random.Random, disk_format: str) -> None:
    width, order = rng.choice("BHIQ"), rng.choice("<>")
    value = rng.choice(NUMBERS) & ((1 << 8 * struct.calcsize(width)) - 1)
    where = rng.choice((*AREAS, -512, -1024, -1536)) + 4 * rng.randrange(40)
    if disk_format in FIELDS and rng.random() < 0.8:
        where = rng.choice(FIELDS[disk_format])
    put(content, where, struct.pack(order + width, value)[: len(content)])


def flip_bit(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    where = rng.choice(AREAS) + rng.randrange(200)
    if where < len(content):
        content[where] ^= 1 << rng.randrange(8)


def add_mark(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    put(content, *rng.choice(MARKS))


def copy_block(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    source, target = (rng.choice((*AREAS, -512, -1024)) for _ in range(2))
    put(content, target, bytes(content[source : source + 512] if source >= 0 else content[source:]))


def change_words(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    where = content.find(rng.choice(WORDS))
    other = rng.choice((b'parentFileNameHint="/etc/passwd"\n', b'RW 1 FLAT "/etc/passwd" 0\n', b"parentCID=0\n", b"\0"))
    if where >= 0:
        put(content, where, other)


def cut(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    length = len(content)
    del content[rng.choice((rng.randrange(1, length + 1), 512, 104, 72, length // 2, length - 7)) :]


def append(content: bytearray, rng: random.Random, _disk_format: str) -> None:
    content += rng.choice((bytes(7), bytes(512), b"conectix".ljust(512, b"\0"), bytes(content[:512]), bytes(1536)))


CHANGES: tuple[Callable[[bytearray, random.Random, str], None], ...] = (
    *(set_number, set_number, set_number, set_number),
    *(flip_bit, add_mark, copy_block, change_words, cut, append),
)


def mutants(kind: bytes, rng: random.Random, disk_format: str) -> Iterator[bytes]:
    """The file itself, and then changed ones without end."""
    yield kind
    while True:
        content = bytearray(kind)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if content:
                rng.choice(CHANGES)(content, rng, disk_format)
        if content:
            yield bytes(content)


# --- what is compared ------------------------------------------------------------------------------------------------


def look(path: Path, *options: str) -> Any:
    """What QEMU says of a file; None when it cannot open it as that."""
    command = ["qemu-img", "info", "--output=json", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else None


def disagreement(path: Path, disk_format: str, found: Inspection) -> str | None:
    name = QEMU_NAMES.get(disk_format, disk_format)
    told = look(path)
    # QEMU does not look at a file's end for a format: a disk of fixed size it takes for a raw one.
    is_fixed_vhd = disk_format == "vhd" and path.read_bytes()[:8] != b"conectix"
    if told is not None and told["format"] != ("raw" if is_fixed_vhd else name):
        return f"it is {told['format']}"
    if told is None or is_fixed_vhd:
        told = look(path, "-f", name)
    if told is None:
        return None
    if found.virtual_size_bytes is not None:
        size = -(-found.virtual_size_bytes // 512) * 512
        if told["virtual-size"] != size:
            return f"its disk has {told['virtual-size']} bytes, not {size}"
    return reaching_out(told)


def reaching_out(told: Any) -> str | None:
    for name in ("backing-filename", "full-backing-filename", "backing-filename-format", "encrypted"):
        if told.get(name):
            return f"it has {name} {told[name]}"
    details = told.get("format-specific", {}).get("data", {})
    if "data-file" in details or details.get("corrupt"):
        return f"it says {details}"
    others = [each for each in details.get("extents", []) if each["filename"] != told["filename"]]
    return f"it has extents {others}" if others else None


@pytest.mark.parametrize("disk_format", DISK_FORMATS)
def test_what_is_accepted_is_the_same_to_qemu(disk_format: str, tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} {disk_format}")
    kinds = [mutants(kind, rng, disk_format) for kind in make_kinds(disk_format, tmp_path)]
    path, until = tmp_path / "mutant", time.monotonic() + MOST_SECONDS
    opened = 0
    for number in range(MUTANTS):
        for kind in kinds:
            path.write_bytes(next(kind))
            try:
                found = inspect_file(path, disk_format)
            except ImageRefused as refusal:
                assert number > 0, f"a {disk_format} image that qemu-img made is refused: {refusal}"
                continue
            problem = disagreement(path, disk_format, found)
            if problem is not None:
                kept = Path(shutil.copy(path, tmp_path / "kept"))
                pytest.fail(f"{found} to the inspector, but to QEMU {problem}: {kept}")
            opened += 1
        if time.monotonic() > until:
            break
    assert opened > 5
