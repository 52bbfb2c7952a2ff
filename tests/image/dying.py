"""A process that takes in an image's data and is killed on the way: `dying.py DATABASE_URL DIRECTORY IMAGE_ID POINT`.

Its store is `images` in the directory.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from kilonova.image import images, leases, tables, uploads
from kilonova.image.images import Viewer
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore, IncomingFile
from kilonova.kit.db import Database

DATA = bytes(range(256)) * (3 << 12)
"""Three batches."""

POINTS = ("before begin", "after begin", "after write", "before commit", "after commit", "never")


def die(*_arguments: Any, **_named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def plan(point: str) -> None:
    """Puts the death before or after a method of what touches the disk."""
    when, _, name = point.partition(" ")
    if when == "never":
        return
    owner: Any = FileStore if name == "begin" else IncomingFile
    method: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def mortal(*arguments: Any) -> Any:
        if when == "before":
            die()
        await method(*arguments)
        die()

    setattr(owner, name, mortal)


async def data() -> AsyncIterator[bytes]:
    for start in range(0, len(DATA), 1 << 16):
        yield DATA[start : start + (1 << 16)]


async def run(url: str, directory: Path, image_id: str) -> None:
    database = Database(url, tables.metadata)
    service = Image(database, FileStore(directory / "images"))
    async with database.transaction() as tx:
        record = await images.find(tx, image_id, Viewer(None, True))
        now = service.clock.now()
        upload = await leases.begin(tx, record.row, "file", now, now + service.upload_lease)
    await uploads.take_in(service, record.row, upload, data())


if __name__ == "__main__":
    plan(sys.argv[4])
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
