"""The image service as other services call it."""

from collections.abc import AsyncIterator
from typing import Any

from kilonova.kit.http.client import RemoteService, at


class ImageClient:
    """Source: Image API v2 reference."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def show(self, image_id: str, token: str | None = None) -> dict[str, Any]:
        """The image's record as `token`'s owner sees it. Raises RemoteFault (404)."""
        found: dict[str, Any] = await self._remote.request(
            "GET", at("/v2/images/{image_id}", image_id=image_id), token=token
        )
        return found

    async def download(self, image_id: str) -> AsyncIterator[bytes]:
        """The image's data, in chunks."""
        async with self._remote.download(at("/v2/images/{image_id}/file", image_id=image_id)) as chunks:
            async for chunk in chunks:
                yield chunk
