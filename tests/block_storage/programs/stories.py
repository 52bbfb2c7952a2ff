"""Stories of block storage's programs: what leads to their beginning, who asks for them, which steps they take.

The crash harness goes through every story, dying at each of its steps; `tests/test_programs.py` finds what no story
goes through.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.conftest import body_of

World = Any
Begin = Callable[[World], Awaitable[str]]
"""Asks for the operation; returns the id of the volume that it is about, or whose snapshot."""

ON_FIRE = "the disk is on fire"


@dataclass(frozen=True)
class Story:
    name: str
    program: str
    steps: tuple[str, ...]
    begin: Begin
    status: str
    """The volume's in the end; empty: it is gone."""
    snapshots: tuple[str, ...] = ()
    """The statuses of its snapshots in the end."""
    content: str | None = ""
    """The data that the back end has in the end; None: it has no volume."""
    backups: tuple[str, ...] = ()
    """The statuses of the project's backups in the end."""
    images: tuple[str, ...] = ()
    """The statuses of its images in the end."""
    backends: int = 1


async def ask(world: World, **fields: Any) -> str:
    response = await world.client.post("/v3/volumes", json={"volume": {"size": 1, **fields}})
    volume_id: str = body_of(response, 202)["volume"]["id"]
    return volume_id


async def create_blank(world: World) -> str:
    return await ask(world)


async def create_copy(world: World) -> str:
    source = await world.make()
    world.backend.volumes[source["id"]].content = "letters"
    return await ask(world, source_volid=source["id"])


async def create_where_disks_burn(world: World) -> str:
    for backend in world.backends.values():
        backend.is_broken = ON_FIRE
    return await ask(world)


async def create_where_the_first_disk_burns(world: World) -> str:
    world.backend.is_broken = ON_FIRE
    return await ask(world)


async def made(world: World, *, snapshots: int = 0) -> str:
    volume_id: str = (await world.make())["id"]
    for _ in range(snapshots):
        await world.make_snapshot(volume_id)
    return volume_id


async def upload(world: World) -> str:
    volume_id = await made(world)
    body_of(await world.act(volume_id, "os-volume_upload_image", {"image_name": "from-a-volume"}), 202)
    return volume_id


async def upload_where_the_copy_has_no_room(world: World) -> str:
    world.uploads.is_broken = "no space left"
    return await upload(world)


async def delete(world: World) -> str:
    volume_id = await made(world)
    body_of(await world.client.delete(f"/v3/volumes/{volume_id}"), 202)
    return volume_id


async def delete_with_snapshots(world: World) -> str:
    volume_id = await made(world, snapshots=2)
    body_of(await world.client.delete(f"/v3/volumes/{volume_id}?cascade=true"), 202)
    return volume_id


async def extend(world: World) -> str:
    volume_id = await made(world)
    body_of(await world.act(volume_id, "os-extend", {"new_size": 3}), 202)
    return volume_id


async def take_snapshot(world: World) -> str:
    volume_id = await made(world)
    body_of(await world.client.post("/v3/snapshots", json={"snapshot": {"volume_id": volume_id}}), 202)
    return volume_id


async def take_snapshot_of_a_burning_disk(world: World) -> str:
    volume_id = await take_snapshot(world)
    world.backend.is_broken = ON_FIRE
    return volume_id


async def delete_snapshot(world: World) -> str:
    volume_id = await made(world)
    snapshot = await world.make_snapshot(volume_id)
    body_of(await world.client.delete(f"/v3/snapshots/{snapshot['id']}"), 202)
    return volume_id


async def revert(world: World) -> str:
    volume_id = await made(world)
    world.backend.volumes[volume_id].content = "letters"
    snapshot = await world.make_snapshot(volume_id)
    world.backend.volumes[volume_id].content = "more letters"
    body_of(await world.act(volume_id, "revert", {"snapshot_id": snapshot["id"]}), 202)
    return volume_id


async def backed_up(world: World, **fields: Any) -> tuple[str, str]:
    """Returns a volume of letters and its backup."""
    volume_id = await made(world)
    world.backend.volumes[volume_id].content = "letters"
    return volume_id, (await world.make_backup(volume_id, **fields))["id"]


async def back_up(world: World, **fields: Any) -> str:
    volume_id = await made(world)
    world.backend.volumes[volume_id].content = "letters"
    body_of(await world.client.post("/v3/backups", json={"backup": {"volume_id": volume_id, **fields}}), 202)
    return volume_id


async def back_up_a_snapshot(world: World) -> str:
    volume_id = await made(world, snapshots=1)
    listed = body_of(await world.client.get(f"/v3/snapshots?volume_id={volume_id}"))["snapshots"]
    body = {"backup": {"volume_id": volume_id, "snapshot_id": listed[0]["id"]}}
    body_of(await world.client.post("/v3/backups", json=body), 202)
    return volume_id


async def back_up_to_a_burning_store(world: World) -> str:
    volume_id = await back_up(world)
    world.store.is_broken = ON_FIRE
    return volume_id


async def back_up_more(world: World) -> str:
    volume_id, _backup_id = await backed_up(world)
    body = {"backup": {"volume_id": volume_id, "incremental": True}}
    body_of(await world.client.post("/v3/backups", json=body), 202)
    return volume_id


async def import_backup(world: World) -> str:
    """The backup's record is lost, and comes back."""
    volume_id, backup_id = await backed_up(world)
    record = body_of(await world.admin.get(f"/v3/backups/{backup_id}/export_record"))
    contents = dict(world.store.contents)
    body_of(await world.client.delete(f"/v3/backups/{backup_id}"), 202)
    await world.run()
    world.store.contents |= contents
    body_of(await world.admin.post("/v3/backups/import_record", json=record), 201)
    return volume_id


