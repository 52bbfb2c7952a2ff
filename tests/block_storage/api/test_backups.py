"""Stories of backups: made, listed, changed, restored, deleted, refused."""

import asyncio
import base64
from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE


async def ask(world: World, volume_id: str, **fields: Any) -> Any:
    return await world.client.post("/v3/backups", json={"backup": {"volume_id": volume_id, **fields}})


async def with_letters(world: World, content: str = "letters") -> str:
    volume_id: str = (await world.make())["id"]
    world.backend.volumes[volume_id].content = content
    return volume_id


async def restore(world: World, backup_id: str, **fields: Any) -> Any:
    return await world.client.post(f"/v3/backups/{backup_id}/restore", json={"restore": fields})


async def test_a_volume_is_backed_up_and_is_available_again(world: World) -> None:
    volume_id = await with_letters(world)
    answer = body_of(await ask(world, volume_id, name="nightly", description="d", metadata={"a": "b"}), 202)
    backup_id = answer["backup"]["id"]
    assert answer["backup"]["name"] == "nightly" and answer["backup"]["links"]
    assert (await world.shown(volume_id))["status"] == "backing-up"
    assert (await world.shown_backup(backup_id))["status"] == "creating"
    await world.run()
    shown = await world.shown_backup(backup_id)
    assert (shown["status"], shown["size"], shown["container"]) == ("available", 1, "volumebackups")
    assert (shown["is_incremental"], shown["has_dependent_backups"], shown["metadata"]) == (False, False, {"a": "b"})
    assert shown["os-backup-project-attr:project_id"] == world.project_id
    assert (await world.shown(volume_id))["status"] == "available"
    assert world.store.contents == {backup_id: "letters"}
    assert world.backend.attachments == {}
    own = body_of(await world.client.get(f"/v3/backups/{backup_id}"))["backup"]
    assert "os-backup-project-attr:project_id" not in own


async def test_old_versions_do_not_show_what_came_later(world: World) -> None:
    backup = await world.make_backup(await with_letters(world))
    for version, missing in (("3.17", "os-backup-project-attr:project_id"), ("3.42", "metadata"), ("3.55", "user_id")):
        headers = {"openstack-api-version": f"volume {version}"}
        shown = body_of(await world.admin.get(f"/v3/backups/{backup['id']}", headers=headers))["backup"]
        assert missing not in shown and missing in backup
    old = {"openstack-api-version": "volume 3.42"}
    body = {"backup": {"volume_id": backup["volume_id"], "metadata": {"a": "b"}}}
    assert (await world.client.post("/v3/backups", json=body, headers=old)).status_code == 400
    older = {"openstack-api-version": "volume 3.8"}
    change = {"backup": {"name": "new"}}
    answer = await world.client.put(f"/v3/backups/{backup['id']}", json=change, headers=older)
    assert answer.status_code == 404


async def test_backups_are_listed_changed_and_deleted(world: World) -> None:
    volume_id = await with_letters(world)
    first, second = [await world.make_backup(volume_id, name=name) for name in ("one", "two")]
    listed = body_of(await world.client.get("/v3/backups/detail?with_count=true"))
    assert [each["name"] for each in listed["backups"]] == ["two", "one"] and listed["count"] == 2
    listed = body_of(await world.client.get("/v3/backups?name=one&sort=name:asc&limit=1"))
    assert [each["id"] for each in listed["backups"]] == [first["id"]]
    assert body_of(await world.other.get("/v3/backups"))["backups"] == []
    assert (await world.client.get("/v3/backups?colour=red")).status_code == 400
    url = f"/v3/backups/{second['id']}"
    changed = body_of(await world.client.put(url, json={"backup": {"name": "three", "metadata": {"k": "v"}}}))
    assert changed["backup"]["name"] == "three"
    assert (await world.shown_backup(second["id"]))["metadata"] == {"k": "v"}
    assert (await world.client.put(url, json={"backup": {}})).status_code == 400
    body_of(await world.client.delete(url), 202)
    assert (await world.shown_backup(second["id"]))["status"] == "deleting"
    await world.run()
    assert (await world.client.get(url)).status_code == 404
    assert world.store.contents.keys() == {first["id"]}


