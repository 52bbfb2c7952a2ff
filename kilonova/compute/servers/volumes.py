"""The volumes of servers, as their rows keep them; pure.

A volume is in the row from the moment at which it is asked for until the host has let it go: what the row names, its
server owns, and gives back when it is destroyed.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.compute.agent.spec import DiskPlace, SpecDisk, VolumeSource
from kilonova.compute.tables import Server
from kilonova.kit.connectors import Connection
from kilonova.kit.errors import BadRequest, NotFound

MOST_VOLUMES = 20
"""Volumes of one server: each takes a slot of its bus, and letters are few."""

Fields = dict[str, Any]


class ServerVolume(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    owner_id: str = ""
    """The project that it belonged to when it was asked for; a volume can be given to another one meanwhile."""
    bdm_id: str
    """Tells the server's block devices apart, as the API shows them."""
    device: str
    """The disk's name on the host, such as `vdb`."""
    bus: str
    attachment_id: str = ""
    """Empty as long as block storage has not promised it to the server."""
    connection: Connection | None = None
    """The way to it from the server's host; None: no host was told of it."""
    tag: str = ""
    is_deleted: bool = False
    """Whether it is deleted with its server."""
    boot_index: int | None = None
    """0: the server boots from it."""
    limits: dict[str, int] = {}
    """The most that the guest may do with it in a second (`spec.VolumeSource`)."""
    is_readonly: bool = False
    is_shared: bool = False
    is_leaving: bool = False
    """Whether the guest is losing it."""


def of_server(server: Server) -> list[ServerVolume]:
    return msgspec.convert(server.volumes or [], list[ServerVolume])


def as_kept(held: Iterable[ServerVolume]) -> list[Fields]:
    """Returns volumes as a server's row keeps them."""
    kept: list[Fields] = msgspec.to_builtins(list(held))
    return kept


def find(server: Server, volume_id: str) -> ServerVolume:
    """Raises NotFound for one that the server does not have."""
    for each in of_server(server):
        if each.id == volume_id:
            return each
    raise NotFound(f"Instance {server.id} has no volume {volume_id} attached.")


def with_one(held: Iterable[ServerVolume], changed: ServerVolume) -> list[ServerVolume]:
    """Returns the volumes with one in the place that it had, or at the end."""
    others = list(held)
    for place, each in enumerate(others):
        if each.id == changed.id:
            others[place] = changed
            return others
    return [*others, changed]


def without(held: Iterable[ServerVolume], volume_id: str) -> list[ServerVolume]:
    return [each for each in held if each.id != volume_id]


def root_id(held: Iterable[ServerVolume]) -> str | None:
    """Returns the id of the volume that the server boots from; None: it boots from a disk of its own."""
    return next((each.id for each in held if each.boot_index == 0), None)


def are_root(kept: Sequence[Fields] | None) -> bool:
    """Whether the server boots from one of the volumes that its row keeps."""
    return any(each.get("boot_index") == 0 for each in kept or ())


def own_disks(flavor: Fields, kept: Sequence[Fields] | None) -> Fields:
    """Returns a server's flavor as its host has to have room for it: without a root disk that is a volume."""
    return {**flavor, "root_gib": 0} if are_root(kept) else flavor


def check_room(held: Sequence[ServerVolume], volume_id: str) -> None:
    """Raises BadRequest for a volume that the server has, or for one too many."""
    if any(each.id == volume_id for each in held):
        raise BadRequest(f"Volume {volume_id} is attached to this server already, or is about to be.")
    if len(held) >= MOST_VOLUMES:
        raise BadRequest(f"A server has {MOST_VOLUMES} volumes at most.")


def spec_disks(held: Iterable[ServerVolume]) -> tuple[SpecDisk, ...]:
    """Returns the disks that the host is to plug into the guest: volumes that it was told the way to."""
    return tuple(
        SpecDisk(
            each.id,
            DiskPlace(each.device, each.bus, serial=each.id),
            VolumeSource(
                each.id,
                each.connection,
                is_readonly=each.is_readonly,
                is_shared=each.is_shared,
                limits=each.limits,
            ),
            each.tag,
        )
        for each in held
        if each.connection is not None and not each.is_leaving
    )
