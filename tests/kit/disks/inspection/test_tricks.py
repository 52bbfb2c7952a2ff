"""Images made to be one thing to the inspector and another to a hypervisor: each is refused, with what is wrong."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kilonova.kit.disks.inspection import ImageRefused, Inspection, Inspector
from tests.kit.disks.inspection.test_against_qemu import with_footer
from tests.kit.disks.inspection.test_inspection import create, inspect_stream

MIB = 1 << 20


def refuse(content: bytes, disk_format: str, sentence: str) -> None:
    for chunk_bytes in (len(content), 5000):
        with pytest.raises(ImageRefused, match=sentence):
            inspect_stream(content, disk_format, chunk_bytes)


# --- qcow2 -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def qcow2(tmp_path: Path) -> bytearray:
    return bytearray(create(tmp_path / "image", ["-f", "qcow2"]).read_bytes())


@pytest.mark.parametrize(
    ("offset", "data", "sentence"),
    [
        (4, struct.pack(">I", 4), "unknown version 4"),
        (8, struct.pack(">Q", 0x200), "has a backing file"),
        (16, struct.pack(">I", 11), "has a backing file"),
        (20, struct.pack(">I", 22), "impossible clusters"),
        (32, struct.pack(">I", 1), "is encrypted"),
        (32, struct.pack(">I", 2), "is encrypted"),
        (72, struct.pack(">Q", 1 << 1), "unknown incompatible features"),
        (72, struct.pack(">Q", 1 << 2), "keeps its data in another file"),
        (72, struct.pack(">Q", 1 << 3), "unknown compression 0"),
        (72, struct.pack(">Q", 1 << 63), "unknown incompatible features"),
        (100, struct.pack(">I", 72), "header of the impossible length 72"),
        (100, struct.pack(">I", 108), "header of the impossible length 108"),
        (100, struct.pack(">I", 1 << 31), "header of the impossible length"),
        (100, struct.pack(">I", 0x200), "header fields that are not known"),
        (104, b"\x01", "unknown compression 1"),
        (104, b"\x07", "unknown compression 7"),
        (112, struct.pack(">II", 0x44415441, 8), "names a file with its data"),
        (112, struct.pack(">II", 0x12345678, 1 << 30), "does not end within its first cluster"),
        (510, b"\x55\xaaEFI PART", "its content is gpt and qcow2"),
        (64, b"\x7f\x10\xda\xbe", "its content is qcow2 and vdi"),
        (32769, b"CD001", "its content is iso and qcow2"),
    ],
)
def test_a_qcow2_with_an_odd_header(qcow2: bytearray, offset: int, data: bytes, sentence: str) -> None:
    qcow2[offset : offset + len(data)] = data
    refuse(bytes(qcow2), "qcow2", sentence)


def test_a_qcow2_that_hides_an_extension_beyond_what_is_looked_at(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "qcow2", "-o", "cluster_size=2M"]).read_bytes())
    content[112:120] = struct.pack(">II", 0x12345678, (64 << 10) - 120)
    content[64 << 10 : (64 << 10) + 8] = struct.pack(">II", 0x44415441, 8)
    refuse(bytes(content), "qcow2", "header extensions beyond its first 65536 bytes")


def test_a_longer_header_with_nothing_in_it_is_taken(qcow2: bytearray) -> None:
    qcow2[112:1024] = bytes(1024 - 112)
    qcow2[100:104] = struct.pack(">I", 512)
    assert inspect_stream(bytes(qcow2), "qcow2", 4096) == Inspection("qcow2", 40 * MIB)


# --- vmdk ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stream_optimized(tmp_path: Path) -> bytes:
    raw = create(tmp_path / "raw", ["-f", "raw"], "5M")
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*command, raw, tmp_path / "image"], check=True, capture_output=True)
    return with_footer((tmp_path / "image").read_bytes())


def test_a_vmdk_with_a_footer_that_agrees_is_taken(stream_optimized: bytes) -> None:
    for chunk_bytes in (len(stream_optimized), 1000, 512, 7):
        assert inspect_stream(stream_optimized, "vmdk", chunk_bytes) == Inspection("vmdk", 5 * MIB)


def capacity(footer: bytearray) -> None:
    footer[12:20] = struct.pack("<Q", 1 << 40)


def descriptor(footer: bytearray) -> None:
    footer[28:36] = struct.pack("<Q", 9)


def nothing(footer: bytearray) -> None:
    footer[:4] = b"\0\0\0\0"


def again(footer: bytearray) -> None:
    footer[56:64] = b"\xff" * 8


@pytest.mark.parametrize("change", [capacity, descriptor, nothing, again])
def test_a_vmdk_whose_footer_says_something_else(stream_optimized: bytes, change: Callable[[bytearray], None]) -> None:
    footer = bytearray(stream_optimized[-1024:-512])
    change(footer)
    refuse(stream_optimized[:-1024] + footer + bytes(512), "vmdk", "footer that says something else")


@pytest.mark.parametrize(
    ("tail", "sentence"),
    [
        (bytes(512), "no footer, where its header says"),
        (b"x", "in the middle of its footer"),
        (struct.pack("<QII", 1, 0, 3).ljust(512, b"\0"), "no footer, where its header says"),
    ],
)
def test_a_vmdk_with_something_behind_its_footer(stream_optimized: bytes, tail: bytes, sentence: str) -> None:
    refuse(stream_optimized + tail, "vmdk", sentence)


@pytest.mark.parametrize(
    "inserted",
    [b'\0RW 1 FLAT "/etc/passwd" 0\n', b"\x0bparentCID=1\n", b'\x1bcreateType="monolithicFlat"\n'],
)
def test_a_vmdk_descriptor_that_two_readers_end_in_two_places(tmp_path: Path, inserted: bytes) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vmdk"]).read_bytes())
    end = content.index(b"\0", 512)
    content[end : end + len(inserted)] = inserted
    refuse(bytes(content), "vmdk", "a descriptor that is not plain text")


@pytest.mark.parametrize(
    "text",
    [
        b"# Disk DescriptorFile\nversion=1\n",
        b'# anything\n\nversion=1\nRW 1 FLAT "/etc/passwd" 0\n',
        b"   \r\n#\nversion=3\r\n",
        b"version=2\n",
        b"COWD" + bytes(100),
        b"\xbe\xba\xfe\xca" + bytes(100),
    ],
)
@pytest.mark.parametrize("declared", ["raw", "aki", "vmdk", "iso"])
def test_a_text_that_names_the_files_of_a_vmdk(text: bytes, declared: str) -> None:
    refuse(text.ljust(4096, b"\0"), declared, "content is vmdk|no self-contained sparse one")


# --- vhd, vhdx, vdi, ploop -------------------------------------------------------------------------------------------


def test_a_vhd_with_two_footers_that_differ(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vpc"]).read_bytes())
    content[-512 + 48 : -512 + 56] = struct.pack(">Q", 1 << 40)
    refuse(bytes(content), "vhd", "two footers")


def test_a_vhd_that_is_fixed_by_its_place_and_not_by_its_kind(tmp_path: Path) -> None:
    grows = create(tmp_path / "grows", ["-f", "vpc"]).read_bytes()
    fixed = create(tmp_path / "fixed", ["-f", "vpc", "-o", "subformat=fixed"], "1M").read_bytes()
    refuse(bytes(1024) + grows[:512], "vhd", "footer where its kind of disk has none")
    refuse(fixed[-512:] + fixed, "vhd", "footer where its kind of disk has none")


def test_a_vhd_has_the_size_that_qemu_gives_it(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vpc"]).read_bytes())
    for start in (0, len(content) - 512):
        content[start + 48 : start + 56] = struct.pack(">Q", 1 << 20)
    cylinders, heads, sectors = struct.unpack_from(">HBB", content, 56)
    assert inspect_stream(bytes(content), "vhd", 4096).virtual_size_bytes == cylinders * heads * sectors * 512


@pytest.fixture
def vhdx(tmp_path: Path) -> bytearray:
    return bytearray(create(tmp_path / "image", ["-f", "vhdx"], "1M").read_bytes())


@pytest.mark.parametrize("offset", [64 << 10, 128 << 10])
def test_a_vhdx_with_a_log_that_would_change_it(vhdx: bytearray, offset: int) -> None:
    vhdx[offset + 48] = 1
    refuse(bytes(vhdx), "vhdx", "a log that would have to be replayed")


def test_a_vhdx_with_two_tables_that_differ(vhdx: bytearray) -> None:
    vhdx[(256 << 10) + 32] ^= 1
    refuse(bytes(vhdx), "vhdx", "two region tables that say different things")


def test_a_vhdx_that_says_a_thing_twice(vhdx: bytearray) -> None:
    start = vhdx.index(b"metadata")
    (count,) = struct.unpack_from("<H", vhdx, start + 10)
    vhdx[start + 32 + 32 * count : start + 64 + 32 * count] = vhdx[start + 32 : start + 64]
    struct.pack_into("<H", vhdx, start + 10, count + 1)
    refuse(bytes(vhdx), "vhdx", "names one thing twice")


def test_a_vhdx_with_sectors_that_qemu_miscounts(vhdx: bytearray) -> None:
    start = vhdx.index(b"metadata")
    item = vhdx.index(bytes.fromhex("1dbf41816fa90947ba47f233a8faab5f"), start)
    (offset,) = struct.unpack_from("<I", vhdx, item + 16)
    struct.pack_into("<I", vhdx, start + offset, 4096)
    refuse(bytes(vhdx), "vhdx", "sectors of 4096 bytes")


@pytest.mark.parametrize(
    ("offset", "data", "sentence"),
    [
        (0x44, struct.pack("<I", 0x20001), "unknown version 2.1"),
        (0x168, struct.pack("<I", 4096), "sectors of 4096"),
        (0x170, struct.pack("<Q", 1 << 40), "fewer blocks"),
        (0x1B8, b"\x01", "has a parent"),
    ],
)
def test_a_vdi_with_an_odd_header(tmp_path: Path, offset: int, data: bytes, sentence: str) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vdi"]).read_bytes())
    content[offset : offset + len(data)] = data
    refuse(bytes(content), "vdi", sentence)


# --- two formats in one file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["raw", "ami", "aki", "ari", "iso"])
def test_a_vhd_by_its_end(declared: str) -> None:
    content = bytearray(64 << 10)
    if declared == "iso":
        content[32769:32774] = b"CD001"
    refuse(bytes(content) + b"conectix".ljust(512, b"\0"), declared, f"declared as {declared}, but its content is vhd")


@pytest.mark.parametrize(
    ("magic", "name"),
    [
        (b"QFI\xfb\0\0\0\1", "qcow"),
        (b"QFI\xfb\0\0\0\3", "qcow2"),
        (b"QED\0", "qed"),
        (b"LUKS\xba\xbe\0\1", "luks"),
        (b"Bochs Virtual HD Image\0", "bochs"),
        (b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n", "cloop"),
        (b"WithoutFreeSpace", "ploop"),
        (b"vhdxfile", "vhdx"),
    ],
)
def test_a_disc_or_a_partitioned_disk_that_begins_as_another_format(magic: bytes, name: str) -> None:
    content = bytearray(magic.ljust(40_000, b"\0"))
    content[510:520] = b"\x55\xaaEFI PART"
    refuse(bytes(content), "raw", f"declared as raw, but its content is {name}")
    content[32769:32774] = b"CD001"
    both = " and ".join(sorted(("iso", name)))
    refuse(bytes(content), "raw", f"declared as raw, but its content is {both}")
    refuse(bytes(content), "iso", f"declared as iso, but its content is {both}")


def test_a_disc_that_boots_from_a_stick_is_a_disc() -> None:
    content = bytearray(40_000)
    content[446:451] = struct.pack("<B3xB", 0x80, 0x17)
    content[510:512] = b"\x55\xaa"
    content[32769:32774] = b"CD001"
    assert inspect_stream(bytes(content), "iso", 4096) == Inspection("iso", 40_000)


def test_a_disk_with_partitions_is_raw_and_no_wrapped_one() -> None:
    content = bytearray(4096)
    content[446:451] = struct.pack("<B3xB", 0, 0x83)
    content[510:512] = b"\x55\xaa"
    assert inspect_stream(bytes(content), "raw", 512) == Inspection("raw", 4096)
    inspector = Inspector("qcow2")
    inspector.eat(bytes(content))
    with pytest.raises(ImageRefused, match="declared as qcow2, but its content is raw"):
        inspector.finish()
