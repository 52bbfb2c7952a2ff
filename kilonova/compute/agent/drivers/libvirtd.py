"""Which libvirtd this host uses: the system's, or a private one in a mount namespace of its own.

The private one belongs to a state directory, outlives the process that started it (servers run on over
`kilonova down`), is found again by the next one and can be removed without a trace. The one rule for telling what is
ours: a process belongs to a sandbox when the `/run` it sees is the sandbox's `run` directory. No remembered process
id can lie about that, so nothing else is ever signalled.

The system's libvirtd is refused when it would see a KVM node that the CPU does not back (it probes it at every define:
40 s instead of 2 ms) or when it lives in another network namespace than this process (its guests would too).
"""

import asyncio
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from kilonova.compute.agent.drivers.options import LibvirtOptions, VirtType
from kilonova.compute.agent.drivers.records import list_recorded
from kilonova.kit import host_commands
from kilonova.kit.disks.confinement import check_reachable, qemu_account
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

SYSTEM_URI = "qemu:///system"
SYSTEM_SOCKETS = (Path("/run/libvirt/virtqemud-sock"), Path("/run/libvirt/libvirt-sock"))
SYSTEM_TIMEOUT_SECONDS = 5.0
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
REAPER_NAME = "libvirt-reaper"
"""Command name of the process that collects what ends in the sandbox (`libvirtd_sandbox.py`)."""

UNIX_PATH_LIMIT = 107
"""Longest path of a unix socket, unix(7): 108 bytes with the closing NUL."""

FORBIDDEN_PARENTS = (Path("/run"), Path("/var/run"), Path("/dev"), Path("/var/lib/libvirt"), Path("/etc/libvirt"))

QEMU_CONF = """\
user = "{user}"
group = "{group}"
dynamic_ownership = 1
seccomp_sandbox = 1
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
stdio_handler = "logd"
"""

