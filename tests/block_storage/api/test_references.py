"""Every part of a body that names a thing, with what comes of naming somebody else's.

Each text of each body is in `REFERENCES` or in `PLAIN`: whoever adds one says which it is. Each line is tried by a
member of the project `other` with a thing of his own, with one of the project `demo`, and with one that is nowhere:
what is not his is as if it were not there.
"""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from kilonova.block_storage.app import ATTACHMENT, BACKUP, ROUTES, SNAPSHOT, TYPE, VOLUME
from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE, Place, places_of

ACTION = f"{VOLUME}/action"
REFERENCES: Mapping[Place, tuple[int, int]] = {
    ("POST", "/v3/volumes", "volume.snapshot_id"): (202, 404),
    ("POST", "/v3/volumes", "volume.source_volid"): (202, 404),
    ("POST", "/v3/volumes", "volume.imageRef"): (202, 400),
    ("POST", "/v3/volumes", "volume.image_id"): (202, 400),
    ("POST", "/v3/volumes", "volume.volume_type"): (202, 404),
    ("POST", "/v3/volumes", "volume.backup_id"): (202, 404),
    ("POST", "/v3/snapshots", "snapshot.volume_id"): (202, 404),
    ("POST", "/v3/backups", "backup.volume_id"): (202, 404),
    ("POST", "/v3/backups", "backup.snapshot_id"): (202, 404),
    ("POST", f"{BACKUP}/restore", "restore.volume_id"): (202, 404),
    ("POST", "/v3/attachments", "attachment.volume_uuid"): (200, 404),
    ("POST", "/v3/volume-transfers", "transfer.volume_id"): (202, 404),
    ("POST", "/v3/os-volume-transfer", "transfer.volume_id"): (202, 404),
    ("POST", ACTION, "revert.snapshot_id"): (202, 404),
    ("POST", ACTION, "os-retype.new_type"): (202, 404),
    ("POST", ACTION, "os-detach.attachment_id"): (202, 404),
}
"""The place → (what a member hears of a thing of his own, of one that is not his)."""
ADMINISTRATORS = {
    ("POST", ACTION, "os-force_detach.attachment_id"),
    ("POST", f"{TYPE}/action", "addProjectAccess.project"),
    ("POST", f"{TYPE}/action", "removeProjectAccess.project"),
    ("PUT", "/v3/default-types/{project_id}", "default_type.volume_type"),
    ("POST", "/v3/backups/import_record", "backup-record.backup_url"),
}
"""Who may name these sees everything; a project is any text: upstream does not ask identity either."""
NOT_SERVED = {f"volume.{name}" for name in ("consistencygroup_id", "group_id", "source_replica")}
SERVERS = {"attachment.instance_uuid", "os-attach.instance_uuid"}
"""A server's id is compute's to know: here it is a text that is shown to who may see the volume."""
PLAIN = {"name", "display_name", "description", "display_description", "metadata", "availability_zone", "size"}
WORDS = {
    "OS-SCH-HNT:scheduler_hints", "scheduler_hints", "connector", "mountpoint", "host_name", "host", "binary",
    "service",
    "disabled_reason", "status", "attach_status", "migration_status", "mode", "key", "meta", "extra_specs", "is_public",
    "os-volume-type-access:is_public", "bootable", "readonly", "new_size", "force", "quota_set", "quota_class_set",
    "multiattach", "no_snapshots", "auth_key", "keys[]", "consumer", "container", "incremental",
    "backup_service", "image_name", "protected",
}  # fmt: skip
"""Texts and words of their own. Volumes in hints are looked for among the project's alone, and a key is a secret: who
has it may take what it is for.
"""


def is_plain(part: str) -> bool:
    last = part.rpartition(".")[2]
    return last in PLAIN | WORDS or part in NOT_SERVED | SERVERS


def test_the_table_is_complete() -> None:
    found = {place for place in places_of(ROUTES) if "." in place[2] and not is_plain(place[2])}
    assert found == REFERENCES.keys() | ADMINISTRATORS


