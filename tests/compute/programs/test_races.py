"""Eight servers want the one thing that one can have, all at once: one has it, the others say why they do not.

And what others point at a server does not become its own, however its build and its end go.
"""

import asyncio
from typing import Any

import pytest

from kilonova.network.tables import ports
from tests.compute.programs.test_build import assert_nothing_is_left
from tests.compute.programs.test_interfaces import attach, bring_port, built, shown

AT_ONCE = 8
ADDRESS = "10.0.0.77"


async def run_all_at_once(world: Any) -> None:
    """Every task that waits goes on in the same moment, each with a runner of its own; then all to their ends."""
    claimed = []
    while True:
        runner = world.make_runner()
        task = await runner.claim_one()
        if task is None:
            break
        claimed.append(runner.run_task(task))
    assert len(claimed) == AT_ONCE
    await asyncio.gather(*claimed)
    await world.run()


async def outcomes(world: Any, server_ids: list[str]) -> tuple[list[str], list[str]]:
    """Ids of the servers that were built, and the sentences of those that were not."""
    found = [await world.server(each) for each in server_ids]
    built_ids = [each.id for each in found if each.vm_state == "active"]
    assert [each.vm_state for each in found if each.id not in built_ids] == ["error"] * (len(found) - len(built_ids))
    return built_ids, [each.fault["message"] for each in found if each.fault]


async def wanted_port(world: Any) -> dict[str, str]:
    return {"port_id": await bring_port(world)}


async def wanted_address(world: Any) -> dict[str, str]:
    return {"network_id": world.network_id, "fixed_ip": ADDRESS}


@pytest.mark.parametrize(("wanted", "why"), [(wanted_port, "still in use by"), (wanted_address, ADDRESS)])
async def test_of_eight_servers_built_with_one_thing_one_has_it(world: Any, wanted: Any, why: str) -> None:
    one = await wanted(world)
    server_ids = [(await world.insert_server(networks=[one])).id for _ in range(AT_ONCE)]
    await run_all_at_once(world)
    (winner,), told = await outcomes(world, server_ids)
    assert len(told) == AT_ONCE - 1
    assert all(why in sentence for sentence in told), told
    assert [device for device, _host in (await world.leftovers())["ports"]] == [winner]
    for server_id in server_ids:
        await world.destroy(server_id)
    await world.run()
    async with world.network.database.transaction() as tx:
        # The port that was brought is given back, and nobody's any longer.
        await tx.execute(ports.delete().where(ports.c.device_id == ""))
    await assert_nothing_is_left(world)


async def test_of_eight_servers_that_attach_one_port_one_has_it(world: Any) -> None:
    port_id = await bring_port(world)
    server_ids = [await built(world) for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(attach(world, each, port_id=port_id) for each in server_ids))
    assert {each["port_id"] for each in answers} == {port_id}
    await run_all_at_once(world)
    having = [each for each in server_ids if await shown(world, each)]
    assert len(having) == 1
    assert (await world.compute.network.show_port(port_id)).device_id == having[0]
    failed = [(await world.tasks_of(each))[0].error for each in server_ids if each not in having]
    assert failed == [f"The port could not be bound: Port {port_id} is still in use by {having[0]}."] * (AT_ONCE - 1)


async def test_of_eight_that_ask_for_one_address_one_gets_it(world: Any) -> None:
    server_ids = [await built(world) for _ in range(AT_ONCE)]
    wanted = {"net_id": world.network_id, "fixed_ips": [{"ip_address": ADDRESS}]}
    url, body = "/v2.1/servers/{}/os-interface", {"interfaceAttachment": wanted}
    answers = await asyncio.gather(*(world.client.post(url.format(each), json=body) for each in server_ids))
    assert sorted(each.status_code for each in answers) == [200, *[409] * (AT_ONCE - 1)]


async def test_what_others_point_at_a_server_changes_nothing_about_it(world: Any, identity: Any) -> None:
    server = await world.insert_server()
    theirs = await identity.project_id("other")
    admin = await identity.token("admin")
    made = set()
    for status in ("DOWN", "ACTIVE"):
        new = {"network_id": world.network_id, "device_id": server.id, "project_id": theirs, "name": status}
        response = await world.network_client.post("/v2.0/ports", json={"port": new}, headers={"x-auth-token": admin})
        assert response.status_code == 201, response.text
        made.add(response.json()["port"]["id"])
    await world.run()
    row = await world.server(server.id)
    assert (row.vm_state, len(row.ports), row.security_groups) == ("active", 1, ["default"])
    await world.destroy(server.id)
    await world.run()
    left = await world.compute.network.list_ports(device_id=server.id)
    assert {each.id for each in left} == made
