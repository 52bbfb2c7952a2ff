"""The metadata responder: one process answers 169.254.169.254 in every namespace and asks compute for the guest.

The rule: who asks is decided by where the question arrived (the network or router of the namespace) and its source
address, never by what the question says. Headers that name a guest are ours alone.
"""

import asyncio
import contextlib
import functools
import hashlib
import hmac
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from kilonova.kit.http.server import GUEST_SHARE, Connections, Limits, protocols
from kilonova.network.agent import namespaces
from kilonova.network.agent.namespaces import run_inside
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.state import HostState, Touched
from kilonova.network.wanted import WantedState

log = logging.getLogger(__name__)

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PUT")
MAX_BODY_BYTES = 65536
COMPUTE_TIMEOUT_SECONDS = 30.0

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "host", "content-length")
)  # fmt: skip
_OURS = ("x-forwarded-for", "x-instance-id", "x-tenant-id", "x-instance-id-signature")
_NOT_PASSED_BACK = _HOP_BY_HOP | {"content-encoding", "date", "server"}


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks."""

    device_id: str
    project_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the responder listens: an address and port inside a namespace, and the networks that can ask there."""

    namespace: str
    inode: int
    address: str
    port: int
    network_ids: tuple[str, ...]


def index_guests(wanted: WantedState) -> dict[tuple[str, str], Guest]:
    """(network id, address) → guest, from the ports of this host and the leases of the networks it serves."""
    guests: dict[tuple[str, str], Guest] = {}
    for network in wanted.networks:
        guests |= _guests_of("leases", network.id, network.dhcp.hosts if network.dhcp is not None else ())
    for port in wanted.ports:
        guests |= _guests_of("ports", "", port)
    return guests


def _guests_of(section: str, owner: str, found: Any) -> dict[tuple[str, str], Guest]:
    """(network id, address) → guest, of one port, or of one port's leases."""
    if found is None:
        return {}
    if section == "ports":
        guest = Guest(found.device_id, found.project_id)
        return {(found.network_id, fixed.ip_address): guest for fixed in found.fixed_ips}
    return {(owner, host.ip_address): Guest(host.device_id, host.project_id) for host in found if host.device_id}


def sign(secret: str, instance_id: str) -> str:
    """What proves to compute that the instance id was put there by this agent: HMAC-SHA256, hexadecimal."""
    return hmac.new(secret.encode(), instance_id.encode(), hashlib.sha256).hexdigest()


def render_headers(asked: Iterable[tuple[str, str]], address: str, guest: Guest, secret: str) -> list[tuple[str, str]]:
    """The headers compute is asked with: the guest's own without hop-by-hop ones and any that claim an identity."""
    dropped = _HOP_BY_HOP | set(_OURS)
    passed = [(name, value) for name, value in asked if name.lower().replace("_", "-") not in dropped]
    return [
        *passed,
        ("X-Forwarded-For", address),
        ("X-Instance-ID", guest.device_id),
        ("X-Tenant-ID", guest.project_id),
        ("X-Instance-ID-Signature", sign(secret, guest.device_id)),
    ]


LIMITS = Limits(
    connections=2048,
    connections_per_address=16,
    headers=64,
    header_bytes=16_384,
    header_seconds=10.0,
    body_seconds=10.0,
    keep_alive_seconds=15.0,
    answer_seconds=30.0,
)
"""For guests, which nobody has let in: a few at once for each, and little patience."""


