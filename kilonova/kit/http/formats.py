"""The error formats of OpenStack's services, as their API references show them: one function each."""

import re
from collections.abc import Callable
from html import escape

import msgspec
from starlette.responses import Response

from kilonova.kit.errors import Fault

COMPUTE_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    410: "gone",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}


MOST_ACCEPTED = 32
"""Media types of an Accept header that are looked at."""


def identity_error(fault: Fault, request_id: str) -> Response:
    """`{"error": {"code": 404, "title": "Not Found", "message": "…"}}`"""
    return _json(fault, {"error": {"code": fault.status, "title": fault.title, "message": fault.message}})


def compute_error(fault: Fault, request_id: str) -> Response:
    """`{"itemNotFound": {"code": 404, "message": "…"}}`"""
    name = COMPUTE_NAMES.get(fault.status, "computeFault")
    return _json(fault, {name: {"code": fault.status, "message": fault.message}})


def network_error(fault: Fault, request_id: str) -> Response:
    """`{"NeutronError": {"type": "NetworkNotFound", "message": "…", "detail": ""}}`"""
    return _json(fault, {"NeutronError": {"type": fault.code, "message": fault.message, "detail": ""}})


def image_error(fault: Fault, request_id: str) -> Response:
    """The small HTML page that image clients read the sentence from."""
    page = (
        f"<html>\n <head>\n  <title>{fault.status} {fault.title}</title>\n </head>\n <body>\n"
        f"  <h1>{fault.status} {fault.title}</h1>\n  {escape(fault.message)}<br /><br />\n\n\n </body>\n</html>"
    )
    return Response(page, status_code=fault.status, media_type="text/html")


def image_json_error(fault: Fault, request_id: str) -> Response:
    """`{"message": "…", "code": "404 Not Found", "title": "Not Found", "error": {…}}`: the members upstream answers
    with, and the object that clients of every age find the sentence in."""
    inner = {"message": fault.message, "code": fault.status, "title": fault.title}
    outer = {"message": fault.message, "code": f"{fault.status} {fault.title}", "title": fault.title}
    return _json(fault, {**outer, "error": inner})


def prefers(accept: str, wanted: str, usual: str) -> bool:
    """Whether an Accept header asks for one media type before the usual one (RFC 9110): not when it takes both
    alike."""
    weights = {wanted: (0.0, 0), usual: (0.0, 0)}
    for part in accept.lower().split(",")[:MOST_ACCEPTED]:
        name, *parameters = (each.strip() for each in part.split(";"))
        weight = next((_weight(each) for each in parameters if each.startswith("q=")), 1.0)
        for offered in weights:
            kind = offered.partition("/")[0]
            fit = (name == offered) * 3 or (name == f"{kind}/*") * 2 or (name == "*/*") * 1
            # What names a type most closely speaks for it.
            if fit > weights[offered][1]:
                weights[offered] = (weight, fit)
    return weights[wanted] > weights[usual] and weights[wanted][0] > 0


def prefers_json(accept: str) -> bool:
    return prefers(accept, "application/json", "text/html")


def _weight(parameter: str) -> float:
    match = re.fullmatch(r"q=([01](?:\.[0-9]{0,3})?)", parameter)
    return min(float(match[1]), 1.0) if match else 0.0


def placement_error(code_of: Callable[[Fault], str]) -> Callable[[Fault, str], Response]:
    """`{"errors": [{"status", "title", "detail", "code", "request_id"}]}` with placement's own error codes."""

    def render(fault: Fault, request_id: str) -> Response:
        entry = {
            "status": fault.status,
            "title": fault.title,
            "detail": fault.message,
            "code": code_of(fault),
            "request_id": request_id,
        }
        return _json(fault, {"errors": [entry]})

    return render


def _json(fault: Fault, body: object) -> Response:
    return Response(msgspec.json.encode(body), status_code=fault.status, media_type="application/json")