async def test_a_backup_outlives_its_volume_and_is_restored_to_a_new_one(world: World) -> None:
    volume_id = await with_letters(world)
    change = {"volume": {"metadata": {"colour": "red"}}}
    body_of(await world.client.put(f"/v3/volumes/{volume_id}", json=change))
    body_of(await world.act(volume_id, "os-set_bootable", {"bootable": True}))
    body_of(await world.act(volume_id, "os-set_image_metadata", {"metadata": {"os_distro": "debian"}}))
    backup = await world.make_backup(volume_id)
    body_of(await world.client.delete(f"/v3/volumes/{volume_id}"), 202)
    await world.run()
    told = body_of(await restore(world, backup["id"], name="again"), 202)["restore"]
    assert told["backup_id"] == backup["id"] and told["volume_name"] == "again"
    assert (await world.shown_backup(backup["id"]))["status"] == "restoring"
    await world.run()
    shown = await world.shown(told["volume_id"])
    assert (shown["status"], shown["size"], shown["backup_id"]) == ("available", 1, backup["id"])
    assert (shown["metadata"], shown["bootable"]) == ({"colour": "red"}, "true")
    assert shown["volume_image_metadata"] == {"os_distro": "debian"}
    assert world.backend.volumes[told["volume_id"]].content == "letters"
    assert (await world.shown_backup(backup["id"]))["status"] == "available"
    assert world.backend.attachments == {}


async def test_a_volume_that_is_named_gets_the_backups_content(world: World) -> None:
    volume_id = await with_letters(world)
    backup = await world.make_backup(volume_id)
    world.backend.volumes[volume_id].content = "scrawls"
    body_of(await restore(world, backup["id"], volume_id=volume_id), 202)
    assert (await world.shown(volume_id))["status"] == "restoring-backup"
    forced = await world.act(volume_id, "os-force_delete", {}, by=world.admin)
    assert forced.status_code == 400 and "is being restored" in forced.text
    await world.run()
    assert (await world.shown(volume_id))["status"] == "available"
    assert world.backend.volumes[volume_id].content == "letters"


async def test_a_volume_is_made_of_a_backup(world: World) -> None:
    backup = await world.make_backup(await with_letters(world))
    made = await world.make(backup_id=backup["id"], size=2)
    assert (made["status"], made["size"], made["backup_id"]) == ("available", 2, backup["id"])
    assert world.backend.volumes[made["id"]].content == "letters"
    old = {"openstack-api-version": "volume 3.46"}
    body = {"volume": {"backup_id": backup["id"]}}
    assert (await world.client.post("/v3/volumes", json=body, headers=old)).status_code == 400


async def test_a_restore_that_fails_says_why(world: World) -> None:
    volume_id = await with_letters(world)
    backup = await world.make_backup(volume_id)
    world.store.is_broken = "The chunk 3 is damaged."
    body_of(await restore(world, backup["id"], volume_id=volume_id), 202)
    await world.run()
    assert (await world.shown(volume_id))["status"] == "error_restoring"
    told = body_of(await restore(world, backup["id"]), 202)["restore"]
    await world.run()
    assert (await world.shown(told["volume_id"]))["status"] == "error"
    assert (await world.shown_backup(backup["id"]))["status"] == "available"
    assert await world.messages() == ["The chunk 3 is damaged."] * 2
    assert world.backend.volumes.keys() == {volume_id} and world.backend.attachments == {}


async def test_a_backup_that_fails_gives_its_volume_back(world: World) -> None:
    volume_id = await with_letters(world)
    world.store.is_broken = "The store is full."
    backup = await world.make_backup(volume_id)
    assert (backup["status"], backup["fail_reason"]) == ("error", "The store is full.")
    assert (await world.shown(volume_id))["status"] == "available"
    assert await world.messages() == ["The store is full."]
    refusal = await restore(world, backup["id"])
    assert refusal.status_code == 400 and "is error" in refusal.text


async def test_without_a_service_there_is_no_backup(world: World) -> None:
    volume_id = await with_letters(world)
    backup = await world.make_backup(volume_id, availability_zone="moon")
    assert backup["fail_reason"] == "No backup service in zone moon is up and enabled."
    disabled = {"host": "node1", "binary": "cinder-backup", "disabled_reason": "dust"}
    told = body_of(await world.admin.put("/v3/os-services/disable-log-reason", json=disabled))
    assert (told["binary"], told["status"]) == ("cinder-backup", "disabled")
    backup = await world.make_backup(volume_id)
    assert backup["fail_reason"] == "No backup service is up and enabled."
    listed = body_of(await world.admin.get("/v3/os-services?binary=cinder-backup"))["services"]
    assert [(each["host"], each["status"], each["disabled_reason"]) for each in listed] == [
        ("node1", "disabled", "dust")
    ]