class MetadataResponder:
    """Holds the listening sockets, the index of guests and the client to compute."""

    def __init__(self, options: LinuxOptions) -> None:
        self._url = options.nova_metadata_url.rstrip("/")
        self._secret = options.metadata_proxy_shared_secret
        self._transport = options.metadata_transport
        self._client: httpx.AsyncClient | None = None
        self._guests: dict[tuple[str, str], Guest] = {}
        self._ledger = Connections(LIMITS, GUEST_SHARE)
        self._servers: dict[Place, tuple[asyncio.Server, ServerState]] = {}

    def know(self, state: HostState) -> None:
        """Exactly these guests are answered."""
        self._guests = index_guests(state.document())

    def know_changed(self, state: HostState, touched: Touched) -> None:
        """Guests whose ports or leases have changed."""
        for section in ("ports", "leases"):
            for owner, _, before in touched.of(section):
                for address, guest in _guests_of(section, owner, before).items():
                    # Somebody else may have the address by now.
                    if self._guests.get(address) == guest:
                        del self._guests[address]
        for section in ("leases", "ports"):
            for owner, object_id, _ in touched.of(section):
                self._guests.update(_guests_of(section, owner, state.get(section, owner, object_id)))

    async def converge(self, places: Iterable[Place]) -> list[tuple[Place, str]]:
        """Listens in exactly these places. Returns (place, sentence) for those that fail."""
        target = set(places)
        for place in set(self._servers) - target:
            await self._stop(place)
        failed = []
        for place in sorted(target - set(self._servers), key=str):
            try:
                await self._start(place)
            except OSError as error:
                failed.append((place, f"Metadata cannot be answered at {place.address}:{place.port}: {error}."))
        return failed

    async def close(self) -> None:
        """Stop listening everywhere and let the client go."""
        for place in list(self._servers):
            await self._stop(place)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _start(self, place: Place) -> None:
        listening = await asyncio.to_thread(_listen, place)
        http, _ = protocols(self._ledger)
        config = uvicorn.Config(
            functools.partial(self._answer, place),
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            log_level="error",
            timeout_keep_alive=round(LIMITS.keep_alive_seconds),
        )
        config.load()
        state = ServerState()
        state.default_headers = list(config.encoded_headers)
        server = await asyncio.get_running_loop().create_server(
            lambda: http(config=config, server_state=state, app_state={}), sock=listening
        )
        self._servers[place] = (server, state)

    async def _stop(self, place: Place) -> None:
        server, state = self._servers.pop(place)
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)

    async def _answer(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of one place."""
        if scope["type"] == "http":
            request = Request(scope, receive)
            response = await self._respond(place, request)
            await response(scope, receive, send)

    async def _respond(self, place: Place, request: Request) -> Response:
        if request.method not in ALLOWED_METHODS:
            return PlainTextResponse(
                f"Metadata answers {', '.join(ALLOWED_METHODS)} only.\n", 405, {"Allow": ", ".join(ALLOWED_METHODS)}
            )
        address = request.client.host if request.client is not None else ""
        guest = next(
            (self._guests[key] for key in ((network, address) for network in place.network_ids) if key in self._guests),
            None,
        )
        if guest is None:
            return PlainTextResponse(f"No server with the address {address} is known on this network.\n", 404)
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse(f"A metadata request may carry {MAX_BODY_BYTES} bytes at most.\n", 413)
        return await self._ask_compute(request, body, address, guest)

    async def _ask_compute(self, request: Request, body: bytes, address: str, guest: Guest) -> Response:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport, timeout=COMPUTE_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False
            )
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        query: bytes = request.scope["query_string"]
        target = self._url + raw_path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        headers = render_headers(request.headers.items(), address, guest, self._secret)
        try:
            answer = await self._client.request(request.method, target, headers=headers, content=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("compute's metadata API at %s did not answer: %r", self._url, error)
            return PlainTextResponse("The compute service's metadata API does not answer; try again soon.\n", 503)
        passed = {name: value for name, value in answer.headers.items() if name not in _NOT_PASSED_BACK}
        return Response(answer.content, answer.status_code, passed)


async def _read_body(request: Request) -> bytes | None:
    """The whole body, None when it is over the limit."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _listen(place: Place) -> socket.socket:
    """A listening socket that lives in the place's namespace, whatever thread uses it later."""

    def open_socket() -> socket.socket:
        with contextlib.ExitStack() as undo:
            listening = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((place.address, place.port))
            listening.listen(128)
            listening.setblocking(False)
            undo.pop_all()
            return listening

    if namespaces.inode(place.namespace) != place.inode:
        raise OSError(f"the namespace {place.namespace} was replaced meanwhile")
    return run_inside(place.namespace, open_socket)
