"""Hosts of their own for tests: a forked child in new network, mount and process namespaces runs the test's body.

The rule: the child is the first process of its process namespace, so when it ends, however it ends, the kernel ends
every process it started and frees every device, rule and mount. Nothing of a test can stay on the machine.
"""

import asyncio
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kilonova.network.agent.namespaces import run_inside

_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_TIME_LIMIT_SECONDS = 40

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Host:
    """What a test's body gets: the place it may write to, and commands inside the host."""

    state_dir: Path

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command on the host; the test fails with its words when it does."""
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, *argv: str) -> bool:
        return subprocess.run(argv, capture_output=True, timeout=20).returncode == 0

    async def reaches(self, address: str, port: int, *, wait_seconds: float = 1) -> bool:
        """Whether a TCP connection can be made from the host itself."""
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), wait_seconds)
        except OSError:
            return False
        writer.close()
        return True

    async def settle(self) -> None:
        """Wait until every plugged device forwards: the kernel tells a bridge of a carrier up to a second late."""
        for _ in range(150):
            if "disabled" not in self.run("bridge", "link", "show"):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(self.run("bridge", "link", "show"))


def on_own_host(body: Callable[[Host], Awaitable[None]]) -> Callable[[], None]:
    """Make `async def test(host)` a test that runs on a host of its own; needs root."""

    # `wraps` without the signature: pytest must not look for a fixture called `host`.
    @functools.wraps(body, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    def test() -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        failure = _run_apart(body)
        if failure:
            pytest.fail(failure, pytrace=False)

    del test.__wrapped__  # type: ignore[attr-defined]
    return pytest.mark.root(test)


def _run_apart(body: Callable[[Host], Awaitable[None]]) -> str:
    directory = tempfile.mkdtemp(prefix="kilonova-host-")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _enter_and_run(body, Path(directory), writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        failure = pipe.read()
    _, status = os.waitpid(child, 0)
    shutil.rmtree(directory)
    if status and not failure:
        return f"The test's host ended with status {status} (the limit is {_TIME_LIMIT_SECONDS} s)."
    return failure


def _enter_and_run(body: Callable[[Host], Awaitable[None]], directory: Path, writing: int) -> None:
    """In the child: never returns."""
    try:
        if _libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        first = os.fork()
        if first:
            os._exit(1 if os.waitpid(first, 0)[1] else 0)
        runner = os.fork()
        if runner:
            _reap_until_gone(runner)
        signal.alarm(_TIME_LIMIT_SECONDS + 5)
        _mount_own_file_systems()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        asyncio.run(_with_limit(body(Host(directory))))
    except BaseException:  # noqa: BLE001 - every failure, also of the setting up, is the parent's to show
        os.write(writing, traceback.format_exc().encode()[-60000:])
        os._exit(1)
    os._exit(0)


def _reap_until_gone(runner: int) -> None:
    """What the first process of a process namespace does: collect orphans that ended. Never returns."""
    while True:
        pid, status = os.wait()
        if pid == runner:
            os._exit(1 if status else 0)


async def _with_limit(body: Awaitable[None]) -> None:
    await asyncio.wait_for(body, _TIME_LIMIT_SECONDS)


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _mount_own_file_systems() -> None:
    _mount("none", "/", "none", _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    _mount("sysfs", "/sys", "sysfs")
    _mount("tmpfs", "/run", "tmpfs")


class Guest:
    """A guest made of a namespace: its veth's outer end is the tap that a hypervisor would have made."""

    def __init__(self, host: Host, name: str, tap: str, mac_address: str) -> None:
        self.host = host
        self.name = name
        self.tap = tap
        self.mac_address = mac_address
        self._servers: list[asyncio.Server] = []
        host.run("ip", "netns", "add", name)
        host.run("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.run("ip", "link", "set", "eth0", "address", mac_address, "up")
        self.run("ip", "link", "set", "lo", "up")

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, stdin: str = "") -> str:
        return self.host.run(*self._inside(argv), stdin=stdin)

    def succeeds(self, *argv: str) -> bool:
        return self.host.succeeds(*self._inside(argv))

    def set_address(self, cidr: str, gateway: str | None = None) -> None:
        """A fixed address, for tests that are not about DHCP."""
        self.run("ip", "address", "replace", cidr, "dev", "eth0")
        if gateway is not None:
            self.run("ip", "route", "replace", "default", "via", gateway)

    def pings(self, address: str, *, count: int = 1, wait_seconds: float = 1) -> bool:
        return self.succeeds("ping", "-n", "-c", str(count), "-i", "0.1", "-W", str(wait_seconds), address)

    async def serve(self, port: int, text: str = "hello", *, tick_seconds: float = 0) -> None:
        """Greet each TCP connection on `port`, then give back every line, or go on talking unasked."""

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text.encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                while tick_seconds:
                    writer.write(b"tick\n")
                    await asyncio.sleep(tick_seconds)
                while line := await reader.readline():
                    writer.write(line)
            writer.close()

        listening = run_inside(self.name, lambda: socket.create_server(("0.0.0.0", port)))
        self._servers.append(await asyncio.start_server(echo, sock=listening))

    async def reaches(self, address: str, port: int, *, wait_seconds: float = 1) -> bool:
        """Whether a TCP connection can be made."""
        try:
            conversation = await self.connect(address, port, wait_seconds=wait_seconds)
        except OSError:
            return False
        conversation.close()
        return True

    async def connect(self, address: str, port: int, *, wait_seconds: float = 1) -> "Conversation":
        made = await asyncio.to_thread(
            run_inside, self.name, lambda: socket.create_connection((address, port), wait_seconds)
        )
        made.setblocking(False)
        return Conversation(*await asyncio.open_connection(sock=made))

    async def udp_is_heard(self, source: int, destination: int, receiver: "Guest", address: str) -> bool:
        """Whether a datagram from one port number to another arrives at another guest."""
        heard = run_inside(receiver.name, lambda: _bound("0.0.0.0", destination))
        said = run_inside(self.name, lambda: _bound("0.0.0.0", source))
        with heard, said:
            heard.setblocking(False)
            said.sendto(b"knock", (address, destination))
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(heard, 100), 0.5)
            except TimeoutError:
                return False
            return True


def _bound(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


class Conversation:
    """An established TCP connection from a guest to a `Guest.serve`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hears(self, *, within_seconds: float = 1) -> str | None:
        """The next line, None when none arrives in time."""
        try:
            return (await asyncio.wait_for(self._reader.readline(), within_seconds)).decode().strip()
        except (TimeoutError, ConnectionError):
            return None

    async def echoes(self, word: str, *, within_seconds: float = 1) -> bool:
        """Say a word; whether it comes back. Greetings before it are passed over."""
        self._writer.write(word.encode() + b"\n")
        while (line := await self.hears(within_seconds=within_seconds)) is not None:
            if line == word:
                return True
        return False

    async def goes_on(self) -> bool:
        """Whether new lines still come, after those that were under way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while await self.hears():
                    pass
        return await self.hears(within_seconds=0.6) is not None

    def close(self) -> None:
        self._writer.close()
