"""Attaching and detaching a volume: one program over two services, which ends with the volume attached or free.

The server's row has the volume before anything is done about it, and has it until its host has let it go. An operation
that dies, fails or is replaced leaves a row that says what the server still holds, and destroying the server gives it
back.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import structs

from kilonova.block_storage.client import VolumeClient
from kilonova.compute.hosts import hosts
from kilonova.compute.programs import release
from kilonova.compute.programs.convergence import HostArgs, ask_host, converged
from kilonova.compute.servers import servers, volumes
from kilonova.compute.servers.volumes import ServerVolume
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.kit.connectors import Connection
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

log = logger(__name__)

ASK_AGAIN_SECONDS = 5.0
TRIES_TO_LET_GO = 12
"""A host is asked so often to let go of a volume whose attachment failed; each time that takes a few seconds."""


class VolumeArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str


# --- attaching -------------------------------------------------------------------------------------------------------


async def reserve_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """Has block storage promise the volume to the server. Whoever asks first has it."""
    server, volume = await _find(run)
    client = run.service.region.volume
    try:
        attachment_id = await promised(client, volume.id, server.id)
        await require_same_owner(client, volume)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The volume cannot be had: {fault.message}")
    return Next(connect_volume, commit=_writing(run, structs.replace(volume, attachment_id=attachment_id)))


async def promised(client: VolumeClient, volume_id: str, server_id: str, token: str | None = None) -> str:
    """Returns the id of the attachment that promises a volume to a server. Safe to repeat. Raises RemoteFault."""
    try:
        return (await client.reserve(volume_id, server_id, token)).id
    except RemoteUnavailable:
        raise
    except RemoteFault:
        # A try that died may have gone further than the promise: then the volume is the server's already.
        known = await client.attachments_of(volume_id, server_id)
        if not known:
            raise
        return known[0]


async def require_same_owner(client: VolumeClient, volume: ServerVolume) -> None:
    """Raises RemoteFault (404) for a promised volume that is another project's than when it was asked for.

    Asked after the promise, from which on it is given to nobody: what the owner of the server could see then, and
    another project was given since, is not the server's to have.
    """
    seen = await client.show(volume.id)
    if seen.project_id != volume.owner_id:
        raise RemoteFault("block-storage", 404, f"Volume {volume.id} could not be found.")


async def connect_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """Asks block storage for the way from the server's host to the volume."""
    server, volume = await _find(run)
    try:
        connected = await connect(run.service, server, volume)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The volume cannot be connected to: {fault.message}")
    except msgspec.ValidationError as error:
        return Fail(f"This release knows no way to the volume: {error}")
    return Next(plug_volume, commit=_writing(run, connected))


async def connect(cell: Cell, server: Server, volume: ServerVolume) -> ServerVolume:
    """Returns the volume with the way to it from the server's host. Safe to repeat.

    Raises RemoteFault, and ValidationError for a way that hosts of this release do not know.
    """
    connector = await _connector_of(cell, server, volume)
    attachment = await cell.region.volume.connect(volume.attachment_id, connector)
    told = attachment.connection_info
    connection = msgspec.convert({**told, "kind": told.get("driver_volume_type")}, Connection)
    limits = {name: int(most) for name, most in (told.get("qos_specs") or {}).items()}
    is_readonly = attachment.attach_mode == "ro"
    return structs.replace(volume, connection=connection, is_readonly=is_readonly, limits=limits)


async def _connector_of(cell: Cell, server: Server, volume: ServerVolume) -> dict[str, Any]:
    """Returns what a back end has to know of a host that wants to reach a volume."""
    async with cell.reading() as tx:
        host = await hosts.find(tx, AGENT_BINARY, server.host or "")
    return {
        "host": server.host,
        "ip": host.inventory["host_ip"] if host is not None else None,
        "initiator": f"iqn.2010-10.org.openstack:{server.host}",
        "multipath": False,
        "os_type": "linux",
        "platform": "x86_64",
        "instance": server.id,
        "mountpoint": f"/dev/{volume.device}",
        "mode": "ro" if volume.is_readonly else "rw",
    }


async def plug_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """The guest gets the volume, at once or with its next start."""
    return await converged(run) or Next(complete_volume)


async def complete_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """Tells block storage that the server has the volume."""
    _server, volume = await _find(run)
    try:
        await run.service.region.volume.complete(volume.attachment_id)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"Block storage does not give the volume: {fault.message}")
    return Done()


