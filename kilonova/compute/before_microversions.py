"""What compute's API carries from before microversions.

`/v2` is version 2.1 whatever the headers ask for. Source: Compute API reference, "API Versions" and "Faults".
"""

from typing import Any

from starlette.types import Receive, Scope, Send

from kilonova.compute.service import Compute
from kilonova.kit.http.edge import Edge

VERSION_HEADERS = (b"openstack-api-version", b"x-openstack-nova-api-version")
DOCUMENTS = ("/v2", "/v2/")


class ComputeEdge(Edge[Compute]):
    """The edge of compute's API."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(as_version_2_1(scope), receive, send)


def as_version_2_1(scope: Scope) -> Scope:
    """A request under `/v2/` as the one of 2.1 that means the same; any other as it is."""
    path: Any = scope.get("path", "")
    if not path.startswith("/v2/") or path in DOCUMENTS:
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name not in VERSION_HEADERS]
    return {**scope, "path": "/v2.1/" + path.removeprefix("/v2/"), "headers": headers}
