"""An API as an ASGI application that opens and closes itself by the server's lifespan messages.

It reads the files that its daemon reads: those named in `KILONOVA_CONFIG_FILES` (separated by colons), else the default
places. What the daemon does beside its API runs here too, so the server has to speak lifespan (`--lifespan on`).
Source: the ASGI specification, lifespan protocol.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from kilonova.cli.daemons.files import read
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.process import prepare
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.parts.part import Part, Work
from kilonova.kit import log
from kilonova.kit.config import ConfigError
from kilonova.kit.loop_lag import LoopLag

VARIABLE = "KILONOVA_CONFIG_FILES"


@dataclass
class Application:
    """`api` is the name of the one that is served, where the daemon has several."""

    part: Part
    api: str
    _app: ASGIApp | None = field(default=None, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            raise RuntimeError(f"{self.part.program} was not started: the server has to speak lifespan (--lifespan on)")
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as closing:
            try:
                work = await self._open(closing)
            except (ConfigError, NotReady) as error:
                await send({"type": "lifespan.startup.failed", "message": f"{self.part.program}: {error}"})
                return
            working = [asyncio.ensure_future(each()) for each in (LoopLag().watch, *work)]
            for task in working:
                task.add_done_callback(self._end_with)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            for task in working:
                task.remove_done_callback(self._end_with)
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            self._app = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, closing: AsyncExitStack) -> Sequence[Work]:
        """Builds the part, and returns what it does beside its API."""
        files = [each for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
        words = [word for file in files for word in ("--config-file", file)]
        found = read(self.part.program, self.part.project, self.part.options, words)
        log.configure("DEBUG" if found.config.debug else "INFO")
        ground = FilesGround(found)
        await closing.enter_async_context(ground.closing)
        running = await prepare(found, self.part, ground)
        apps = {each.name: each.app for each in running.apis}
        if self.api not in apps:
            raise ConfigError(f"[DEFAULT] enabled_apis leaves {self.api} out: there are {', '.join(apps) or 'none'}")
        self._app = apps[self.api]
        return running.work

    def _end_with(self, task: "asyncio.Future[None]") -> None:
        """Work ends only by failing: the process ends with it, and its server starts it again."""
        log.logger(__name__).error(
            "work of the daemon has ended", program=self.part.program, error=repr(task.exception())
        )
        os.kill(os.getpid(), signal.SIGTERM)
