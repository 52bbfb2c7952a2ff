"""The screen of a real guest, through the API, the agent and the proxy."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.consoles.console_proxy.app import NOVNC
from tests.compute.agent.conftest import libvirt_rig as libvirt_rig
from tests.compute.agent.conftest import libvirt_state_dir as libvirt_state_dir
from tests.compute.agent.rigs import MIB, LibvirtRig, make_spec, settle
from tests.compute.console_proxy.conftest import Guests, Proxy, serve

pytestmark = pytest.mark.libvirt


@pytest.fixture
async def proxy(nova: Any, libvirt_rig: LibvirtRig, tmp_path: Any) -> AsyncIterator[Proxy]:
    async for made in serve(nova, Guests(), NOVNC, web=tmp_path):
        # Asked instead of the one that answers whatever a test tells it to.
        stop = ComputeAgent(libvirt_rig.driver, nova.service.bus, host="node2").agent.serve()
        yield made
        stop()


async def test_a_token_leads_to_the_guest_that_runs_and_to_no_other(proxy: Proxy, libvirt_rig: LibvirtRig) -> None:
    server = await proxy.nova.insert_server(host="node2")
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), server.id)
    await settle(libvirt_rig, spec)
    token = await proxy.token(server)
    async with proxy.connect(token) as socket, asyncio.timeout(10):
        assert await socket.recv() == b"RFB 003.008\n"
        await socket.send(b"RFB 003.008\n")
        assert await socket.recv() == b"\x01\x01"  # no password: the token was one
        await settle(libvirt_rig, msgspec.structs.replace(spec, reboot_count=1, reboot_type="HARD"))
        await socket.wait_closed()
        assert socket.close_code == 1000
    async with proxy.connect(token) as socket, asyncio.timeout(10):
        assert await socket.recv() == b"RFB 003.008\n"
    await settle(libvirt_rig, msgspec.structs.replace(spec, power="stopped", reboot_count=1))
    with pytest.raises(InvalidStatus):
        await proxy.connect(token)
