"""An image service that knows a few images: as much of the Image API as creating a server asks for."""

import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GIB = 1 << 30


class ImageShelf:
    """Images by id; `put` adds one."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.app = Starlette(routes=[Route("/v2/images/{image_id}", self._show)])

    def put(self, **fields: Any) -> dict[str, Any]:
        image: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "name": "cirros",
            "status": "active",
            "disk_format": "qcow2",
            "container_format": "bare",
            "size": 12_716_032,
            "virtual_size": GIB,
            "min_ram": 0,
            "min_disk": 0,
            "os_hash_algo": "sha512",
            "os_hash_value": "ab" * 64,
            "checksum": "cd" * 16,
            "visibility": "public",
            "owner": "nobody",
            "protected": False,
            "tags": [],
            "created_at": "2026-11-20T08:00:00Z",
            "updated_at": "2026-11-20T08:00:00Z",
            "schema": "/v2/schemas/image",
            "file": "/v2/images/x/file",
            "self": "/v2/images/x",
            **fields,
        }
        self.images[image["id"]] = image
        return image

    async def _show(self, request: Request) -> Response:
        image = self.images.get(request.path_params["image_id"])
        if image is None or "x-auth-token" not in request.headers:
            return Response("<html><body>No image found</body></html>", status_code=404, media_type="text/html")
        return JSONResponse(image)