async def test_a_snapshot_is_backed_up_from_a_copy_that_goes(world: World) -> None:
    volume_id = await with_letters(world)
    snapshot = await world.make_snapshot(volume_id)
    world.backend.volumes[volume_id].content = "more"
    body_of(await world.act(volume_id, "os-attach", {"host_name": "node1", "mountpoint": "/mnt"}), 202)
    backup = await world.make_backup(volume_id, snapshot_id=snapshot["id"])
    assert (backup["status"], backup["snapshot_id"]) == ("available", snapshot["id"])
    assert world.store.contents[backup["id"]] == "letters"
    assert world.backend.volumes.keys() == {volume_id}
    shown = body_of(await world.client.get(f"/v3/snapshots/{snapshot['id']}"))["snapshot"]
    assert shown["status"] == "available"


@pytest.mark.parametrize("force", [False, True])
async def test_a_volume_in_use_is_backed_up_by_a_snapshot_alone(world: World, force: bool) -> None:
    volume_id = await with_letters(world)
    body_of(await world.act(volume_id, "os-attach", {"host_name": "node1", "mountpoint": "/mnt"}), 202)
    refusal = await ask(world, volume_id, force=force)
    assert refusal.status_code == 400 and "make a snapshot of it" in refusal.text


async def test_incremental_backups_hold_their_parents(world: World) -> None:
    volume_id = await with_letters(world)
    refusal = await ask(world, volume_id, incremental=True)
    assert refusal.status_code == 400 and "no earlier backup" in refusal.text
    full = await world.make_backup(volume_id, container="vault")
    refusal = await ask(world, volume_id, incremental=True, container="attic")
    assert refusal.status_code == 400 and "container of its parent, vault" in refusal.text
    part = await world.make_backup(volume_id, incremental=True)
    assert (part["is_incremental"], part["container"]) == (True, "vault")
    assert (await world.shown_backup(full["id"]))["has_dependent_backups"] is True
    refusal = await world.client.delete(f"/v3/backups/{full['id']}")
    assert refusal.status_code == 400 and f"{part['id']} depends on" in refusal.text
    for each in (part, full):
        body_of(await world.client.delete(f"/v3/backups/{each['id']}"), 202)
        await world.run()
    assert world.store.contents == {}


async def test_what_cannot_be_backed_up_or_restored_is_refused(world: World) -> None:
    volume_id = await with_letters(world)
    other_id = await with_letters(world)
    snapshot = await world.make_snapshot(other_id)
    assert (await ask(world, NOWHERE)).status_code == 404
    assert "is none of volume" in (await ask(world, volume_id, snapshot_id=snapshot["id"])).text
    assert "The container" in (await ask(world, volume_id, container="../etc")).text
    assert (await ask(world, volume_id, incremental="perhaps")).status_code == 400
    body_of(await ask(world, volume_id), 202)
    assert (await ask(world, volume_id)).status_code == 400
    await world.run()
    big = await world.make(size=2)
    backup = await world.make_backup(big["id"])
    refusal = await restore(world, backup["id"], volume_id=volume_id)
    assert refusal.status_code == 400 and "less than the 2 GiB" in refusal.text
    small = {"volume": {"backup_id": backup["id"], "size": 1}}
    assert "less than the 2 GiB of its backup" in (await world.client.post("/v3/volumes", json=small)).text
    two = {"volume": {"backup_id": backup["id"], "source_volid": volume_id}}
    assert "one source" in (await world.client.post("/v3/volumes", json=two)).text
    assert (await world.shown_backup(backup["id"]))["status"] == "available"


async def test_no_backup_begins_to_depend_on_one_that_is_being_deleted(world: World) -> None:
    """Both are asked for at once, in either order: one of them is refused."""
    for turn in range(4):
        volume_id = await with_letters(world)
        full = await world.make_backup(volume_id)
        world.clock.advance(1)
        delete = world.client.delete(f"/v3/backups/{full['id']}")
        create = ask(world, volume_id, incremental=True)
        both = (delete, create) if turn % 2 else (create, delete)
        statuses = [answer.status_code for answer in await asyncio.gather(*both)]
        assert sorted(statuses)[0] == 202 and sorted(statuses)[1] in (400, 409), statuses
        await world.run()


