"""Empty disks that no program was started for: QEMU finds nothing wrong with them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kilonova.kit.disks import blank

GIB = 1 << 30


@pytest.mark.parametrize("size_bytes", [512, GIB, 100 * GIB, 5 << 40])
def test_a_blank_qcow2_disk_is_one_for_qemu(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "disk"
    blank.write_qcow2(path, size_bytes)
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)
    told = subprocess.run(["qemu-img", "info", "--output=json", path], check=True, capture_output=True).stdout
    info = json.loads(told)
    assert (info["format"], info["virtual-size"]) == ("qcow2", size_bytes)
    assert path.stat().st_size < 1 << 20


def test_it_can_be_written_to_snapshotted_and_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    blank.write_qcow2(path, GIB)
    for command in ("write -P 5 0 64k", "write -P 6 1023M 1M", "read -P 5 0 64k"):
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, path], check=True, capture_output=True)
    subprocess.run(["qemu-img", "snapshot", "-c", "first", path], check=True)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", path, str(3 * GIB)], check=True)
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)


def test_a_blank_raw_disk_is_as_large_as_it_is_asked_for_and_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    blank.write_raw(path, GIB)
    assert (path.stat().st_size, path.stat().st_blocks) == (GIB, 0)


@pytest.mark.parametrize("write", [blank.write_qcow2, blank.write_raw])
def test_what_is_there_is_not_written_over(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "disk"
    path.write_text("letters")
    with pytest.raises(FileExistsError):
        write(path, GIB)
    assert path.read_text() == "letters"
