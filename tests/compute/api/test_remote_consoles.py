"""Consoles: asking for one in every spelling, every refusal, and where a token leads."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from sqlalchemy import select

from kilonova.compute.agent.spec import ConsoleAddress
from kilonova.compute.api.remote_consoles import url_with_token
from kilonova.compute.consoles import console_tokens
from kilonova.compute.hosts import control_daemons
from kilonova.compute.region import mappings
from kilonova.compute.tables import ConsoleToken
from kilonova.compute.tables import console_tokens as table
from tests.compute.consoles import ConsoleHost, console_host

NOVNC = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
SERIAL = {"remote_console": {"protocol": "serial", "type": "serial"}}


@pytest.fixture
async def host(nova: Any) -> AsyncIterator[ConsoleHost]:
    async with console_host(nova.service.bus) as made:
        yield made


async def running(nova: Any, host: ConsoleHost, **values: Any) -> Any:
    server = await nova.insert_server(**values)
    await host.run(server.id)
    return server


def token_in(url: str) -> str:
    query = parse_qs(urlsplit(url).query)
    inner = parse_qs(query["path"][0].removeprefix("?")) if "path" in query else query
    return inner["token"][0]


async def rows(nova: Any) -> list[ConsoleToken]:
    async with nova.service.database.reading() as tx:
        found: list[ConsoleToken] = await tx.all(ConsoleToken, select(table))
    return found


async def test_a_console_is_a_url_with_a_token_of_which_only_the_digest_is_kept(nova: Any, host: ConsoleHost) -> None:
    server = await running(nova, host)
    path = f"/servers/{server.id}/remote-consoles"
    console = (await nova.call("POST", path, json=NOVNC))["remote_console"]
    assert (console["protocol"], console["type"]) == ("vnc", "novnc")
    assert console["url"].startswith("http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3D")
    token = token_in(console["url"])
    (row,) = await rows(nova)
    assert (row.server_id, row.kind, row.token_digest) == (server.id, "vnc", console_tokens.digest_of(token))
    left = row.expires_at - nova.service.clock.now()
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)
    other = await nova.call("POST", path, json=NOVNC)
    assert token_in(other["remote_console"]["url"]) != token
    serial = (await nova.call("POST", path, json=SERIAL))["remote_console"]
    assert serial["url"] == f"ws://127.0.0.1:6083/?token={token_in(serial['url'])}"


@pytest.mark.parametrize(("action", "kind"), [("os-getVNCConsole", "novnc"), ("os-getSerialConsole", "serial")])
async def test_until_2_5_consoles_are_actions(nova: Any, host: ConsoleHost, action: str, kind: str) -> None:
    server = await running(nova, host)
    path, body = f"/servers/{server.id}/action", {action: {"type": kind}}
    console = (await nova.call("POST", path, json=body, version="2.5"))["console"]
    assert console["type"] == kind and token_in(console["url"])
    assert action in await nova.refused("POST", path, 404, json=body, version="2.6")
    await nova.call("POST", f"/servers/{server.id}/remote-consoles", 404, json=NOVNC, version="2.5")


@pytest.mark.parametrize(
    ("action", "kind", "sentence"),
    [
        ("os-getVNCConsole", "xvpvnc", "ask for novnc"),
        ("os-getSPICEConsole", "spice-html5", "its host offers no spice consoles"),
        ("os-getRDPConsole", "rdp-html5", "Hyper-V"),
    ],
)
async def test_actions_for_what_is_not_offered_say_why(
    nova: Any, host: ConsoleHost, action: str, kind: str, sentence: str
) -> None:
    server = await running(nova, host)
    body = {action: {"type": kind}}
    assert sentence in await nova.refused("POST", f"/servers/{server.id}/action", 400, json=body, version="2.1")


@pytest.mark.parametrize(
    ("protocol", "kind", "version", "sentence"),
    [
        ("spice", "spice-html5", "2.6", "its host offers no spice consoles"),
        ("rdp", "rdp-html5", "2.6", "Hyper-V"),
        ("vnc", "xvpvnc", "2.6", "ask for novnc"),
        ("vnc", "serial", "2.6", "the protocol vnc has the types novnc, xvpvnc"),
        ("mks", "webmks", "2.7", "mks"),
        ("mks", "webmks", "2.8", "VMware"),
        ("spice", "spice-direct", "2.98", "spice-direct"),
        ("spice", "spice-direct", "2.99", "its host offers no spice consoles"),
        ("telnet", "novnc", "latest", "protocol"),
    ],
)
async def test_what_the_host_does_not_offer_is_refused_with_the_reason(
    nova: Any, host: ConsoleHost, protocol: str, kind: str, version: str, sentence: str
) -> None:
    server = await running(nova, host)
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    path = f"/servers/{server.id}/remote-consoles"
    assert sentence in await nova.refused("POST", path, 400, json=body, version=version)
    assert await rows(nova) == []


@pytest.mark.parametrize("body", [{}, {"remote_console": {}}, {"remote_console": {"protocol": "vnc"}}, {"a": 1}])
async def test_a_body_that_cannot_be_meant_is_400(nova: Any, body: Any) -> None:
    server = await nova.insert_server()
    await nova.refused("POST", f"/servers/{server.id}/remote-consoles", 400, json=body)


async def test_only_those_who_may_get_a_console(nova: Any, host: ConsoleHost) -> None:
    server = await running(nova, host)
    path = f"/servers/{server.id}/remote-consoles"
    await nova.refused("POST", path, 404, by="other", json=NOVNC)
    assert "os-remote-consoles" in await nova.refused("POST", path, 403, by="reader", json=NOVNC)
    await nova.refused("POST", "/servers/nothing/remote-consoles", 404, json=NOVNC)
    await nova.call("POST", path, by="admin", json=NOVNC)


async def test_a_server_without_a_guest_has_no_console(nova: Any, host: ConsoleHost) -> None:
    building = await nova.insert_server(building=True)
    path = f"/servers/{building.id}/remote-consoles"
    assert "it is on no host yet" in await nova.refused("POST", path, 409, json=NOVNC)
    server = await running(nova, host)
    await host.change(server.id, power="stopped")
    path = f"/servers/{server.id}/remote-consoles"
    assert "has no guest" in await nova.refused("POST", path, 409, json=NOVNC)
    elsewhere = await nova.insert_server(host="node2")
    path = f"/servers/{elsewhere.id}/remote-consoles"
    assert "node2" in await nova.refused("POST", path, 409, json=NOVNC)


async def test_an_administrator_sees_where_a_token_leads_from_2_31_on(nova: Any, host: ConsoleHost) -> None:
    server = await running(nova, host)
    console = await nova.call("POST", f"/servers/{server.id}/remote-consoles", json=NOVNC)
    path = f"/os-console-auth-tokens/{token_in(console['remote_console']['url'])}"
    shown = (await nova.call("GET", path, by="admin"))["console"]
    address = await host.driver.console_address(server.id, "vnc")
    assert shown == {
        "instance_uuid": server.id,
        "host": "127.0.0.1",
        "port": address.port,
        "tls_port": None,
        "internal_access_path": None,
    }
    before = (await nova.call("GET", path, by="admin", version="2.98"))["console"]
    assert before == {key: value for key, value in shown.items() if key != "tls_port"}
    assert "rdp-html5" in await nova.refused("GET", path, 400, by="admin", version="2.30")
    await nova.refused("GET", path, 403)
    assert "Token not found" in await nova.refused("GET", "/os-console-auth-tokens/nothing", 404, by="admin")
    await host.change(server.id, power="stopped")
    assert "has no guest" in await nova.refused("GET", path, 409, by="admin")


async def test_a_client_without_a_browser_is_sent_to_the_proxy_for_those(
    nova: Any, host: ConsoleHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await running(nova, host)
    address = ConsoleAddress("127.0.0.1", 5902, "http://controller:6082/spice_auto.html", "1")

    async def console_address(_server_id: str, _kind: str) -> ConsoleAddress:
        return address

    monkeypatch.setattr(host.driver, "console_address", console_address)
    path, body = (
        f"/servers/{server.id}/remote-consoles",
        {"remote_console": {"protocol": "spice", "type": "spice-direct"}},
    )
    told = await nova.refused("POST", path, 400, json=body)
    assert "spice_direct_proxy_base_url" in told and "ask for spice-html5" in told
    address = msgspec.structs.replace(address, direct_url="http://controller:13002/nova")
    console = (await nova.call("POST", path, json=body))["remote_console"]
    assert (console["protocol"], console["type"]) == ("spice", "spice-direct")
    token = token_in(console["url"])
    assert console["url"] == f"http://controller:13002/nova?token={token}"
    shown = (await nova.call("GET", f"/os-console-auth-tokens/{token}", by="admin"))["console"]
    assert (shown["host"], shown["port"], shown["tls_port"]) == ("127.0.0.1", 5902, None)
    await nova.refused("POST", path, 400, json=body, version="2.98")


async def test_tokens_end_in_time_and_with_their_server(nova: Any, host: ConsoleHost) -> None:
    server, other = await running(nova, host), await running(nova, host)
    nova.service.console_token_seconds = -1
    await nova.call("POST", f"/servers/{server.id}/remote-consoles", json=NOVNC)
    nova.service.console_token_seconds = 600
    console = await nova.call("POST", f"/servers/{other.id}/remote-consoles", json=NOVNC)
    assert [each.server_id for each in await rows(nova)] == [other.id]
    async with nova.service.database.transaction() as tx:
        await mappings.end_server(tx, other.id, nova.service.clock.now())
    assert await rows(nova) == []
    path = f"/os-console-auth-tokens/{token_in(console['remote_console']['url'])}"
    await nova.refused("GET", path, 404, by="admin")
    # Destroyed between the two: the guest answers still, and nobody is let in any more.
    await nova.refused("POST", f"/servers/{other.id}/remote-consoles", 404, json=NOVNC)


async def test_expired_tokens_are_forgotten_when_nobody_asks_for_new_ones(nova: Any, host: ConsoleHost) -> None:
    server = await running(nova, host)
    nova.service.console_token_seconds = -1
    await nova.call("POST", f"/servers/{server.id}/remote-consoles", json=NOVNC)
    assert len(await rows(nova)) == 1
    async with nova.service.transaction() as tx:
        await console_tokens.forget_expired(tx, nova.service.clock.now())
    assert await rows(nova) == []


@pytest.mark.parametrize(
    ("base_url", "kind", "url"),
    [
        ("http://c:6080/vnc_auto.html", "novnc", "http://c:6080/vnc_auto.html?path=%3Ftoken%3Dabc"),
        ("https://c/vnc_lite.html?scale=1", "novnc", "https://c/vnc_lite.html?scale=1&path=%3Ftoken%3Dabc"),
        ("http://c:6082/spice_auto.html", "spice-html5", "http://c:6082/spice_auto.html?token=abc"),
        ("wss://c:6083/", "serial", "wss://c:6083/?token=abc"),
    ],
)
def test_the_token_is_where_each_page_looks_for_it(base_url: str, kind: str, url: str) -> None:
    assert url_with_token(base_url, kind, "abc") == url


async def test_a_daemon_that_has_registered_is_listed_and_can_be_forgotten(nova: Any) -> None:
    service = nova.service
    async with service.database.transaction() as tx:
        for _ in range(2):
            await control_daemons.register(tx, "nova-consoleauth", "controller", service.clock.now())
    stop = control_daemons.answer(service.bus, "nova-consoleauth", "controller")
    await service.here.liveness.ask([("nova-consoleauth", "controller")])
    path = "/os-services?binary=nova-consoleauth"
    (shown,) = (await nova.call("GET", path, by="admin"))["services"]
    assert (shown["host"], shown["zone"], shown["state"], shown["status"]) == (
        *("controller", "internal"),
        *("up", "enabled"),
    )
    listed = (await nova.call("GET", "/os-hosts", by="admin", version="2.42"))["hosts"]
    assert {"host_name": "controller", "service": "consoleauth", "zone": "internal"} in listed
    zones = (await nova.call("GET", "/os-availability-zone/detail", by="admin"))["availabilityZoneInfo"]
    assert zones[0]["hosts"]["controller"]["nova-consoleauth"]["available"] is True
    stop()
    service.here.liveness._missed[("nova-consoleauth", "controller")] = 100
    (gone,) = (await nova.call("GET", path, by="admin"))["services"]
    assert gone["state"] == "down"
    await nova.call("DELETE", f"/os-services/{shown['id']}", 204, by="admin")
    assert (await nova.call("GET", path, by="admin"))["services"] == []
