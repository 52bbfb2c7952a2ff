"""Disks that qemu-img makes and converts, as an account that owns nothing else."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kilonova.kit import host_commands
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.confinement import qemu_account
from kilonova.kit.host_commands import HostError

MIB = 1 << 20
PACKAGE = Path(__file__).parents[3] / "kilonova"


def read_info(path: Path) -> dict[str, Any]:
    told = subprocess.run(["qemu-img", "info", "-U", "--output=json", path], check=True, capture_output=True).stdout
    info: dict[str, Any] = json.loads(told)
    return info


def is_the_accounts_alone(path: Path) -> bool:
    account = qemu_account()
    owner = os.getuid() if account is None else account.user_id
    return (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (owner, 0o600)


async def test_an_overlay_shows_the_file_under_it_without_opening_it(tmp_path: Path) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(b"b" * MIB)
    backing.chmod(0)
    await qemu_img.create_overlay(tmp_path / "disk", backing, 2 * MIB)
    info = read_info(tmp_path / "disk")
    assert (info["format"], info["virtual-size"]) == ("qcow2", 2 * MIB)
    assert (info["backing-filename"], info["backing-filename-format"]) == (str(backing), "raw")
    assert is_the_accounts_alone(tmp_path / "disk")


async def test_a_blank_disk_has_its_size_and_nothing_under_it(tmp_path: Path) -> None:
    await qemu_img.create_blank(tmp_path / "disk", 3 * MIB)
    info = read_info(tmp_path / "disk")
    assert (info["format"], info["virtual-size"], info.get("backing-filename")) == ("qcow2", 3 * MIB, None)
    assert is_the_accounts_alone(tmp_path / "disk")


async def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"whole")
    with pytest.raises(FileExistsError):
        await qemu_img.create_blank(tmp_path / "disk", MIB)
    assert (tmp_path / "disk").read_bytes() == b"whole"


async def convert(source: Path, disk_format: str, target: Path, virtual_size_bytes: int | None) -> None:
    await host_commands.carry_out(await qemu_img.conversion_to_raw(source, disk_format, target, virtual_size_bytes))


@pytest.mark.parametrize("disk_format", sorted(qemu_img.FORMATS.keys() - {"ploop"}))
async def test_every_format_converts_to_the_disk_it_holds(tmp_path: Path, disk_format: str) -> None:
    content = b"".join(bytes([number]) * 4096 for number in range(256)) * 2
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(content)
    # Without force_size a VHD rounds its size up to a geometry.
    options = ["-o", "force_size=on"] if disk_format == "vhd" else []
    command = ["qemu-img", "convert", "-f", "raw", "-O", qemu_img.FORMATS[disk_format], *options, raw, packed]
    subprocess.run(command, check=True)
    await convert(packed, disk_format, tmp_path / "disk", len(content))
    assert (tmp_path / "disk").read_bytes() == content
    assert is_the_accounts_alone(tmp_path / "disk")


async def test_a_disk_larger_than_its_header_said_ends_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_img, "SLACK_BYTES", 0)
    raw, packed = tmp_path / "raw", tmp_path / "packed"
    raw.write_bytes(b"x" * 4 * MIB)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
    with pytest.raises(HostError, match="qemu-img failed"):
        await convert(packed, "qcow2", tmp_path / "disk", MIB)


async def test_a_compressed_image_holds_the_same_disk(tmp_path: Path) -> None:
    raw, image = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(b"x" * 4 * MIB)
    await qemu_img.compress(raw, image)
    assert image.stat().st_size < MIB
    await convert(image, "qcow2", tmp_path / "disk", 4 * MIB)
    assert (tmp_path / "disk").read_bytes() == raw.read_bytes()


def test_nothing_else_in_the_package_calls_it() -> None:
    calling = re.compile(r"""[\[(]\s*["']qemu-img["']""")
    callers = [path for path in PACKAGE.rglob("*.py") if calling.search(path.read_text())]
    assert [path.relative_to(PACKAGE).as_posix() for path in callers] == ["kit/disks/qemu_img.py"]


async def test_a_snapshot_inside_a_disk_keeps_what_was_written_before_it(tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    await qemu_img.create_blank(disk, MIB)
    for name, byte in (("first", "0x11"), ("second", "0x22")):
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 0 64k", disk], check=True, stdout=-3)
        await qemu_img.act_on_snapshot(disk, "create", name)
    await qemu_img.grow(disk, "qcow2", None, 3 * MIB, file_bytes=qemu_img.WITH_SNAPSHOTS_BYTES)
    info = await qemu_img.describe(disk, "qcow2")
    assert (info.virtual_size, [each.name for each in info.snapshots]) == (3 * MIB, ["first", "second"])
    await host_commands.carry_out(await qemu_img.flattening(disk, "qcow2", None, copy, "raw", snapshot="first"))
    assert copy.read_bytes()[:3] == b"\x11\x11\x11"
    await qemu_img.cut(disk, "qcow2", MIB)
    await qemu_img.act_on_snapshot(disk, "apply", "first")
    await qemu_img.act_on_snapshot(disk, "delete", "first")
    info = await qemu_img.describe(disk, "qcow2")
    assert (info.virtual_size, [each.name for each in info.snapshots]) == (MIB, ["second"])
    assert is_the_accounts_alone(disk)
    with pytest.raises(HostError, match="qemu-img failed"):
        await qemu_img.act_on_snapshot(disk, "apply", "first")
