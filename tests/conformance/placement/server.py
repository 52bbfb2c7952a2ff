"""Serves placement on a loopback port for suites that send fixed tokens, as upstream's own test set-up takes them.

`python server.py PORT DIRECTORY [POLICY-OVERRIDES-AS-JSON]`; a fresh database in DIRECTORY. The token is
`user[:project]`; X-Roles, X-Project-Id and OpenStack-System-Scope say the rest.
"""

import json
import sys
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kilonova.kit.auth import RequestContext
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.placement import tables
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement

MIGRATIONS = Path(tables.__file__).parent / "migrations"
_headers: ContextVar[Headers] = ContextVar("headers")


class HeaderTokens:
    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        headers = _headers.get()
        user, _, project = token.partition(":")
        roles = headers.get("x-roles", "admin" if user == "admin" else "")
        scope = headers.get("openstack-system-scope")
        now = datetime.now(UTC)
        return RequestContext(
            user_id=user,
            user_name=user,
            user_domain_id="default",
            project_id=None if scope else headers.get("x-project-id") or project or user,
            system_scope=scope,
            roles=frozenset(role for role in roles.split(",") if role),
            issued_at=now,
            expires_at=now + timedelta(hours=1),
        )


def with_headers(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _headers.set(Headers(scope=scope))
        await app(scope, receive, send)

    return wrapped


def main() -> None:
    port, directory = int(sys.argv[1]), Path(sys.argv[2])
    overrides = json.loads(sys.argv[3]) if len(sys.argv) > 3 else None
    database = Database(f"sqlite:///{directory}/placement.db", tables.metadata)
    upgrade(database, MIGRATIONS)
    app = make_app(Placement(database), HeaderTokens(), overrides)
    uvicorn.run(with_headers(app), host="127.0.0.1", port=port, log_level="error", lifespan="off")


if __name__ == "__main__":
    main()
