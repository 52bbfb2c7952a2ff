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


@pytest.fixture
async def image(migrated: Any, tmp_path: Path) -> AsyncIterator[Image]:
    database = migrated("image", tables.metadata, tmp_path)
    yield Image(database, FileStore(tmp_path / "images"))
    await database.close()


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
