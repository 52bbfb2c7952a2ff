"""Reaching another service where the catalog says it is."""

from typing import Any

import httpx
import pytest

from kilonova.kit.http import client as client_module
from kilonova.kit.http.client import Credentials, RemoteService, RemoteUnavailable, ServiceSession, catalog_client
from kilonova.kit.log import bound

EXPIRES = "2999-01-01T00:00:00Z"


def identity(catalog: list[dict[str, Any]]) -> httpx.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/auth/tokens":
            return httpx.Response(201, headers={"x-subject-token": "t"}, json={"token": {"expires_at": EXPIRES}})
        assert request.url.path == "/v3/auth/catalog"
        return httpx.Response(200, json={"catalog": catalog})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://identity")


def compute(**urls: str) -> list[dict[str, Any]]:
    endpoints = [{"interface": name, "region": "one", "url": url} for name, url in urls.items()]
    return [{"type": "compute", "endpoints": endpoints}]


async def reached(catalog: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, region: str | None = None) -> str:
    """The URL a request for /v2.1/servers went to."""
    asked: list[httpx.URL] = []

    async def network(_self: Any, request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        assert request.headers["host"] == request.url.netloc.decode()
        return httpx.Response(200, json={})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", network)
    async with identity(catalog) as client:
        session = ServiceSession(client, Credentials("nova", "x"))
        remote = RemoteService("compute", catalog_client(client, session, "compute", region), session)
        await remote.request("GET", "/v2.1/servers", params={"limit": 1})
    return str(asked[0])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://controller:8774/v2.1", "http://controller:8774/v2.1/servers?limit=1"),
        ("http://controller:8774/v2.1/%(tenant_id)s", "http://controller:8774/v2.1/servers?limit=1"),
        ("https://controller/compute/v2.1/", "https://controller/compute/v2.1/servers?limit=1"),
        ("http://[::1]:8774", "http://[::1]:8774/v2.1/servers?limit=1"),
    ],
)
async def test_the_version_of_a_url_in_the_catalog_is_left_out(
    url: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await reached(compute(public=url), monkeypatch) == expected


class Flaky:
    """Another service, which is away for the first requests."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if len(self.asked) <= self.failures:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})


@pytest.mark.parametrize(
    ("method", "failures", "asked"), [("GET", 2, 3), ("GET", 3, 3), ("POST", 1, 1), ("DELETE", 1, 1)]
)
async def test_only_what_reads_is_asked_again(
    method: str, failures: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAUSE_SECONDS", (0, 0))
    flaky = Flaky(failures)
    async with identity([]) as client, httpx.AsyncClient(transport=httpx.MockTransport(flaky)) as other:
        remote = RemoteService("image", other, ServiceSession(client, Credentials("nova", "x")))
        if asked > failures:
            await remote.request(method, "http://image/")
        else:
            with pytest.raises(RemoteUnavailable, match="cannot be reached: ConnectError"):
                await remote.request(method, "http://image/")
    assert len(flaky.asked) == asked


async def test_who_passes_a_users_token_on_shows_its_own_beside_it() -> None:
    told = Flaky(0)
    async with identity([]) as client, httpx.AsyncClient(transport=httpx.MockTransport(told)) as other:
        remote = RemoteService("image", other, ServiceSession(client, Credentials("nova", "x")))
        await remote.request("GET", "http://image/", token="the user's")
        await remote.request("GET", "http://image/")
    shown = [(each.headers["x-auth-token"], each.headers.get("x-service-token")) for each in told.asked]
    assert shown == [("the user's", "t"), ("t", None)]


async def test_a_call_names_the_request_it_is_part_of() -> None:
    named: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        named.append(request.headers.get("x-openstack-request-id"))
        return httpx.Response(200, json={})

    async with identity([]) as client, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as other:
        remote = RemoteService("compute", other, ServiceSession(client, Credentials("nova", "x")))
        await remote.request("GET", "http://compute/")
        with bound(request_id="req-1"):
            await remote.request("GET", "http://compute/")
            with bound(global_request_id="req-0"):
                await remote.request("GET", "http://compute/")
    assert named == [None, "req-1", "req-0"]


async def test_the_internal_interface_comes_before_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {"public": "http://public:1", "internal": "http://internal:1"}
    assert (await reached(compute(**urls), monkeypatch)).startswith("http://internal:1")


async def test_what_is_not_in_the_catalog_is_unavailable_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemoteUnavailable, match="compute answered 503: is not in the catalog"):
        await reached([], monkeypatch)
    with pytest.raises(RemoteUnavailable, match="in region two"):
        await reached(compute(public="http://public:1"), monkeypatch, region="two")


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with identity(compute(public="http://127.0.0.1:1")) as client:
        session = ServiceSession(client, Credentials("nova", "x"))
        remote = RemoteService("compute", catalog_client(client, session, "compute"), session)
        with pytest.raises(RemoteUnavailable, match="cannot be reached"):
            await remote.request("GET", "/v2.1/servers")
