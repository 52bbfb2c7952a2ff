"""A placement service on a database of its own, with identity in process beside it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from kilonova.placement.service import Placement
from tests import worlds

NEWEST = {"openstack-api-version": "placement 1.39"}


@pytest.fixture
async def placement(identity: Any) -> Placement:
    await identity.cloud.add(worlds.placement.API)
    found: Placement = identity.cloud.services["placement"]
    return found


@pytest.fixture
def app(placement: Placement, identity: Any) -> Any:
    return identity.cloud.apps["placement"]


@pytest.fixture
async def client(app: Any, identity: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client that speaks the newest version."""
    async with await identity.client_for(app, "admin") as found:
        found.headers.update(NEWEST)
        yield found
