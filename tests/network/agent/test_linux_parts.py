"""The parts of a host's agent as drivers of their own, as separate processes have them, in any order."""

import msgspec

from kilonova.network import parts
from kilonova.network.agent.driver import Observation
from kilonova.network.wanted import ConvergeReport, WantedState
from tests.network.agent.documents import Net, router, state
from tests.network.agent.drivers import ByDocuments, make_driver, make_guest
from tests.network.agent.hosts import Host, on_own_host
from tests.network.agent.test_contract import documents


def make_parts(host: Host) -> dict[str, ByDocuments]:
    return {part: make_driver(host, (part,)) for part in parts.ALL}


async def settle(drivers: dict[str, ByDocuments], wanted: WantedState) -> dict[str, ConvergeReport]:
    """Passes of all, the last part first, until none waits; the pass after that finds nothing to do."""
    for _ in range(4):
        reports = {part: await drivers[part].converge(wanted) for part in reversed(parts.ALL)}
        assert all(report.problems == () for report in reports.values()), reports
        if not any(report.waiting or report.changes for report in reports.values()):
            return reports
    raise AssertionError(reports)


async def observed(drivers: dict[str, ByDocuments]) -> Observation:
    return await drivers[parts.BRIDGE].observe()


@on_own_host
async def test_four_parts_make_what_one_agent_makes(host: Host) -> None:
    first = documents()[0]
    for port in first.ports:
        make_guest(host, f"g{port.id[-6:]}", port)
    drivers = make_parts(host)
    for wanted in documents():
        whole = make_driver(host)
        reports = await settle(drivers, wanted)
        in_parts = await observed(drivers)
        report = await whole.converge(wanted)
        assert report.changes == 0, "one agent has nothing to add to what its parts have made"
        assert await whole.observe() == in_parts
        await whole.close()
        assert reports[parts.BRIDGE].ports_up == report.ports_up
        assert reports[parts.DHCP].dhcp_up == report.dhcp_up
        assert reports[parts.L3].routers_up == report.routers_up
    for driver in drivers.values():
        await driver.close()


@on_own_host
async def test_a_part_waits_for_what_another_makes(host: Host) -> None:
    net = Net(1)
    wanted = state([net], routers=[router(1, net.router_interface())])
    drivers = make_parts(host)
    served = await drivers[parts.DHCP].converge(wanted)
    routed = await drivers[parts.L3].converge(wanted)
    told = await drivers[parts.METADATA].converge(wanted)
    assert (served.dhcp_up, routed.routers_up, served.problems, routed.problems) == ((), (), (), ())
    assert "neutron-linuxbridge-agent makes it" in dict(served.waiting)[net.id]
    assert net.id in dict(routed.waiting)[wanted.routers[0].id]
    # The router's namespace is there already, without its ports.
    assert list(dict(told.waiting)) == [net.id]
    await settle(drivers, wanted)
    for driver in drivers.values():
        await driver.close()


@on_own_host
async def test_no_part_takes_away_what_another_has_made(host: Host) -> None:
    """Each may hold a document of another age: what another part wants already, or still, is none of its business."""
    net = Net(1)
    wanted = state([net], routers=[router(1, net.router_interface())])
    bare = msgspec.structs.replace(wanted, networks=(net.wanted(dhcp=None),), routers=())
    drivers = make_parts(host)
    await settle(drivers, wanted)
    everything = await observed(drivers)
    for part in (parts.BRIDGE, parts.METADATA):
        assert (await drivers[part].converge(bare)).changes == 0
        assert await observed(drivers) == everything
    await drivers[parts.L3].converge(bare)
    assert await observed(drivers) == msgspec.structs.replace(everything, routers=())
    await drivers[parts.DHCP].converge(bare)
    assert await observed(drivers) == msgspec.structs.replace(everything, routers=(), dhcp=())
    assert "tap" not in host.run("ip", "-br", "link")
    await settle(drivers, wanted)
    await drivers[parts.DHCP].remove_everything()
    assert await observed(drivers) == msgspec.structs.replace(everything, dhcp=())
    for part in (parts.METADATA, parts.L3, parts.BRIDGE):
        await drivers[part].remove_everything()
    assert await observed(drivers) == Observation()


@on_own_host
async def test_a_port_that_lost_its_bridge_is_plugged_again_by_its_own_part(host: Host) -> None:
    net = Net(1)
    wanted = state([net])
    drivers = make_parts(host)
    await settle(drivers, wanted)
    host.run("ip", "link", "del", f"brq{net.id[:11]}")
    assert (await drivers[parts.DHCP].converge(wanted)).dhcp_up == ()
    reports = await settle(drivers, wanted)
    assert reports[parts.DHCP].dhcp_up == (net.id,)
    for driver in drivers.values():
        await driver.close()
