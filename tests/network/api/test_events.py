"""What compute is told of its servers' ports, when it, identity or the database is away."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.network.events import EventSender
from kilonova.network.tables import compute_events


class Compute:
    """Answers with what it is told to, and takes the rest."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.taken: list[Any] = []

    async def request(self, _method: str, _path: str, *, json: Any) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.taken += json["events"]


async def waiting(net: Any) -> int:
    async with net.service.database.reading() as tx:
        count: int = await tx.scalar(select(func.count()).select_from(compute_events))
    return count


async def plugged(net: Any) -> EventSender:
    """A port that compute has to be told of."""
    network, _ = await net.lan()
    agent, _ = await net.agent()
    fields = {"network_id": network["id"], "binding:host_id": "node1", "device_id": "s", "device_owner": "compute:nova"}
    await net.create("ports", fields, by="admin")
    await agent.agent.pass_once()
    assert await waiting(net) == 1
    return EventSender(net.service)


@pytest.mark.parametrize(
    "answer",
    [RemoteUnavailable("compute", 503, "away"), RemoteFault("compute", 401, "who?"), RemoteFault("compute", 403, "no")],
)
async def test_what_compute_cannot_take_now_is_kept(net: Any, answer: Exception) -> None:
    sender = await plugged(net)
    net.service.compute = compute = Compute(answer)
    assert not await sender.send_batch()
    assert await waiting(net) == 1
    assert await sender.send_batch()
    assert ([each["name"] for each in compute.taken], await waiting(net)) == (["network-vif-plugged"], 0)


@pytest.mark.parametrize("status", [400, 404])
async def test_what_compute_will_never_take_is_let_go(net: Any, status: int) -> None:
    sender = await plugged(net)
    net.service.compute = Compute(RemoteFault("compute", status, "gone"))
    assert await sender.send_batch()
    assert await waiting(net) == 0


async def test_the_sender_goes_on_when_the_database_is_back(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = await plugged(net)
    net.service.compute = compute = Compute()
    send, tries = sender.send_batch, iter([ServiceUnavailable("The database cannot be reached.")])

    async def send_batch() -> bool:
        for error in tries:
            raise error
        return await send()

    monkeypatch.setattr(sender, "send_batch", send_batch)
    monkeypatch.setattr("kilonova.network.events.RETRY_SECONDS", 0.01)
    running = asyncio.create_task(sender.run())
    async with asyncio.timeout(5):
        while not compute.taken:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
