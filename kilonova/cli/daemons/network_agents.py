"""`neutron-linuxbridge-agent`, `neutron-dhcp-agent`, `neutron-l3-agent`, `neutron-metadata-agent`.

Each is the one network agent with the part that its name says (decision 0010). They read neutron.conf and their own
file, linuxbridge_agent.ini, dhcp_agent.ini, l3_agent.ini or metadata_agent.ini.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kilonova.cli.daemons.broker import host_name, open_bus
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import NETWORK_AGENT
from kilonova.cli.daemons.process import Daemon, main
from kilonova.network import parts
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.driver import NetworkDriver


async def build(part: str, found: Read, daemon: Daemon) -> None:
    config = found.config
    bus = await open_bus(config)
    daemon.closing.push_async_callback(bus.close)
    agent = NetworkAgent(
        _driver(config, part),
        bus,
        host=host_name(config),
        configurations=render_configurations(config, part),
        played=(part,),
        watch=_tap_watch if part == parts.BRIDGE and config.network_driver == "linux" else None,
    )
    daemon.work.append(agent.run)


def render_configurations(config: Any, part: str) -> dict[str, Any]:
    """What the server and operators are told of the agent. Bridges are told apart from interfaces: a tap joins an
    operator's bridge by its name, and the agent's own where an interface is mapped."""
    if part != parts.BRIDGE:
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


def _driver(config: Any, part: str) -> NetworkDriver:
    if config.network_driver == "fake":
        from kilonova.network.agent.drivers.fake import FakeDriver

        return FakeDriver((part,))
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
    )
    return LinuxDriver(options, (part,))


def _run(part: str) -> int:
    return main(part, "neutron", [NETWORK_AGENT], functools.partial(build, part))


def run_bridge_agent() -> int:
    return _run(parts.BRIDGE)


def run_dhcp_agent() -> int:
    return _run(parts.DHCP)


def run_l3_agent() -> int:
    return _run(parts.L3)


def run_metadata_agent() -> int:
    return _run(parts.METADATA)
