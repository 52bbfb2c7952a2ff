"""Routers: a namespace for each, with its ports, routes, translations and advertisements."""

from collections.abc import Mapping
from pathlib import Path

from kilonova.network import parts
from kilonova.network.agent import advertisements, links, namespaces, routers
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.links import LinkTable
from kilonova.network.agent.linux.part import Setting, Work, changed_in, entries, is_plugged, release_devices
from kilonova.network.agent.linux.verified import Foreign, Verified
from kilonova.network.agent.routers import router_ports
from kilonova.network.state import Touched
from kilonova.network.wanted import TAP_PREFIX, WantedRouter, WantedState, device_name


class Routers:
    def __init__(self, setting: Setting) -> None:
        self._options = setting.options
        self._is_played = parts.L3 in setting.played
        self._makes_bridges = parts.BRIDGE in setting.played
        self._verified, self._foreign = Verified(setting.options.verify_seconds), Foreign()
        self._up: frozenset[str] = frozenset()
        """Routers that the last pass found up."""

    def _directory(self, router_id: str) -> Path:
        return self._options.state_dir / "advertisements" / router_id

    def devices(self, wanted: WantedState) -> set[str]:
        carried = (port for router in self._routed(wanted) for port in router_ports(router))
        return {device_name(TAP_PREFIX, port.port_id) for port in carried}

    def _routed(self, wanted: WantedState) -> list[WantedRouter]:
        return [router for router in wanted.routers if router.admin_state_up]

    def release(self, work: Work) -> None:
        if not self._is_played:
            return
        release_devices(work, links.ROUTER_GROUP)
        routed = {router.id for router in self._routed(work.wanted)}
        for router_id in sorted(entries(self._options.state_dir / "advertisements") - routed):
            with work.ledger.guarding(router_id):
                advertisements.release(self._directory(router_id), work.ledger)
        namespaces.release_debris(routers.NAMESPACE_PREFIX)
        for name in namespaces.names(routers.NAMESPACE_PREFIX):
            router_id = name.removeprefix(routers.NAMESPACE_PREFIX)
            if router_id not in routed and self._foreign.is_ours(name, work.ledger):
                with work.ledger.guarding(router_id):
                    routers.release_router(router_id, work.ledger)

    def converge(self, work: Work) -> None:
        if not self._is_played:
            return
        routed, touched = self._routed(work.wanted), work.touched or Touched()
        as_before = frozenset() if work.touched is None else self._up - changed_in(touched, "routers", "floating_ips")
        networks = changed_in(touched, "networks")
        for router in routed:
            if router.id in as_before and networks.isdisjoint(port.network_id for port in router_ports(router)):
                work.routers_up.append(router.id)
            else:
                self._ensure(work, router)
        self._verified.forget_others([routers.namespace_name(each.id) for each in routed])
        self._up = frozenset(work.routers_up)

    def _ensure(self, work: Work, router: WantedRouter) -> None:
        ports = router_ports(router)
        carried = {port.network_id: work.networks.get(port.network_id) for port in ports}
        told = advertisements.advertised(router, {key: found[0] for key, found in carried.items() if found})
        seen = tuple((key, found and (found[0].mtu, found[1].name)) for key, found in carried.items())
        inputs, name = (router, seen, told), routers.namespace_name(router.id)
        directory = self._directory(router.id)
        with work.ledger.guarding(router.id):
            is_joined = all(
                found is not None and is_plugged(work.table, device_name(TAP_PREFIX, port.port_id), found[1])
                for port, found in ((port, carried[port.network_id]) for port in ports)
            )
            is_heard = not told or advertisements.is_running(directory)
            if not (is_joined and is_heard and self._verified.holds(name, inputs)):
                try:
                    routers.ensure_router(router, work.networks, work.table, work.ledger)
                except routers.NetworksNotReady as problem:
                    if self._makes_bridges:
                        raise
                    work.ledger.wait(router.id, str(problem))
                    return
                advertisements.ensure(name, told, directory, work.ledger)
                self._verified.note(name, inputs)
            work.routers_up.append(router.id)

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        ledger = Ledger()
        own = [each for each in namespaces.names(routers.NAMESPACE_PREFIX) if self._foreign.is_ours(each, ledger)]
        return {"routers": tuple(name.removeprefix(routers.NAMESPACE_PREFIX) for name in own)}
