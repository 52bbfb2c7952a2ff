"""Servers' consoles: /servers/{id}/remote-consoles, the actions of before 2.6, /os-console-auth-tokens.

Source: Compute API reference, "Server Consoles" and "Servers - run an action"; microversions 2.6, 2.8, 2.31 and 2.99.
"""

from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from kilonova.compute.agent.spec import ConsoleKind
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.consoles import remote_consoles
from kilonova.compute.errors import ConsoleTypeUnavailable
from kilonova.compute.views.remote_consoles import console_token_view, console_view, remote_console_view
from kilonova.kit.errors import BadRequest

DIRECT = "spice-direct"
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "vnc": ("novnc", "xvpvnc"),
    "spice": ("spice-html5", DIRECT),
    "serial": ("serial",),
    "rdp": ("rdp-html5",),
    "mks": ("webmks",),
}
SERVED: dict[str, ConsoleKind] = {
    "novnc": "vnc",
    "spice-html5": "spice",
    DIRECT: "spice",
    "serial": "serial",
}
"""Types with a proxy in front of them."""
NOT_SERVED = {
    "xvpvnc": "its Java client and its proxy are no more: ask for novnc",
    "rdp-html5": "hosts offer no rdp consoles: they belonged to Hyper-V",
    "webmks": "hosts offer no mks consoles: they belong to VMware",
}


class NewConsole(Struct, forbid_unknown_fields=True):
    protocol: Literal["vnc", "spice", "rdp", "serial"]
    type: Literal["novnc", "xvpvnc", "rdp-html5", "spice-html5", "serial"]


class NewConsoleBody(Struct, forbid_unknown_fields=True):
    remote_console: NewConsole


class NewConsoleSince2_8(Struct, forbid_unknown_fields=True):
    protocol: Literal["vnc", "spice", "rdp", "serial", "mks"]
    type: Literal["novnc", "xvpvnc", "rdp-html5", "spice-html5", "serial", "webmks"]


class NewConsoleBodySince2_8(Struct, forbid_unknown_fields=True):
    remote_console: NewConsoleSince2_8


class NewConsoleSince2_99(Struct, forbid_unknown_fields=True):
    protocol: Literal["vnc", "spice", "rdp", "serial", "mks"]
    type: Literal["novnc", "xvpvnc", "rdp-html5", "spice-html5", "spice-direct", "serial", "webmks"]


class NewConsoleBodySince2_99(Struct, forbid_unknown_fields=True):
    remote_console: NewConsoleSince2_99


class VncConsole(Struct, forbid_unknown_fields=True):
    type: Literal["novnc", "xvpvnc"]


class SpiceConsole(Struct, forbid_unknown_fields=True):
    type: Literal["spice-html5"]


class SerialConsole(Struct, forbid_unknown_fields=True):
    type: Literal["serial"]


class RdpConsole(Struct, forbid_unknown_fields=True):
    type: Literal["rdp-html5"]


async def create_console(
    request: ComputeRequest, body: NewConsoleBody | NewConsoleBodySince2_8 | NewConsoleBodySince2_99
) -> dict[str, Any]:
    wanted = body.remote_console
    url = await _open(request, wanted.protocol, wanted.type)
    return {"remote_console": remote_console_view(wanted.protocol, wanted.type, url)}


async def show_vnc_console(request: ComputeRequest, body: VncConsole) -> dict[str, Any]:
    return {"console": console_view(body.type, await _open(request, "vnc", body.type))}


async def show_spice_console(request: ComputeRequest, body: SpiceConsole) -> dict[str, Any]:
    return {"console": console_view(body.type, await _open(request, "spice", body.type))}


async def show_serial_console(request: ComputeRequest, body: SerialConsole) -> dict[str, Any]:
    return {"console": console_view(body.type, await _open(request, "serial", body.type))}


async def show_rdp_console(request: ComputeRequest, body: RdpConsole) -> dict[str, Any]:
    return {"console": console_view(body.type, await _open(request, "rdp", body.type))}


async def _open(request: ComputeRequest, protocol: str, console_type: str) -> str:
    """The URL that opens the console. Raises ConsoleTypeUnavailable, ConsoleNotReady."""
    async with reading_server(request) as found:
        cell, server = found.cell, found.server
    if console_type not in PROTOCOLS[protocol]:
        allowed = ", ".join(PROTOCOLS[protocol])
        raise ConsoleTypeUnavailable(server.id, console_type, f"the protocol {protocol} has the types {allowed}")
    if console_type not in SERVED:
        raise ConsoleTypeUnavailable(server.id, console_type, NOT_SERVED[console_type])
    kind = SERVED[console_type]
    opened = await remote_consoles.open_console(cell, server, kind, request.ctx, is_direct=console_type == DIRECT)
    return url_with_token(opened.base_url, console_type, opened.token)


def url_with_token(base_url: str, console_type: str, token: str) -> str:
    """noVNC's page is told a path for its WebSocket, and the token is in that; other pages take the token itself."""
    scheme, place, path, query, fragment = urlsplit(base_url)
    asked = urlencode({"token": token})
    if console_type == "novnc":
        asked = f"path={quote(f'?{asked}', safe='')}"
    return urlunsplit((scheme, place, path, f"{query}&{asked}" if query else asked, fragment))


async def show_console_token(request: ComputeRequest) -> dict[str, Any]:
    """Where a token leads. Before 2.31 this was for RDP only, which no host offers."""
    request.authorize()
    if not request.allows("tokens_of_all_consoles"):
        raise BadRequest(f"Before version 2.31 only tokens of rdp-html5 are shown, and {NOT_SERVED['rdp-html5']}.")
    place = await remote_consoles.follow(request.service, request.path["token"])
    return {"console": console_token_view(place.server.id, place.address)}
