"""Faults as network's clients see them."""

import msgspec
from starlette.responses import Response

from kilonova.kit.errors import Fault

UPSTREAM_TYPES = {
    "BadRequest": "HTTPBadRequest",
    "Forbidden": "PolicyNotAuthorized",
    "NotFound": "HTTPNotFound",
    "Conflict": "HTTPConflict",
}
"""What clients match on instead of the names of the kit's plain faults."""


def error_view(fault: Fault, request_id: str) -> Response:
    """`{"NeutronError": {"type": "NetworkNotFound", "message": "…", "detail": ""}}`"""
    kind = UPSTREAM_TYPES.get(fault.code, fault.code)
    body = {"NeutronError": {"type": kind, "message": fault.message, "detail": ""}}
    return Response(msgspec.json.encode(body), status_code=fault.status, media_type="application/json")
