"""Shelving a server: its guest ends, its disk becomes an image, and its host is given back; and the way back.

An image is made of the disk before anything is given up. Until that is whole a shelving that fails starts the guest
again. Offloaded, a server is on no host and keeps its ports and address; it comes back like a new one, its root disk a
copy of the image.
"""

from typing import Any

from kilonova.compute.programs import choosing, placing, release
from kilonova.compute.programs.convergence import UNREACHABLE_TRIES, HostArgs, Seen, ask_host
from kilonova.compute.programs.snapshot import SnapshotArgs, copied, described, on_failed, taken_back, uploaded
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep

log = logger(__name__)

POLL_SECONDS = 0.5
DEADLINE_SECONDS = 6 * 3600.0


class ShelveArgs(SnapshotArgs, frozen=True, kw_only=True, omit_defaults=True):
    is_offloaded: bool = False
    """Whether the host is given back at once."""


# --- onto the shelf --------------------------------------------------------------------------------------------------


async def power_down(run: Run[Cell, ShelveArgs]) -> Outcome:
    """Ends the guest: what it has not written is not in the image."""
    return await _powered(run, "stopped") or Next(copy_disk)


async def copy_disk(run: Run[Cell, ShelveArgs]) -> Outcome:
    return await copied(run, describe_copy)


async def describe_copy(run: Run[Cell, ShelveArgs]) -> Outcome:
    return await described(run) or Next(send_copy)


async def send_copy(run: Run[Cell, ShelveArgs]) -> Outcome:
    """Writes down, once the image is whole, that the server comes back from it."""
    waits = await uploaded(run)
    if waits is not None:
        return waits
    image = await run.service.region.image.show(run.args.image_id)
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    now = run.clock.now()
    root = {
        "id": image.id,
        "disk_format": image.disk_format,
        "size_bytes": image.size,
        "sha512": image.os_hash_value,
        "properties": (server.image or {}).get("properties", {}),
    }

    async def write(tx: CellTx) -> None:
        values = {"vm_state": "shelved", "power_state": servers.SHUT_DOWN, "left_at": now, "fault": None}
        await servers.change(tx, server.id, now, root_image={"image": root, "is_used": False}, **values)

    return Next(offload, commit=write) if run.args.is_offloaded else Done(commit=write)


async def offload(run: Run[Cell, Any]) -> Outcome:
    """Gives the host back. One that stays silent is left to clean up when it returns."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.from_host(cell, server, run.task.epoch)
    except AgentUnreachable as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(1 + run.task.attempt, str(error))
        log.warning("host left without its answer", host=server.host, server=server.id)
    except RemoteError as error:
        return Fail(f"The host cannot let go of the server: {error.message}")
    await _give_back(cell, server)

    async def write(tx: CellTx) -> None:
        root = {**(server.root_image or {}), "is_used": True}
        values = {"host": None, "node_id": None, "availability_zone": None, "root_image": root}
        await servers.change(tx, server.id, run.clock.now(), vm_state="shelved_offloaded", **values)

    return Done(commit=write)


async def _give_back(cell: Cell, server: Server) -> None:
    """The ports stay the server's; the claim goes."""
    await release.unbind_ports(cell.region.network, server)
    await placing.note(cell, server, None)
    await cell.region.placement.release(server.id)


async def take_down(run: Run[Cell, ShelveArgs]) -> Outcome:
    """A shelving that failed: without an image the guest goes on; with one, the server is shelved on its host."""
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    if server.vm_state == "shelved":
        return Done()
    await taken_back(run)
    is_active = server.vm_state == "active"
    wanted = "running" if is_active else "stopped"
    async with run.service.transaction() as tx:
        await servers.change(tx, server.id, run.clock.now(), wanted_power=wanted)
    seen = await ask_host(run)
    if isinstance(seen, Seen) and seen.observed.progress:
        return Sleep(POLL_SECONDS, seen.observed.progress)

    async def write(tx: CellTx) -> None:
        if not is_active:
            await servers.change(tx, server.id, run.clock.now(), vm_state="stopped", power_state=servers.SHUT_DOWN)

    return Done(commit=write)


