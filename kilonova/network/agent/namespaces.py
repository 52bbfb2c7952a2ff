"""Network namespaces under /run/netns, the way `ip netns` keeps them, and running code inside one.

The rule: the process itself never changes its namespace; a short-lived thread does. A namespace of ours is marked
before it gets its name, by the device group of its `lo` (see `links.OWNER_GROUP`), so there is no moment in which a
named one of ours looks like somebody else's. All functions block: call them in a thread.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from kilonova.network.agent.ledger import HostProblem

NAMESPACE_DIR = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SHARED = 1 << 20
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), b"none", flags, None), f"mount {target}")


def inode(name: str) -> int | None:
    """Identity of the namespace behind a name, None when there is none: a new one under an old name differs."""
    try:
        found = (NAMESPACE_DIR / name).stat()
    except FileNotFoundError:
        return None
    # A file nothing is mounted on is what is left of a creation that was cut short.
    return None if found.st_dev == NAMESPACE_DIR.stat().st_dev else found.st_ino


def names(prefix: str) -> list[str]:
    """Names of the namespaces that start with `prefix`, sorted."""
    if not NAMESPACE_DIR.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACE_DIR.iterdir() if entry.name.startswith(prefix))


@contextlib.contextmanager
def opened(name: str) -> Iterator[int]:
    """A file descriptor of the namespace, for netlink's `net_ns_fd`."""
    descriptor = os.open(NAMESPACE_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _in_thread(enter: Callable[[], None], work: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter()
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            failure.append(error)

    thread = threading.Thread(target=body, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def run_inside(name: str, work: Callable[[], T]) -> T:
    """Call `work` in a thread that is inside the namespace; its sockets, /proc/sys/net and child processes are too."""
    with opened(name) as descriptor:
        return _in_thread(lambda: _check(_libc.setns(descriptor, _CLONE_NEWNET), f"setns {name}"), work)


def _prepare_directory() -> None:
    """Make /run/netns a shared mount point, so that namespaces made here are seen in every mount namespace."""
    NAMESPACE_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount("", str(NAMESPACE_DIR), _MS_SHARED | _MS_REC)
    except OSError:
        # Not a mount point yet: bind it to itself once, as `ip netns` does.
        _mount(str(NAMESPACE_DIR), str(NAMESPACE_DIR), _MS_BIND | _MS_REC)
        _mount("", str(NAMESPACE_DIR), _MS_SHARED | _MS_REC)


def create(name: str, mark: Callable[[], None]) -> None:
    """Make a namespace, call `mark` inside it, and only then give it its name."""
    _prepare_directory()
    path = NAMESPACE_DIR / name

    def mark_then_name() -> None:
        mark()
        path.touch(mode=0o444)
        _mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", str(path), _MS_BIND)

    _in_thread(lambda: _check(_libc.unshare(_CLONE_NEWNET), "unshare"), mark_then_name)
    if inode(name) is None:
        raise HostProblem(f"The network namespace {name} could not be mounted at {path}.")


def release_debris(prefix: str) -> None:
    """Unlink the empty files that creations which were cut short have left: names without a namespace."""
    for name in names(prefix):
        if inode(name) is None:
            (NAMESPACE_DIR / name).unlink(missing_ok=True)


def release(name: str) -> None:
    """Take the name away; the kernel destroys the namespace when its last process and socket are gone."""
    path = NAMESPACE_DIR / name
    if inode(name) is not None:
        _check(_libc.umount2(str(path).encode(), _MNT_DETACH), f"umount {path}")
    path.unlink(missing_ok=True)