async def test_quotas_hold_under_requests_at_once(world: World) -> None:
    volumes = [await with_letters(world) for _ in range(3)]
    limits = {"quota_set": {"backups": 2}}
    body_of(await world.admin.put(f"/v3/os-quota-sets/{world.project_id}", json=limits))
    answers = await asyncio.gather(*(ask(world, each) for each in volumes))
    assert sorted(each.status_code for each in answers) == [202, 202, 413]
    used = body_of(await world.client.get("/v3/limits"))["limits"]["absolute"]
    assert (used["totalBackupsUsed"], used["totalBackupGigabytesUsed"]) == (2, 2)
    await world.run()
    shown = [(await world.shown(each))["status"] for each in volumes]
    assert shown == ["available"] * 3
    limits = {"quota_set": {"backups": 9, "backup_gigabytes": 2}}
    body_of(await world.admin.put(f"/v3/os-quota-sets/{world.project_id}", json=limits))
    refusal = await ask(world, volumes[0])
    assert refusal.status_code == 413 and "backup_gigabytes" in refusal.text


async def test_administrators_reset_a_status_and_delete_by_force(world: World) -> None:
    volume_id = await with_letters(world)
    backup_id = body_of(await ask(world, volume_id), 202)["backup"]["id"]
    url = f"/v3/backups/{backup_id}/action"
    busy = await world.admin.post(url, json={"os-reset_status": {"status": "error"}})
    assert busy.status_code == 409
    assert (await world.client.post(url, json={"os-force_delete": {}})).status_code == 403
    body_of(await world.admin.post(url, json={"os-force_delete": {}}), 202)
    await world.run()
    assert await world.shown_backup(backup_id) == {}
    assert (await world.shown(volume_id))["status"] == "available"
    assert world.store.contents == {} and world.backend.attachments == {}
    backup = await world.make_backup(volume_id)
    url = f"/v3/backups/{backup['id']}/action"
    for status in ("creating", "golden"):
        assert (await world.admin.post(url, json={"os-reset_status": {"status": status}})).status_code == 400
    assert (await world.admin.post(url, json={"os-reset_status": {}})).status_code == 400
    body_of(await world.admin.post(url, json={"os-reset_status": {"status": "error"}}), 202)
    assert (await world.shown_backup(backup["id"]))["status"] == "error"


async def test_a_service_that_is_silent_fails_the_backup(world: World) -> None:
    volume_id = await with_letters(world)
    backup_id = body_of(await ask(world, volume_id), 202)["backup"]["id"]
    world.silence_backups()
    await world.run()
    assert (await world.shown_backup(backup_id))["status"] == "error"
    assert (await world.shown(volume_id))["status"] == "available"


async def exported(world: World, backup_id: str) -> dict[str, Any]:
    record: dict[str, Any] = body_of(await world.admin.get(f"/v3/backups/{backup_id}/export_record"))
    return record


async def test_a_record_is_exported_and_imported(world: World) -> None:
    volume_id = await with_letters(world)
    backup = await world.make_backup(volume_id, name="nightly", metadata={"a": "b"}, container="vault")
    record = await exported(world, backup["id"])
    again = await world.admin.post("/v3/backups/import_record", json=record)
    assert again.status_code == 409 and "is here already" in again.text
    body_of(await world.client.delete(f"/v3/backups/{backup['id']}"), 202)
    await world.run()
    world.store.contents[backup["id"]] = "letters"
    told = body_of(await world.admin.post("/v3/backups/import_record", json=record), 201)["backup"]
    assert (told["id"], told["name"]) == (backup["id"], "nightly")
    assert (await world.shown_backup(backup["id"]))["status"] == "creating"
    await world.run()
    shown = await world.shown_backup(backup["id"])
    assert (shown["status"], shown["container"], shown["metadata"]) == ("available", "vault", {"a": "b"})
    answer = await world.admin.post(f"/v3/backups/{backup['id']}/restore", json={"restore": {}})
    restored_id = body_of(answer, 202)["restore"]["volume_id"]
    await world.run()
    assert world.backend.volumes[restored_id].content == "letters"


async def test_a_record_whose_content_is_nowhere_is_an_error(world: World) -> None:
    backup = await world.make_backup(await with_letters(world))
    record = await exported(world, backup["id"])
    body_of(await world.client.delete(f"/v3/backups/{backup['id']}"), 202)
    await world.run()
    body_of(await world.admin.post("/v3/backups/import_record", json=record), 201)
    await world.run()
    shown = await world.shown_backup(backup["id"])
    assert (shown["status"], shown["fail_reason"]) == ("error", f"There is no backup {backup['id']} here.")


