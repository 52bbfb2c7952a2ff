"""Calling another service's public API, with the caller's token or with this service's own.

Inside one process the call goes straight into the other ASGI app; between hosts it is HTTP. Callers see no difference
(design §3).
"""

import asyncio
import html
import json
import random
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NewType
from urllib.parse import quote, unquote

import httpx
import msgspec
from starlette.types import ASGIApp, Message

from kilonova.kit import tracing
from kilonova.kit.errors import Fault
from kilonova.kit.log import carried_request_id

_PAGE = re.compile(r"</h1>(.*?)<br ?/>", re.DOTALL)
"""The sentence in the page that the image service answers with."""
_VERSION_SUFFIX = re.compile(r"/v\d+(\.\d+)?(/.*)?$")
RENEW_BEFORE = timedelta(minutes=2)
READ_ATTEMPTS = 3
PAUSE_SECONDS = (0.05, 0.3)
"""Between two attempts, at random: many callers lose the same service in the same moment."""


MOST_ANSWER_BYTES = 64 << 20
"""Of an answer that is held in memory as a whole; data comes through `download`."""

MOST_SEGMENT_CHARACTERS = 255
"""Of a variable in a path."""

RemotePath = NewType("RemotePath", str)
"""A path of another service's API. Only `at` makes one."""


def at(template: str, **variables: str) -> RemotePath:
    """The path with its variables in place, each quoted to one segment: `at("/v2/images/{image_id}", image_id=id)`.

    What users send ends up in these variables, and must never name anything but the thing of that kind. Raises
    RemoteFault 404 for text that no quoting keeps in its place: nothing has such an id.
    """
    for name, value in variables.items():
        if value in ("", ".", "..") or len(value) > MOST_SEGMENT_CHARACTERS or "\0" in value:
            raise RemoteFault(template.split("/")[1], 404, f"{name} {value[:80]!r} is no id.")
    return RemotePath(template.format_map({name: quote(value, safe="") for name, value in variables.items()}))


def in_process_client(app: ASGIApp, base_url: str = "http://service.local") -> httpx.AsyncClient:
    """A client that reaches an ASGI app of this process without a socket. Holds each answer in memory as a whole."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=("", 0)), base_url=base_url)


class RemoteFault(Exception):
    """Another service said no. `status` is its HTTP status, `message` its own sentence."""

    def __init__(self, service: str, status: int, message: str) -> None:
        super().__init__(f"{service} answered {status}: {message}")
        self.service = service
        self.status = status
        self.message = message


class RemoteUnavailable(RemoteFault):
    """Another service could not be reached, or answered 5xx: worth repeating."""


class RemoteMissing(RemoteUnavailable):
    """The catalog names no such service: this cloud has none, or not yet."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A service user's password: what `[keystone_authtoken]` holds."""

    username: str
    password: str
    project_name: str = "service"
    user_domain_id: str = "default"
    project_domain_id: str = "default"


class ServiceSession:
    """This service's own token, fetched when first needed and renewed before it expires."""

    def __init__(self, identity: httpx.AsyncClient, credentials: Credentials) -> None:
        self._identity = identity
        self._credentials = credentials
        self._token = ""
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._renewing = asyncio.Lock()

    async def token(self) -> str:
        """Raises RemoteFault when identity refuses or cannot be reached."""
        async with self._renewing:
            if datetime.now(UTC) >= self._renew_at:
                await self._renew()
            return self._token

    def forget(self) -> None:
        """Called when the token was refused: the next use asks for a new one."""
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    async def _renew(self) -> None:
        who = self._credentials
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {
                            "name": who.username,
                            "domain": {"id": who.user_domain_id},
                            "password": who.password,
                        }
                    },
                },
                "scope": {"project": {"name": who.project_name, "domain": {"id": who.project_domain_id}}},
            }
        }
        try:
            response = await self._identity.post("/v3/auth/tokens", json=body)
        except httpx.HTTPError as error:
            raise RemoteUnavailable("identity", 503, f"cannot be reached: {error}") from error
        if response.status_code != 201:
            raise fault_of("identity", whole(response))
        self._token = response.headers["x-subject-token"]
        self._renew_at = datetime.fromisoformat(response.json()["token"]["expires_at"]) - RENEW_BEFORE


OLDER_TYPES: Mapping[str, tuple[str, ...]] = {"block-storage": ("volumev3", "volumev2", "volume")}
"""Service type → the types under which older catalogs name it. Source: the service types authority."""


