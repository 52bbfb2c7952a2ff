"""`neutron-linuxbridge-agent`, `neutron-dhcp-agent`, `neutron-l3-agent`, `neutron-metadata-agent`.

Each is the one network agent with the part that its name says (decision 0010). They read neutron.conf and their own
file, linuxbridge_agent.ini, dhcp_agent.ini, l3_agent.ini or metadata_agent.ini. `kilonova up` runs one agent that plays
them all.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kilonova.cli.grounds.ground import Ground
from kilonova.cli.parts.metal import simulated_host
from kilonova.cli.parts.options import NETWORK_AGENT
from kilonova.cli.parts.part import Part, Running
from kilonova.cli.parts.turns import shared_turns
from kilonova.network import parts
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.driver import NetworkDriver
from kilonova.network.agent.wakes import Wakes

Watch = Callable[[Callable[[], None]], Callable[[], None]]
"""Calls a function whenever a tap has come or gone; returns what ends that."""


async def build(played: Sequence[str], ground: Ground) -> Running:
    config, bus = ground.config, await ground.bus()
    wakes, turns = Wakes(bus), await shared_turns(ground)
    agents = [
        NetworkAgent(
            driver,
            bus,
            host=host,
            configurations=render_configurations(config, played),
            played=played,
            watch=watch if parts.BRIDGE in played else None,
            wakes=wakes,
            turns=turns,
        )
        for host in ground.hosts
        for driver, watch in [await _driver(ground, host, played)]
    ]
    return Running(work=[agent.run for agent in agents])


def render_configurations(config: Any, played: Sequence[str]) -> dict[str, Any]:
    """What the server and operators are told of the agent. Bridges are told apart from interfaces: a tap joins an
    operator's bridge by its name, and the agent's own where an interface is mapped."""
    if parts.BRIDGE not in played:
        return {}
    return {
        "bridge_mappings": config.linux_bridge.bridge_mappings,
        "interface_mappings": config.linux_bridge.physical_interface_mappings,
        "tunneling_ip": _local_ip(config),
        "l2_population": config.vxlan.l2_population,
    }


def _local_ip(config: Any) -> str:
    address: str = config.vxlan.local_ip if config.vxlan.enable_vxlan else ""
    return address


def _tap_watch(wake: Callable[[], None]) -> Callable[[], None]:
    from kilonova.network.agent.watch import TapWatch

    return TapWatch(wake).close


async def _driver(ground: Ground, host: str, played: Sequence[str]) -> tuple[NetworkDriver, Watch | None]:
    """The driver of a host, and what tells its agent of taps."""
    config = ground.config
    if config.network_driver == "fake":
        from kilonova.network.agent.drivers.fake import FakeDriver

        metal = await simulated_host(ground, host)
        return FakeDriver(played, metal), metal.watch if metal is not None else None
    from kilonova.network.agent.drivers.linux import LinuxDriver
    from kilonova.network.agent.options import LinuxOptions

    options = LinuxOptions(
        state_dir=Path(config.state_path),
        bridge_mappings=config.linux_bridge.bridge_mappings,
        physical_interface_mappings=config.linux_bridge.physical_interface_mappings,
        local_ip=_local_ip(config) or None,
        l2_population=config.vxlan.l2_population,
        metadata_proxy_shared_secret=config.metadata_proxy_shared_secret,
        nova_metadata_url=f"http://{config.nova_metadata_host}:{config.nova_metadata_port}",
        metadata_transport=ground.transport("metadata"),
    )
    return LinuxDriver(options, played), _tap_watch


def _agent(program: str, *played: str) -> Part:
    return Part(program, "neutron", [NETWORK_AGENT], functools.partial(build, played))


BRIDGE, DHCP, L3, METADATA = (_agent(name, name) for name in (parts.BRIDGE, parts.DHCP, parts.L3, parts.METADATA))
WHOLE = _agent("neutron-agent", *parts.ALL)