async def test_what_is_no_record_is_not_imported(world: World) -> None:
    volume_id = await with_letters(world)
    full = await world.make_backup(volume_id)
    part = await world.make_backup(volume_id, incremental=True)
    record = await exported(world, part["id"])
    for each in (part, full):
        body_of(await world.client.delete(f"/v3/backups/{each['id']}"), 202)
        await world.run()

    async def refused(words: str, **fields: str) -> None:
        body = {"backup-record": {**record["backup-record"], **fields}}
        answer = await world.admin.post("/v3/backups/import_record", json=body)
        assert answer.status_code == 400 and words in answer.text, answer.text

    await refused("import that one first")
    await refused("cannot be read here", backup_service="cinder.backup.drivers.swift")
    await refused("not the record", backup_url="e30=")
    await refused("not the record", backup_url="§")
    text = base64.b64decode(record["backup-record"]["backup_url"]).replace(b"volumebackups", b"../etc")
    await refused("names the container", backup_url=base64.b64encode(text).decode())
    assert (await world.client.post("/v3/backups/import_record", json=record)).status_code == 403
    body_of(await ask(world, volume_id), 202)
    (backup,) = body_of(await world.client.get("/v3/backups"))["backups"]
    assert (await world.admin.get(f"/v3/backups/{backup['id']}/export_record")).status_code == 400
    assert (await world.client.get(f"/v3/backups/{backup['id']}/export_record")).status_code == 403


async def test_no_record_is_imported_that_depends_on_a_backup_that_is_being_deleted(world: World) -> None:
    """Both are asked for at once, in either order: one of them is refused."""
    volume_id = await with_letters(world)
    made = [await world.make_backup(volume_id), await world.make_backup(volume_id, incremental=True)]
    full, part = [await exported(world, each["id"]) for each in made]
    for turn in range(4):
        for each in reversed(made):
            await world.admin.delete(f"/v3/backups/{each['id']}")
            await world.run()
        world.store.contents.update({each["id"]: "letters" for each in made})
        body_of(await world.admin.post("/v3/backups/import_record", json=full), 201)
        await world.run()
        delete = world.admin.delete(f"/v3/backups/{made[0]['id']}")
        add = world.admin.post("/v3/backups/import_record", json=part)
        statuses = [answer.status_code for answer in await asyncio.gather(*((delete, add)[:: 1 if turn % 2 else -1]))]
        assert sorted(statuses)[0] in (201, 202) and sorted(statuses)[1] in (400, 409), statuses
        await world.run()


async def test_a_record_does_not_begin_to_depend_on_what_is_deleted(world: World) -> None:
    volume_id = await with_letters(world)
    made = [await world.make_backup(volume_id), await world.make_backup(volume_id, incremental=True)]
    full, part = [await exported(world, each["id"]) for each in made]
    for each in reversed(made):
        body_of(await world.admin.delete(f"/v3/backups/{each['id']}"), 202)
        await world.run()
    world.store.contents.update({each["id"]: "letters" for each in made})
    body_of(await world.admin.post("/v3/backups/import_record", json=full), 201)
    await world.run()
    body_of(await world.admin.delete(f"/v3/backups/{made[0]['id']}"), 202)
    refused = await world.admin.post("/v3/backups/import_record", json=part)
    assert refused.status_code == 400 and "no other one can depend on it" in refused.text


async def test_what_is_being_backed_up_is_nobody_elses(world: World) -> None:
    volume_id = await with_letters(world)
    snapshot = await world.make_snapshot(volume_id)
    body_of(await ask(world, volume_id), 202)
    body_of(await ask(world, volume_id, snapshot_id=snapshot["id"]), 202)
    reset = {"os-reset_status": {"status": "available"}}
    for path in (f"volumes/{volume_id}", f"snapshots/{snapshot['id']}"):
        for action in (reset, {"os-force_delete": {}}):
            answer = await world.admin.post(f"/v3/{path}/action", json=action)
            assert answer.status_code == 409 and "is being backed up" in answer.text, answer.text
    assert (await world.act(volume_id, "os-attach", {"host_name": "n", "mountpoint": "/m"})).status_code == 400
    assert (await world.client.delete(f"/v3/snapshots/{snapshot['id']}")).status_code == 409
    await world.run()
    assert len(world.store.contents) == 2
    body_of(await world.client.delete(f"/v3/volumes/{volume_id}?cascade=true"), 202)
    await world.run()
    assert world.backend.volumes == {}
