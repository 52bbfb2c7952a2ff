"""`neutron-server` and `neutron-linuxbridge-agent`, which also serves addresses, routers and metadata (decision 0010).

The server reads neutron.conf and ml2_conf.ini, the agent neutron.conf and linuxbridge_agent.ini.
"""

import functools
from pathlib import Path
from typing import Any

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import NETWORK, NETWORK_AGENT
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import host_name, open_bus, open_ground
from kilonova.kit.agents import Liveness
from kilonova.kit.config import ConfigError
from kilonova.network import agents
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.app import make_app
from kilonova.network.events import EventSender
from kilonova.network.registry import Registry
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata
from kilonova.network.topics import AGENT_BINARY

PORT = 9696


async def build_server(found: Read, daemon: Daemon) -> None:
    config = found.config
    ground = await open_ground(config, daemon, "network", metadata, "neutron-db-manage upgrade head")
    network = NetworkService(
        database=ground.database,
        bus=ground.bus,
        liveness=Liveness(ground.bus),
        compute=ground.neighbours.remote("compute"),
        vni_ranges=tuple(_range(text) for text in config.ml2_type_vxlan.vni_ranges),
        flat_networks=tuple(config.ml2_type_flat.flat_networks),
    )

    async def known_agents() -> list[tuple[str, str]]:
        async with ground.database.reading() as tx:
            return sorted({(AGENT_BINARY, each.host) for each in await agents.list_all(tx)})

    daemon.closing.callback(Registry(network).serve())
    daemon.work += [EventSender(network).run, functools.partial(network.liveness.watch, known_agents)]
    app = make_app(network, ground.neighbours.verifier(ground.bus))
    daemon.apis.append(("network", app, config.bind_host, config.bind_port or PORT))


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal() and 1 <= int(low) <= int(high) < 1 << 24):
        raise ConfigError(f"[ml2_type_vxlan] vni_ranges: {text!r} is not of the form 1:1000")
    return int(low), int(high)


async def build_agent(found: Read, daemon: Daemon) -> None:
    config = found.config
    bus = await open_bus(config)
    daemon.closing.push_async_callback(bus.close)
    host = host_name(config)
    if config.network_driver == "fake":
        from kilonova.network.agent.drivers.fake import FakeDriver

        daemon.work.append(NetworkAgent(FakeDriver(), bus, host=host, configurations={}).run)
        return
    daemon.work.append(_linux_agent(config, bus, host).run)


def _linux_agent(config: Any, bus: Any, host: str) -> NetworkAgent:
    from kilonova.network.agent.drivers.linux import LinuxDriver
    from kilonova.network.agent.options import LinuxOptions
    from kilonova.network.agent.watch import TapWatch

    local_ip = config.vxlan.local_ip if config.vxlan.enable_vxlan else ""
    options = LinuxOptions(
        state_dir=Path(config.state_path),
        bridge_mappings=config.linux_bridge.bridge_mappings,
        physical_interface_mappings=config.linux_bridge.physical_interface_mappings,
        local_ip=local_ip or None,
        l2_population=config.vxlan.l2_population,
        metadata_proxy_shared_secret=config.metadata_proxy_shared_secret,
        nova_metadata_url=f"http://{config.nova_metadata_host}:{config.nova_metadata_port}",
    )
    mappings = {**config.linux_bridge.physical_interface_mappings, **config.linux_bridge.bridge_mappings}
    configurations = {"bridge_mappings": mappings, "tunneling_ip": local_ip}
    return NetworkAgent(
        LinuxDriver(options), bus, host=host, configurations=configurations, watch=lambda wake: TapWatch(wake).close
    )


def run_server() -> int:
    return main("neutron-server", "neutron", [NETWORK], build_server)


def run_agent() -> int:
    return main("neutron-linuxbridge-agent", "neutron", [NETWORK_AGENT], build_agent)
