"""A fake of the metal: remembers the last document and reports every port up. Shipped; `kilonova up --fake` uses it."""

from collections.abc import Collection, Iterable

import msgspec

from kilonova.network import parts
from kilonova.network.agent import dhcp
from kilonova.network.agent.driver import Observation
from kilonova.network.wanted import NAME_ID_LENGTH, ConvergeReport, WantedState


def _short(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({resource_id[:NAME_ID_LENGTH] for resource_id in ids}))


def _used_groups(wanted: WantedState) -> set[str]:
    carried = {network.id for network in wanted.networks}
    return {
        group
        for port in wanted.ports
        if port.port_security_enabled and port.network_id in carried
        for group in port.security_group_ids
    }


def render_observation(wanted: WantedState, played: Collection[str] = parts.ALL) -> Observation:
    """What of these parts a host that looks like the document would show, every tap being there. Pure."""
    carried = {network.id for network in wanted.networks}
    observation = Observation(
        ports=_short(port.id for port in wanted.ports if port.network_id in carried),
        networks=_short(carried),
        dhcp=tuple(sorted(network.id for network in wanted.networks if dhcp.is_served(network))),
        routers=tuple(sorted(router.id for router in wanted.routers if router.admin_state_up)),
        groups=_short(_used_groups(wanted)),
    )
    if parts.BRIDGE not in played:
        observation = msgspec.structs.replace(observation, ports=(), networks=(), groups=())
    if parts.DHCP not in played:
        observation = msgspec.structs.replace(observation, dhcp=())
    return observation if parts.L3 in played else msgspec.structs.replace(observation, routers=())


class FakeDriver:
    """See `driver.NetworkDriver`. `wanted` is the last document, for tests to look at."""

    def __init__(self, played: Collection[str] = parts.ALL) -> None:
        self._played = frozenset(played)
        self.wanted = WantedState(revision=0)
        self.is_closed = False

    async def converge(self, wanted: WantedState) -> ConvergeReport:
        before, after = self._things(self.wanted), self._things(wanted)
        changes = sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
        self.wanted = wanted
        carried = {network.id for network in wanted.networks}
        guests = wanted.ports if parts.BRIDGE in self._played else ()
        missing = [port for port in guests if port.network_id not in carried]
        observation = render_observation(wanted, self._played)
        return ConvergeReport(
            revision=wanted.revision,
            changes=changes,
            ports_up=tuple(sorted(port.id for port in guests if port.admin_state_up and port.network_id in carried)),
            dhcp_up=observation.dhcp,
            routers_up=observation.routers,
            problems=tuple((p.id, f"Its network {p.network_id} is not ready on this host.") for p in missing),
        )

    @staticmethod
    def _things(wanted: WantedState) -> dict[tuple[str, str], object]:
        things: dict[tuple[str, str], object] = {}
        things |= {("network", network.id): network for network in wanted.networks}
        things |= {("port", port.id): port for port in wanted.ports}
        things |= {("group", group.id): group for group in wanted.security_groups}
        things |= {("router", router.id): router for router in wanted.routers}
        return things

    async def observe(self) -> Observation:
        return render_observation(self.wanted, self._played)

    async def close(self) -> None:
        self.is_closed = True

    async def remove_everything(self) -> None:
        self.wanted = WantedState(revision=0)