LIBVIRTD_CONF = """\
host_uuid = "{host_uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

VIRTLOGD_CONF = """\
max_size = 1048576
max_backups = 1
log_outputs = "3:file:/var/log/libvirt/virtlogd.log"
"""


def pick_virt_type(cpuinfo_text: str, *, has_kvm_node: bool) -> VirtType:
    """`kvm` only when the CPU flags name an extension for it and the node is there; the node alone proves nothing."""
    flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo_text, re.MULTILINE)
    return "kvm" if flags and has_kvm_node else "qemu"


def detect_virt_type() -> VirtType:
    """What `pick_virt_type` says about the host this process runs on."""
    return pick_virt_type(Path("/proc/cpuinfo").read_text(), has_kvm_node=Path("/dev/kvm").exists())


async def connect_or_start(options: LibvirtOptions) -> str:
    """The URI of a libvirtd that answers; starts the private one when no other is usable. Safe to repeat.

    A host keeps to the one that it has begun with, for its servers run under that: a private one that has a directory
    is taken, and none is made where servers run under the system's, which is only away for a while.

    Raises HostError when a daemon does not start or answer, when the private one is in another network namespace, or
    when QEMU's account cannot reach the servers' disks.
    """
    if options.connection_uri:
        return options.connection_uri
    sandbox = sandbox_path(options.state_dir)
    if options.use_system_libvirtd and not sandbox.exists():
        if await _is_system_usable():
            return SYSTEM_URI
        if list_recorded(options.instances_path):
            raise HostError(f"{SYSTEM_URI}, which this host's servers run under, does not answer: start libvirtd.")
    lock = await asyncio.to_thread(_lock, sandbox)
    try:
        options.instances_path.mkdir(parents=True, exist_ok=True, mode=0o711)
        check_reachable(options.instances_path.resolve(), qemu_account())
        await _ensure_running(sandbox)
    finally:
        os.close(lock)
    return private_uri(sandbox)


async def stop_private_libvirtd(state_dir: Path) -> None:
    """Ends every process of the sandbox, guests included, and removes its directory. Ok when there is none."""
    sandbox = sandbox_path(state_dir)
    if not sandbox.exists():
        return
    await asyncio.to_thread(_stop_all, sandbox)
    await asyncio.to_thread(shutil.rmtree, sandbox)


def sandbox_path(state_dir: Path) -> Path:
    """Where everything of the private libvirtd of a state directory lies."""
    return state_dir.resolve() / "libvirtd"


def private_uri(sandbox: Path) -> str:
    """How clients (virsh too) reach the private libvirtd: by its socket, through /proc when that path is too long."""
    path = sandbox / "run/libvirt/libvirt-sock"
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        path = Path(f"/proc/{find_daemon(sandbox, 'libvirtd')}/root/run/libvirt/libvirt-sock")
    return f"qemu+unix:///system?socket={path}"


# --- the system's daemon ---------------------------------------------------------------------------------------------


async def _is_system_usable() -> bool:
    if Path("/dev/kvm").exists() and detect_virt_type() != "kvm":
        return False
    for path in SYSTEM_SOCKETS:
        if path.exists() and await asyncio.to_thread(_shares_network_namespace, path):
            return await _answers(SYSTEM_URI)
    return False


def _shares_network_namespace(path: Path) -> bool:
    """Whether the process that listens on a unix socket lives in our network namespace; no when it cannot be told."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SYSTEM_TIMEOUT_SECONDS)
        try:
            connection.connect(os.fspath(path))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            (process_id, _, _) = struct.unpack("3i", credentials)
            return Path(f"/proc/{process_id}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
        except OSError:
            # Nobody listens, or a process we may not look at: either way not a daemon to rely on.
            return False


async def _answers(uri: str) -> bool:
    try:
        await host_commands.run(
            ["virsh", "--quiet", "--connect", uri, "version"], timeout_seconds=SYSTEM_TIMEOUT_SECONDS
        )
    except HostError:
        return False
    return True


# --- the private daemon ----------------------------------------------------------------------------------------------


def _lock(sandbox: Path) -> int:
    """Holds off other starters until the returned descriptor is closed; makes the directory."""
    for parent in FORBIDDEN_PARENTS:
        if sandbox.is_relative_to(parent):
            raise HostError(
                f"The state directory {sandbox.parent} must not be below {parent}: libvirtd gets its own one."
            )
    sandbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(sandbox / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


async def _ensure_running(sandbox: Path) -> None:
    processes = await asyncio.to_thread(sandbox_processes, sandbox)
    if not processes:
        # Nothing survives in /run over a reboot of the host; a pid file from before would name a stranger.
        await asyncio.to_thread(shutil.rmtree, sandbox / "run", ignore_errors=True)
    missing = [name for name in ("virtlogd", "libvirtd") if name not in processes.values()]
    if not missing:
        _check_network_namespace(next(pid for pid, name in processes.items() if name == "libvirtd"))
        return
    log.info("starting a private libvirtd", directory=sandbox, daemons=",".join(missing))
    await asyncio.to_thread(_write_configuration, sandbox)
    hide_kvm = Path("/dev/kvm").exists() and detect_virt_type() != "kvm"
    script = Path(__file__).with_name("libvirtd_sandbox.py")
    await host_commands.run(
        [sys.executable, "-I", "-S", script, sandbox, "hide-kvm" if hide_kvm else "keep-kvm", *missing],
        timeout_seconds=START_TIMEOUT_SECONDS,
        new_session=True,
    )


def _check_network_namespace(process_id: int) -> None:
    theirs = Path(f"/proc/{process_id}/ns/net").readlink()
    ours = Path("/proc/self/ns/net").readlink()
    if theirs != ours:
        raise HostError(
            f"The private libvirtd (process {process_id}) runs in the network namespace {theirs}, "
            f"this process in {ours}."
        )


def _write_configuration(sandbox: Path) -> None:
    for name in ("etc", "lib", "log", "cache", "run/libvirt"):
        (sandbox / name).mkdir(parents=True, exist_ok=True)
    machine_id = Path("/etc/machine-id").read_text().strip() if Path("/etc/machine-id").exists() else ""
    host_uuid = uuid.uuid5(uuid.NAMESPACE_OID, f"{machine_id} {sandbox}")
    account = qemu_account()
    if account is None:
        raise HostError("A private libvirtd is root's to start.")
    files = {
        "qemu.conf": QEMU_CONF.format(user=account.name, group=account.group_name),
        "libvirtd.conf": LIBVIRTD_CONF.format(host_uuid=host_uuid),
        "virtlogd.conf": VIRTLOGD_CONF,
    }
    for name, text in files.items():
        (sandbox / "etc" / name).write_text(text)


def sandbox_processes(sandbox: Path) -> dict[int, str]:
    """Process id → command name of everything that runs inside the sandbox: daemons and guests."""
    try:
        ours = (sandbox / "run").stat()
    except FileNotFoundError:
        return {}
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            seen = (entry / "root/run").stat()
            if (seen.st_dev, seen.st_ino) == (ours.st_dev, ours.st_ino):
                found[int(entry.name)] = (entry / "comm").read_text().strip()
        except OSError:
            # It has ended meanwhile, or is a process that even root may not look into.
            continue
    return found


def find_daemon(sandbox: Path, name: str) -> int:
    """Process id of a daemon of the sandbox. Raises HostError when it does not run."""
    for process_id, command in sandbox_processes(sandbox).items():
        if command == name:
            return process_id
    raise HostError(f"The private {name} in {sandbox} does not run.")


def _stop_all(sandbox: Path) -> None:
    # libvirtd first: it would report, log and clean up after each guest that ends.
    _end_processes(sandbox, lambda command: command == "libvirtd")
    _end_processes(sandbox, lambda command: command not in ("virtlogd", REAPER_NAME))
    _end_processes(sandbox, lambda command: command == "virtlogd")
    # The reaper goes by itself after the last of its children; it is asked only if it does not.
    _end_processes(sandbox, lambda command: True)


def _end_processes(sandbox: Path, wanted: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    asked: set[int] = set()
    while chosen := {pid for pid, command in sandbox_processes(sandbox).items() if wanted(command)}:
        late = time.monotonic() > deadline
        for process_id in chosen if late else chosen - asked:
            _signal(process_id, signal.SIGKILL if late else signal.SIGTERM)
        asked |= chosen
        if time.monotonic() > deadline + STOP_TIMEOUT_SECONDS:
            raise HostError(f"Processes {sorted(chosen)} of the private libvirtd do not end.")
        time.sleep(0.02)


def _signal(process_id: int, number: signal.Signals) -> None:
    try:
        os.kill(process_id, number)
    except ProcessLookupError:
        return
