"""The life of one daemon: read the files, open what it stands on, serve until a signal, say why when it cannot.

Exit codes are those systemd knows: 78 (EX_CONFIG) for what only a change of configuration mends, 75 (EX_TEMPFAIL) for
what may mend itself, 1 for the rest.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from kilonova.cli.daemons import workers
from kilonova.cli.daemons.files import Read, read
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.workers import Place
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.cli.serving import ApiServer, PortTaken, limits_of, listen, name_identity, proxies_of, wait_until_started
from kilonova.kit import log, tracing
from kilonova.kit.config import ConfigError
from kilonova.kit.http.server import Connections, complain_once, raise_descriptor_limit
from kilonova.kit.loop_lag import LoopLag

EX_CONFIG = 78
EX_TEMPFAIL = 75

Ready = Callable[[], None]


def main(part: Part, arguments: Sequence[str] | None = None) -> int:
    """Runs a part as a daemon until it is told to stop; returns the exit code."""
    program = part.program
    words = list(sys.argv[1:] if arguments is None else arguments)

    def start() -> int:
        count, others = workers.split_words(program, words)
        found = read(program, part.project, part.options, others)
        raise_descriptor_limit()
        log.configure("DEBUG" if found.config.debug else "INFO", _log_stream(program, found.config))

        def work(place: Place) -> int:
            return _said(program, lambda: asyncio.run(_run(part, found, place)))

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


async def _run(part: Part, found: Read, place: Place) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if place.parent is not None:
        asyncio.get_running_loop().add_reader(place.parent, stop.set)
    tracing.configure(part.program)
    ground = FilesGround(found)
    ground.closing.callback(tracing.stop)
    async with ground.closing:
        running = await prepare(found, part, ground)
        running = Running([*running.apis, *_metrics(found.config, place.worker or 0)], [LoopLag().watch, *running.work])
        shared = place.worker is not None
        sockets = [listen(each.name, each.address, each.port, shared=shared) for each in running.apis]
        await _serve(found, running, sockets, stop, place.ready)
    return 0


async def prepare(found: Read, part: Part, ground: FilesGround) -> Running:
    """Builds the part, and does everything else that comes before the first request. Raises ConfigError, NotReady."""
    said = log.logger("kilonova.cli.daemons")
    for entry, reason in found.idle:
        said.warning("an option has no effect", option=str(entry), reason=reason)
    running = await part.build(ground)
    for each in running.closing:
        ground.closing.callback(each)
    await ground.check()
    tokens = found.config.keystone_authtoken

    def named(api: Api) -> Api:
        # Identity itself has no need to be told where identity is.
        told = tokens.www_authenticate_uri or ("" if api.name == "identity" else tokens.auth_url)
        return replace(api, app=name_identity(api.app, told)) if told else api

    return replace(running, apis=[named(each) for each in running.apis])


def _metrics(config: Any, worker: int) -> list[Api]:
    """Each worker has a port of its own: a count is one process's."""
    if not config.metrics.port:
        return []
    from kilonova.kit.metrics import make_metrics_app

    return [Api("metrics", make_metrics_app(), config.metrics.listen, config.metrics.port + worker)]


async def _serve(
    found: Read, running: Running, sockets: list[socket.socket], stop: asyncio.Event, ready: Ready
) -> None:
    said = log.logger("kilonova.cli.daemons")
    config, program = found.config, found.program
    ledger = Connections(limits_of(config))
    complain_once(asyncio.get_running_loop())
    proxies = proxies_of(config)
    servers = [
        ApiServer(each.app, each.name, ledger, takes_websockets=each.takes_websockets, trusted_proxies=proxies)
        for each in running.apis
    ]
    serving = [
        asyncio.create_task(each.serve(sockets=[listening])) for each, listening in zip(servers, sockets, strict=True)
    ]
    working = [asyncio.ensure_future(each()) for each in running.work]
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
