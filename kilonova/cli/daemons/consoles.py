"""`nova-novncproxy`, `nova-spicehtml5proxy`, `nova-serialproxy`, `nova-consoleauth`. They read nova.conf."""

import asyncio
import functools
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from kilonova.cli.daemons.broker import host_name
from kilonova.cli.daemons.compute import open_compute
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import COMPUTE
from kilonova.cli.daemons.process import Daemon, main
from kilonova.compute import control_daemons
from kilonova.compute.console_proxy.app import NOVNC, SERIAL, SPICE, Kind, make_app
from kilonova.compute.service import Compute
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

CONSOLEAUTH = "nova-consoleauth"
REGISTER_AGAIN_SECONDS = 60.0


async def build_novnc_proxy(found: Read, daemon: Daemon) -> None:
    vnc = found.config.vnc
    await _build_proxy(found, daemon, NOVNC, vnc.novncproxy_host, vnc.novncproxy_port)


async def build_spice_proxy(found: Read, daemon: Daemon) -> None:
    spice = found.config.spice
    await _build_proxy(found, daemon, SPICE, spice.html5proxy_host, spice.html5proxy_port)


async def build_serial_proxy(found: Read, daemon: Daemon) -> None:
    serial = found.config.serial_console
    await _build_proxy(found, daemon, SERIAL, serial.serialproxy_host, serial.serialproxy_port)


async def _build_proxy(found: Read, daemon: Daemon, kind: Kind, address: str, port: int) -> None:
    config = found.config
    compute, _opener, _neighbours = await open_compute(found, daemon)
    web = None if kind.directory is None else Path(config.web) if config.web else kind.directory
    if web is not None and not web.is_dir():
        log.warning(
            "WebSockets are served without the pages that open them: their directory is not there",
            directory=str(web),
            debian_package=kind.package,
        )
    app = make_app(compute, kind, allowed_origins=config.console.allowed_origins, web=web)
    daemon.apis.append(("console", app, address, port))
    daemon.websockets.add("console")


async def build_consoleauth(found: Read, daemon: Daemon) -> None:
    """It has nothing to look after: it is there for those who start it and look for it among the services."""
    compute, _opener, _neighbours = await open_compute(found, daemon)
    host = host_name(found.config)
    await _register(compute, host)
    daemon.closing.callback(control_daemons.answer(compute.bus, CONSOLEAUTH, host))
    daemon.work.append(functools.partial(_stay_registered, compute, host))
    log.info("consoles' tokens are kept in the API database: this daemon has nothing to do but to be listed", host=host)


async def _register(compute: Compute, host: str) -> None:
    async with compute.database.transaction() as tx:
        await control_daemons.register(tx, CONSOLEAUTH, host, compute.clock.now())


async def _stay_registered(compute: Compute, host: str) -> None:
    """Whoever deletes the service of a daemon that runs sees it again, as with a compute host's."""
    while True:
        await asyncio.sleep(REGISTER_AGAIN_SECONDS)
        try:
            await _register(compute, host)
        except (ServiceUnavailable, SQLAlchemyError) as fault:
            log.warning("this daemon could not be registered again", reason=str(fault))


def run_novnc_proxy() -> int:
    return main("nova-novncproxy", "nova", [COMPUTE], build_novnc_proxy)


def run_spice_proxy() -> int:
    return main("nova-spicehtml5proxy", "nova", [COMPUTE], build_spice_proxy)


def run_serial_proxy() -> int:
    return main("nova-serialproxy", "nova", [COMPUTE], build_serial_proxy)


def run_consoleauth() -> int:
    return main(CONSOLEAUTH, "nova", [COMPUTE], build_consoleauth)
