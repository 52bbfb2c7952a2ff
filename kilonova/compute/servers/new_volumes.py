"""The volumes that servers are created with: looked up or made with their owner's token, before the servers are there.

Block storage refuses with its own words what the owner may not have, and nothing of the servers is made then.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

from msgspec import Struct

from kilonova.block_storage.client import Volume
from kilonova.compute.agent.spec import SpecFlavor, SpecImage
from kilonova.compute.errors import InvalidServer, QuotaExceeded
from kilonova.compute.servers import disks
from kilonova.compute.servers.disks import LocalDisk
from kilonova.compute.servers.volumes import ServerVolume
from kilonova.compute.service import Region
from kilonova.image.client import ImageRecord
from kilonova.kit.auth import RequestContext
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

Fields = dict[str, Any]
GIB = 1 << 30
FREE, SHARED = ("available",), ("available", "in-use", "attaching", "reserved")
"""The statuses of volumes that a server may be given: of one that it has alone, and of one that several may have."""


Source = Literal["volume", "snapshot", "image", "blank"]
SOURCES: tuple[Source, ...] = get_args(Source)


class WantedVolume(Struct, frozen=True, kw_only=True):
    """A volume of a new server, as the request described it."""

    source: Source
    source_id: str = ""
    size_gib: int = 0
    """0: as large as the source."""
    boot_index: int | None = None
    device: str = ""
    bus: str = ""
    tag: str = ""
    is_deleted: bool = False
    """Whether it is deleted with its server."""
    volume_type: str | None = None


class ReadyVolume(Struct, frozen=True, kw_only=True):
    """A volume that is there, or is being made, for one of the servers."""

    id: str
    wanted: WantedVolume
    owner_id: str
    is_shared: bool = False


class Boot(Struct, frozen=True):
    """The source of a root disk that is a volume, as far as a server's hardware goes by it."""

    properties: Mapping[str, str]
    """The properties of the image that the volume is made of."""
    min_ram_mib: int = 0


def image_of(boot: Boot) -> Fields:
    """Returns what the row of a server keeps in the place of its image, which has no id."""
    return {
        "id": "",
        "disk_format": "",
        "size_bytes": 0,
        "sha512": "",
        "min_disk_gib": 0,
        "min_ram_mib": boot.min_ram_mib,
        "properties": dict(boot.properties),
    }


async def find_boot(
    region: Region, ctx: RequestContext, wanted: Sequence[WantedVolume], memory_mib: int
) -> Boot | None:
    """Looks up what the volumes' root is made of; None: no volume is the root. Raises InvalidServer, RemoteFault."""
    root = next((each for each in wanted if each.boot_index == 0), None)
    if root is None:
        return None
    match root.source:
        case "volume":
            volume = await usable_volume(region, ctx, root.source_id)
            if volume.bootable != "true":
                raise InvalidServer(f"Volume {volume.id} is not bootable.")
            return Boot(volume.image_properties)
        case "image":
            image = await region.image.show(root.source_id, token=ctx.token)
            _check_image(image, root.size_gib, memory_mib)
            return Boot(image.properties, image.min_ram)
        case "snapshot":
            snapshot = await region.volume.show_snapshot(root.source_id, token=ctx.token)
            source = await region.volume.show(snapshot.volume_id, token=ctx.token)
            if source.bootable != "true":
                raise InvalidServer(f"Snapshot {snapshot.id} is of a volume that is not bootable.")
            return Boot(source.image_properties)
    raise InvalidServer("A server does not boot from a blank volume: its boot_index is -1.")