# --- and back --------------------------------------------------------------------------------------------------------


async def find_host(run: Run[Cell, HostArgs]) -> Outcome:
    """Picks a host for a server that has none, and claims its resources."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    if server.host is not None:
        return Next(power_up)
    chosen = await choosing.choose(cell, placing.look(cell, server.id, ()), choosing.FirstClaims(cell))
    if isinstance(chosen, Sleep):
        return chosen
    if isinstance(chosen, choosing.Refused):
        return Fail(chosen.message, note=chosen.note)
    host = chosen.host

    async def write(tx: CellTx) -> None:
        values = {"host": host.host, "node_id": host.id, "availability_zone": host.availability_zone}
        await servers.change(tx, server.id, run.clock.now(), **values)

    return Next(bind_ports, commit=write, note=chosen.note)


async def bind_ports(run: Run[Cell, HostArgs]) -> Outcome:
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    await release.rebind_ports(run.service.region.network, server)
    return Next(power_up)


async def power_up(run: Run[Cell, HostArgs]) -> Outcome:
    """Waits until the guest runs and is plugged."""
    waits = await _powered(run, "running")
    if waits is not None:
        return waits
    for port in await run.service.region.network.list_ports(device_id=run.subject_id):
        if port.status != "ACTIVE":
            return Sleep(POLL_SECONDS, f"port {port.id} is {port.status}: not plugged on the host yet")
    return Next(forget_image)


async def forget_image(run: Run[Cell, HostArgs]) -> Outcome:
    """The disk is the server's own again: nothing needs the image any more."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    await release.shelved_image(cell, server)
    now, root = run.clock.now(), server.root_image

    async def write(tx: CellTx) -> None:
        kept = root if root is not None and root["is_used"] else None
        values = {"vm_state": "active", "power_state": servers.RUNNING, "root_image": kept, "left_at": None}
        await servers.change(tx, server.id, now, **values)

    return Done(commit=write)


async def put_back(run: Run[Cell, HostArgs]) -> Outcome:
    """A server that could not come back is where it was: on its host and stopped, or on none."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    if server.vm_state == "shelved":
        async with cell.transaction() as tx:
            await servers.change(tx, server.id, run.clock.now(), wanted_power="stopped")
        seen = await ask_host(run)
        if isinstance(seen, Seen) and seen.observed.progress:
            return Sleep(POLL_SECONDS, seen.observed.progress)
        return Done()
    try:
        await release.from_host(cell, server, run.task.epoch)
    except AgentUnreachable as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(2**run.task.attempt, str(error))
    await _give_back(cell, server)

    async def write(tx: CellTx) -> None:
        values = {"host": None, "node_id": None, "availability_zone": None, "wanted_power": "stopped"}
        await servers.change(tx, server.id, run.clock.now(), **values)

    return Done(commit=write)


async def _powered(run: Run[Cell, Any], wanted: str) -> Sleep | Fail | None:
    """None once the host has the guest in that state."""
    seen = await ask_host(run)
    if not isinstance(seen, Seen):
        return seen
    observed = seen.observed
    if observed.power != wanted or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    return None


SHELVE = Program(
    "shelve",
    ShelveArgs,
    (power_down, copy_disk, describe_copy, send_copy, offload),
    on_failed,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=take_down,
)
SHELVE_OFFLOAD = Program("shelve_offload", HostArgs, (offload,), on_failed, deadline_seconds=600)
UNSHELVE = Program(
    "unshelve",
    HostArgs,
    (find_host, bind_ports, power_up, forget_image),
    on_failed,
    deadline_seconds=1800,
    roll_back=put_back,
)
SHELVING = (SHELVE, SHELVE_OFFLOAD, UNSHELVE)
