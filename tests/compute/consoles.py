"""A simulated host whose guests have consoles, answering on a bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.agent.spec import ServerSpec
from kilonova.kit.bus import Bus
from tests.compute.agent.rigs import make_spec


@dataclass
class ConsoleHost:
    driver: FakeDriver
    specs: dict[str, ServerSpec] = field(default_factory=dict)

    async def run(self, server_id: str) -> None:
        self.specs[server_id] = make_spec(None, server_id)
        await self.driver.ensure_server(self.specs[server_id], 1)

    async def change(self, server_id: str, **changes: object) -> None:
        self.specs[server_id] = msgspec.structs.replace(self.specs[server_id], **changes)
        await self.driver.ensure_server(self.specs[server_id], 1)


@asynccontextmanager
async def console_host(bus: Bus, host: str = "node1") -> AsyncIterator[ConsoleHost]:
    driver = FakeDriver(FakeHost(host), lambda _server_id: None)
    stop = ComputeAgent(driver, bus, host=host).agent.serve()
    try:
        yield ConsoleHost(driver)
    finally:
        stop()
        await driver.close()