@pytest.fixture
async def named(world: World, identity: Any) -> dict[str, Any]:
    """Each kind of thing, as (own, demo's), and a volume of `other`."""
    things: dict[str, Any] = {}
    for who, client, image in (
        ("theirs", world.client, world.image),
        ("own", world.other, await identity.client_for(identity.cloud.apps["image"], "other")),
    ):
        volume = await world.make(client)
        body = {"snapshot": {"volume_id": volume["id"]}}
        snapshot_id = body_of(await client.post("/v3/snapshots", json=body), 202)["snapshot"]["id"]
        await world.run()
        backup = await world.make_backup(volume["id"], client)
        held = await world.make(client)
        body = {"attachment": {"volume_uuid": held["id"], "instance_uuid": NOWHERE}}
        attachment_id = body_of(await client.post("/v3/attachments", json=body))["attachment"]["id"]
        connector = {"attachment": {"connector": {"host": "node1"}}}
        body_of(await client.put(f"/v3/attachments/{attachment_id}", json=connector))
        body_of(await client.post(f"/v3/attachments/{attachment_id}/action", json={"os-complete": {}}), 204)
        fields = {"name": "i", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
        image_id = body_of(await image.post("/v2/images", json=fields), 201)["id"]
        headers = {"content-type": "application/octet-stream"}
        body_of(await image.put(f"/v2/images/{image_id}/file", content=b"x", headers=headers), 204)
        private = {"volume_type": {"name": who, "os-volume-type-access:is_public": False}}
        type_id = body_of(await world.admin.post("/v3/types", json=private))["volume_type"]["id"]
        project_id = volume["os-vol-tenant-attr:tenant_id"]
        access = {"addProjectAccess": {"project": project_id}}
        body_of(await world.admin.post(f"/v3/types/{type_id}/action", json=access), 202)
        things[who] = {
            "volume": volume["id"],
            "held": held["id"],
            "snapshot_id": snapshot_id,
            "backup_id": backup["id"],
            "attachment_id": attachment_id,
            "image": image_id,
            "type": type_id,
        }
    return things


def kind_of(place: Place) -> str:
    last = place[2].rpartition(".")[2]
    return {
        "source_volid": "volume",
        "volume_id": "volume",
        "volume_uuid": "volume",
        "imageRef": "image",
        "image_id": "image",
        "volume_type": "type",
        "new_type": "type",
    }.get(last, last)


async def attempt(by: httpx.AsyncClient, own: dict[str, str], place: Place, value: str) -> httpx.Response:
    outer, _, inner = place[2].partition(".")
    fields: dict[str, Any] = {inner: value}
    if place[1] == "/v3/volumes" and inner != "snapshot_id" and inner != "source_volid":
        fields["size"] = 1
    if inner == "snapshot_id" and outer == "backup":
        fields["volume_id"] = own["volume"]
    path = place[1].format(volume_id=own["held" if inner == "attachment_id" else "volume"], backup_id=own["backup_id"])
    return await by.request(place[0], path, json={outer: fields})


@pytest.mark.parametrize("place", REFERENCES, ids=" ".join)
async def test_nobody_names_what_is_not_for_him(world: World, named: dict[str, Any], place: Place) -> None:
    taken, refused = REFERENCES[place]
    kind, own = kind_of(place), named["own"]
    before = body_of(await world.client.get("/v3/volumes/detail")), body_of(await world.client.get("/v3/snapshots"))
    answers = []
    for value in (named["theirs"][kind], NOWHERE):
        answer = await attempt(world.other, own, place, value)
        assert answer.status_code == refused, answer.text
        answers.append(answer.text.replace(value, "…"))
    assert answers[0] == answers[1], "what is refused says whether it is there"
    assert (await attempt(world.other, own, place, own[kind])).status_code == taken
    after = body_of(await world.client.get("/v3/volumes/detail")), body_of(await world.client.get("/v3/snapshots"))
    assert after == before


@pytest.mark.parametrize("path", [VOLUME, SNAPSHOT, ATTACHMENT, BACKUP])
async def test_a_path_that_names_what_is_not_ones_own_names_nothing(
    world: World, named: dict[str, Any], path: str
) -> None:
    theirs = named["theirs"]
    ids = {"volume_id": theirs["volume"], **theirs}
    there, nowhere = path.format(**ids), path.format(**dict.fromkeys(ids, NOWHERE))
    answers = [await world.other.get(each) for each in (there, nowhere)]
    assert [each.status_code for each in answers] == [404, 404]
    texts = [
        each.text.replace(url.rpartition("/")[2], "…") for each, url in zip(answers, (there, nowhere), strict=True)
    ]
    assert texts[0] == texts[1]
