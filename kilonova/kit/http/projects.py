"""Paths as endpoints of old name them: below the caller's project (`…/v3/%(project_id)s`), below a former version.

A service's app takes the project out of the path before the edge looks for a route, and the edge's admission compares
it with the token's once that is known.
"""

import re
from collections.abc import Collection
from typing import Any

from starlette.types import Scope

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Request, Route

PROJECT_HEADER = "x-project-of-path"
"""From the app to `refuse_other_project`: what a caller sends under this name can only narrow what is let in."""
_ID = r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def below_project(version: str) -> re.Pattern[str]:
    """Returns the pattern of paths that name a project directly below `version`, itself a pattern such as `/v3`.

    It serves APIs in which nothing directly below the version looks like a project's id.
    """
    return re.compile(rf"(?:{version})/(?P<project>{_ID})(?P<rest>/.+)")


def without_project(scope: Scope, pattern: re.Pattern[str]) -> Scope:
    """Returns a request below a project as the one without it that means the same; any other as it is."""
    path: Any = scope.get("path", "")
    match = pattern.fullmatch(path)
    if match is None:
        return scope
    own = PROJECT_HEADER.encode()
    headers = [(name, value) for name, value in scope["headers"] if name != own]
    headers.append((own, match["project"].encode()))
    return {**scope, "path": path[: match.start("project") - 1] + match["rest"], "headers": headers}


def as_newer_version(scope: Scope, former: str, newer: str, headers: Collection[bytes]) -> Scope:
    """Returns a request below a former version (`/v2/`) as the one of a newer version that means the same.

    It asks for no microversion there, whatever `headers` (in lower case) say: a former version has none. Any other
    request, one for the former version's own document too, is returned as it is.
    """
    path: Any = scope.get("path", "")
    if not path.startswith(former) or path == former:
        return scope
    kept = [(name, value) for name, value in scope["headers"] if name not in headers]
    return {**scope, "path": newer + path.removeprefix(former), "headers": kept}


def refuse_other_project(request: Request[Any], _route: Route) -> None:
    """Raises BadRequest for a path below a project that is not the token's."""
    project = request.headers.get(PROJECT_HEADER)
    if project is None or request.context is None or request.context.project_id in (None, project):
        return
    own = request.context.project_id
    raise BadRequest(f"Malformed request URL: URL's project_id '{project}' doesn't match Context's project_id '{own}'")
