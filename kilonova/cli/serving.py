"""Serving one API with uvicorn, on a socket that is open already."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp


class ApiServer(uvicorn.Server):
    """Signals belong to the process, not to any one of its servers."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                http="httptools",
                ws="none",
                timeout_graceful_shutdown=3,
                h11_max_incomplete_event_size=65536,
            )
        )
        self.name = name

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def wait_until_started(servers: Sequence[ApiServer]) -> None:
    while not all(each.started for each in servers):  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
