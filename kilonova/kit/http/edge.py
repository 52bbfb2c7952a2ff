"""The edge: turns a route table into an ASGI app.

For every request, in this order, because each step trusts the ones before it:
 1. a request id, 2. the route (404, 405), 3. the microversion (400, 406), 4. the token (401), 5. the body: its kind
(415), size before it is read, then syntax, then schema (413, 400), 6. the handler, which authorizes (403) and answers,
7. the answer made older, 8. encoded. A route whose rule needs the caller alone may have it asked before the body is
read (`Route.rule_first`). A fault at any step becomes the service's own error format here and nowhere else.
"""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, Protocol

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from kilonova.kit import tracing
from kilonova.kit.auth import Policy, RequestContext
from kilonova.kit.errors import (
    BadRequest,
    Fault,
    Gone,
    MethodNotAllowed,
    NotFound,
    RequestTimeout,
    ServiceUnavailable,
    TooLarge,
    Unauthorized,
    UriTooLong,
)
from kilonova.kit.http.bounds import MAX_DEPTH, has_free_parts, open_types, read_open, refusal, refuse_excess
from kilonova.kit.http.client import RemoteUnavailable
from kilonova.kit.http.formats import prefers_json
from kilonova.kit.http.openapi import document
from kilonova.kit.http.routes import PUBLIC, Action, Reply, Request, Route, ServiceT
from kilonova.kit.http.versions import Version, VersionEdge, refuse_fields_outside
from kilonova.kit.log import bound, logger
from kilonova.kit.metrics import request_seconds, requests

log = logger(__name__)

ErrorRenderer = Callable[[Fault, str], Response]
"""(fault, request id) → the service's own error format."""

Admission = Callable[[Request[Any], Route], None]
"""Refuses a request by its headers (media types), before its body is read, by raising a Fault."""


class Authenticator(Protocol):
    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        """Raises Unauthorized for a token that is unknown, expired or revoked."""
        ...


@dataclass(frozen=True, slots=True)
class Api(Generic[ServiceT]):
    """One service's API: everything the edge needs to know of it."""

    service_type: str
    service: ServiceT
    routes: Sequence[Route]
    policy: Policy
    authenticator: Authenticator
    render_error: ErrorRenderer
    versions: VersionEdge | None = None
    admit: Admission | None = None
    request_id_headers: tuple[str, ...] = ("x-openstack-request-id",)
    check: Callable[[], Awaitable[str | None]] | None = None
    """Raises a Fault when the service cannot work just now: what `/healthcheck` answers with. It works with a part
    missing: a sentence that says so."""
    format_suffix: str | None = None
    """The ending by which old clients name a format (`.json`); a path is read without it."""
    exact_paths: bool = False
    """A slash at the end of a path makes it another one, as in the services upstream that tell them apart."""
    render_json_error: ErrorRenderer | None = None
    """Where `render_error` writes something else: for callers who ask for JSON before it."""
    unauthorized_headers: Mapping[str, str] | None = None
    """`WWW-Authenticate: Keystone uri="…"` for services that are not identity itself."""


NUL_SENTENCE = "The character NUL (U+0000) is not allowed anywhere in a request."
"""No engine compares it in the same way, and PostgreSQL refuses it."""
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON spells it: behind an even number of backslashes."""


MAX_PATH_BYTES, MAX_QUERY_BYTES = 4096, 32_768
"""Of a request's line. Clients split their lists of ids at 8 KiB; services ask each other for some hundred at once."""
BODY_SECONDS = 60.0
"""In which a body that is read as a whole has to be there; what is streamed only must not come to a halt."""
MAX_ECHOED = 64
"""Characters of a name that a refusal repeats, and of how many names."""
_SLASHES = re.compile(r"/{2,}")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.%]{2,60}\])(?::[0-9]{0,5})?")

ROUTE_KEY = "kilonova.route"
"""Under which a request's scope holds the path of the route it took."""

