"""What an agent's look costs the server."""

from typing import Any

import pytest

from kilonova.kit.db import Tx
from kilonova.network import parts
from kilonova.network.registry import FRESH_SECONDS, Registry

GUEST = {"device_owner": "compute:nova", "device_id": "server"}


class Counted:
    """How often the database is read."""

    def __init__(self, net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        reading = net.service.database.reading

        def count() -> Any:
            self.count += 1
            return reading()

        monkeypatch.setattr(net.service.database, "reading", count)


async def look(registry: Registry, told: dict[str, Any]) -> dict[str, Any]:
    """One look of node1, or another host, which has been told all that `told` says."""
    answer = await registry.changes({"host": "node1", "parts": parts.ALL, **told})
    assert answer.known
    assert answer.delta is not None
    return {"since": answer.delta.revision, "serial": answer.serial}


async def test_of_looks_after_one_change_only_the_first_reads(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await net.agent()
    network, _ = await net.lan()
    told = await look(net.registry, {"since": -1})
    told = await look(net.registry, told)
    counted = Counted(net, monkeypatch)
    assert await look(net.registry, told) == told
    assert counted.count == 0

    await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1"}, by="admin")
    before = counted.count
    news = await look(net.registry, told)
    assert news["since"] > told["since"]
    assert counted.count > before
    # One that has missed this is not put off by what another has been told.
    counted.count = 0
    missed = await net.registry.changes({"host": "node1", "parts": parts.ALL, **told})
    assert (missed.delta, counted.count > 0) == (None, True)
    counted.count = 0
    assert await look(net.registry, news) == news
    assert counted.count == 0


async def test_what_one_host_was_told_is_told_to_the_next_without_a_statement(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = await net.lan(enable_dhcp=False)
    now = net.service.clock.monotonic()
    monkeypatch.setattr(net.service.clock, "monotonic", lambda: now)
    told = {}
    for host in ("node1", "node2"):
        await net.agent(host)
        await net.create("ports", {"network_id": network["id"], "binding:host_id": host, **GUEST}, by="admin")
    for host in ("node1", "node2"):
        told[host] = await look(net.registry, {"host": host, "since": -1})
    port = await net.create("ports", {"network_id": network["id"], **GUEST}, by="admin")
    await look(net.registry, {"host": "node1", **told["node1"]})
    run, statements = Tx._run, []

    async def counted(tx: Tx, statement: Any, values: Any = None) -> Any:
        statements.append(statement)
        return await run(tx, statement, values)

    monkeypatch.setattr(Tx, "_run", counted)
    answer = await net.registry.changes({"host": "node2", "parts": parts.ALL, **told["node2"]})
    assert [port_id for _, port_id, _ in answer.delta.objects.members] == [port["id"]]
    assert statements == []


async def test_the_database_is_read_again_after_a_while(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await net.agent()
    told = await look(net.registry, await look(net.registry, {"since": -1}))
    counted = Counted(net, monkeypatch)
    now = net.service.clock.monotonic()
    monkeypatch.setattr(net.service.clock, "monotonic", lambda: now + FRESH_SECONDS + 0.1)
    assert await look(net.registry, told) == told
    assert counted.count > 0


async def test_where_others_write_too_every_look_reads(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await net.agent()
    registry = Registry(net.service)
    told = await look(registry, await look(registry, {"since": -1}))
    counted = Counted(net, monkeypatch)
    assert await look(registry, told) == told
    assert counted.count > 0
