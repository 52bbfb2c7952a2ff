"""One connection to libvirtd: calls in threads, lifecycle events to the loop, opened again when it breaks.

The rule: libvirt's calls block, so none is made on the loop; its event loop is one daemon thread for the whole process
(libvirt has one default implementation), which hands events over with `call_soon_threadsafe` and does nothing else.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import libvirt

from kilonova.compute.agent.driver import OnEvent
from kilonova.kit.host_commands import HostError

T = TypeVar("T")

THREADS = 8
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 3
CALL_ATTEMPTS = 2
CONNECT_ATTEMPTS = 5
CONNECT_PAUSE_SECONDS = 0.2

STATE_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_STARTED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED,
)

_event_thread_lock = threading.Lock()
_event_thread: threading.Thread | None = None


def _ensure_event_thread() -> None:
    global _event_thread
    with _event_thread_lock:
        if _event_thread is None:
            libvirt.virEventRegisterDefaultImpl()
            # Without a handler libvirt prints every error to stderr, also those that are answers to our questions.
            libvirt.registerErrorHandler(lambda context, error: None, None)
            _event_thread = threading.Thread(target=_run_events, name="libvirt-events", daemon=True)
            _event_thread.start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


class Connection:
    """`find_uri` says where libvirtd is, and starts it if need be; it is asked again when the connection has broken."""

    def __init__(self, find_uri: Callable[[], Awaitable[str]], on_event: OnEvent) -> None:
        self._find_uri = find_uri
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="libvirt")
        self._opening = asyncio.Lock()
        self._connection: Any = None
        self._is_closed = False

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function(connection, *arguments)` in a thread; once more over a new connection if the old one had broken.

        Raises HostError with libvirt's message.
        """
        for attempt in range(CALL_ATTEMPTS):
            connection = await self._open()
            try:
                return await self._loop.run_in_executor(self._executor, function, connection, *arguments)
            except libvirt.libvirtError as error:
                if attempt + 1 < CALL_ATTEMPTS and not connection.isAlive():
                    await self._forget(connection)
                    continue
                raise HostError(f"libvirt: {error}.") from error
        raise AssertionError("unreachable")

    async def _open(self) -> Any:
        async with self._opening:
            if self._connection is None:
                self._connection = await self._connect_somewhere()
            return self._connection

    async def _connect_somewhere(self) -> Any:
        """Tries again after a moment: a libvirtd that is just dying still looks alive to `find_uri`."""
        for attempt in range(CONNECT_ATTEMPTS):
            if self._is_closed:
                break
            uri = await self._find_uri()
            try:
                return await self._loop.run_in_executor(self._executor, self._connect, uri)
            except libvirt.libvirtError as error:
                if attempt + 1 == CONNECT_ATTEMPTS:
                    raise HostError(f"libvirt at {uri}: {error}.") from error
            await asyncio.sleep(CONNECT_PAUSE_SECONDS)
        raise HostError("The connection to libvirt has been closed.")

    def _connect(self, uri: str) -> Any:
        _ensure_event_thread()
        connection = libvirt.open(uri)
        connection.setKeepAlive(KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._receive, None)
        return connection

    def _receive(self, connection: Any, domain: Any, event: int, detail: int, opaque: object) -> None:
        if event not in STATE_EVENTS or self._is_closed:
            return
        try:
            self._loop.call_soon_threadsafe(self._on_event, domain.UUIDString())
        except RuntimeError:
            # The loop has been closed between the question above and here; nobody is left to tell.
            return

    async def _forget(self, connection: Any) -> None:
        async with self._opening:
            if self._connection is connection:
                self._connection = None
        await self._loop.run_in_executor(self._executor, _close, connection)

    async def close(self) -> None:
        """Ends the connection; safe to repeat."""
        self._is_closed = True
        async with self._opening:
            connection, self._connection = self._connection, None
        if connection is not None:
            await self._loop.run_in_executor(self._executor, _close, connection)
        self._executor.shutdown(wait=False)


def _close(connection: Any) -> None:
    try:
        connection.close()
    except libvirt.libvirtError:
        # A broken connection says so when it is closed; there is nothing left to release.
        return