def _check_image(image: ImageRecord, size_gib: int, memory_mib: int) -> None:
    if image.status != "active":
        raise InvalidServer(f"Image {image.id} is unacceptable: its status is {image.status}, not active.")
    if image.min_ram > memory_mib:
        raise InvalidServer(
            f"Flavor's memory is too small for requested image: it has {memory_mib} MiB, the image needs "
            f"{image.min_ram}."
        )
    needed = max(image.min_disk, -(-(image.virtual_size or image.size or 0) // GIB))
    if size_gib < needed:
        raise InvalidServer(f"The volume is too small for requested image: it has {size_gib} GiB, it needs {needed}.")


async def usable_volume(region: Region, ctx: RequestContext, volume_id: str) -> Volume:
    """A volume that its owner can give a server. Raises RemoteFault (404), InvalidServer."""
    volume = await region.volume.show(volume_id, token=ctx.token)
    check_free(volume)
    return volume


def check_free(volume: Volume) -> None:
    """Raises InvalidServer for a volume that cannot be given to a server now."""
    allowed = SHARED if volume.multiattach else FREE
    if volume.status not in allowed:
        raise InvalidServer(
            f"Invalid volume: volume {volume.id} status must be {' or '.join(allowed)}; it is {volume.status}."
        )


async def make_ready(
    region: Region, ctx: RequestContext, wanted: Sequence[WantedVolume], count: int, zone: str | None
) -> list[list[ReadyVolume]]:
    """Makes the volumes of `count` servers that are not there yet. Those of one that is refused are deleted again.

    Raises InvalidServer, RemoteFault.
    """
    made: list[list[ReadyVolume]] = []
    try:
        for _ in range(count):
            own: list[ReadyVolume] = []
            made.append(own)
            for each in wanted:
                own.append(await _ready(region, ctx, each, zone))
    except BaseException:
        await discard(region, made)
        raise
    return made


async def _ready(region: Region, ctx: RequestContext, wanted: WantedVolume, zone: str | None) -> ReadyVolume:
    if wanted.source == "volume":
        volume = await usable_volume(region, ctx, wanted.source_id)
        return ReadyVolume(id=volume.id, wanted=wanted, owner_id=volume.project_id, is_shared=volume.multiattach)
    sources = {"snapshot": "snapshot_id", "image": "imageRef"}
    fields: Fields = {"name": "", "volume_type": wanted.volume_type, "availability_zone": zone}
    fields |= {sources[wanted.source]: wanted.source_id} if wanted.source in sources else {}
    fields |= {"size": wanted.size_gib} if wanted.size_gib else {}
    given = {name: value for name, value in fields.items() if value is not None}
    volume = await region.volume.create(given, ctx.token)
    return ReadyVolume(id=volume.id, wanted=wanted, owner_id=ctx.project_id or "", is_shared=volume.multiattach)


async def discard(region: Region, made: Sequence[Sequence[ReadyVolume]]) -> None:
    """Deletes volumes that were made for servers which are not."""
    for each in (each for own in made for each in own if each.wanted.source != "volume"):
        try:
            # As the service: its owner cannot delete a volume before it is made.
            await region.volume.force_delete(each.id)
        except RemoteFault as fault:
            log.warning("a volume of a server that was not made stays", volume=each.id, reason=fault.message)


@contextmanager
def refusals() -> Iterator[None]:
    """Raises what other services refuse as requests for servers are refused: QuotaExceeded, InvalidServer."""
    try:
        yield
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        kind = QuotaExceeded if fault.status in (403, 413) else InvalidServer
        raise kind(fault.message) from fault


def place(
    ready: Sequence[ReadyVolume],
    flavor: SpecFlavor,
    image: SpecImage | None,
    local: Sequence[LocalDisk],
    *,
    config_drive: bool,
) -> list[ServerVolume]:
    """Gives a new server's volumes their devices: the root the first, the others those behind the local disks; pure.

    Raises InvalidServer for a device that two disks are to have.
    """
    usual, used = disks.volume_bus(image), set[str]()
    root = [_placed(each, usual, used) for each in ready if each.wanted.boot_index == 0]
    used |= {
        disk.place.device
        for disk in disks.local_disks(
            flavor, image, config_drive=config_drive, asked=local, boots_from_volume=bool(root), taken=tuple(used)
        )
    }
    return [*root, *(_placed(each, usual, used) for each in ready if each.wanted.boot_index != 0)]


def _placed(ready: ReadyVolume, usual_bus: str, used: set[str]) -> ServerVolume:
    wanted = ready.wanted
    bus = wanted.bus or usual_bus
    device = wanted.device if disks.is_device_of(bus, wanted.device) else disks.free_device(bus, used)
    if device in used:
        raise InvalidServer(f"device_name /dev/{device} is that of another disk of the server.")
    used.add(device)
    return ServerVolume(
        id=ready.id,
        owner_id=ready.owner_id,
        bdm_id=str(uuid.uuid4()),
        device=device,
        bus=bus,
        tag=wanted.tag,
        is_deleted=wanted.is_deleted,
        boot_index=wanted.boot_index,
        is_shared=ready.is_shared,
    )
