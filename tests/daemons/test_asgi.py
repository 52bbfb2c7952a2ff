"""The ASGI entries: they start and stop with the server's lifespan, and refuse as their daemons do."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilonova.cli.asgi.entry import VARIABLE, Application
from kilonova.cli.asgi.identity import app as identity_app
from kilonova.cli.daemons.schemas import migrations_of
from kilonova.identity import fernet_keys
from kilonova.identity.tables import metadata
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade

ENTRIES = ("identity", "image", "placement", "compute", "metadata", "network")


@asynccontextmanager
async def lived(app: Application) -> AsyncIterator[dict[str, Any]]:
    """Speaks the lifespan protocol; gives what the application said to its start."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(message: Any) -> None:
        await from_app.put(message)

    living = asyncio.create_task(app({"type": "lifespan"}, to_app.get, send))
    await to_app.put({"type": "lifespan.startup"})
    started = await asyncio.wait_for(from_app.get(), 20)
    try:
        yield started
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(living, 20)
    if started["type"] == "lifespan.startup.complete":
        assert await from_app.get() == {"type": "lifespan.shutdown.complete"}


def write_keystone_conf(directory: Path) -> str:
    url = f"sqlite:///{directory}/keystone.db"
    path = directory / "keystone.conf"
    path.write_text(f"[database]\nconnection={url}\n[fernet_tokens]\nkey_repository={directory}/keys\n")
    return url


async def test_an_api_lives_as_long_as_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(write_keystone_conf(tmp_path), metadata)
    upgrade(database, migrations_of("identity"))
    await database.close()
    fernet_keys.set_up(tmp_path / "keys")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keystone.conf"))
    async with lived(identity_app) as started:
        assert started == {"type": "lifespan.startup.complete"}
        transport = httpx.ASGITransport(app=identity_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://identity") as client:
            assert (await client.get("/v3")).json()["version"]["id"].startswith("v3")
            assert (await client.get("/healthcheck")).status_code == 200
    with pytest.raises(RuntimeError, match="--lifespan on"):
        await identity_app({"type": "http", "path": "/"}, None, None)  # type: ignore[arg-type]


async def test_a_start_that_is_refused_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keystone_conf(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keystone.conf"))
    async with lived(identity_app) as started:
        assert started["type"] == "lifespan.startup.failed"
        assert "keystone: the database of identity is empty: run `keystone-manage db_sync`" in started["message"]


@pytest.mark.parametrize("name", ENTRIES)
def test_there_is_an_entry_for_each_api(name: str) -> None:
    app = importlib.import_module(f"kilonova.cli.asgi.{name}").app
    assert isinstance(app, Application) and app.api == name
