"""`nova-novncproxy`, `nova-spicehtml5proxy`, `nova-serialproxy`, `nova-consoleauth`. They read nova.conf."""

import functools
from pathlib import Path
from typing import Any

from kilonova.cli.grounds.ground import Ground
from kilonova.cli.parts.compute import open_compute
from kilonova.cli.parts.options import COMPUTE, SCHEDULING
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.compute.consoles.console_proxy.app import NOVNC, SERIAL, SPICE, Kind, make_app
from kilonova.compute.hosts import control_daemons
from kilonova.compute.service import Region
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.log import logger

log = logger(__name__)

CONSOLEAUTH = "nova-consoleauth"
REGISTER_AGAIN_SECONDS = 60.0


async def _build_proxy(kind: Kind, section: str, prefix: str, ground: Ground) -> Running:
    """`section` and `prefix`: where the file says what it listens on."""
    config, compute = ground.config, await open_compute(ground)
    web = None if kind.directory is None else Path(config.web) if config.web else kind.directory
    if web is not None and not web.is_dir():
        log.warning(
            "WebSockets are served without the pages that open them: their directory is not there",
            directory=str(web),
            debian_package=kind.package,
        )
    app = make_app(compute, kind, allowed_origins=config.console.allowed_origins, web=web)
    address, port = (getattr(config[section], f"{prefix}_{each}") for each in ("host", "port"))
    return Running([Api(f"{kind.console}-console", app, address, port, takes_websockets=True)])


async def build_consoleauth(ground: Ground) -> Running:
    """It has nothing to look after: it is there for those who start it and look for it among the services."""
    region, (host, *_others) = await open_compute(ground), ground.hosts
    await _register(region, host)

    async def stay_registered(_last: object) -> None:
        """Whoever deletes the service of a daemon that runs sees it again, as with a compute host's."""
        await _register(region, host)

    log.info("consoles' tokens are kept in the API database: this daemon has nothing to do but to be listed", host=host)
    return Running(
        work=[ChoreKeeper([Chore("stay-registered", REGISTER_AGAIN_SECONDS, stay_registered)], ground.clock).run],
        closing=[control_daemons.answer(region.bus, CONSOLEAUTH, host)],
    )


async def _register(region: Region, host: str) -> None:
    async with region.transaction() as tx:
        await control_daemons.register(tx, CONSOLEAUTH, host, region.clock.now())


def _part(program: str, build: Any) -> Part:
    return Part(program, "nova", [COMPUTE, SCHEDULING], build)


NOVNC_PROXY = _part("nova-novncproxy", functools.partial(_build_proxy, NOVNC, "vnc", "novncproxy"))
SPICE_PROXY = _part("nova-spicehtml5proxy", functools.partial(_build_proxy, SPICE, "spice", "html5proxy"))
SERIAL_PROXY = _part("nova-serialproxy", functools.partial(_build_proxy, SERIAL, "serial_console", "serialproxy"))
CONSOLEAUTH_DAEMON = _part(CONSOLEAUTH, build_consoleauth)
