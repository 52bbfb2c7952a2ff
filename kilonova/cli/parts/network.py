"""`neutron-server`. It reads neutron.conf and ml2_conf.ini."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.options import NETWORK
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.config import ConfigError
from kilonova.kit.log import logger
from kilonova.network import agents
from kilonova.network.app import make_app
from kilonova.network.events import EventSender
from kilonova.network.mechanisms.chosen import PASSED_OVER, Mechanisms, choose
from kilonova.network.registry import Registry
from kilonova.network.segments.flat import Flat
from kilonova.network.segments.geneve import Geneve
from kilonova.network.segments.gre import Gre
from kilonova.network.segments.local import Local
from kilonova.network.segments.offered import NAMES, Segments
from kilonova.network.segments.segment import Range, SegmentType, Underlay, parse_physical_ranges, parse_range
from kilonova.network.segments.tunnels import Tunnelled
from kilonova.network.segments.vlan import LARGEST_ID, Vlan
from kilonova.network.segments.vxlan import Vxlan
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata

log = logger(__name__)

PORT = 9696
SCHEMA = Schema("network", metadata, "neutron-db-manage upgrade head")


async def open_network(ground: Ground) -> NetworkService:
    return await ground.shared("network", functools.partial(_make, ground))


async def _make(ground: Ground) -> NetworkService:
    config, database, bus = ground.config, await ground.database(SCHEMA), await ground.bus()
    mechanisms = _mechanisms(config)
    return NetworkService(
        database=database,
        bus=bus,
        liveness=ground.liveness(bus),
        compute=ground.remote("compute", section="nova"),
        segments=_segments(config, mechanisms),
        mechanisms=mechanisms,
        clock=ground.clock,
    )


def _mechanisms(config: Any) -> Mechanisms:
    """Raises ConfigError for a name that is no mechanism, and when no port could be bound."""
    names = config.ml2.mechanism_drivers
    with _naming("ml2", "mechanism_drivers"):
        found = choose(names)
    for name in names:
        if name in PASSED_OVER:
            log.warning("a mechanism has no effect", mechanism=name, reason=PASSED_OVER[name])
    return found


def _segments(config: Any, mechanisms: Mechanisms) -> Segments:
    """Raises ConfigError for a range or a network type that is none."""
    ml2, vlans = config.ml2, config.ml2_type_vlan.network_vlan_ranges
    with _naming("ml2_type_vlan", "network_vlan_ranges"):
        vlan_ranges = parse_physical_ranges(vlans, LARGEST_ID)
    types: list[SegmentType] = [
        Flat(tuple(config.ml2_type_flat.flat_networks)),
        Vlan(vlan_ranges),
        Vxlan(_ranges("ml2_type_vxlan", "vni_ranges", config.ml2_type_vxlan.vni_ranges, Vxlan)),
        Gre(_ranges("ml2_type_gre", "tunnel_id_ranges", config.ml2_type_gre.tunnel_id_ranges, Gre)),
        Geneve(_ranges("ml2_type_geneve", "vni_ranges", config.ml2_type_geneve.vni_ranges, Geneve)),
        Local(),
    ]
    for_projects = _known_types("tenant_network_types", ml2.tenant_network_types)
    for name in for_projects:
        if name not in mechanisms.carries:
            log.warning("projects get no networks of this type: no mechanism carries it", network_type=name)
    underlay = Underlay(config.global_physnet_mtu, ml2.path_mtu or config.global_physnet_mtu)
    return Segments(
        types,
        carried=mechanisms.carries,
        allowed=_known_types("type_drivers", ml2.type_drivers),
        for_projects=for_projects,
        underlay=underlay,
    )


@contextlib.contextmanager
def _naming(group: str, option: str) -> Iterator[None]:
    """Turns a ValueError into a ConfigError that names the option."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"[{group}] {option}: {error}") from error


def _ranges(group: str, option: str, texts: Sequence[str], kind: type[Tunnelled]) -> list[Range]:
    with _naming(group, option):
        return [parse_range(text, kind.largest_number) for text in texts]


def _known_types(option: str, names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"[ml2] {option}: {name!r} is no network type; there are {', '.join(NAMES)}")
    return names


async def _make_registry(network: NetworkService, is_alone: bool) -> Registry:
    return Registry(network, is_alone=is_alone)


async def build(ground: Ground) -> Running:
    config, network = ground.config, await open_network(ground)
    registry = await ground.shared("network registry", functools.partial(_make_registry, network, ground.is_alone))

    app = make_app(network, await ground.verifier())
    return Running(
        [Api("network", app, config.bind_host, config.bind_port or PORT)],
        [EventSender(network).run, ChoreKeeper([_watch(network)], ground.clock).run],
        [registry.serve()],
    )


def _watch(network: NetworkService) -> Chore:
    """Whoever answers for agents has to know which of them live."""

    async def look(_last: object) -> None:
        async with network.database.reading() as tx:
            known = await agents.to_ask(tx)
        await network.liveness.look(known)

    return Chore("watch-agents", network.liveness.interval_seconds, look)


SERVER = Part("neutron-server", "neutron", [NETWORK], build)
