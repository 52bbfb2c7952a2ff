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
]
