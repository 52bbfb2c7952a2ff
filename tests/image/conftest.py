"""An image service on a database and a directory of its own, with identity in process beside it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from kilonova.image.service import Image
from kilonova.kit.testing.clock import FakeClock
from tests import worlds


@pytest.fixture
async def image(identity: Any) -> Image:
    await identity.cloud.add(worlds.image.API)
    found: Image = identity.cloud.services["image"]
    return found


def after_the_lease(image: Image) -> Image:
    """The service as it sees things when every lease that is held now has lapsed."""
    return replace(image, clock=FakeClock(datetime.now(UTC) + image.upload_lease + timedelta(seconds=1)))


@pytest.fixture
def app(image: Image, identity: Any) -> Any:
    return identity.cloud.apps["image"]


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
