"""`neutron-server`. It reads neutron.conf and ml2_conf.ini."""

import functools

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.options import NETWORK
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.config import ConfigError
from kilonova.network import agents
from kilonova.network.app import make_app
from kilonova.network.events import EventSender
from kilonova.network.registry import Registry
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata

PORT = 9696
SCHEMA = Schema("network", metadata, "neutron-db-manage upgrade head")


async def open_network(ground: Ground) -> NetworkService:
    return await ground.shared("network", functools.partial(_make, ground))


async def _make(ground: Ground) -> NetworkService:
    config, database, bus = ground.config, await ground.database(SCHEMA), await ground.bus()
    return NetworkService(
        database=database,
        bus=bus,
        liveness=ground.liveness(bus),
        compute=ground.remote("compute", section="nova"),
        vni_ranges=tuple(_range(text) for text in config.ml2_type_vxlan.vni_ranges),
        flat_networks=tuple(config.ml2_type_flat.flat_networks),
        physical_mtu=config.global_physnet_mtu,
        path_mtu=config.ml2.path_mtu or config.global_physnet_mtu,
        clock=ground.clock,
    )


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) < 1 << 24):
        raise ConfigError(f"[ml2_type_vxlan] vni_ranges: {text!r} is not of the form 1:1000")
    return int(low), int(high)


async def _make_registry(network: NetworkService) -> Registry:
    return Registry(network)


async def build(ground: Ground) -> Running:
    config, network = ground.config, await open_network(ground)
    registry = await ground.shared("network registry", functools.partial(_make_registry, network))

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
