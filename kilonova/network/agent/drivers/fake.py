"""A fake of the metal: knows what is wanted, and reports ports up that have taps. `kilonova up --fake` uses it."""

from collections.abc import Collection, Iterable
from typing import Any, Protocol

import msgspec

from kilonova.network import parts
from kilonova.network.agent.dhcp_subnets import is_served
from kilonova.network.agent.driver import Observation
from kilonova.network.state import HostState, Key, Touched
from kilonova.network.wanted import NAME_ID_LENGTH, TAP_PREFIX, ConvergeReport, WantedState, device_name


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
        dhcp=tuple(sorted(network.id for network in wanted.networks if is_served(network))),
        routers=tuple(sorted(router.id for router in wanted.routers if router.admin_state_up)),
        groups=_short(_used_groups(wanted)),
    )
    if parts.BRIDGE not in played:
        observation = msgspec.structs.replace(observation, ports=(), networks=(), groups=())
    if parts.DHCP not in played:
        observation = msgspec.structs.replace(observation, dhcp=())
    return observation if parts.L3 in played else msgspec.structs.replace(observation, routers=())


LOCAL = ("networks", "ports", "groups", "routers", "floating_ips")
"""Sections of what lies on the host itself."""


class Metal(Protocol):
    """The simulated host, which the hypervisor's agent makes taps on."""

    taps: frozenset[str]


class FakeDriver:
    """See `driver.NetworkDriver`. Its metal looks as was wanted last; what it has of other hosts is not counted.

    Without a `metal` to look at, every tap is taken to be there.
    """

    def __init__(self, played: Collection[str] = parts.ALL, metal: Metal | None = None) -> None:
        self._played = frozenset(played)
        self._metal = metal
        self._taps: frozenset[str] = frozenset()
        """Those there were at the last look."""
        self.state = HostState("")
        self._made: dict[Key, Any] = {}
        self._made_revision = self.state.revision
        self.is_closed = False

    @property
    def wanted(self) -> WantedState:
        """The whole of what was wanted last, for tests to look at."""
        return self.state.document()

    async def converge(self, state: HostState, touched: Touched | None = None) -> ConvergeReport:
        if touched is not None and state is self.state:
            return self._change(touched)
        if state is self.state and state.revision == self._made_revision:
            # Nobody else changes what is made up, but for taps.
            plugged = self._plugged()
            return self._report(plugged, plugged, is_whole=False)
        self.state = state
        self._plugged()
        before, self._made = self._made, {}
        for name in LOCAL:
            for owner, found in state.sections[name].items():
                self._made.update({(name, owner, object_id): each for object_id, each in found.items()})
        keys = before.keys() | self._made.keys()
        changed = {key for key in keys if before.get(key) != self._made.get(key)}
        return self._report(changed, list(self._made), is_whole=True)

    def _change(self, touched: Touched) -> ConvergeReport:
        keys = [key for key in touched.before if key[0] in LOCAL]
        plugged = self._plugged()
        changed = set(plugged)
        for key in keys:
            wanted = self.state.get(*key)
            if self._made.get(key) != wanted:
                changed.add(key)
            if wanted is None:
                self._made.pop(key, None)
            else:
                self._made[key] = wanted
        keys += plugged
        # A port is up when its network is there.
        networks = {owner for name, owner, _ in changed if name == "networks"}
        if networks:
            on_them = (each.id for each in self.state.ports.values() if each.network_id in networks)
            keys += (("ports", self.state.host, each) for each in on_them)
        return self._report(changed, keys, is_whole=False)

    def _plugged(self) -> list[Key]:
        """The ports whose taps have come or gone since the last look."""
        taps = frozenset() if self._metal is None else self._metal.taps
        others, self._taps = taps ^ self._taps, taps
        if not others:
            return []
        host = self.state.host
        return [("ports", host, port_id) for port_id in self.state.ports if device_name(TAP_PREFIX, port_id) in others]

    def _report(self, changed: Collection[Key], looked_at: Iterable[Key], *, is_whole: bool) -> ConvergeReport:
        self._made_revision = self.state.revision
        up: dict[str, list[str]] = {"ports": [], "dhcp": [], "routers": []}
        down: list[tuple[str, str]] = []
        problems = []
        for name, _, object_id in dict.fromkeys(looked_at):
            match name:
                case "ports":
                    kind, is_up = "ports", self._is_port_up(object_id)
                    port = self.state.ports.get(object_id)
                    if port is not None and self.state.network(port.network_id) is None:
                        problems.append((port.id, f"Its network {port.network_id} is not ready on this host."))
                case "networks":
                    network = self.state.network(object_id)
                    kind, is_up = "dhcp", network is not None and is_served(network) and parts.DHCP in self._played
                case "routers":
                    router = self.state.router(object_id)
                    kind, is_up = "routers", router is not None and router.admin_state_up and parts.L3 in self._played
                case _:
                    continue
            if is_up:
                up[kind].append(object_id)
            else:
                down.append((kind, object_id))
        return ConvergeReport(
            revision=self.state.revision,
            changes=len(changed),
            ports_up=tuple(sorted(up["ports"])),
            dhcp_up=tuple(sorted(up["dhcp"])),
            routers_up=tuple(sorted(up["routers"])),
            is_whole=is_whole,
            down=tuple(down),
            problems=tuple(problems if parts.BRIDGE in self._played else ()),
        )

    def _is_port_up(self, port_id: str) -> bool:
        port = self.state.ports.get(port_id)
        if port is None or not port.admin_state_up or parts.BRIDGE not in self._played:
            return False
        if self._metal is not None and device_name(TAP_PREFIX, port_id) not in self._taps:
            return False
        return self.state.network(port.network_id) is not None

    async def observe(self) -> Observation:
        observation = render_observation(self.wanted, self._played)
        if self._metal is None:
            return observation
        there = tuple(each for each in observation.ports if device_name(TAP_PREFIX, each) in self._metal.taps)
        return msgspec.structs.replace(observation, ports=there)

    async def close(self) -> None:
        self.is_closed = True

    async def remove_everything(self) -> None:
        self.state, self._made = HostState(""), {}
