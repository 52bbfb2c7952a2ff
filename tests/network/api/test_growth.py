"""One more port costs the same however many there are in its network and group."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kilonova.kit.db import Tx
from kilonova.kit.testing.metal import Metal
from kilonova.network.agent import agent as agent_module
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.drivers.fake import FakeDriver
from kilonova.network.wanted import TAP_PREFIX, device_name

SIZES = (40, 240)
AT_ONCE = 20
FULL_HOSTS = ("node1", "node2")
"""Hosts of the ports that are there."""
OTHER_HOST = "node3"
"""Where one more port comes, and has as many neighbours each time."""


class Counted:
    """Statements, the rows they return, objects that hosts are told of, and calls of functions."""

    def __init__(self, net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        run, call = Tx._run, net.service.bus.call

        async def counted_run(tx: Tx, statement: Any, values: Any = None) -> Any:
            self.counts["statements"] += 1
            return _Rows(await run(tx, statement, values), self.counts)

        async def counted_call(topic: str, method: str, payload: Any = None, **more: Any) -> Any:
            answer = await call(topic, method, payload, **more)
            if method == "changes":
                self.counts["objects"] += sum(map(len, answer["delta"]["objects"].values()))
            return answer

        monkeypatch.setattr(Tx, "_run", counted_run)
        monkeypatch.setattr(net.service.bus, "call", counted_call)

    def _count_call(self, _frame: Any, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            self.counts["calls"] += 1

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        self.counts.clear()
        sys.setprofile(self._count_call)
        try:
            yield self.counts
        finally:
            sys.setprofile(None)


class _Rows:
    """The answer of a statement; counts the rows that are taken from it."""

    def __init__(self, answer: Any, counts: Counter[str]) -> None:
        self._answer, self._counts = answer, counts

    def __getattr__(self, name: str) -> Any:
        if name in ("first", "scalar"):
            self._counts["rows"] += 1
        return getattr(self._answer, name)

    def __iter__(self) -> Iterator[Any]:
        for row in self._answer:
            self._counts["rows"] += 1
            yield row


class Group:
    """A network and a group that hears of its own members, with hosts that have ports of both."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.metal = Metal()
        self.agents: dict[str, NetworkAgent] = {}
        self.fields: dict[str, Any] = {}

    async def begin(self) -> None:
        for number, host in enumerate((*FULL_HOSTS, OTHER_HOST), 1):
            told = {"tunneling_ip": f"10.9.0.{number}", "l2_population": True}
            driver = FakeDriver(metal=self.metal[host])
            agent = self.agents[host] = NetworkAgent(driver, self.net.service.bus, host=host, configurations=told)
            self.metal[host].watch(agent.on_tap)
            await agent.agent.register()
            self.net.service.liveness.heard("neutron-linuxbridge-agent", host)
        network, _ = await self.net.lan(cidr="10.0.0.0/16")
        await self.net.admin.put(f"/v2.0/quotas/{network['project_id']}", json={"quota": {"port": -1}})
        group = await self.net.create("security-groups", {"name": "all"})
        rule = {"security_group_id": group["id"], "direction": "ingress", "remote_group_id": group["id"]}
        await self.net.create("security-group-rules", rule)
        guest = {"device_owner": "compute:nova", "device_id": "server", "security_groups": [group["id"]]}
        self.fields = {"network_id": network["id"], "project_id": network["project_id"], **guest}

    async def fill(self, count: int) -> None:
        for _ in range(count // AT_ONCE):
            made = [{**self.fields, "binding:host_id": FULL_HOSTS[each % 2]} for each in range(AT_ONCE)]
            assert (await self.net.admin.post("/v2.0/ports", json={"ports": made})).status_code == 201
        await self.look()

    async def look(self) -> None:
        """Each host twice: what one reports, others may hear of."""
        for agent in [*self.agents.values()] * 2:
            await agent.agent.pass_once()

    async def add_port(self) -> Any:
        return await self.net.create("ports", {**self.fields, "binding:host_id": OTHER_HOST}, by="admin")

    async def start(self, port: Any) -> None:
        host = self.metal[OTHER_HOST]
        host.show_taps(host.taps | {device_name(TAP_PREFIX, port["id"])})
        await self.look()
        answer = await self.net.admin.get(f"/v2.0/ports/{port['id']}")
        assert answer.json()["port"]["status"] == "ACTIVE"

    async def unplug(self, port: Any) -> None:
        host = self.metal[OTHER_HOST]
        host.show_taps(host.taps - {device_name(TAP_PREFIX, port["id"])})
        await self.look()

    async def remove(self, port: Any) -> None:
        assert (await self.net.admin.delete(f"/v2.0/ports/{port['id']}")).status_code == 204


async def test_one_more_port_costs_the_same_however_many_there_are(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is looked at because of the time.
    now = net.service.clock.monotonic()
    monkeypatch.setattr(net.service.clock, "monotonic", lambda: now)
    monkeypatch.setattr(agent_module, "INTERVAL_SECONDS", 1e6)
    group = Group(net)
    await group.begin()
    # The host has the network and the group already.
    await group.start(await group.add_port())
    counted = Counted(net, monkeypatch)
    costs: list[dict[str, Counter[str]]] = []
    there = 0
    for size in SIZES:
        await group.fill(size - there)
        there = size
        cost: dict[str, Counter[str]] = {}
        # What is made once, such as statements, is made by the first of these.
        for _ in range(2):
            with counted.counting() as counts:
                port = await group.add_port()
            cost["create"] = +counts
            with counted.counting() as counts:
                await group.look()
            cost["look"] = +counts
            with counted.counting() as counts:
                await group.start(port)
            cost["start"] = +counts
            with counted.counting() as counts:
                await group.remove(port)
                await group.look()
            cost["remove"] = +counts
            await group.unplug(port)
        costs.append(cost)
    few, many = costs
    for step in few:
        calls = few[step].pop("calls"), many[step].pop("calls")
        assert few[step] == many[step], step
        # A few more for the dictionaries and caches that have grown.
        if net.service.database.url.get_backend_name() == "sqlite":
            assert calls[1] < 1.05 * calls[0], step
    # Its address and its place to each host, the port and its lease to those that have them.
    assert many["look"]["objects"] == 8
