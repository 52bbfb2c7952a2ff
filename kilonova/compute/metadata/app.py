"""nova-api-metadata: answers guests' questions about themselves, passed on by the network agents.

Source: the metadata service of the Region user guide (EC2-compatible and OpenStack trees). The network agent names the
server in X-Instance-ID, signed with the secret both share: a guest cannot ask in another's name.
"""

import hashlib
import hmac
from collections import OrderedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kilonova.compute.agent.metadata_tree import render_path
from kilonova.compute.agent.spec import MetadataDocument
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.region import cells
from kilonova.compute.servers import servers, specs
from kilonova.compute.service import Region
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.log import logger

log = logger(__name__)

KEEP_SECONDS = 5.0
"""A boot asks some thirty questions within a second or two: the document is made once for them."""
MOST_KEPT = 1000
MOST_PASSWORD_BYTES = 1020
"""Upstream's."""


class Documents:
    """The documents asked for lately."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._kept: OrderedDict[str, tuple[float, MetadataDocument]] = OrderedDict()

    async def of(self, server_id: str, project_id: str) -> MetadataDocument:
        """Raises ServerNotFound, RemoteFault."""
        now = self._region.clock.monotonic()
        kept = self._kept.get(server_id)
        if kept is not None and now - kept[0] < KEEP_SECONDS and kept[1].project_id == project_id:
            return kept[1]
        async with cells.reading(self._region, server_id) as (_cell, tx):
            server = await servers.find(tx, server_id, project_id)
        details = await specs.port_details(self._region.network, server)
        document = specs.metadata_document(server, specs.planned_ports(details))
        self._kept[server_id] = (now, document)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return document

    def forget(self, server_id: str) -> None:
        self._kept.pop(server_id, None)


async def take_password(region: Region, documents: Documents, document: MetadataDocument, request: Request) -> Response:
    """POST /openstack/latest/password: a guest leaves its sealed password, once until the owner clears it."""
    path = request.url.path
    if not path.startswith("/openstack/") or not path.endswith("/password") or render_path(document, path) is None:
        return PlainTextResponse("Not Found", 404)
    password = await _read_password(request)
    if password is None:
        return PlainTextResponse(f"A password has at most {MOST_PASSWORD_BYTES} bytes of UTF-8.", 400)
    async with cells.writing(region, document.server_id) as (_cell, tx):
        server = await servers.find(tx, document.server_id, document.project_id)
        if server.sealed_password:
            return PlainTextResponse("The password is set already.", 409)
        await servers.change(tx, server.id, region.clock.now(), sealed_password=password)
    documents.forget(document.server_id)
    return PlainTextResponse("")


async def _read_password(request: Request) -> str | None:
    """None when it is too long, which is known before all of it has been read, or no text."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_PASSWORD_BYTES:
            return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def make_app(region: Region) -> Starlette:
    """The ASGI app of the metadata service; `compute.metadata_secret` is the shared secret."""
    documents = Documents(region)

    async def answer(request: Request) -> Response:
        server_id = request.headers.get("x-instance-id", "")
        project_id = request.headers.get("x-tenant-id", "")
        if not server_id or not project_id:
            return PlainTextResponse("X-Instance-ID and X-Tenant-ID headers are missing from request.", 400)
        if not is_signed(region.metadata_secret, server_id, request.headers.get("x-instance-id-signature", "")):
            log.warning("a metadata request was not signed with our secret", server=server_id)
            return PlainTextResponse("Invalid proxy request signature.", 403)
        try:
            document = await documents.of(server_id, project_id)
        except ServerNotFound as error:
            return PlainTextResponse(error.message, 404)
        except (RemoteFault, ServiceUnavailable) as error:
            return PlainTextResponse(f"The metadata cannot be put together now: {error}", 503)
        if request.method == "POST":
            return await take_password(region, documents, document, request)
        body = render_path(document, request.url.path)
        return PlainTextResponse("Not Found", 404) if body is None else Response(body, media_type=_media_type(request))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "HEAD", "POST"])])


def is_signed(secret: str, server_id: str, signature: str) -> bool:
    """Whether `signature` is the HMAC-SHA256 of the server's id under the shared secret. No secret signs nothing."""
    if not secret:
        return False
    expected = hmac.new(secret.encode(), server_id.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def _media_type(request: Request) -> str:
    return "application/json" if request.url.path.endswith(".json") else "text/plain"
