"""`neutron-server`. It reads neutron.conf and ml2_conf.ini."""

import functools

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import NETWORK
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import open_ground
from kilonova.kit.agents import Liveness
from kilonova.kit.config import ConfigError
from kilonova.network import agents
from kilonova.network.app import make_app
from kilonova.network.events import EventSender
from kilonova.network.registry import Registry
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata

PORT = 9696


async def build_server(found: Read, daemon: Daemon) -> None:
    config = found.config
    ground = await open_ground(config, daemon, "network", metadata, "neutron-db-manage upgrade head")
    network = NetworkService(
        database=ground.database,
        bus=ground.bus,
        liveness=Liveness(ground.bus),
        compute=ground.neighbours.remote("compute", group=config.nova),
        vni_ranges=tuple(_range(text) for text in config.ml2_type_vxlan.vni_ranges),
        flat_networks=tuple(config.ml2_type_flat.flat_networks),
        physical_mtu=config.global_physnet_mtu,
        path_mtu=config.ml2.path_mtu or config.global_physnet_mtu,
    )

    async def known_agents() -> list[tuple[str, str]]:
        async with ground.database.reading() as tx:
            return await agents.to_ask(tx)

    daemon.closing.callback(Registry(network).serve())
    daemon.work += [EventSender(network).run, functools.partial(network.liveness.watch, known_agents)]
    app = make_app(network, ground.neighbours.verifier(ground.bus))
    daemon.apis.append(("network", app, config.bind_host, config.bind_port or PORT))


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) < 1 << 24):
        raise ConfigError(f"[ml2_type_vxlan] vni_ranges: {text!r} is not of the form 1:1000")
    return int(low), int(high)


def run_server() -> int:
    return main("neutron-server", "neutron", [NETWORK], build_server)
