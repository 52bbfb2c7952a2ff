"""A placement service on a database of its own, with identity in process beside it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilonova.placement import tables
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement

NEWEST = {"openstack-api-version": "placement 1.39"}


@pytest.fixture
async def placement(migrated: Any, tmp_path: Path) -> AsyncIterator[Placement]:
    database = migrated("placement", tables.metadata, tmp_path)
    yield Placement(database)
    await database.close()


@pytest.fixture
def app(placement: Placement, identity: Any) -> Any:
    return make_app(placement, identity.verifier("placement"))


@pytest.fixture
async def client(app: Any, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client that speaks the newest version."""
    async with await identity.client_for(app, "admin") as found:
        found.headers.update(NEWEST)
        yield found
