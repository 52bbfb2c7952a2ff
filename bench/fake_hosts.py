"""Many simulated hosts in one process, on a broker: `python -m bench.fake_hosts TRANSPORT_URL COUNT [--network]`.

Each is a whole compute agent with the fake driver, and with --network a bridge agent beside it; what they share is the
process and its connection.
"""

import argparse
import asyncio

from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.kit import log
from kilonova.kit.agents import Turns
from kilonova.kit.bus import Bus
from kilonova.kit.bus.transports import make_bus
from kilonova.kit.testing.metal import Metal
from kilonova.network import parts
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.drivers.fake import FakeDriver as FakeNetworkDriver
from kilonova.network.agent.wakes import Wakes


async def run(transport_url: str, count: int, *, has_network: bool) -> None:
    bus = make_bus(transport_url)
    await bus.start()
    names = [f"fake-{number:04}" for number in range(count)]
    metal, turns = Metal(), Turns()
    agents: list[ComputeAgent | NetworkAgent] = [_compute_agent(bus, name, metal, turns) for name in names]
    if has_network:
        wakes = Wakes(bus)
        agents += [_network_agent(bus, name, metal, turns, wakes) for name in names]
    await asyncio.gather(*(each.run() for each in agents))


def _compute_agent(bus: Bus, name: str, metal: Metal, turns: Turns) -> ComputeAgent:
    driver = FakeDriver(FakeHost(name, taps=metal[name]), lambda _server_id: None)
    return ComputeAgent(driver, bus, host=name, turns=turns)


def _network_agent(bus: Bus, name: str, metal: Metal, turns: Turns, wakes: Wakes) -> NetworkAgent:
    played = (parts.BRIDGE,)
    host = metal[name]
    told = {"bridge_mappings": {}, "interface_mappings": {}, "tunneling_ip": "127.0.0.1", "l2_population": True}
    driver = FakeNetworkDriver(played, host)
    return NetworkAgent(
        driver,
        bus,
        host=name,
        configurations=told,
        played=played,
        watch=host.watch,
        wakes=wakes,
        turns=turns,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transport_url")
    parser.add_argument("count", type=int)
    parser.add_argument("--network", action="store_true")
    options = parser.parse_args()
    log.configure("WARNING")
    asyncio.run(run(options.transport_url, options.count, has_network=options.network))
