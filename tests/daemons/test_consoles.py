"""The console daemons: what they serve, where, and what they say when something is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons.schemas import migrations_of
from kilonova.cli.grounds import files as grounds
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts import consoles
from kilonova.cli.parts.options import COMPUTE, SCHEDULING
from kilonova.cli.parts.part import Part, Running
from kilonova.compute.hosts import control_daemons
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

    monkeypatch.setattr(grounds, "open_bus", open_bus)
    return made


@asynccontextmanager
async def built(part: Part, tmp_path: Path, more: str = "") -> AsyncIterator[tuple[Running, str]]:
    url = f"sqlite:///{tmp_path}/nova.db"
    upgrade(Database(url, metadata), migrations_of("compute"))
    ground = FilesGround(read_text(tmp_path, TEXT.format(url=url, more=more), "nova", COMPUTE, SCHEDULING))
    async with ground.closing:
        running = await part.build(ground)
        yield running, url
        for end in running.closing:
            end()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (consoles.NOVNC_PROXY, ("127.0.0.1", 6080)),
        (consoles.SPICE_PROXY, ("0.0.0.0", 16082)),
        (consoles.SERIAL_PROXY, ("0.0.0.0", 6083)),
    ],
)
async def test_each_proxy_takes_websockets_on_its_own_port(
    part: Part, place: tuple[str, int], bus: InProcessBus, tmp_path: Path
) -> None:
    async with built(part, tmp_path) as (running, _url):
        (api,) = running.apis
        assert ((api.address, api.port), api.takes_websockets) == (place, True)


async def test_a_proxy_without_its_pages_says_what_to_install(
    bus: InProcessBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with built(consoles.NOVNC_PROXY, tmp_path, f"web = {tmp_path}/nothing"):
        (record,) = [each for each in caplog.records if "without the pages" in each.message]
    fields: Any = record.fields  # type: ignore[attr-defined]
    assert fields == {"directory": f"{tmp_path}/nothing", "debian_package": "novnc"}


async def test_consoleauth_is_a_service_that_answers(
    bus: InProcessBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        async with built(consoles.CONSOLEAUTH_DAEMON, tmp_path) as (running, url):
            assert not running.apis
            liveness = Liveness(bus)
            await liveness.ask([("nova-consoleauth", "controller")])
            assert liveness.is_alive("nova-consoleauth", "controller")
        database = Database(url, metadata)
        async with database.reading() as tx:
            (row,) = await control_daemons.list_all(tx)
        await database.close()
        assert (row.binary, row.host) == ("nova-consoleauth", "controller")
    assert "this daemon has nothing to do" in caplog.text