async def delete_backup(world: World) -> str:
    volume_id, backup_id = await backed_up(world)
    body_of(await world.client.delete(f"/v3/backups/{backup_id}"), 202)
    return volume_id


async def delete_backup_on_its_way(world: World) -> str:
    volume_id = await back_up(world)
    (backup,) = body_of(await world.client.get("/v3/backups"))["backups"]
    body_of(await world.admin.post(f"/v3/backups/{backup['id']}/action", json={"os-force_delete": {}}), 202)
    return volume_id


async def restore(world: World) -> str:
    volume_id, backup_id = await backed_up(world)
    world.backend.volumes[volume_id].content = "scrawls"
    body = {"restore": {"volume_id": volume_id}}
    body_of(await world.client.post(f"/v3/backups/{backup_id}/restore", json=body), 202)
    return volume_id


async def restore_what_is_damaged(world: World) -> str:
    volume_id = await restore(world)
    world.store.is_broken = ON_FIRE
    return volume_id


async def restore_a_new_volume(world: World) -> str:
    _volume_id, backup_id = await backed_up(world)
    answer = body_of(await world.client.post(f"/v3/backups/{backup_id}/restore", json={"restore": {}}), 202)
    new_id: str = answer["restore"]["volume_id"]
    return new_id


async def restore_a_new_volume_of_what_is_damaged(world: World) -> str:
    volume_id = await restore_a_new_volume(world)
    world.store.is_broken = ON_FIRE
    return volume_id


BACK_UP = ("choose_host", "copy_snapshot", "store_content", "leave_source")
CREATE = ("choose_pool", "make_volume")
STORIES = [
    Story("an empty volume is made", "create_volume", CREATE, create_blank, "available"),
    Story("a volume is copied", "create_volume", CREATE, create_copy, "available", content="letters"),
    Story(
        "a back end fails and another one makes the volume",
        "create_volume",
        (*CREATE, "leave_pool"),
        create_where_the_first_disk_burns,
        "available",
        backends=2,
    ),
    Story(
        "no back end can make a volume",
        "create_volume",
        (*CREATE, "leave_pool", "discard_volume"),
        create_where_disks_burn,
        "error",
        content=None,
    ),
    Story(
        "a volume is deleted", "delete_volume", ("remove_owned_snapshots", "remove_volume"), delete, "", content=None
    ),
    Story(
        "a volume is deleted with its snapshots",
        "delete_volume",
        ("remove_owned_snapshots", "remove_volume"),
        delete_with_snapshots,
        "",
        content=None,
    ),
    Story(
        "a volume is uploaded",
        "upload_volume",
        ("send_volume", "leave_sent_volume"),
        upload,
        "available",
        images=("active",),
    ),
    Story(
        "a volume cannot be uploaded",
        "upload_volume",
        ("send_volume", "discard_upload"),
        upload_where_the_copy_has_no_room,
        "available",
    ),
    Story("a volume is extended", "extend_volume", ("grow_volume",), extend, "available"),
    Story(
        "a snapshot is made",
        "create_snapshot",
        ("take_snapshot",),
        take_snapshot,
        "available",
        snapshots=("available",),
    ),
    Story(
        "a snapshot cannot be made",
        "create_snapshot",
        ("take_snapshot", "discard_snapshot"),
        take_snapshot_of_a_burning_disk,
        "available",
        snapshots=("error",),
    ),
    Story("a snapshot is deleted", "delete_snapshot", ("remove_snapshot",), delete_snapshot, "available"),
    Story(
        "a volume goes back to a snapshot",
        "revert_volume",
        ("put_back",),
        revert,
        "available",
        snapshots=("available",),
        content="letters",
    ),
    Story(
        "a volume is backed up",
        "create_backup",
        BACK_UP,
        back_up,
        "available",
        content="letters",
        backups=("available",),
    ),
    Story(
        "a snapshot is backed up",
        "create_backup",
        BACK_UP,
        back_up_a_snapshot,
        "available",
        snapshots=("available",),
        backups=("available",),
    ),
    Story(
        "a volume is backed up once more",
        "create_backup",
        BACK_UP,
        back_up_more,
        "available",
        content="letters",
        backups=("available", "available"),
    ),
    Story(
        "a backup cannot be made",
        "create_backup",
        (*BACK_UP[:3], "discard_backup"),
        back_up_to_a_burning_store,
        "available",
        content="letters",
        backups=("error",),
    ),
    Story(
        "a backup's record is imported",
        "import_backup",
        ("find_content",),
        import_backup,
        "available",
        content="letters",
        backups=("available",),
    ),
    Story("a backup is deleted", "delete_backup", ("remove_backup",), delete_backup, "available", content="letters"),
    Story(
        "a backup is deleted while it is made",
        "delete_backup",
        ("remove_backup",),
        delete_backup_on_its_way,
        "available",
        content="letters",
    ),
    Story(
        "a volume is restored",
        "restore_backup",
        ("write_content", "end_restore"),
        restore,
        "available",
        content="letters",
        backups=("available",),
    ),
    Story(
        "a volume cannot be restored",
        "restore_backup",
        ("write_content", "leave_volume"),
        restore_what_is_damaged,
        "error_restoring",
        content="scrawls",
        backups=("available",),
    ),
    Story(
        "a new volume is restored",
        "create_volume",
        (*CREATE, "write_content", "end_restore"),
        restore_a_new_volume,
        "available",
        content="letters",
        backups=("available",),
    ),
    Story(
        "a new volume cannot be restored",
        "create_volume",
        (*CREATE, "write_content", "discard_volume"),
        restore_a_new_volume_of_what_is_damaged,
        "error",
        content=None,
        backups=("available",),
    ),
]
