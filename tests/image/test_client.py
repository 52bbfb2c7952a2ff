"""The client other services use, against the real image service."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from kilonova.image.client import ImageClient
from kilonova.kit.http.client import RemoteFault


async def test_another_service_sees_and_downloads_an_image(client: httpx.AsyncClient, app: Any, identity: Any) -> None:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
    image_id = (await client.post("/v2/images", json=body)).json()["id"]
    octets = {"content-type": "application/octet-stream"}
    await client.put(f"/v2/images/{image_id}/file", content=b"data", headers=octets)
    remote = ImageClient(identity.remote("image", app, "nova"))
    assert (await remote.show(image_id)).status == "active"
    assert (await remote.show(image_id, await identity.token("demo"))).name == "i"
    assert b"".join([chunk async for chunk in remote.download(image_id)]) == b"data"
    for wanted, token in ((str(uuid4()), None), (image_id, await identity.token("other"))):
        with pytest.raises(RemoteFault) as missing:
            await remote.show(wanted, token)
        assert missing.value.status == 404
