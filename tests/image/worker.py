"""One of several processes of an image service: `worker.py DATABASE_URL DIRECTORY PORT LEASE_SECONDS`.

The service is the part of the command line, on the database and the images' directory of all of them. Every token is an
administrator's.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import uvicorn
from sqlalchemy import MetaData

from kilonova.kit.auth import RequestContext
from kilonova.kit.clock import SystemClock
from kilonova.kit.db import Database
from tests import worlds


class AnyToken:
    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        now = datetime.now(UTC)
        return RequestContext(
            user_id=token,
            user_name=token,
            user_domain_id="default",
            project_id="demo",
            roles=frozenset(["admin"]),
            issued_at=now,
            expires_at=now + timedelta(hours=1),
        )


class HastyClock(SystemClock):
    """Chores are done a hundred times as often."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


def no_session(user: str) -> NoReturn:
    raise RuntimeError(f"{user} has nothing to ask of identity")


async def run(url: str, directory: str, port: int, lease_seconds: float) -> None:
    def database(service: str, metadata: MetaData) -> Database:
        return Database(url, metadata)

    cloud = worlds.CloudInProcess(
        make_database=database,
        make_session=no_session,
        settings={"glance_store": {"filesystem_store_datadir": directory}},
        authenticator=AnyToken(),
        clock=HastyClock(),
    )
    await cloud.add(worlds.image.API)
    cloud.services["image"].upload_lease = timedelta(seconds=lease_seconds)
    config = uvicorn.Config(cloud.apps["image"], host="127.0.0.1", port=port, log_level="error", lifespan="off")
    await asyncio.gather(uvicorn.Server(config).serve(), *(work() for work in cloud.work))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
