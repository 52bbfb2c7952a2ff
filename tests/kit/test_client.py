"""Reaching another service where the catalog says it is."""

import ast
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kilonova.kit.http import client as client_module
from kilonova.kit.http.client import (
    Credentials,
    RemoteFault,
    RemotePath,
    RemoteService,
    RemoteUnavailable,
    ServiceSession,
    at,
    catalog_client,
    fault_of,
    in_process_client,
    whole,
)
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
        await remote.request("GET", at("/v2.1/servers"), params={"limit": 1})
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
        await remote.request("GET", RemotePath("http://image/"), token="the user's")
        await remote.request("GET", RemotePath("http://image/"))
    shown = [(each.headers["x-auth-token"], each.headers.get("x-service-token")) for each in told.asked]
    assert shown == [("the user's", "t"), ("t", None)]


async def test_an_app_of_this_process_is_entered_as_over_a_socket() -> None:
    async def answer(request: Request) -> Response:
        body = await request.body()
        if request.path_params["name"] == "no":
            return JSONResponse({"itemNotFound": {"message": "No such thing.", "code": 404}}, status_code=404)
        shown = {
            "method": request.method,
            "name": request.path_params["name"],
            "raw": request.scope["raw_path"].decode(),
            "query": request.query_params.multi_items(),
            "body": body.decode(),
            "token": request.headers["x-auth-token"],
        }
        return StreamingResponse(iter([json.dumps(shown).encode()]), status_code=200)

    app = Starlette(routes=[Route("/things/{name}", answer, methods=["GET", "PUT"])])
    told = []
    async with identity([]) as client, in_process_client(app) as over_httpx:
        session = ServiceSession(client, Credentials("nova", "x"))
        for remote in (RemoteService("t", over_httpx, session), RemoteService("t", over_httpx, session, lambda: app)):
            path = at("/things/{name}", name="a b%é")
            got = await remote.request("GET", path, params={"id": ["1", "2"], "limit": 3, "deep": True})
            put = await remote.request("PUT", path, json={"x": 1}, token="a user's")
            with pytest.raises(RemoteFault, match="No such thing") as refusal:
                await remote.request("GET", at("/things/{name}", name="no"))
            told.append((got, put, refusal.value.status))
    assert told[0] == told[1]
    got, put, status = told[1]
    assert (got["name"], got["raw"], put["body"], status) == ("a b%é", "/things/a%20b%25%C3%A9", '{"x":1}', 404)
    assert got["query"] == [["id", "1"], ["id", "2"], ["limit", "3"], ["deep", "true"]]


async def test_an_app_that_answers_too_much_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_ANSWER_BYTES", 10)
    app = Starlette(routes=[Route("/", lambda _request: JSONResponse("x" * 10))])
    async with identity([]) as client, in_process_client(app) as over_httpx:
        session = ServiceSession(client, Credentials("nova", "x"))
        for remote in (RemoteService("t", over_httpx, session), RemoteService("t", over_httpx, session, lambda: app)):
            with pytest.raises(RemoteUnavailable, match="more than 10 bytes"):
                await remote.request("GET", at("/"))


async def test_a_call_names_the_request_it_is_part_of() -> None:
    named: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        named.append(request.headers.get("x-openstack-request-id"))
        return httpx.Response(200, json={})

    async with identity([]) as client, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as other:
        remote = RemoteService("compute", other, ServiceSession(client, Credentials("nova", "x")))
        await remote.request("GET", RemotePath("http://compute/"))
        with bound(request_id="req-1"):
            await remote.request("GET", RemotePath("http://compute/"))
            with bound(global_request_id="req-0"):
                await remote.request("GET", RemotePath("http://compute/"))
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
            await remote.request("GET", at("/v2.1/servers"))


@pytest.mark.parametrize(
    "sent", ["own%2Ffile", "../networks/own", "own/file", "own?x=1", "own#x", "own;x", "%2e%2e", "é", "a b", "a\\b"]
)
async def test_what_a_user_sends_stays_one_segment_of_the_path(sent: str) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={})

    async with (
        identity([]) as identity_client,
        httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://image") as client,
    ):
        remote = RemoteService("image", client, ServiceSession(identity_client, Credentials("nova", "x")))
        await remote.request("GET", at("/v2/images/{image_id}", image_id=sent))
    path, _, query = asked[0].raw_path.decode().partition("?")
    assert (path.split("/")[:3], query) == (["", "v2", "images"], "")
    assert unquote(path.split("/", 3)[3]) == sent
    assert "/" not in path.split("/", 3)[3]


@pytest.mark.parametrize("sent", ["", ".", "..", "x" * 256, "a\0b"])
def test_text_that_no_quoting_keeps_in_its_place_names_nothing(sent: str) -> None:
    with pytest.raises(RemoteFault) as caught:
        at("/v2/images/{image_id}", image_id=sent)
    assert caught.value.status == 404


async def test_a_quoted_segment_stays_one_on_the_way_through_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.URL] = []

    async def network(_self: Any, request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", network)
    async with identity(compute(public="http://controller:8774/v2.1")) as client:
        session = ServiceSession(client, Credentials("nova", "x"))
        remote = RemoteService("compute", catalog_client(client, session, "compute"), session)
        await remote.request("GET", at("/v2.1/servers/{id}", id="a/../b%2F"))
    assert asked[0].raw_path == b"/v2.1/servers/a%2F..%2Fb%252F"


def clients() -> list[Path]:
    root = Path(client_module.__file__).parents[2]
    return sorted(
        path for path in root.rglob("*.py") if "RemoteService" in path.read_text() and path.parent.name != "http"
    )


@pytest.mark.parametrize("path", clients(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_client_writes_a_variable_into_a_path_by_itself(path: Path) -> None:
    """`at` quotes; an f-string, a sum or a `RemotePath(...)` of one's own does not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RemotePath":
            pytest.fail(f"line {node.lineno} makes a RemotePath without at()")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "at":
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}: the template of at() is not a literal"


class Wanted(msgspec.Struct):
    id: str


@pytest.mark.parametrize("content", [b"", b"[]", b'{"id": 5}', b"\xff", b'{"id": "\xff"}', b"[" * 100_000])
async def test_an_answer_of_another_shape_is_no_answer(content: bytes) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=content))
    async with identity([]) as who, httpx.AsyncClient(transport=transport, base_url="http://image") as client:
        remote = RemoteService("image", client, ServiceSession(who, Credentials("nova", "x")))
        if not content:
            assert await remote.request("GET", at("/v2/images/x"), answer=Wanted) is None
            return
        with pytest.raises(RemoteUnavailable):
            await remote.request("GET", at("/v2/images/x"), answer=Wanted)


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_ANSWER_BYTES", 1000)

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=chunks()))
    async with identity([]) as who, httpx.AsyncClient(transport=transport, base_url="http://image") as client:
        remote = RemoteService("image", client, ServiceSession(who, Credentials("nova", "x")))
        with pytest.raises(RemoteUnavailable, match="more than 1000 bytes"):
            await remote.request("GET", at("/v2/images/x"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"badRequest": {"code": 400, "message": "too much"}}', "too much"),
        (b'{"errors": [{"detail": "too little"}]}', "too little"),
        (b"<h1>400 Bad Request</h1>\n  Not &lt;that&gt;.<br /><br />\n </body>", "Not <that>."),
        (b"plain words", "plain words"),
    ],
)
def test_the_sentence_of_a_refusal_is_found_in_every_format(content: bytes, sentence: str) -> None:
    assert fault_of("image", whole(httpx.Response(400, content=content))).message == sentence
