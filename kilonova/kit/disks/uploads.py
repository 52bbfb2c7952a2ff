"""Disks of a host that become images: their files, read as the image service takes them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

READ_BYTES = 1 << 20

ReadData = Callable[[], AsyncIterator[bytes]]
"""Reads the data from the beginning, whenever it is called."""
UploadImage = Callable[[str, ReadData, int], Awaitable[None]]
"""Given an image's id, what reads its data, and how many bytes they are: sends them to the image service.

Ok when the image has its data already. Raises HostError with the reason.
"""


def reading(path: Path, tell: Callable[[int], None]) -> ReadData:
    """Returns what reads a file; `tell` gets the number of bytes that were taken so far."""

    async def read() -> AsyncIterator[bytes]:
        taken = 0
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, READ_BYTES):
                yield chunk
                taken += len(chunk)
                tell(taken)

    return read
