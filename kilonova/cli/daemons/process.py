"""The life of one daemon: read the files, open what it stands on, serve until a signal, say why when it cannot.

Exit codes are those systemd knows: 78 (EX_CONFIG) for what only a change of configuration mends, 75 (EX_TEMPFAIL) for
what may mend itself, 1 for the rest.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from starlette.types import ASGIApp

from kilonova.cli.daemons import workers
from kilonova.cli.daemons.files import Read, read
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.options import Options
from kilonova.cli.daemons.workers import Place
from kilonova.cli.serving import ApiServer, PortTaken, listen, name_identity, wait_until_started
from kilonova.kit import log, tracing
from kilonova.kit.config import ConfigError
from kilonova.kit.http.server import Connections, Limits, complain_once, raise_descriptor_limit
from kilonova.kit.loop_lag import LoopLag

EX_CONFIG = 78
EX_TEMPFAIL = 75

Work = Callable[[], Awaitable[None]]
Ready = Callable[[], None]


@dataclass
class Daemon:
    """What one process serves and does. `closing` is undone in turn at the end."""

    apis: list[tuple[str, ASGIApp, str, int]] = field(default_factory=list)
    """(name, app, address, port)"""
    websockets: set[str] = field(default_factory=set)
    """The names of those that take WebSockets too."""
    work: list[Work] = field(default_factory=lambda: [LoopLag().watch])
    checks: list[Work] = field(default_factory=list)
    """Looked into once, before anything is served; they raise ConfigError or NotReady."""
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)


Build = Callable[[Read, Daemon], Awaitable[None]]


def main(
    program: str, project: str, options: Sequence[Options], build: Build, arguments: Sequence[str] | None = None
) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)

    def start() -> int:
        count, others = workers.split_words(program, words)
        found = read(program, project, options, others)
        raise_descriptor_limit()
        log.configure("DEBUG" if found.config.debug else "INFO", _log_stream(program, found.config))

        def work(place: Place) -> int:
            return _said(program, lambda: asyncio.run(_run(program, found, build, place)))

        count = count or workers.count_of(program, found.config)
        if count > 1:
            return workers.supervise(count, work, lambda: _notify("READY=1"))
        return work(Place(lambda: _notify("READY=1")))

    return _said(program, start)


def _said(program: str, work: Callable[[], int]) -> int:
    """The exit code of `work`, or of what keeps it from working, said in a line."""
    try:
        return work()
    except (ConfigError, PortTaken) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_CONFIG
    except NotReady as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_TEMPFAIL


def _log_stream(program: str, config: Any) -> TextIO | None:
    """Where the log goes; None: standard error. Raises ConfigError."""
    if not (config.log_file or config.log_dir):
        return None
    path = Path(config.log_dir) / (config.log_file or f"{program}.log")
    try:
        return path.open("a", buffering=1)
    except OSError as error:
        raise ConfigError(f"[DEFAULT] {'log_file' if config.log_file else 'log_dir'}: {error}") from error


async def _run(program: str, found: Read, build: Build, place: Place) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if place.parent is not None:
        asyncio.get_running_loop().add_reader(place.parent, stop.set)
    tracing.configure(program)
    daemon = Daemon()
    daemon.closing.callback(tracing.stop)
    async with daemon.closing:
        await prepare(found, build, daemon)
        _add_metrics(found.config, daemon, place.worker or 0)
        shared = place.worker is not None
        sockets = [listen(name, address, port, shared=shared) for name, _app, address, port in daemon.apis]
        await _serve(program, found.config, daemon, sockets, stop, place.ready)
    return 0


async def prepare(found: Read, build: Build, daemon: Daemon) -> None:
    """Everything before the first request. Raises ConfigError, NotReady."""
    said = log.logger("kilonova.cli.daemons")
    for entry, reason in found.idle:
        said.warning("an option has no effect", option=str(entry), reason=reason)
    await build(found, daemon)
    for check in daemon.checks:
        await check()
    tokens = found.config.keystone_authtoken
    for place, (name, app, address, port) in enumerate(daemon.apis):
        # Identity itself has no need to be told where identity is.
        told = tokens.www_authenticate_uri or ("" if name == "identity" else tokens.auth_url)
        if told:
            daemon.apis[place] = (name, name_identity(app, told), address, port)


def _add_metrics(config: Any, daemon: Daemon, worker: int) -> None:
    """Each worker has a port of its own: a count is one process's."""
    if config.metrics.port:
        from kilonova.kit.metrics import make_metrics_app

        daemon.apis.append(("metrics", make_metrics_app(), config.metrics.listen, config.metrics.port + worker))


def _limits(config: Any) -> Limits:
    return Limits(
        connections=config.wsgi.max_connections,
        connections_per_address=config.wsgi.max_connections_per_address,
        header_bytes=config.wsgi.max_header_bytes,
        header_seconds=config.wsgi.header_timeout,
        body_seconds=config.wsgi.client_socket_timeout,
        keep_alive_seconds=config.wsgi.keep_alive_timeout,
    )


async def _serve(
    program: str, config: Any, daemon: Daemon, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready
) -> None:
    said = log.logger("kilonova.cli.daemons")
    ledger = Connections(_limits(config))
    complain_once(asyncio.get_running_loop())
    proxies = config.oslo_middleware.trusted_proxies if config.oslo_middleware.enable_proxy_headers_parsing else ()
    servers = [
        ApiServer(app, name, ledger, takes_websockets=name in daemon.websockets, trusted_proxies=proxies)
        for name, app, _address, _port in daemon.apis
    ]
    serving = [
        asyncio.create_task(each.serve(sockets=[listening])) for each, listening in zip(servers, sockets, strict=True)
    ]
    working = [asyncio.ensure_future(each()) for each in daemon.work]
    stopping = asyncio.create_task(stop.wait())
    await wait_until_started(servers)
    said.info("ready", program=program)
    ready()
    try:
        # Work ends only by failing: the process ends with it, and whoever started it starts it again.
        done, _ = await asyncio.wait([stopping, *working, *serving], return_when=asyncio.FIRST_COMPLETED)
        for each in done - {stopping}:
            each.result()
    finally:
        _notify("STOPPING=1")
        for server in servers:
            server.should_exit = True
        for task in (*working, stopping):
            task.cancel()
        await asyncio.gather(*working, stopping, return_exceptions=True)
        if serving:
            await asyncio.wait(serving, timeout=5)


def _notify(state: str) -> None:
    """Tells systemd, where it asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.connect("\0" + address[1:] if address.startswith("@") else address)
        notifying.send(state.encode())
