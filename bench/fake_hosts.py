"""Many simulated compute hosts in one process, on a broker: `python -m bench.fake_hosts TRANSPORT_URL COUNT`.

Each is a whole compute agent with the fake driver; what they share is the process and its connection.
"""

import asyncio
import sys

from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.kit import log
from kilonova.kit.bus.transports import make_bus


async def run(transport_url: str, count: int) -> None:
    bus = make_bus(transport_url)
    await bus.start()
    names = [f"fake-{number:04}" for number in range(count)]
    agents = [ComputeAgent(FakeDriver(FakeHost(name), lambda _server_id: None), bus, host=name) for name in names]
    await asyncio.gather(*(each.run() for each in agents))


if __name__ == "__main__":
    log.configure("WARNING")
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