class CatalogTransport(httpx.AsyncBaseTransport):
    """Reaches a service where the catalog says it is, looked up at the first request and again when it moved.

    Requests name only the path, with the version; the catalog's URL may end in a version too, which is left out.
    """

    def __init__(
        self,
        identity: httpx.AsyncClient,
        session: ServiceSession,
        service_type: str,
        region: str | None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._identity = identity
        self._session = session
        self._service_type = service_type
        self._region = region
        self._network = httpx.AsyncHTTPTransport(verify=verify)
        self._base: httpx.URL | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._base is None:
            self._base = await self._look_up()
        base = self._base
        # The raw path: decoding it would make two segments of a quoted slash.
        request.url = request.url.copy_with(
            scheme=base.scheme,
            host=base.host,
            port=base.port,
            raw_path=base.path.rstrip("/").encode() + request.url.raw_path,
        )
        request.headers["host"] = base.netloc.decode()
        try:
            return await self._network.handle_async_request(request)
        except httpx.ConnectError:
            self._base = None
            raise

    async def _look_up(self) -> httpx.URL:
        headers = {"X-Auth-Token": await self._session.token()}
        response = await self._identity.get("/v3/auth/catalog", headers=headers)
        if response.status_code != 200:
            raise fault_of("identity", whole(response))
        for entry in response.json()["catalog"]:
            if entry["type"] in (self._service_type, *OLDER_TYPES.get(self._service_type, ())):
                urls = {
                    each["interface"]: each["url"]
                    for each in entry["endpoints"]
                    if self._region is None or each["region"] == self._region
                }
                url = urls.get("internal") or urls.get("public")
                if url is not None:
                    return httpx.URL(_VERSION_SUFFIX.sub("", url))
        place = f" in region {self._region}" if self._region else ""
        raise RemoteMissing(self._service_type, 503, f"is not in the catalog{place}")

    async def aclose(self) -> None:
        await self._network.aclose()


def catalog_client(
    identity: httpx.AsyncClient,
    session: ServiceSession,
    service_type: str,
    region: str | None = None,
    verify: ssl.SSLContext | bool = True,
) -> httpx.AsyncClient:
    """A client whose requests go where the catalog says `service_type` is."""
    transport = CatalogTransport(identity, session, service_type, region, verify)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{service_type}", timeout=60)


class Answer(NamedTuple):
    status: int
    content: bytes


class RemoteService:
    """One other service. A `path` is made by `at`, starts with a slash and includes the version prefix."""

    def __init__(
        self, name: str, client: httpx.AsyncClient, session: ServiceSession, app: Callable[[], ASGIApp] | None = None
    ) -> None:
        """`app`: finds the service's app in this process, which is entered without the detour over `client`."""
        self.name = name
        self._client = client
        self._session = session
        self._app = app

    async def request(
        self,
        method: str,
        path: RemotePath,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        answer: Any = Any,
    ) -> Any:
        """The answer decoded as the type `answer` (None when empty). With `token` the call is made for that user, else
        for this service.

        Raises RemoteFault for 4xx, RemoteUnavailable for 5xx, for an answer that is not of that type, and when the
        service cannot be reached.
        """
        answered = await self._send(method, path, json, params, headers, token)
        if answered.status == 401 and token is None:
            # Our own token was revoked early (identity restarted with new keys): one fresh try.
            self._session.forget()
            answered = await self._send(method, path, json, params, headers, None)
        if answered.status >= 400:
            raise fault_of(self.name, answered)
        if not answered.content:
            return None
        try:
            return msgspec.json.decode(answered.content, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteUnavailable(self.name, 502, f"answered something else than asked for: {error}") from error

    async def _send(
        self,
        method: str,
        path: RemotePath,
        json: Any,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        token: str | None,
    ) -> Answer:
        own = await self._session.token()
        sent = {**(headers or {}), "X-Auth-Token": token or own}
        if token is not None:
            # Who passes a user's token on says so.
            sent["X-Service-Token"] = own
        request_id = carried_request_id()
        if request_id is not None:
            sent["X-OpenStack-Request-ID"] = request_id
        content = None
        if json is not None:
            content = msgspec.json.encode(json)
            sent.setdefault("Content-Type", "application/json")
        # What only reads may be repeated; it bridges the moment in which the other side is started again.
        attempts = READ_ATTEMPTS if method in ("GET", "HEAD") else 1
        while True:
            attempts -= 1
            try:
                with tracing.span(f"{method} {self.name}", "client", kilonova_peer=self.name):
                    tracing.carry(sent)
                    return await self._exchange(method, path, params, sent, content)
            except httpx.HTTPError as error:
                if attempts == 0 or isinstance(error, httpx.TimeoutException):
                    raise RemoteUnavailable(self.name, 503, f"cannot be reached: {type(error).__name__}") from error
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret

    async def _exchange(
        self,
        method: str,
        path: RemotePath,
        params: Mapping[str, Any] | None,
        headers: dict[str, str],
        content: bytes | None,
    ) -> Answer:
        if self._app is not None:
            query = str(httpx.QueryParams(params)).encode() if params else b""
            answer = await enter(self._app(), method, path, query, headers, content or b"")
            if len(answer.content) > MOST_ANSWER_BYTES:
                raise self._too_much()
            return answer
        request = self._client.build_request(method, path, content=content, params=params, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            # Read piece by piece: whoever answers does not decide how much memory this process takes.
            size, chunks = 0, []
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > MOST_ANSWER_BYTES:
                    raise self._too_much()
                chunks.append(chunk)
        finally:
            await response.aclose()
        return Answer(response.status_code, b"".join(chunks))

    def _too_much(self) -> RemoteUnavailable:
        return RemoteUnavailable(self.name, 502, f"answered with more than {MOST_ANSWER_BYTES} bytes")

    @asynccontextmanager
    async def download(self, path: RemotePath) -> AsyncIterator[AsyncIterator[bytes]]:
        """Streams an answer's body; memory stays constant over a socket."""
        headers = {"X-Auth-Token": await self._session.token()}
        try:
            async with self._client.stream("GET", path, headers=headers) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise fault_of(self.name, whole(response))
                yield response.aiter_bytes(1 << 20)
        except httpx.HTTPError as error:
            raise RemoteUnavailable(self.name, 503, f"broke off: {type(error).__name__}") from error

    async def upload(self, path: RemotePath, chunks: AsyncIterator[bytes], size_bytes: int) -> None:
        """Streams data in a PUT; memory stays constant over a socket. Raises RemoteFault."""
        headers = {
            "X-Auth-Token": await self._session.token(),
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size_bytes),
        }
        try:
            response = await self._client.put(path, content=chunks, headers=headers)
        except httpx.HTTPError as error:
            raise RemoteUnavailable(self.name, 503, f"broke off: {type(error).__name__}") from error
        if response.status_code >= 400:
            raise fault_of(self.name, whole(response))


async def enter(
    app: ASGIApp, method: str, path: str, query: bytes, headers: Mapping[str, str], content: bytes
) -> Answer:
    """Sends a request into an app of this process, and returns its whole answer. `path` is quoted."""
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    sent.append((b"host", b"localhost"))
    if content:
        sent.append((b"content-length", str(len(content)).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": sent,
        "server": ("localhost", None),
        # No address: what services ask each other counts against nobody.
        "client": ("", 0),
    }
    status = 0
    chunks: list[bytes] = []
    is_sent = False
    ended = asyncio.Event()

    async def receive() -> Message:
        nonlocal is_sent
        if is_sent:
            # Nobody hangs up before the answer is whole.
            await ended.wait()
            return {"type": "http.disconnect"}
        is_sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                ended.set()

    await app(scope, receive, send)
    return Answer(status, b"".join(chunks))


def whole(response: httpx.Response) -> Answer:
    """An answer whose body was read."""
    return Answer(response.status_code, response.content)


def fault_of(service: str, answer: Answer) -> RemoteFault:
    """The fault behind an error answer, with the sentence found in any of the services' error formats."""
    kind = RemoteUnavailable if answer.status >= 500 else RemoteFault
    return kind(service, answer.status, _sentence(answer.content))


def _sentence(content: bytes) -> str:
    try:
        body = json.loads(content)
    except ValueError:
        text = content.decode(errors="replace")
        page = _PAGE.search(text)
        return html.unescape(page[1].strip() if page else text)[:500]
    if isinstance(body, dict):
        errors = body.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("detail", errors[0]))
        for error in body.values():
            if isinstance(error, dict) and "message" in error:
                return str(error["message"])
    return str(body)[:500]


def passed_on(fault: RemoteFault, kinds: Mapping[int, type[Fault]]) -> Fault | RemoteFault:
    """The fault to raise to our own caller for one that came from another service; other statuses stay."""
    kind = kinds.get(fault.status)
    return fault if kind is None else kind(fault.message)
