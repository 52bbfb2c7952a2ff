"""The administrator's password reaches the guest's config drive, and is nowhere once that is written."""

from typing import Any

import msgspec
import pytest

from kilonova.compute.programs.build import BUILD, BuildArgs
from kilonova.compute.servers import admin_passwords, servers
from kilonova.compute.tables import Server
from kilonova.kit.tasks import Task

SECRET = "a password of its own"


async def insert(world: Any) -> Server:
    server = await world.insert_server()
    async with world.compute.database.transaction() as tx:
        await servers.change(tx, server.id, world.clock.now(), config_drive=True)
        password = admin_passwords.of_request(msgspec.structs.replace(server, config_drive=True), SECRET)
        new = BUILD.new_task(server.id, BuildArgs(admin_password=password))
        await world.compute.tasks.supersede(tx, new, world.clock.now())
    return server  # type: ignore[no-any-return]


def holds(tasks: list[Task]) -> bool:
    return SECRET in repr(tasks)


async def test_it_is_told_with_the_first_boot_and_forgotten(world: Any) -> None:
    server = await insert(world)
    assert holds(await world.tasks_of(server.id))
    await world.run()
    guest = world.hosts["node1"].servers[server.id]
    assert guest.spec.metadata_document.admin_password == SECRET
    assert not holds(await world.tasks_of(server.id))
    await world.client.post(f"/v2.1/servers/{server.id}/action", json={"reboot": {"type": "HARD"}})
    await world.run()
    assert guest.spec.metadata_document.admin_password is None


async def test_a_build_that_fails_forgets_it(world: Any) -> None:
    for _ in range(3):
        world.hosts["node1"].fail_next_spawn()
    server = await insert(world)
    await world.run()
    assert (await world.server(server.id)).vm_state == "error"
    assert not holds(await world.tasks_of(server.id))


@pytest.mark.parametrize("is_run", [True, False])
async def test_a_server_that_is_deleted_forgets_it(world: Any, is_run: bool) -> None:
    server = await insert(world)
    if is_run:
        runner = world.make_runner()
        await runner.run_task(await runner.claim_one())
    await world.destroy(server.id)
    await world.run()
    async with world.compute.database.reading() as tx:
        assert not holds(await world.compute.tasks.of_subject(tx, server.id))


async def test_a_server_that_goes_to_cell0_forgets_it(two_cells: Any) -> None:
    world = two_cells
    server = await insert(world)
    async with world.compute.database.transaction() as tx:
        await servers.change(tx, server.id, world.clock.now(), requested_host="nowhere")
    await world.run()
    assert (await world.server(server.id)).vm_state == "error"
    assert not holds(await world.tasks_of(server.id))
