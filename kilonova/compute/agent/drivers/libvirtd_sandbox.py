"""Starts virtlogd and libvirtd in a mount namespace of their own; run as a script by `libvirtd.py`, never imported.

The one rule: whatever the daemons write lands below the sandbox directory, so that removing it removes everything.
Their `/run`, `/etc/libvirt`, `/var/lib/libvirt`, `/var/log/libvirt` and `/var/cache/libvirt` are bind mounts of its
subdirectories. A later start makes a new namespace with the same mounts, so guests of a libvirtd that died are found.

    python libvirtd_sandbox.py DIRECTORY {hide-kvm|keep-kvm} DAEMON...

A child stays behind as the parent of everything in the sandbox and collects what ends, until all have ended: libvirtd
waits for a guest's process to disappear, and inside containers init collects late or never.

Only the standard library, because it runs isolated from the environment of whoever called it. Errors end in a
sentence on stderr and exit status 1. Namespaces: unshare(2), mount(2).
"""

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
REAPER_NAME = "libvirt-reaper"

BOUND_DIRECTORIES = {
    "etc": Path("/etc/libvirt"),
    "lib": Path("/var/lib/libvirt"),
    "log": Path("/var/log/libvirt"),
    "cache": Path("/var/cache/libvirt"),
}
SHARED_RUN_DIRECTORIES = ("openvswitch", "systemd/resolve")
"""Sockets and files of the host which QEMU and libvirtd use from `/run` although theirs is their own."""

SHARED_DEVICE_DIRECTORIES = ("pts", "shm", "hugepages", "mqueue")

DAEMON_COMMANDS = {
    "virtlogd": ["virtlogd", "--daemon", "--pid-file", "/run/virtlogd.pid"],
    "libvirtd": ["libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"],
}

_libc = ctypes.CDLL(None, use_errno=True)


def _unshare_mounts() -> None:
    if _libc.unshare(CLONE_NEWNS) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot make a mount namespace: {os.strerror(number)}")
    _mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)


def _mount(source: str, target: Path, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    status = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {source} on {target}: {os.strerror(number)}")


def _bind(source: Path, target: Path) -> None:
    _mount(os.fspath(source), target, flags=MS_BIND | MS_REC)


def _copy_device_nodes(source: Path, target: Path) -> None:
    """Repeats a directory of device nodes and links, without the KVM node and the directories that are bound."""
    for entry in os.scandir(source):
        destination = target / entry.name
        if entry.is_symlink():
            destination.symlink_to(Path(entry.path).readlink())
            continue
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            destination.mkdir()
            if entry.name in SHARED_DEVICE_DIRECTORIES:
                _bind(Path(entry.path), destination)
            else:
                _copy_device_nodes(Path(entry.path), destination)
        elif (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)) and entry.name != "kvm":
            os.mknod(destination, status.st_mode, status.st_rdev)
            destination.chmod(stat.S_IMODE(status.st_mode))


def _hide_kvm(sandbox: Path) -> None:
    """Gives the namespace a `/dev` without `kvm`: libvirtd that can see a dead node probes it at every define."""
    staging = sandbox / "dev"
    staging.mkdir(exist_ok=True)
    _mount("tmpfs", staging, kind="tmpfs", data="mode=755")
    _copy_device_nodes(Path("/dev"), staging)
    _bind(staging, Path("/dev"))


def _enter(sandbox: Path, *, hide_kvm: bool) -> None:
    for target in BOUND_DIRECTORIES.values():
        if not target.is_dir():
            raise OSError(f"{target} is missing: install libvirt-daemon-system")
    _unshare_mounts()
    if hide_kvm:
        _hide_kvm(sandbox)
    for name, target in BOUND_DIRECTORIES.items():
        _bind(sandbox / name, target)
    run = sandbox / "run"
    for name in SHARED_RUN_DIRECTORIES:
        source = Path("/run") / name
        if source.is_dir():
            (run / name).mkdir(parents=True, exist_ok=True)
            _bind(source, run / name)
    # Last, because the sandbox is looked up through the old tree until here.
    _bind(run, Path("/run"))


def _start_daemons(daemons: list[str]) -> None:
    """In a child that stays; returns in the parent once the daemons serve. Raises OSError when one does not start."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _libc.prctl(PR_SET_NAME, REAPER_NAME.encode(), 0, 0, 0)
        try:
            for daemon in daemons:
                subprocess.run(DAEMON_COMMANDS[daemon], check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            os.write(writing, str(error).encode())
        else:
            os.write(writing, b"ok")
        os.close(writing)
        _reap()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    if answer != "ok":
        raise OSError(answer)


def _reap() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def main(arguments: list[str]) -> int:
    sandbox, kvm, *daemons = arguments
    try:
        _enter(Path(sandbox), hide_kvm=kvm == "hide-kvm")
        _start_daemons(daemons)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
