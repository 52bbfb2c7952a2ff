"""What the compute agent does by itself, beside what it is asked."""

import asyncio
from pathlib import Path

import pytest

from kilonova.compute.agent import agent as agent_module
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.driver import HostError
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.agent.spec import HostShare
from kilonova.kit.bus import InProcessBus


class SweptDriver(FakeDriver):
    """Notes each sweep; the first one fails, as when a record cannot be read."""

    sweeps = 0

    async def sweep_images(self) -> list[Path]:
        self.sweeps += 1
        if self.sweeps == 1:
            raise HostError("a record is damaged")
        return []


async def test_cached_images_are_looked_over_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "SWEEP_INTERVAL_SECONDS", 0.01)
    bus = InProcessBus()
    driver = SweptDriver(FakeHost("host1"), lambda _server_id: None)
    running = asyncio.create_task(ComputeAgent(driver, bus, host="host1").run())
    try:
        async with asyncio.timeout(5):
            while driver.sweeps < 3:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await bus.close()


async def test_a_host_tells_how_much_of_it_servers_may_have() -> None:
    bus = InProcessBus()
    share = HostShare(cpu_allocation_ratio=16.0)
    agent = ComputeAgent(FakeDriver(FakeHost("host1"), lambda _server_id: None), bus, host="host1", share=share)
    assert (await agent._describe()).share == share
    await bus.close()
