"""Images brought to a host: written as they come, and refused unless they are what the image service says of them."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from kilonova.kit.host_commands import HostError

WRITE_BYTES = 1 << 20
"""Chunks are gathered to this before a thread writes and hashes them."""

FetchImage = Callable[[str], AsyncIterator[bytes]]
"""Image id → its data."""


async def download(
    fetch: FetchImage, image_id: str, path: Path, *, size_bytes: int, sha512: str, tell: Callable[[str], None]
) -> None:
    """Writes an image's data to a new file. `tell` gets a phrase now and then that says how far it is.

    Raises HostError unless the data has the size and the hash that are given for it, OSError.
    """
    digest = hashlib.sha512()
    received = 0
    pending = bytearray()
    with await asyncio.to_thread(_create, path) as file:
        async for chunk in fetch(image_id):
            received += len(chunk)
            if received > size_bytes:
                raise HostError(f"Image {image_id} is larger than the {size_bytes} bytes it is said to have.")
            pending += chunk
            if len(pending) >= WRITE_BYTES:
                await asyncio.to_thread(_write, file, digest, bytes(pending))
                pending.clear()
                tell(f"downloading image {image_id}: {100 * received // max(1, size_bytes)} %")
        await asyncio.to_thread(_write, file, digest, bytes(pending))
    if received != size_bytes:
        raise HostError(f"Image {image_id} has {received} bytes instead of the {size_bytes} it is said to have.")
    if digest.hexdigest() != sha512:
        raise HostError(f"Image {image_id} does not have the SHA-512 that the image service gives for it.")


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb", buffering=0)


def _write(file: BinaryIO, digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(data)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
