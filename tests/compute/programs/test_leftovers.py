"""What comes to a server after its deletion is taken away, and nothing else is."""

from typing import Any

from kilonova.compute.programs import release
from kilonova.compute.servers import leftovers
from kilonova.compute.tables import Server
from tests.compute.programs.conftest import NOTHING_LEFT


async def deleted_server(world: Any) -> Server:
    server = await world.insert_server()
    await world.run()
    await world.destroy(server.id)
    await world.run()
    await world.tick()
    return server


async def sweep(world: Any) -> None:
    now = world.clock.now()
    await leftovers.sweep(world.compute.here, now - leftovers.FIRST_LOOK_BACK, now - leftovers.LONGEST_CALL)


async def late_port(world: Any, server: Server) -> str:
    wanted = {"network_id": world.network_id}
    fields = {**release.owner_of(server), **release.new_port(server, wanted)}
    port_id: str = (await world.compute.network.create_port(fields)).id
    return port_id


async def test_a_port_and_a_claim_that_come_late_are_taken_away(world: Any) -> None:
    server = await deleted_server(world)
    await late_port(world, server)
    (provider,) = await world.compute.placement.providers()
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    await world.compute.placement.claim(server.id, {provider.uuid: {"VCPU": 1}}, **owner)
    await sweep(world)
    assert (await world.leftovers())["ports"] != []
    world.clock.advance(leftovers.LONGEST_CALL.total_seconds() + 1)
    await sweep(world)
    await world.tick()
    assert await world.leftovers() == NOTHING_LEFT


async def test_what_living_servers_hold_stays(world: Any) -> None:
    await deleted_server(world)
    living = await world.insert_server()
    await world.run()
    before = await world.leftovers()
    world.clock.advance(leftovers.LONGEST_CALL.total_seconds() + 1)
    await sweep(world)
    assert await world.leftovers() == before
    assert len(await world.compute.network.list_ports(device_id=living.id)) == 1
