"""Storage for a lab's hosts: disks of their own, and a filer whose export several of them mount as NFS.

Both are loop devices on files in the lab's directory. The kernel need not have NFS: the hosts' `mount` mounts the
filer's disk in the place of an export, under the export's name, and all hosts that do see one file system.
"""

import json
import os
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools.lab.hosts import Host
from tools.stages import ROOT, VENV

LOOP_CONTROL = (10, 237)
LOOP_NODES = 64
"""Nodes that a host has for loop devices of its own."""
MOUNT = """\
#!/bin/sh
[ "$1 $2" = "-t nfs" ] || exec /bin/mount "$@"
exec {python} -P {program} "$@"
"""


def add_disk(directory: Path, host: Host, device: str, size_gib: int) -> None:
    """Gives a host an empty disk at `device`, and room for loop devices, which volumes on it are shown through."""
    loop = _attach(directory / "disks" / f"{host.name}{device.replace('/', '-')}", size_gib)
    _make_node(host.path(device), stat.S_IFBLK, Path(loop).stat().st_rdev)
    _make_node(host.path("/dev/loop-control"), stat.S_IFCHR, os.makedev(*LOOP_CONTROL))
    for number in range(LOOP_NODES):
        _make_node(host.path(f"/dev/loop{number}"), stat.S_IFBLK, os.makedev(7, number))


def share(directory: Path, hosts: Iterable[Host], export: str, size_gib: int) -> None:
    """Makes an export, `server:/directory`, that the hosts can mount as NFS."""
    loop = _attach(directory / "disks" / "filer", size_gib)
    subprocess.run(["mkfs.ext4", "-q", loop], check=True)
    for host in hosts:
        _make_node(host.path(f"/run/filer/{export}"), stat.S_IFBLK, Path(loop).stat().st_rdev)
    program = directory / "programs" / "mount"
    program.write_text(MOUNT.format(python=VENV / "bin/python", program=ROOT / "tools/lab/mount_export.py"))
    program.chmod(0o755)


def loops_of(directory: Path, hosts: Iterable[Host]) -> list[str]:
    """Returns the loop devices on files below the directory, after those on the disks that hosts have of them."""
    command = ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    loops = json.loads(listed)["loopdevices"] if listed.strip() else []
    own = {each["name"] for each in loops if str(each["back-file"]).startswith(f"{directory}/")}
    disks = {each for host in hosts for each in _disks_of(host, own)}
    return [each["name"] for each in loops if each["back-file"] in disks] + sorted(own)


def _disks_of(host: Host, loops: set[str]) -> list[str]:
    """Returns the host's own names of loop devices, but for their usual ones. None of a host that is down."""
    numbers = {Path(each).stat().st_rdev for each in loops}
    nodes = host.path("/dev").iterdir() if host.anchor.is_alive else ()
    found = [each for each in nodes if each.is_block_device() and not each.name.startswith("loop")]
    return [f"/dev/{each.name}" for each in found if each.stat().st_rdev in numbers]


def detach(loops: list[str]) -> None:
    """Each goes as soon as nobody has it open."""
    for each in loops:
        subprocess.run(["losetup", "--detach", each], check=True)


def _attach(image: Path, size_gib: int) -> str:
    image.parent.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(size_gib << 30)
    command = ["losetup", "--find", "--show", str(image)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _make_node(path: Path, kind: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.mknod(path, kind | 0o660, number)