async def return_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """An attachment that failed: the host lets go of the volume before anybody else can have it.

    One that stays silent, or cannot let go, may write to the volume at any time: the server has it then, as its row
    and block storage say, and its owner may detach it again.
    """
    volume = await _begin_to_leave(run)
    if volume is None:
        return Done()
    if volume.connection is None:
        return await _given_back(run, volume)
    answer = await converged(run)
    if answer is None:
        return await _given_back(run, volume)
    if run.task.attempt < TRIES_TO_LET_GO:
        return answer if isinstance(answer, Sleep) else Sleep(ASK_AGAIN_SECONDS, answer.error)
    await _tell(run.service.region.volume.complete, volume.attachment_id)
    note = "the host does not let go of the volume: it stays with the server"
    return Done(commit=_writing(run, structs.replace(volume, is_leaving=False)), note=note)


# --- detaching -------------------------------------------------------------------------------------------------------


async def announce_detaching(run: Run[Cell, VolumeArgs]) -> Outcome:
    """Tells block storage that the volume is about to leave, which its users see."""
    _server, volume = await _find(run)
    await _tell(run.service.region.volume.begin_detaching, volume.id)
    return Next(unplug_volume)


async def unplug_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """The guest loses the volume. A running one has to let it go, which takes as long as it likes."""
    return await converged(run) or Next(release_volume)


async def release_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """Gives the volume back to block storage: from now on anybody may have it."""
    _server, volume = await _find(run)
    return await _given_back(run, volume)


async def keep_volume(run: Run[Cell, VolumeArgs]) -> Outcome:
    """A detachment that failed: the server has the volume as before."""
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    volume = _of(server, run.args.volume_id)
    if volume is None:
        return Done()
    await _write(run, structs.replace(volume, is_leaving=False))
    await ask_host(run)
    await _tell(run.service.region.volume.roll_detaching, volume.id)
    return Done()


# --- what both do ----------------------------------------------------------------------------------------------------


async def _given_back(run: Run[Cell, VolumeArgs], volume: ServerVolume) -> Outcome:
    await release.give_back(run.service.region.volume, run.subject_id, volume)

    async def forget(tx: CellTx) -> None:
        server = await servers.find(tx, run.subject_id)
        left = volumes.without(volumes.of_server(server), volume.id)
        await servers.change(tx, server.id, run.clock.now(), volumes=volumes.as_kept(left))

    return Done(commit=forget)


async def _find(run: Run[Cell, VolumeArgs]) -> tuple[Server, ServerVolume]:
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    return server, volumes.find(server, run.args.volume_id)


def _of(server: Server, volume_id: str) -> ServerVolume | None:
    return next((each for each in volumes.of_server(server) if each.id == volume_id), None)


async def _begin_to_leave(run: Run[Cell, VolumeArgs]) -> ServerVolume | None:
    """Notes that the server loses the volume; None: it has none any more."""
    async with run.service.transaction() as tx:
        server = await servers.find(tx, run.subject_id)
        volume = _of(server, run.args.volume_id)
        if volume is not None:
            volume = structs.replace(volume, is_leaving=True)
            held = volumes.with_one(volumes.of_server(server), volume)
            await servers.change(tx, server.id, run.clock.now(), volumes=volumes.as_kept(held))
    return volume


async def _write(run: Run[Cell, VolumeArgs], volume: ServerVolume) -> None:
    async with run.service.transaction() as tx:
        await _writing(run, volume)(tx)


def _writing(run: Run[Cell, VolumeArgs], volume: ServerVolume) -> Callable[[CellTx], Awaitable[None]]:
    async def write(tx: CellTx) -> None:
        server = await servers.find(tx, run.subject_id)
        held = volumes.with_one(volumes.of_server(server), volume)
        await servers.change(tx, server.id, run.clock.now(), volumes=volumes.as_kept(held))

    return write


async def _tell(call: Callable[[str], Awaitable[None]], volume_id: str) -> None:
    """Tells block storage of a volume's status; a volume that an administrator gave another one keeps that."""
    try:
        await call(volume_id)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        log.warning("a volume's status stays as it is", volume=volume_id, reason=fault.message)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """The server itself has not failed."""


ATTACH_VOLUME = Program(
    "attach_volume",
    VolumeArgs,
    (reserve_volume, connect_volume, plug_volume, complete_volume),
    on_failed,
    deadline_seconds=180,
    roll_back=return_volume,
    roll_back_seconds=300,
)
DETACH_VOLUME = Program(
    "detach_volume",
    VolumeArgs,
    (announce_detaching, unplug_volume, release_volume),
    on_failed,
    deadline_seconds=180,
    roll_back=keep_volume,
)