_REQUEST_ID = re.compile(r"req-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RouteWithoutRule(Exception):
    """A route names a policy rule that does not exist: the service does not start (deny by default)."""


class Edge(Generic[ServiceT]):
    """The ASGI app of one API."""

    def __init__(self, api: Api[ServiceT]) -> None:
        self.api = api
        _check_rules(api)
        by_path: dict[str, dict[str, list[Route]]] = {}
        own_routes = (
            Route("GET", "/openapi.json", self._show_document, PUBLIC, query={"version": None}),
            Route("GET", "/healthcheck", self._check_health, PUBLIC),
        )
        for route in (*api.routes, *own_routes):
            by_path.setdefault(route.path, {}).setdefault(route.method, []).append(route)
        # Literal segments before variables: /servers/detail is not a server called "detail".
        ordered = sorted(by_path, key=lambda path: [segment.startswith("{") for segment in path.split("/")])
        self._paths = [(compile_path(path)[0], by_path[path]) for path in ordered]
        self._documents: dict[Version | None, bytes] = {}
        self._literal = {path: by_path[path] for path in by_path if "{" not in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{self.api.service_type} serves HTTP, not {scope['type']}")
        began = time.perf_counter()
        request_id = f"req-{uuid.uuid4()}"
        headers = Headers(scope=scope)
        spanned = tracing.span(scope["method"], "server", headers, kilonova_service=self.api.service_type)
        with bound(request_id=request_id, **_carried(headers)), spanned as span:
            try:
                response = await self._respond(scope, receive, request_id)
            except ClientDisconnect:
                return
            for name in self.api.request_id_headers:
                response.headers[name] = request_id
            if span is not None:
                span.update_name(f"{scope['method']} {scope.get(ROUTE_KEY, '')}".rstrip())
                span.set_attribute("http.response.status_code", response.status_code)
            await response(scope, receive, send)
        self._count(scope, response.status_code, time.perf_counter() - began)

    async def _respond(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        """The answer, or the fault in the service's own error format."""
        try:
            return await self._answering(scope, receive, request_id)
        except Fault as fault:
            response = self._render(fault, request_id, Headers(scope=scope))
            self._name_version(response, Headers(scope=scope))
            return response
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("a request failed", method=scope["method"], path=scope["path"])
            return self._render(
                Fault(f"An unexpected error prevented the server from fulfilling your request ({request_id})."),
                request_id,
                Headers(scope=scope),
            )

    async def _answering(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        """The answer. Raises Fault; where another service has not answered, one that may be gone the next time."""
        try:
            return await self._answer(scope, receive, request_id)
        except RemoteUnavailable as fault:
            sentence = f"The {fault.service} service could not be asked: {fault.message}"
            raise ServiceUnavailable(sentence, headers={"Retry-After": "1"}) from fault

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # What no route is for has no label of its own: anybody may ask for anything.
        service, method, route = self.api.service_type, scope["method"], scope.get(ROUTE_KEY, "")
        if not route:
            method = ""
        requests.labels(service, method, route, status).inc()
        request_seconds.labels(service, method).observe(seconds)

    async def _show_document(self, request: Request[ServiceT]) -> Response:
        """The OpenAPI document as `?version=2.79` sees it, else the version header; else as the newest does."""
        versions, version = self.api.versions, None
        if versions is not None:
            wanted = request.query.get("version")
            version = versions.negotiate(request.headers, wanted, default=versions.maximum)
        content = self._documents.get(version)
        if content is None:
            shown = document(self.api.service_type, self.api.routes, versions, version)
            content = self._documents[version] = msgspec.json.encode(shown)
        return Response(content, media_type="application/json")

    async def _check_health(self, _request: Request[ServiceT]) -> Response:
        """`OK`, or the refusal that says what is missing: for load balancers, which look at the status. What people
        should know stands below the `OK`."""
        sentence = await self.api.check() if self.api.check is not None else None
        return Response("OK" if sentence is None else f"OK\n{sentence}\n", media_type="text/plain")

    def _render(self, fault: Fault, request_id: str, headers: Headers) -> Response:
        render = self.api.render_error
        if self.api.render_json_error is not None and prefers_json(headers.get("accept", "")):
            render = self.api.render_json_error
        response = render(fault, request_id)
        if fault.status == 401 and self.api.unauthorized_headers:
            response.headers.update(self.api.unauthorized_headers)
        response.headers.update(fault.headers)
        return response

    def _name_version(self, response: Response, headers: Headers) -> None:
        """A refusal names the version it was made in too, unless the version itself was refused."""
        if self.api.versions is None:
            return
        try:
            version = self.api.versions.negotiate(headers)
        except Fault:
            return
        response.headers.update(self.api.versions.response_headers(version))

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        incoming = StarletteRequest(scope, receive)
        method = scope["method"]
        path = _path(scope, exact=self.api.exact_paths)
        if self.api.format_suffix is not None and path not in self._literal:
            path = path.removesuffix(self.api.format_suffix)
        candidates, variables = self._find(path, method)
        scope[ROUTE_KEY] = candidates[0].path
        request: Request[ServiceT] = Request(
            service=self.api.service,
            method=method,
            url_path=path,
            path=variables,
            query=incoming.query_params,
            headers=incoming.headers,
            base_url=_base_url(incoming),
            client_address=(scope.get("client") or ("",))[0],
            request_id=request_id,
            stream=incoming.stream,
            policy=self.api.policy,
            rule="",
        )
        # A guarded path asks for the token first: what exists is not told to strangers.
        public = all(route.rule == PUBLIC for route in candidates)
        if not public:
            request.context = await self._authenticate(request.headers)
        route = self._negotiate(request, candidates)
        if self.api.admit is not None:
            self.api.admit(request, route)
        if route.rule_first:
            request.rule = route.rule
            request.authorize()
        arguments, route = await self._read_body(request, route)
        request.rule, request.declared = route.rule, route.query
        assert callable(route.handler)  # noqa: S101 - _read_body replaced an action table by the action's handler
        answer = await route.handler(request, *arguments)
        if route.rule != PUBLIC and not request.authorized:
            raise RuntimeError(f"{method} {route.path} answered without authorizing its caller")
        return self._encode(request, route, answer)

    def _find(self, path: str, method: str) -> tuple[list[Route], Mapping[str, str]]:
        variables: Mapping[str, str] = {}
        methods = self._literal.get(path)
        if methods is None:
            for pattern, candidates in self._paths:
                match = pattern.match(path)
                if match:
                    methods, variables = candidates, match.groupdict()
                    break
        if methods is None:
            raise NotFound("The resource could not be found.")
        lookup = "GET" if method == "HEAD" and "HEAD" not in methods else method
        if lookup not in methods:
            allowed = ", ".join(sorted(methods))
            raise MethodNotAllowed(f"{method} is not allowed here; allowed: {allowed}.", headers={"Allow": allowed})
        return methods[lookup], variables

    async def _authenticate(self, headers: Headers) -> RequestContext:
        token = headers.get("x-auth-token")
        if not token or not token.isascii():
            raise Unauthorized("The request you have made requires authentication.")
        service_token = headers.get("x-service-token")
        if service_token is not None and not service_token.isascii():
            raise Unauthorized("The service token is not one.")
        return await self.api.authenticator.authenticate(token, service_token)

    def _negotiate(self, request: Request[ServiceT], candidates: list[Route]) -> Route:
        """Picks the version, then the one candidate that exists in it."""
        versions = self.api.versions
        if versions is None:
            return candidates[0]
        request.versions = versions
        request.version = versions.negotiate(request.headers)
        for route in candidates:
            if versions.in_range(request.version, route.since, route.until):
                return route
        raise NotFound(f"The resource could not be found in version {request.version}.")

    async def _read_body(self, request: Request[ServiceT], route: Route) -> tuple[tuple[Any, ...], Route]:
        if route.streams_body:
            return (), route
        is_action = isinstance(route.handler, tuple)
        if route.body is None and not is_action:
            return (), route
        raw = await _read_limited(request.headers, request.stream, route.max_body_bytes)
        if _NUL.search(raw):
            raise BadRequest(NUL_SENTENCE)
        body_type: Any = dict[str, msgspec.Raw] if is_action else _body_type(route, request.headers)
        body = _decode(raw, body_type, strict=not route.lax)
        if isinstance(route.handler, tuple):
            action, body = await self._pick_action(request, route, body)
            chosen = replace(route, handler=action.handler, rule=action.rule, status=action.status, shape=action.shape)
            return (body,), chosen
        if request.version is not None:
            refuse_fields_outside(body, request.version)
        return (body,), route

    async def _pick_action(
        self, request: Request[ServiceT], route: Route, body: dict[str, msgspec.Raw]
    ) -> tuple[Action, Any]:
        if len(body) != 1:
            names = ", ".join(sorted(name[:MAX_ECHOED] for name in body)[:MAX_ECHOED])
            raise BadRequest(f"Malformed request body: exactly one action is expected, got {names or 'none'}.")
        ((key, raw),) = body.items()
        assert isinstance(route.handler, tuple)  # noqa: S101 - only action routes come here
        for action in route.handler:
            if action.key == key and self._is_in_version(request, action):
                value = _decode(
                    bytes(raw), Any if action.body is None else action.body, f"Invalid input for action {key}"
                )
                if request.version is not None:
                    refuse_fields_outside(value, request.version, f"$.{key}")
                return action, value
        if route.look_up is not None:
            # Missing comes before unknown, as upstream answers: 404 tells a client that the thing is gone.
            request.rule = route.handler[0].rule
            await route.look_up(request)
        if key in route.gone:
            raise Gone(route.gone[key])
        if any(action.key == key for action in route.handler):
            raise NotFound(f"The action {key} is not part of version {request.version}.")
        raise BadRequest(f"There is no such action: {key[:MAX_ECHOED]}.")

    def _is_in_version(self, request: Request[ServiceT], action: Action) -> bool:
        versions = self.api.versions
        return (
            versions is None
            or request.version is None
            or versions.in_range(request.version, action.since, action.until)
        )

    def _encode(self, request: Request[ServiceT], route: Route, answer: Any) -> Response:
        if isinstance(answer, Response):
            response = answer
        else:
            reply = answer if isinstance(answer, Reply) else Reply(answer)
            body = reply.body
            versions, version, shape = self.api.versions, request.version, route.shape
            if body is not None and versions is not None and version is not None and shape is not None:
                body = versions.as_of(version, shape, body)
            content = b"" if body is None else msgspec.json.encode(body)
            response = Response(content, status_code=reply.status or route.status, headers=dict(reply.headers))
            if body is not None:
                response.headers.setdefault("content-type", "application/json")
        if self.api.versions is not None and request.version is not None:
            response.headers.update(self.api.versions.response_headers(request.version))
        return response


def _carried(headers: Headers) -> dict[str, str]:
    """The request that this one is part of, as its caller says: both ids are in the log then."""
    wanted = headers.get("x-openstack-request-id", "")
    return {"global_request_id": wanted} if _REQUEST_ID.fullmatch(wanted) else {}


def _check_rules(api: Api[Any]) -> None:
    for route in api.routes:
        rules = [action.rule for action in route.handler] if isinstance(route.handler, tuple) else [route.rule]
        for rule in rules:
            if rule != PUBLIC and rule not in api.policy:
                raise RouteWithoutRule(f"{api.service_type}: {route.method} {route.path} has no policy rule {rule!r}")


async def _read_limited(headers: Headers, stream: Callable[[], AsyncIterator[bytes]], limit_bytes: int) -> bytes:
    """The body, refused by its declared length before a byte is read, and by its real length while it arrives."""
    too_large = TooLarge(f"The body is larger than the {limit_bytes} bytes allowed here.")
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 18:
        raise BadRequest(f"Content-Length {declared[:MAX_ECHOED]!r} is not a number of bytes.")
    if int(declared) > limit_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from error
    return b"".join(chunks)


def media_type_of(headers: Headers) -> str:
    """The media type of a request's body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip()


def _body_type(route: Route, headers: Headers) -> Any:
    return route.also_read.get(media_type_of(headers), route.body) if route.also_read else route.body


def _decode(raw: bytes, body_type: Any, what: str | None = None, *, strict: bool = True) -> Any:
    """The body as its type. Raises BadRequest; `what` begins the sentence."""
    try:
        if _is_open(body_type):
            return read_open(msgspec.json.decode(raw), body_type, strict=strict)
        value = msgspec.json.decode(raw, type=body_type, strict=strict)
        if _is_free(body_type):
            refuse_excess(value)
    except msgspec.DecodeError as error:
        sentence = _schema_sentence(error, raw, body_type)
        raise BadRequest(f"{what}: {sentence}" if what else sentence) from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"Malformed request body: it is not UTF-8 ({error.reason}).") from error
    except RecursionError as error:
        raise BadRequest(f"Malformed request body: it is nested deeper than {MAX_DEPTH} levels.") from error
    return value


@cache
def _is_free(body_type: Any) -> bool:
    return has_free_parts(body_type)


@cache
def _is_open(body_type: Any) -> bool:
    return bool(open_types(body_type))


def _path(scope: Scope, *, exact: bool) -> str:
    """The request's path: decoded, without doubled slashes, and without one at its end unless that is told apart.

    Raises NotFound for a slash that came encoded: it would split what was one segment. Raises UriTooLong, BadRequest.
    """
    raw: bytes = scope.get("raw_path") or b""
    query: bytes = scope.get("query_string", b"")
    if len(raw) > MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES:
        raise UriTooLong(f"At most {MAX_PATH_BYTES} bytes of path and {MAX_QUERY_BYTES} bytes of query are read.")
    path: str = scope["path"]
    if b"%" in raw and b"%2F" in raw.upper():
        raise NotFound("The resource could not be found.")
    if "\0" in path or b"%00" in query:
        raise BadRequest(NUL_SENTENCE)
    if "//" in path:
        path = _SLASHES.sub("/", path)
    return path if exact else path.rstrip("/") or "/"


def _schema_sentence(error: msgspec.DecodeError, raw: bytes, body_type: Any) -> str:
    if not raw:
        return "A JSON body is required."
    if isinstance(error, msgspec.ValidationError):
        return refusal(error, body_type)
    return f"Malformed request body: {error}."


def _base_url(request: StarletteRequest) -> str:
    """Returns the base of links. Raises BadRequest for a Host header that names no host: every link would hold it."""
    host = request.headers.get("host")
    if host is None:
        return f"{request.url.scheme}://{request.url.netloc}"
    if not _HOST.fullmatch(host):
        raise BadRequest("The Host header is not a host name or an address, with or without a port.")
    scheme = "https" if request.scope["scheme"] == "https" else "http"
    return f"{scheme}://{host}"
