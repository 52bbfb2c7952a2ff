"""Agents as processes of their own: what each registers, takes and reports, and what is told of other hosts' ports."""

from typing import Any

import pytest

from kilonova.network import agents, parts
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.drivers.fake import FakeDriver


async def start(net: Any, host: str, *played: str, **configurations: Any) -> tuple[NetworkAgent, FakeDriver]:
    driver = FakeDriver(played)
    agent = NetworkAgent(driver, net.service.bus, host=host, configurations=configurations, played=played)
    await agent.agent.register()
    return agent, driver


async def rows(net: Any, body_of: Any) -> list[tuple[str, str, bool]]:
    listed = body_of(await net.admin.get("/v2.0/agents"))["agents"]
    return sorted((each["host"], each["binary"], each["alive"]) for each in listed)


async def guest_port(net: Any, network: Any, host: str, **fields: Any) -> Any:
    wanted = {"network_id": network["id"], "binding:host_id": host, "device_owner": "compute:nova", "device_id": host}
    return await net.create("ports", {**wanted, **fields}, by="admin")


async def status(net: Any, body_of: Any, owner: str) -> list[str]:
    found = body_of(await net.admin.get(f"/v2.0/ports?device_owner={owner}"))["ports"]
    return [each["status"] for each in found]


async def test_each_process_is_listed_as_what_it_runs(net: Any, body_of: Any) -> None:
    await start(net, "compute1", parts.BRIDGE)
    await start(net, "network", parts.DHCP)
    await start(net, "network", parts.METADATA)
    assert await rows(net, body_of) == [
        ("compute1", parts.BRIDGE, True),
        ("network", parts.DHCP, True),
        ("network", parts.METADATA, True),
    ]
    async with net.service.database.reading() as tx:
        asked = await agents.to_ask(tx)
    assert asked == [("neutron-dhcp-agent", "network"), ("neutron-linuxbridge-agent", "compute1"),
                     ("neutron-metadata-agent", "network")]  # fmt: skip
    await net.agent("all-in-one")
    async with net.service.database.reading() as tx:
        assert [each for each in await agents.to_ask(tx) if each[1] == "all-in-one"] == [(parts.BRIDGE, "all-in-one")]


async def test_only_hosts_with_the_part_are_given_networks_and_routers(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan()
    router = await net.create("routers", {})
    body_of(await net.demo.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]}))
    compute, compute_driver = await start(net, "compute1", parts.BRIDGE)
    dhcp, dhcp_driver = await start(net, "network1", parts.DHCP)
    l3, l3_driver = await start(net, "network2", parts.L3)
    await guest_port(net, network, "compute1")
    for agent in (compute, dhcp, l3, compute, dhcp, l3):
        await agent.agent.pass_once()
    assert compute_driver.wanted.routers == ()
    assert [each.dhcp for each in compute_driver.wanted.networks] == [None]
    assert (await dhcp_driver.observe()).dhcp == (network["id"],)
    assert dhcp_driver.wanted.routers == ()
    assert (await l3_driver.observe()).routers == (router["id"],)
    for owner in ("compute:nova", "network:dhcp", "network:router_interface"):
        assert await status(net, body_of, owner) == ["ACTIVE"], owner


