"""What compute's API carries from before microversions.

`/v2` is version 2.1 whatever the headers ask for. A path may begin with the caller's project, as endpoints of old name
it (`http://controller:8774/v2.1/%(tenant_id)s`), and end in the format (`/servers/detail.json`). Source: Compute API
reference, "API Versions", "Faults" and "Service URLs".
"""

import re
from typing import Any

from starlette.types import Receive, Scope, Send

from kilonova.compute.service import Region
from kilonova.kit.http.edge import Edge
from kilonova.kit.http.projects import as_newer_version, below_project, without_project

VERSION_HEADERS = (b"openstack-api-version", b"x-openstack-nova-api-version")
FORMAT = ".json"
_ID = re.compile(r"[0-9]{1,9}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLASHES = re.compile("/{2,}")
_WITH_PROJECT = below_project(r"/v2(?:\.1)?")


class ComputeEdge(Edge[Region]):
    """The edge of compute's API."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = as_newer_version(
            without_project(without_doubled_slashes(scope), _WITH_PROJECT), "/v2/", "/v2.1/", VERSION_HEADERS
        )
        await super().__call__(self._without_format(plain), receive, send)

    def _without_format(self, scope: Scope) -> Scope:
        """A path that says the format as the one that means the same. Names of one's own may end like that: only behind
        words of the API and ids it is the format.
        """
        path: Any = scope.get("path", "")
        if not path.endswith(FORMAT):
            return scope
        bare = path.removesuffix(FORMAT)
        is_known = bare in self._literal or _ID.fullmatch(bare.rpartition("/")[2])
        return {**scope, "path": bare} if is_known else scope


def without_doubled_slashes(scope: Scope) -> Scope:
    path: Any = scope.get("path", "")
    return {**scope, "path": _SLASHES.sub("/", path)} if "//" in path else scope
