"""SIGKILL to a process that takes in an image: the next one finds it waiting for its data, or whole, and no more."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from kilonova.image import recovery
from kilonova.image.recovery import Recovered
from kilonova.image.service import Image
from tests.image.conftest import after_the_lease
from tests.image.dying import DATA, POINTS
from tools.stages import ROOT

OCTETS = {"content-type": "application/octet-stream"}


@pytest.mark.parametrize("point", POINTS)
async def test_an_upload_that_dies_anywhere_leaves_an_image_that_waits_or_one_that_is_whole(
    client: httpx.AsyncClient, image: Image, tmp_path: Path, point: str
) -> None:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    url: str = (await client.post("/v2/images", json=body)).json()["self"]
    image_id = url.rpartition("/")[2]
    url_of_database = image.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.image.dying", url_of_database, str(tmp_path), image_id, point]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == (0 if point == "never" else -signal.SIGKILL), done.stderr
    assert await recovery.recover(image) == Recovered([], [])
    await recovery.recover(after_the_lease(image))
    shown = (await client.get(url)).json()
    if point == "never":
        (name,) = await image.store.names()
        assert shown["status"] == "active"
        assert name.startswith(f"{image_id}.")
    else:
        assert (shown["status"], shown["size"], await image.store.names()) == ("queued", None, set())
        assert (await client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
    assert (await client.get(f"{url}/file")).content == DATA
