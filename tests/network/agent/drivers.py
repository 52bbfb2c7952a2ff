"""What the tests of drivers share: a driver that takes documents, guests, and converging to the end."""

from collections.abc import Collection
from typing import Any

import msgspec

from kilonova.network import parts
from kilonova.network.agent.driver import NetworkDriver, Observation
from kilonova.network.agent.drivers.fake import FakeDriver
from kilonova.network.agent.drivers.linux import LinuxDriver
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.agent.upkeep import UpKeep
from kilonova.network.state import SECTIONS, Delta, HostState, Key, Station, Touched
from kilonova.network.wanted import ConvergeReport, UpReport, WantedNetwork, WantedPort, WantedState, device_name
from tests.network.agent.hosts import Guest, Host

HOST = "host"


class ByDocuments:
    """A driver as tests use it. Each document after the first is told to it as what has changed since the one before;
    then it looks through the whole host. `left` is how many differences that found which the first had to close."""

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        self.left = 0
        self._state: HostState | None = None
        self._up_keep = UpKeep()

    @property
    def state(self) -> HostState:
        assert self._state is not None
        return self._state

    async def converge(self, wanted: WantedState) -> ConvergeReport:
        changes, is_first = 0, self._state is None
        if self._state is None:
            self._state = HostState(HOST)
        touched = Touched()
        self._state.apply(difference(self._state, wanted), touched)
        if not is_first:
            partial = await self.driver.converge(self._state, touched)
            assert partial.revision == wanted.revision
            changes = partial.changes
            self._up_keep.note(partial)
        report = await self.driver.converge(self._state)
        self.left = 0 if is_first else report.changes
        self._up_keep.note(report)
        self._up_keep.tell_all()
        known = self._up_keep.render() or UpReport()
        return msgspec.structs.replace(
            report,
            changes=changes + report.changes,
            ports_up=tuple(sorted(known.ports)),
            dhcp_up=tuple(sorted(known.dhcp)),
            routers_up=tuple(sorted(known.routers)),
        )

    async def observe(self) -> Observation:
        return await self.driver.observe()

    async def close(self) -> None:
        await self.driver.close()

    async def remove_everything(self) -> None:
        await self.driver.remove_everything()


def state_of(wanted: WantedState) -> HostState:
    state = HostState(HOST)
    state.apply(difference(state, wanted), Touched())
    return state


def difference(state: HostState, wanted: WantedState) -> Delta:
    """What the server would tell a host with this state, for it to have the document."""
    owners, target = in_sections(wanted)
    delta = Delta(wanted.revision)
    delta.left = [(name, owner) for name in SECTIONS for owner in state.sections[name] if (name, owner) not in owners]
    delta.entered = [key for key in sorted(owners) if key[1] not in state.sections[key[0]]]
    for name, owner in owners:
        there = state.of(name, owner)
        delta.gone += ((name, owner, each) for each in there if (name, owner, each) not in target)
    for (name, owner, object_id), each in target.items():
        if state.get(name, owner, object_id) != each:
            getattr(delta.objects, name).append((owner, object_id, each))
    return delta


def in_sections(wanted: WantedState) -> tuple[set[tuple[str, str]], dict[Key, Any]]:
    """(owners, objects) of a document."""
    owners, found = {("ports", HOST)}, dict[Key, Any]()
    for network in wanted.networks:
        bare: dict[str, Any] = {"peer_tunnel_ips": (), "remote_ports": (), "are_addresses_known": False}
        bare["dhcp"] = network.dhcp and msgspec.structs.replace(network.dhcp, hosts=())
        found["networks", network.id, network.id] = msgspec.structs.replace(network, **bare)
        owners |= {("networks", network.id), ("peers", network.id)}
        found |= {("peers", network.id, each): each for each in network.peer_tunnel_ips}
        if network.dhcp is not None:
            owners.add(("leases", network.id))
            for host in network.dhcp.hosts:
                key = ("leases", network.id, host.port_id)
                found[key] = (*found.get(key, ()), host)
        if network.remote_ports or network.are_addresses_known:
            owners.add(("stations", network.id))
            found |= _stations(network)
    found |= {("ports", HOST, port.id): port for port in wanted.ports}
    used = {group_id for port in wanted.ports for group_id in port.security_group_ids}
    for group in wanted.security_groups:
        owners.add(("members", group.id))
        found |= {("members", group.id, each): (each,) for each in group.member_ips}
        if group.id in used:
            owners.add(("groups", group.id))
            found["groups", group.id, group.id] = msgspec.structs.replace(group, member_ips=())
    for router in wanted.routers:
        owners |= {("routers", router.id), ("floating_ips", router.id)}
        found["routers", router.id, router.id] = msgspec.structs.replace(router, floating_ips=())
        found |= {("floating_ips", router.id, each.id): each for each in router.floating_ips}
    return owners, found


def _stations(network: WantedNetwork) -> dict[Key, Station]:
    has_others = not network.are_addresses_known
    return {
        ("stations", network.id, f"{number}"): Station(
            "elsewhere", port.tunnel_ip, port.mac_address, port.ip_addresses, has_others
        )
        for number, port in enumerate(network.remote_ports)
    }


def make_driver(host: Host, played: Collection[str] = parts.ALL, **options: object) -> ByDocuments:
    """A driver that looks into every namespace in every pass over the whole host."""
    told = LinuxOptions(**{"state_dir": host.state_dir, "verify_seconds": 0, **options})  # type: ignore[arg-type]
    return ByDocuments(LinuxDriver(told, played))


def make_fake() -> ByDocuments:
    return ByDocuments(FakeDriver())


def make_guest(host: Host, name: str, port: WantedPort, *, gateway: str | None = None, address: bool = True) -> Guest:
    """The guest of a port, with the port's address unless it is to ask for it by DHCP."""
    guest = Guest(host, name, device_name("tap", port.id), port.mac_address)
    if address:
        guest.set_address(f"{port.fixed_ips[0].ip_address}/24", gateway)
    return guest


async def converge(driver: ByDocuments, wanted: WantedState, *, is_repair: bool = False) -> ConvergeReport:
    """Converge without problems, by what changed alone unless somebody else has changed the host, and find nothing to
    do the second time."""
    report = await driver.converge(wanted)
    assert report.problems == (), report
    assert driver.left == 0 or is_repair, "what changed was not closed by itself"
    again = await driver.converge(wanted)
    assert (again.changes, again.problems) == (0, ()), again
    return report