async def test_a_report_speaks_of_its_own_part_alone(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    dhcp, _ = await start(net, "node1", parts.DHCP)
    bridge, _ = await start(net, "node1", parts.BRIDGE)
    await guest_port(net, network, "node1")
    await dhcp.agent.pass_once()
    await dhcp.agent.pass_once()
    assert (await status(net, body_of, "network:dhcp"), await status(net, body_of, "compute:nova")) == (
        ["ACTIVE"],
        ["DOWN"],
    )
    await bridge.agent.pass_once()
    assert (await status(net, body_of, "network:dhcp"), await status(net, body_of, "compute:nova")) == (
        ["ACTIVE"],
        ["ACTIVE"],
    )


async def test_what_a_process_no_longer_plays_is_free_for_another(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    whole, _ = await net.agent("node1")
    await whole.agent.pass_once()
    await start(net, "node1", parts.BRIDGE)
    assert await rows(net, body_of) == [("node1", parts.BRIDGE, True)]
    other, driver = await start(net, "node2", parts.DHCP)
    await other.agent.pass_once()
    assert (await driver.observe()).dhcp == (network["id"],)
    ports = body_of(await net.admin.get("/v2.0/ports?device_owner=network:dhcp"))["ports"]
    assert [each["binding:host_id"] for each in ports] == ["node2"]


async def test_a_deleted_agent_that_lives_registers_again(net: Any, body_of: Any) -> None:
    agent, _ = await start(net, "node1", parts.L3)
    (row,) = body_of(await net.admin.get("/v2.0/agents"))["agents"]
    assert (await net.admin.delete(f"/v2.0/agents/{row['id']}")).status_code == 204
    assert await rows(net, body_of) == []
    await agent.agent.pass_once()
    await agent.agent.register()
    assert await rows(net, body_of) == [("node1", parts.L3, True)]


async def tunnels(net: Any, host: str, address: str, **more: Any) -> tuple[NetworkAgent, FakeDriver]:
    return await start(net, host, parts.BRIDGE, tunneling_ip=address, l2_population=True, **more)


async def test_a_host_is_told_where_the_ports_of_its_networks_are(net: Any) -> None:
    network, _ = await net.lan()
    elsewhere, _ = await net.lan("10.1.0.0/24")
    first, driver = await tunnels(net, "node1", "10.99.0.1")
    await tunnels(net, "node2", "10.99.0.2")
    await guest_port(net, network, "node1")
    there = await guest_port(net, network, "node2")
    await guest_port(net, elsewhere, "node2")
    await guest_port(net, network, "no-agent")
    await first.agent.pass_once()
    (told,) = driver.wanted.networks
    assert [(each.mac_address, each.tunnel_ip, each.ip_addresses) for each in told.remote_ports] == [
        (there["mac_address"], "10.99.0.2", (there["fixed_ips"][0]["ip_address"],))
    ]
    assert (told.peer_tunnel_ips, told.are_addresses_known) == (("10.99.0.2",), True)


@pytest.mark.parametrize(
    "fields",
    [
        {"port_security_enabled": False, "security_groups": []},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.200"}]},
    ],
)
async def test_where_a_port_may_carry_other_addresses_hosts_go_on_asking(net: Any, fields: Any) -> None:
    network, _ = await net.lan()
    first, driver = await tunnels(net, "node1", "10.99.0.1")
    await tunnels(net, "node2", "10.99.0.2")
    await guest_port(net, network, "node1")
    await guest_port(net, network, "node2", **fields)
    await first.agent.pass_once()
    (told,) = driver.wanted.networks
    assert (len(told.remote_ports), told.are_addresses_known) == (1, False)


async def test_an_agent_that_does_not_want_to_know_is_not_told(net: Any) -> None:
    network, _ = await net.lan()
    first, driver = await start(net, "node1", parts.BRIDGE, tunneling_ip="10.99.0.1")
    await tunnels(net, "node2", "10.99.0.2")
    for host in ("node1", "node2"):
        await guest_port(net, network, host)
    await first.agent.pass_once()
    (told,) = driver.wanted.networks
    assert (told.remote_ports, told.peer_tunnel_ips) == ((), ("10.99.0.2",))


async def test_the_operators_bridge_is_told_to_the_parts_that_cannot_know_it(net: Any) -> None:
    network, _ = await net.outside()
    await start(net, "node1", parts.BRIDGE, bridge_mappings={"provider": "br-ex"})
    other, driver = await start(net, "node1", parts.L3)
    await guest_port(net, network, "node1")
    await other.agent.pass_once()
    assert [each.bridge for each in driver.wanted.networks] == ["br-ex"]


async def test_an_interface_that_is_mapped_is_no_bridge_for_taps(net: Any) -> None:
    network, _ = await net.outside()
    await start(net, "node1", parts.BRIDGE, bridge_mappings={}, interface_mappings={"provider": "eth1"})
    port = await guest_port(net, network, "node1")
    assert port["binding:vif_details"]["bridge_name"] == f"brq{network['id'][:11]}"


async def dhcp_hosts(net: Any, body_of: Any) -> list[str]:
    ports = body_of(await net.admin.get("/v2.0/ports?device_owner=network:dhcp"))["ports"]
    return sorted(each["binding:host_id"] for each in ports)


async def test_what_is_new_goes_to_the_host_that_carries_the_least(net: Any, body_of: Any) -> None:
    first, _ = await start(net, "node1", parts.DHCP)
    second, _ = await start(net, "node2", parts.DHCP)
    for number in range(4):
        await net.lan(f"10.{number}.0.0/24")
    await first.agent.pass_once()
    assert await dhcp_hosts(net, body_of) == ["node1", "node1"]
    await second.agent.pass_once()
    assert await dhcp_hosts(net, body_of) == ["node1", "node1", "node2", "node2"]


async def test_nothing_waits_for_a_host_that_is_dead(net: Any, body_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(net, "node1", parts.DHCP)
    alive, _ = await start(net, "node2", parts.DHCP)
    await net.lan()
    await alive.agent.pass_once()
    assert await dhcp_hosts(net, body_of) == [], "node1 lives as far as is known, and is to take it"
    stop = alive.agent.serve()
    for _ in range(4):
        await net.service.liveness.ask([(parts.DHCP, "node1"), (parts.DHCP, "node2")])
    monkeypatch.setattr("kilonova.network.registry.PICKS_SECONDS", -1)
    await alive.agent.pass_once()
    assert await dhcp_hosts(net, body_of) == ["node2"]
    stop()
