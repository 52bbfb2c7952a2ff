"""An image service on a database and a directory of its own, with identity in process beside it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilonova.image import tables
from kilonova.image.app import make_app
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade

MIGRATIONS = Path(tables.__file__).parent / "migrations"


@pytest.fixture
async def image(tmp_path: Path) -> AsyncIterator[Image]:
    database = Database(f"sqlite:///{tmp_path}/image.db", tables.metadata)
    upgrade(database, MIGRATIONS)
    yield Image(database, FileStore(tmp_path / "images"))
    database.close()


@pytest.fixture
def app(image: Image, identity: Any) -> Any:
    return make_app(image, identity.verifier("glance"))


@pytest.fixture
async def client(app: Any, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A member of the project demo."""
    async with await identity.client_for(app, "demo") as found:
        yield found


@pytest.fixture
async def admin(app: Any, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with await identity.client_for(app, "admin") as found:
        yield found


@pytest.fixture
async def other(app: Any, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A member of another project."""
    async with await identity.client_for(app, "other") as found:
        yield found
