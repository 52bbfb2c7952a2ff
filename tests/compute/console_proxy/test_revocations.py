"""A console lives no longer than the user, the project or the token that it was opened by."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kilonova.kit.auth import RequestContext
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC
from tests.compute.console_proxy.conftest import Proxy
from tests.compute.console_proxy.test_proxy import echo


def caller(user_id: str, project_id: str, audit_id: str) -> RequestContext:
    now = datetime.now(UTC)
    return RequestContext(
        user_id=user_id,
        user_name=user_id,
        user_domain_id="default",
        project_id=project_id,
        audit_ids=(audit_id,),
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )


@pytest.mark.parametrize(
    "event", [{"user_id": "ann"}, {"project_id": "a"}, {"audit_id": "1"}, {"user_id": "ann", "project_id": "a"}]
)
async def test_what_is_revoked_takes_its_consoles_along_and_no_others(proxy: Proxy, event: dict[str, str]) -> None:
    server = await proxy.server(echo)
    hers = await proxy.token(server, ctx=caller("ann", "a", "1"))
    unused = await proxy.token(server, ctx=caller("ann", "a", "1"))
    his = await proxy.token(server, ctx=caller("bob", "b", "2"))
    async with proxy.connect(hers) as ending, proxy.connect(his) as going_on:
        assert await ending.recv() == await going_on.recv() == b"RFB 003.008\n"
        await proxy.nova.service.bus.publish(REVOCATIONS_TOPIC, event)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(5):
                await ending.recv()
        await going_on.send(b"still")
        assert await going_on.recv() == b"STILL"
    for token in (hers, unused):
        with pytest.raises(InvalidStatus):
            async with proxy.connect(token):
                pass
    async with proxy.connect(his) as again:
        assert await again.recv() == b"RFB 003.008\n"


async def test_a_revocation_of_something_else_ends_nothing(proxy: Proxy) -> None:
    server = await proxy.server(echo)
    async with proxy.connect(await proxy.token(server, ctx=caller("ann", "a", "1"))) as socket:
        assert await socket.recv() == b"RFB 003.008\n"
        for event in ({"user_id": "ann", "project_id": "b"}, {"audit_id": "2"}, {"domain_id": "default"}):
            await proxy.nova.service.bus.publish(REVOCATIONS_TOPIC, event)
        await asyncio.sleep(0.05)
        await socket.send(b"still")
        assert await socket.recv() == b"STILL"
