"""What the compute agent does by itself, beside what it is asked."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from kilonova.compute.agent import agent as agent_module
from kilonova.compute.agent import contract
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.agent.spec import HostShare
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.agents import AgentCalls, Call
from kilonova.kit.bus import InProcessBus, RemoteError
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import Images, make_spec


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


async def test_every_declared_call_is_answered() -> None:
    bus = InProcessBus()
    agent = ComputeAgent(FakeDriver(FakeHost("host1"), lambda _server_id: None), bus, host="host1")
    declared = {each.name for each in vars(contract).values() if isinstance(each, Call)}
    assert {name for name, _ in agent._served()} == declared
    await bus.close()


async def test_a_server_is_built_moved_and_released_by_calls_over_a_bus() -> None:
    bus = InProcessBus()
    hosts = {name: FakeHost(name) for name in ("host1", "host2")}
    hosts["host1"].reachable = hosts
    stops = [
        ComputeAgent(FakeDriver(metal, lambda _server_id: None), bus, host=name).agent.serve()
        for name, metal in hosts.items()
    ]
    calls = AgentCalls(bus, AGENT_BINARY)
    spec = make_spec(Images().add(b"x"), config_drive=True)
    incoming, leaving = (structs.replace(spec, presence=each) for each in ("incoming", "leaving"))
    await calls.call("host1", contract.ENSURE_SERVER, contract.EnsureArguments(spec, 1))
    expected = await calls.call("host2", contract.ENSURE_SERVER, contract.EnsureArguments(incoming, 1))
    assert expected.arrival is not None
    asked = contract.MigrationArguments(leaving, expected.arrival, 1)
    async with asyncio.timeout(5):
        while (await calls.call("host1", contract.ENSURE_MIGRATION, asked)).power != "absent":
            await asyncio.sleep(0.01)
    arrived = await calls.call("host2", contract.OBSERVE_SERVER, contract.ServerArguments(spec.id))
    assert arrived.power == "running"
    with pytest.raises(RemoteError, match="older than 1") as refused:
        await calls.call("host2", contract.RELEASE_SERVER, contract.ReleaseArguments(spec.id, 0))
    assert refused.value.kind == "StaleEpoch"
    for host in hosts:
        await calls.call(host, contract.RELEASE_SERVER, contract.ReleaseArguments(spec.id, 1))
        assert hosts[host].servers == {}
    for stop in stops:
        stop()
    await bus.close()
