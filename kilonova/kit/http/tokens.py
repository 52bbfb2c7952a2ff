"""Checking callers' tokens at identity, once a token, and remembering the answer.

Only identity holds the keys: a service that could verify a token could also mint one (design §6). The memory is an LRU
by the token's hash; a revocation event empties what it concerns within a second, and expiry is checked on every use.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import ServiceUnavailable, Unauthorized
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable, ServiceSession, fault_of

REVOCATIONS_TOPIC = "identity.revocations"
"""Payload: `{"audit_id" | "user_id" | "project_id" | "domain_id": value}`, or `{}` for everything."""

_REFUSED = "The request you have made requires authentication."


class TokenVerifier:
    """Implements the edge's Authenticator for every service but identity."""

    def __init__(self, identity: httpx.AsyncClient, session: ServiceSession, capacity: int = 100_000) -> None:
        self._identity = identity
        self._session = session
        self._capacity = capacity
        self._known: OrderedDict[bytes, RequestContext] = OrderedDict()

    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        context = await self._context(token)
        if service_token:
            service = await self._context(service_token)
            context = msgspec.structs.replace(context, service_roles=service.roles)
        return context

    async def _context(self, token: str) -> RequestContext:
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None:
            if known.expires_at <= datetime.now(UTC):
                del self._known[key]
                raise Unauthorized(_REFUSED)
            self._known.move_to_end(key)
            return known
        context = context_of(await self._ask(token), token)
        self._known[key] = context
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return context

    async def _ask(self, token: str) -> Mapping[str, Any]:
        for attempt in (1, 2):
            try:
                own = await self._session.token()
                headers = {"X-Auth-Token": own, "X-Subject-Token": token}
                response = await self._identity.get("/v3/auth/tokens?nocatalog=1", headers=headers)
            except (httpx.HTTPError, RemoteUnavailable) as error:
                raise ServiceUnavailable("Identity cannot be reached.", headers={"Retry-After": "1"}) from error
            except RemoteFault as error:
                raise ServiceUnavailable(f"Identity refuses this service's own password: {error.message}") from error
            if response.status_code == 200:
                found: Mapping[str, Any] = response.json()["token"]
                return found
            if response.status_code == 401 and attempt == 1:
                self._session.forget()
                continue
            if response.status_code in (401, 404):
                raise Unauthorized(_REFUSED)
            raise ServiceUnavailable(f"Identity could not check the token: {fault_of('identity', response).message}")
        raise Unauthorized(_REFUSED)

    async def forget(self, event: Mapping[str, str]) -> None:
        """Handles a revocation event."""
        for key in [key for key, context in self._known.items() if is_concerned(context, event)]:
            del self._known[key]


def is_concerned(context: RequestContext, event: Mapping[str, str]) -> bool:
    """Whether a revocation event ends this token. Every field of the event has to match; an empty event ends all."""
    for name, value in event.items():
        if name == "audit_id":
            if value != context.audit_ids[0]:
                return False
        elif getattr(context, name) != value:
            return False
    return True


def context_of(token: Mapping[str, Any], raw_token: str) -> RequestContext:
    """The context a validated token's document (`{"token": …}`'s content, Identity API v3) describes."""
    user = token["user"]
    project = token.get("project") or {}
    domain = token.get("domain") or {}
    return RequestContext(
        user_id=user["id"],
        user_name=user["name"],
        user_domain_id=user["domain"]["id"],
        user_domain_name=user["domain"].get("name", ""),
        project_id=project.get("id"),
        project_name=project.get("name"),
        project_domain_id=project.get("domain", {}).get("id"),
        project_domain_name=project.get("domain", {}).get("name"),
        domain_id=domain.get("id"),
        domain_name=domain.get("name"),
        system_scope="all" if token.get("system", {}).get("all") else None,
        roles=_names(token.get("roles", ()), "name"),
        role_ids=_names(token.get("roles", ()), "id"),
        methods=tuple(token.get("methods", ())),
        audit_ids=tuple(token.get("audit_ids", ())),
        issued_at=datetime.fromisoformat(token["issued_at"]),
        expires_at=datetime.fromisoformat(token["expires_at"]),
        token=raw_token,
    )


def _names(roles: Iterable[Mapping[str, str]], key: str) -> frozenset[str]:
    return frozenset(role[key] for role in roles)
