"""createImage and createBackup: the image there is at once, what its record says, and who and what is refused."""

from typing import Any

import pytest

from kilonova.compute.tables import tasks

IMAGE_ID = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"
"""The id of the image that inserted servers are made from."""


async def recorded(nova: Any, image_id: str, by: str = "demo") -> dict[str, Any]:
    shown: dict[str, Any] = nova.body_of(await (await nova.imaging(by)).get(f"/v2/images/{image_id}"), 200)
    return shown


async def images_of(nova: Any) -> list[str]:
    listed = nova.body_of(await (await nova.imaging("admin")).get("/v2/images?image_type=snapshot"), 200)
    return [each["name"] for each in listed["images"]]


def wish(name: str = "copy", **fields: Any) -> dict[str, Any]:
    return {"createImage": {"name": name, **fields}}


def backup(rotation: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"createBackup": {"name": "copy", "backup_type": "daily", "rotation": rotation, **fields}}


@pytest.mark.parametrize(
    ("body", "program", "task_state"),
    [(wish(), "snapshot", "image_snapshot"), (backup(), "backup", "image_backup")],
)
async def test_the_image_waits_for_its_data_and_the_server_goes_on(
    nova: Any, body: dict[str, Any], program: str, task_state: str
) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    await nova.refused("POST", f"{url}/action", 404, by="other", json=body)
    await nova.refused("POST", f"{url}/action", 403, by="reader", json=body)
    made = await nova.call("POST", f"{url}/action", 202, json=body)
    shown = (await nova.call("GET", url))["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", task_state)
    image = await recorded(nova, made["image_id"])
    assert (image["name"], image["status"], image["visibility"]) == ("copy", "queued", "private")
    assert image["owner"] == server.project_id
    async with nova.service.database.reading() as tx:
        (task, _build) = await tasks.of_subject(tx, server.id)
    assert (task.program, task.args["image_id"]) == (program, made["image_id"])
    assert f"task_state {task_state}" in await nova.refused("POST", f"{url}/action", 409, json=body)
    (done, _created) = (await nova.call("GET", f"{url}/os-instance-actions"))["instanceActions"]
    assert done["action"] in body


async def test_the_record_says_where_the_image_comes_from(nova: Any) -> None:
    properties = {"hw_disk_bus": "scsi", "cache_in_nova": "yes", "img_signature": "x", "instance_uuid": "another"}
    image = {"id": IMAGE_ID, "min_disk_gib": 3, "min_ram_mib": 64, "properties": properties}
    server = await nova.insert_server(image=image)
    wanted = wish(metadata={"purpose": "test", "hw_rng_model": "virtio"})
    made = await nova.call("POST", f"/servers/{server.id}/action", 202, json=wanted)
    shown = await recorded(nova, made["image_id"])
    assert (shown["min_disk"], shown["min_ram"]) == (3, 64)
    assert (shown["image_type"], shown["base_image_ref"], shown["instance_uuid"]) == ("snapshot", IMAGE_ID, server.id)
    assert (shown["user_id"], shown["owner_id"]) == (server.user_id, server.project_id)
    assert (shown["owner_user_name"], shown["owner_project_name"]) == ("demo", "demo")
    assert "member" in shown["boot_roles"].split(",")
    assert (shown["image_location"], shown["image_state"]) == ("snapshot", "available")
    assert (shown["hw_disk_bus"], shown["purpose"], shown["hw_rng_model"]) == ("scsi", "test", "virtio")
    assert not {"cache_in_nova", "img_signature"} & set(shown)


@pytest.mark.parametrize("state", ["stopped", "paused", "suspended"])
async def test_images_are_made_in_these_states_too(nova: Any, state: str) -> None:
    server = await nova.insert_server(vm_state=state)
    await nova.call("POST", f"/servers/{server.id}/action", 202, json=wish())


@pytest.mark.parametrize("body", [wish(), backup()])
async def test_in_other_states_no_image_is_left(nova: Any, body: dict[str, Any]) -> None:
    server = await nova.insert_server(vm_state="error")
    told = await nova.refused("POST", f"/servers/{server.id}/action", 409, json=body)
    assert told == f"Cannot '{next(iter(body))}' instance {server.id} while it is in vm_state error"
    missing = "/servers/5a6b9b56-0000-4f9c-a1b1-4d0c8c7c0f11/action"
    await nova.refused("POST", missing, 404, json=body)
    assert await images_of(nova) == []


async def test_an_image_whose_task_is_refused_is_deleted_again(nova: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await nova.insert_server()
    create = nova.service.image.create

    async def create_slowly(*arguments: Any) -> Any:
        made = await create(*arguments)
        await nova.call("POST", f"/servers/{server.id}/action", 202, json={"pause": None})
        return made

    monkeypatch.setattr(nova.service.image, "create", create_slowly)
    assert "pausing" in await nova.refused("POST", f"/servers/{server.id}/action", 409, json=wish())
    assert await images_of(nova) == []


async def test_before_2_45_the_image_is_named_in_the_location(nova: Any) -> None:
    server = await nova.insert_server()
    headers = {"openstack-api-version": "compute 2.44"}
    client = await nova.api("demo")
    answer = await client.post(f"/v2.1/servers/{server.id}/action", json=wish(), headers=headers)
    assert (answer.status_code, answer.content) == (202, b"")
    image_id = answer.headers["location"].rpartition("/images/")[2]
    assert (await recorded(nova, image_id))["status"] == "queued"


async def test_a_backup_of_which_none_stays_makes_no_image(nova: Any) -> None:
    server = await nova.insert_server()
    headers = {"openstack-api-version": "compute 2.44"}
    answer = await (await nova.api("demo")).post(f"/v2.1/servers/{server.id}/action", json=backup(0), headers=headers)
    assert answer.status_code == 202 and "location" not in answer.headers
    assert await images_of(nova) == []


async def test_too_many_notes_are_a_matter_of_the_quota_until_2_39(nova: Any) -> None:
    server = await nova.insert_server()
    project = server.project_id
    await nova.call("PUT", f"/os-quota-sets/{project}", by="admin", json={"quota_set": {"metadata_items": 1}})
    body = wish(metadata={"a": "1", "b": "2"})
    told = await nova.refused("POST", f"/servers/{server.id}/action", 403, version="2.38", json=body)
    assert told == "Maximum number of metadata items exceeds 1"
    await nova.call("POST", f"/servers/{server.id}/action", 202, version="2.39", json=body)


@pytest.mark.parametrize(
    "body",
    [
        wish(""),
        wish(" copy"),
        wish("x" * 256),
        {"createImage": {}},
        {"createImage": None},
        wish(metadata={"key": 1}),
        wish(metadata={"key": "x" * 256}),
        wish(metadata={"": "x"}),
        wish(metadata={"status": "active"}),
        wish(metadata={"owner": "somebody"}),
        wish(more="x"),
        backup(-1),
        backup("-1"),
        backup("many"),
        backup(1 << 40),
        backup(1, backup_type="x" * 256),
        {"createBackup": {"name": "copy", "backup_type": "daily"}},
    ],
)
async def test_bad_wishes_are_refused(nova: Any, body: dict[str, Any]) -> None:
    server = await nova.insert_server()
    await nova.refused("POST", f"/servers/{server.id}/action", 400, json=body)
    assert await images_of(nova) == []
