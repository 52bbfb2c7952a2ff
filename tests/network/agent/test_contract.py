"""What every network driver promises, checked on the fake and on the real one."""

import msgspec

from kilonova.kit.testing import SimulatedHost
from kilonova.network.agent.driver import Observation
from kilonova.network.agent.drivers.fake import FakeDriver
from kilonova.network.wanted import WantedState, device_name
from tests.network.agent.documents import PING, Net, group, router, state
from tests.network.agent.drivers import ByDocuments, make_driver, make_fake
from tests.network.agent.hosts import Guest, Host, on_own_host


def documents() -> list[WantedState]:
    """A host's life: everything, a port and a router less, a network less, another group, nothing."""
    nets = [Net(1), Net(2)]
    groups = [group(1, PING), group(2)]
    ports = [
        nets[0].port(5, (groups[0].id,)),
        nets[0].port(6, (groups[1].id,), port_security_enabled=False),
        nets[1].port(5, (groups[0].id, groups[1].id)),
        nets[1].port(6, (groups[0].id,), admin_state_up=False),
    ]
    routers = [router(1, nets[0].router_interface(), nets[1].router_interface()), router(2)]
    nets[0].dhcp = True
    full = state(nets, ports, groups, routers, revision=1)
    fewer = state(nets, ports[:3], groups, routers[:1], revision=2)
    stopped = msgspec.structs.replace(routers[0], interfaces=routers[0].interfaces[:1], admin_state_up=False)
    narrower = state(nets[:1], ports[:2], groups, [stopped], revision=3)
    nets[0].dhcp = False
    changed = state(
        nets[:1], [msgspec.structs.replace(ports[0], security_group_ids=(groups[1].id,))], groups, revision=4
    )
    return [full, fewer, narrower, changed, full, WantedState(revision=6)]


async def check_contract(driver: ByDocuments) -> list[tuple[Observation, tuple[str, ...], tuple[str, ...]]]:
    """Walk through the documents; returns what was seen, which has to be the same for every driver."""
    seen = []
    for wanted in documents():
        report = await driver.converge(wanted)
        assert report.revision == wanted.revision
        assert report.changes > 0, wanted.revision
        assert report.problems == ()
        again = await driver.converge(wanted)
        assert again.changes == 0, again
        assert (again.ports_up, again.dhcp_up, again.routers_up) == (report.ports_up, report.dhcp_up, report.routers_up)
        observed = await driver.observe()
        assert observed.dhcp == report.dhcp_up
        assert observed.routers == report.routers_up
        seen.append((observed, report.ports_up, report.dhcp_up))
    assert seen[-1] == (Observation(), (), ())
    await driver.converge(documents()[0])
    await driver.close()
    await driver.remove_everything()
    assert await driver.observe() == Observation()
    return seen


async def test_the_fake_keeps_the_contract() -> None:
    fake = FakeDriver()
    await check_contract(ByDocuments(fake))
    assert fake.is_closed


@on_own_host
async def test_the_real_driver_keeps_the_contract_and_shows_what_the_fake_shows(host: Host) -> None:
    for number, port in enumerate(documents()[0].ports):
        Guest(host, f"guest{number}", device_name("tap", port.id), port.mac_address)
    assert await check_contract(make_driver(host)) == await check_contract(make_fake())


async def test_the_fake_says_when_a_port_has_no_network() -> None:
    net = Net(1)
    report = await make_fake().converge(state([], [net.port(5)]))
    assert report.ports_up == ()
    assert [resource for resource, _ in report.problems] == [net.port(5).id]


async def test_a_port_of_the_fake_is_up_as_long_as_it_has_a_tap() -> None:
    host, net = SimulatedHost(), Net(1)
    fake = ByDocuments(FakeDriver(metal=host))
    ports = [net.port(5), net.port(6)]
    wanted = state([net], ports)
    assert (await fake.converge(wanted)).ports_up == ()
    taps = [device_name("tap", each.id) for each in ports]
    for there in ([], taps[:1], taps, taps[1:], []):
        host.show_taps(frozenset(there))
        up = tuple(sorted(each.id for each, tap in zip(ports, taps, strict=True) if tap in there))
        report = await fake.converge(wanted)
        assert report.ports_up == up
        assert (await fake.observe()).ports == tuple(each[:11] for each in up)
