"""How a host's agent sends an image its data."""

import asyncio

from kilonova.image.client import ImageClient
from kilonova.kit.disks.uploads import ReadData
from kilonova.kit.host_commands import HostError
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable

ATTEMPTS, PAUSE_SECONDS = 20, 6.0
"""Together longer than the image service waits for an upload that has died."""


async def upload(images: ImageClient, image_id: str, read: ReadData, size_bytes: int) -> None:
    """Sends an image its data. One that waits for an upload which has died waits for a while, and is sent it then.

    Raises HostError.
    """
    for attempt in range(ATTEMPTS):
        try:
            await images.upload(image_id, read, size_bytes)
            return
        except RemoteFault as fault:
            is_over = attempt + 1 == ATTEMPTS
            if is_over or not (fault.status == 409 or isinstance(fault, RemoteUnavailable)):
                raise HostError(f"The image could not be uploaded: {fault.message}") from fault
        await asyncio.sleep(PAUSE_SECONDS)
