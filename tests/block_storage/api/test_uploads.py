"""Volumes as images: made, filled, refused, taken back."""

from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE

ACTION = "os-volume_upload_image"


async def ask(world: World, volume_id: str, **fields: Any) -> Any:
    return await world.act(volume_id, ACTION, {"image_name": "from-a-volume", **fields})


async def image(world: World, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = body_of(await world.image.get(f"/v2/images/{image_id}"))
    return shown


async def test_a_volume_becomes_an_image_and_is_available_again(world: World) -> None:
    volume_id = (await world.make(name="data"))["id"]
    noted = {"os_type": "linux", "image_id": "an older one", "min_disk": "1", "img_signature": "of other data"}
    body_of(await world.act(volume_id, "os-set_image_metadata", {"metadata": noted}))
    told = body_of(await ask(world, volume_id, disk_format="raw", visibility="shared", protected=True), 202)[ACTION]
    assert (told["id"], told["status"], told["size"]) == (volume_id, "uploading", 1)
    assert (told["image_name"], told["disk_format"], told["container_format"]) == ("from-a-volume", "raw", "bare")
    assert (told["visibility"], told["protected"], told["volume_type"]["name"]) == ("shared", True, "__DEFAULT__")
    waiting = await image(world, told["image_id"])
    assert (waiting["status"], waiting["owner"], waiting["protected"]) == ("queued", world.project_id, False)
    assert (await world.shown(volume_id))["status"] == "uploading"
    twice = await ask(world, volume_id)
    assert twice.status_code == 400 and "is uploading" in twice.text
    for refused in (
        await world.client.delete(f"/v3/volumes/{volume_id}"),
        await world.act(volume_id, "os-force_delete", {}, by=world.admin),
        await world.act(volume_id, "os-reset_status", {"status": "available"}, by=world.admin),
    ):
        assert refused.status_code in (400, 409), refused.text
        assert "being uploaded" in refused.text or "under the operation upload_volume" in refused.text
    await world.run()
    made = await image(world, told["image_id"])
    assert (made["status"], made["disk_format"], made["protected"]) == ("active", "raw", True)
    assert made["os_type"] == "linux" and "image_id" not in made and "img_signature" not in made
    data = await world.image.get(f"/v2/images/{told['image_id']}/file")
    assert data.content == f"volume {volume_id}".encode()
    assert (await world.shown(volume_id))["status"] == "available"
    assert world.uploads.under_way == world.uploads.sent == set()
    assert world.backend.attachments == {}


async def test_visibility_and_protection_came_with_a_version(world: World) -> None:
    volume_id = (await world.make())["id"]
    oldest = {"openstack-api-version": "volume 3.0"}
    url, fields = f"/v3/volumes/{volume_id}/action", {"image_name": "old"}
    refused = await world.client.post(url, json={ACTION: {**fields, "visibility": "shared"}}, headers=oldest)
    assert refused.status_code == 400
    told = body_of(await world.client.post(url, json={ACTION: fields}, headers=oldest), 202)[ACTION]
    assert "visibility" not in told and "protected" not in told
    assert (await image(world, told["image_id"]))["visibility"] == "private"
    await world.run()


async def test_what_cannot_be_uploaded_leaves_no_image(world: World) -> None:
    volume_id = (await world.make())["id"]
    for fields in (
        {"disk_format": "iso"},
        {"container_format": "ova"},
        {"visibility": "secret"},
        {"image_name": "x" * 256},
        {"image_name": ""},
        {"force": "perhaps"},
        {"protected": "perhaps"},
        {"colour": "red"},
    ):
        assert (await ask(world, volume_id, **fields)).status_code == 400, fields
    assert (await ask(world, volume_id, visibility="public")).status_code == 403
    body_of(await world.act(volume_id, "os-reserve", {}), 202)
    refused = await ask(world, volume_id, force=True)
    assert refused.status_code == 400 and "is attaching" in refused.text
    assert body_of(await world.image.get("/v2/images"))["images"] == []
    others = await world.other.post(f"/v3/volumes/{volume_id}/action", json={ACTION: {"image_name": "n"}})
    assert others.status_code == 404
    readers = await world.reader.post(f"/v3/volumes/{volume_id}/action", json={ACTION: {"image_name": "n"}})
    assert readers.status_code == 403


async def test_a_volume_that_a_server_has_is_refused_even_by_force(world: World) -> None:
    volume_id = (await world.make())["id"]
    body_of(await world.act(volume_id, "os-attach", {"instance_uuid": NOWHERE, "mountpoint": "/dev/vdb"}), 202)
    refused = await ask(world, volume_id, force=True)
    assert refused.status_code == 400 and "while a server writes" in refused.text


@pytest.mark.parametrize("is_gone", [False, True], ids=["the host fails", "the image is gone"])
async def test_an_upload_that_fails_takes_the_image_away_and_says_why(world: World, is_gone: bool) -> None:
    volume_id = (await world.make())["id"]
    told = body_of(await ask(world, volume_id, protected=True), 202)[ACTION]
    if is_gone:
        body_of(await world.image.delete(f"/v2/images/{told['image_id']}"), 204)
    else:
        world.uploads.is_broken = "the disk is full"
    await world.run()
    assert (await world.image.get(f"/v2/images/{told['image_id']}")).status_code == 404
    assert (await world.shown(volume_id))["status"] == "available"
    (message,) = await world.messages()
    assert ("could not be uploaded" if is_gone else "the disk is full") in message
    assert world.uploads.under_way == set() and world.backend.attachments == {}
