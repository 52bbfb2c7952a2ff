"""The console daemons: what they serve, where, and what they say when something is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons import compute as compute_daemons
from kilonova.cli.daemons import consoles, wiring
from kilonova.cli.daemons.options import COMPUTE
from kilonova.cli.daemons.process import Daemon
from kilonova.compute import control_daemons
from kilonova.compute.tables import metadata
from kilonova.kit.agents import Liveness
from kilonova.kit.bus import InProcessBus
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from tests.daemons.test_options_wired import read_text

TEXT = """[DEFAULT]
host = controller
transport_url = rabbit://a:b@127.0.0.1
{more}
[database]
connection = {url}
[keystone_authtoken]
username = nova
password = x
[vnc]
novncproxy_host = 127.0.0.1
[spice]
html5proxy_port = 16082
"""


@pytest.fixture
async def bus(monkeypatch: pytest.MonkeyPatch) -> InProcessBus:
    made = InProcessBus()

    async def open_bus(_config: Any) -> InProcessBus:
        return made

    monkeypatch.setattr(compute_daemons, "open_bus", open_bus)
    return made


@asynccontextmanager
async def built(build: Any, tmp_path: Path, more: str = "") -> AsyncIterator[tuple[Daemon, str]]:
    url = f"sqlite:///{tmp_path}/nova.db"
    upgrade(Database(url, metadata), wiring.migrations_of("compute"))
    daemon = Daemon()
    async with daemon.closing:
        await build(read_text(tmp_path, TEXT.format(url=url, more=more), "nova", COMPUTE), daemon)
        yield daemon, url


@pytest.mark.parametrize(
    ("build", "place"),
    [
        (consoles.build_novnc_proxy, ("127.0.0.1", 6080)),
        (consoles.build_spice_proxy, ("0.0.0.0", 16082)),
        (consoles.build_serial_proxy, ("0.0.0.0", 6083)),
    ],
)
async def test_each_proxy_takes_websockets_on_its_own_port(
    build: Any, place: tuple[str, int], bus: InProcessBus, tmp_path: Path
) -> None:
    async with built(build, tmp_path) as (daemon, _url):
        ((name, _app, *found),) = daemon.apis
        assert (tuple(found), name in daemon.websockets) == (place, True)


async def test_a_proxy_without_its_pages_says_what_to_install(
    bus: InProcessBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with built(consoles.build_novnc_proxy, tmp_path, f"web = {tmp_path}/nothing"):
        (record,) = [each for each in caplog.records if "without the pages" in each.message]
    fields: Any = record.fields  # type: ignore[attr-defined]
    assert fields == {"directory": f"{tmp_path}/nothing", "debian_package": "novnc"}


async def test_consoleauth_is_a_service_that_answers(
    bus: InProcessBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        async with built(consoles.build_consoleauth, tmp_path) as (daemon, url):
            assert daemon.apis == []
            liveness = Liveness(bus)
            await liveness.ask([("nova-consoleauth", "controller")])
            assert liveness.is_alive("nova-consoleauth", "controller")
        database = Database(url, metadata)
        async with database.reading() as tx:
            (row,) = await control_daemons.list_all(tx)
        await database.close()
        assert (row.binary, row.host) == ("nova-consoleauth", "controller")
    assert "this daemon has nothing to do" in caplog.text
