"""Destroying a server: legal in every state, tolerates whatever is half built, and is the universal clean-up.

Only forward: nothing here rolls back, each step is repeated until it holds or its deadline names what is in the way.
"""

from kilonova.compute.errors import ServerNotFound
from kilonova.compute.programs import moves, power, release
from kilonova.compute.region import mappings
from kilonova.compute.servers import admin_passwords, migrations, servers
from kilonova.compute.servers.timeline import ServerArgs
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep

UNREACHABLE_TRIES = 5


async def stop_guest(run: Run[Cell, ServerArgs]) -> Outcome:
    """Has the host destroy the guest. A host that stays silent is left to clean up when it returns.

    It will: an agent asks what belongs to its host, and the history of deleted servers answers.
    """
    async with run.service.reading() as tx:
        try:
            server = await servers.find(tx, run.subject_id)
        except ServerNotFound:
            return Done(note="the server is gone already")
        moving = await migrations.under_way(tx, server.id)
    for each in moving:
        # Whichever of the two is silent asks what belongs to it when it returns.
        other = each.target_host if server.host == each.source_host else each.source_host
        if other is not None:
            await moves.release_from(run.service, other, server.id, run.task.epoch)
    try:
        await release.from_host(run.service, server, run.task.epoch)
    except AgentUnreachable as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(1 + run.task.attempt, str(error))
        return Next(release_ports, note=f"{error}; it will clean up when it returns")
    except RemoteError as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(1 + run.task.attempt, error.message)
        return Fail(f"The host cannot destroy the server: {error.message}")
    return Next(release_ports)


async def release_ports(run: Run[Cell, ServerArgs]) -> Outcome:
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    await release.ports(run.service.region.network, server)
    await release.unfinished_images(run.service, server.id)
    await release.shelved_image(run.service, server)
    return Next(release_volumes)


async def release_volumes(run: Run[Cell, ServerArgs]) -> Outcome:
    """Gives the server's volumes back, and deletes those that go with it."""
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    await release.volumes_of(run.service, server)

    async def forget_ways(tx: CellTx) -> None:
        # The history of deleted servers keeps no secrets of volumes.
        await servers.change(tx, server.id, run.clock.now(), volumes=None)

    return Next(release_claim, commit=forget_ways if server.volumes else None)


async def release_claim(run: Run[Cell, ServerArgs]) -> Outcome:
    cell = run.service
    async with cell.reading() as tx:
        moving = await migrations.under_way(tx, run.subject_id)
    for each in moving:
        await cell.region.placement.release(each.id)
    await cell.region.placement.release(run.subject_id)
    return Next(forget)


async def forget(run: Run[Cell, ServerArgs]) -> Outcome:
    """The last step moves the row to the history: until then a restart finds the server and goes on."""
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    now, cell = run.clock.now(), run.service
    if cell is not cell.region.here:
        async with cell.region.transaction() as region_tx:
            await mappings.end_server(region_tx, server.id, now)

    async def write(tx: CellTx) -> None:
        await servers.forget(tx, server, now)
        await migrations.end_all(tx, server.id, migrations.CANCELLED, now)
        await admin_passwords.forget(tx, server.id)
        if region_tx := cell.regional(tx):
            await mappings.end_server(region_tx, server.id, now)

    return Done(commit=write)


DESTROY = Program(
    name="destroy",
    args_type=ServerArgs,
    steps=(stop_guest, release_ports, release_volumes, release_claim, forget),
    on_failed=power.on_failed,
    deadline_seconds=600,
)
