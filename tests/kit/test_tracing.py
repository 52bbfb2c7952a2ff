"""Spans of requests, calls and steps."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kilonova.kit import tracing
from kilonova.kit.auth import Policy
from kilonova.kit.http.client import Credentials, RemoteService, ServiceSession, at
from kilonova.kit.http.edge import Api, Edge
from kilonova.kit.http.formats import compute_error
from kilonova.kit.http.routes import PUBLIC, Request, Route
from kilonova.kit.testing import asgi_client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use("test", SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


class Nobody:
    async def authenticate(self, token: str, service_token: str | None) -> Any:
        raise NotImplementedError


def app(told: list[str | None]) -> Edge[None]:
    """Its one route calls another service, which keeps what it was told of the trace."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/auth/tokens":
            token = {"expires_at": "2999-01-01T00:00:00Z"}
            return httpx.Response(201, headers={"x-subject-token": "t"}, json={"token": token})
        told.append(request.headers.get("traceparent"))
        return httpx.Response(200, json={})

    other = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://other")
    remote = RemoteService("image", other, ServiceSession(other, Credentials("nova", "x")))

    async def handler(request: Request[None]) -> dict[str, Any]:
        await remote.request("GET", at("/v2/images"))
        return {}

    return Edge(Api("compute", None, [Route("GET", "/a/{id}", handler, PUBLIC)], Policy({}), Nobody(), compute_error))


async def test_a_trace_goes_with_a_request_through_the_services(spans: InMemorySpanExporter) -> None:
    told: list[str | None] = []
    async with asgi_client(app(told)) as client:
        await client.get("/a/1", headers={"traceparent": PARENT})
    call, request = spans.get_finished_spans()
    assert (request.name, call.name) == ("GET /a/{id}", "GET image")
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert f"{request.get_span_context().trace_id:032x}" == TRACE
    assert told == [f"00-{TRACE}-{call.get_span_context().span_id:016x}-01"]


async def test_without_an_exporter_nothing_is_said() -> None:
    told: list[str | None] = []
    tracing.configure("test")
    async with asgi_client(app(told)) as client:
        await client.get("/a/1", headers={"traceparent": PARENT})
    assert told == [None]


async def test_spans_are_sent_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        tracing.configure("nova-api")
        async with asgi_client(app([])) as client:
            await client.get("/a/1")
        tracing.stop()
        server.shutdown()
        thread.join()
    told = ExportTraceServiceRequest.FromString(received[0]).resource_spans[0]
    assert [each.value.string_value for each in told.resource.attributes if each.key == "service.name"] == ["nova-api"]
    assert {span.name for span in told.scope_spans[0].spans} == {"GET /a/{id}", "GET image"}
