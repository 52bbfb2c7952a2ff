"""Checking callers' tokens at identity, once a token, and remembering the answer.

Only identity holds the keys: a service that could verify a token could also mint one (design §6). The memory is an LRU
by the token's hash; a revocation event empties what it concerns within a second, and expiry is checked on every use.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import msgspec

from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import ServiceUnavailable, Unauthorized
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable, ServiceSession, fault_of, whole

REVOCATIONS_TOPIC = "identity.revocations"
"""Payload: `{"audit_id" | "user_id" | "project_id" | "domain_id": value}`, or `{}` for everything."""

RECHECK_SECONDS = 300
CLOCK_LEEWAY = timedelta(seconds=2)
"""By how much clocks of two hosts may differ before what one has checked is taken by the other for older."""

_REFUSED = "The request you have made requires authentication."


class CheckedToken(msgspec.Struct, frozen=True):
    """Identity's answer about a token, and when it was asked."""

    context: RequestContext
    checked_at: datetime


class TokenMemory(Protocol):
    """A second memory behind the process's own. Never raises: what cannot be had is not there."""

    async def get(self, token: str) -> CheckedToken | None: ...

    async def put(self, token: str, checked: CheckedToken, seconds: int) -> None: ...


class TokenVerifier:
    """Implements the edge's Authenticator for every service but identity.

    `shared` is a second memory behind this process's own. After `recheck_seconds` identity is asked again: should a
    revocation have been lost on its way, the token lives no longer than that.
    """

    def __init__(
        self,
        identity: httpx.AsyncClient,
        session: ServiceSession,
        *,
        shared: TokenMemory | None = None,
        recheck_seconds: int = RECHECK_SECONDS,
        capacity: int = 100_000,
    ) -> None:
        self._identity = identity
        self._session = session
        self._shared = shared
        self._recheck = timedelta(seconds=recheck_seconds)
        self._capacity = capacity
        self._known: OrderedDict[bytes, CheckedToken] = OrderedDict()
        self._started_at = datetime.now(UTC)
        self._events: deque[tuple[datetime, Mapping[str, str]]] = deque()
        """Revocations of the last while: what was checked before one, here or elsewhere, may be what it ends."""

    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        context = await self._context(token)
        if service_token:
            service = await self._context(service_token)
            context = msgspec.structs.replace(context, service_roles=service.roles)
        return context

    async def _context(self, token: str) -> RequestContext:
        key = hashlib.sha256(token.encode()).digest()
        now = datetime.now(UTC)
        known = self._known.get(key)
        if known is not None and known.checked_at + self._recheck > now:
            if known.context.expires_at <= now:
                del self._known[key]
                raise Unauthorized(_REFUSED)
            self._known.move_to_end(key)
            return known.context
        checked = await self._shared_context(token, now) or await self._checked(token)
        self._known[key] = checked
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return checked.context

    async def _shared_context(self, token: str, now: datetime) -> CheckedToken | None:
        if self._shared is None:
            return None
        found = await self._shared.get(token)
        if found is None or not now < min(found.checked_at + self._recheck, found.context.expires_at):
            return None
        # What was revoked before this process listened it has not heard of.
        is_older = found.checked_at < self._started_at + CLOCK_LEEWAY
        return None if is_older or self._is_questioned(found, CLOCK_LEEWAY) else found

    async def _checked(self, token: str) -> CheckedToken:
        while True:
            asked_at = datetime.now(UTC)
            checked = CheckedToken(context_of(await self._ask(token), token), asked_at)
            # A revocation heard of since then may have come after identity's answer.
            if not self._is_questioned(checked, timedelta(0)):
                break
        if self._shared is not None:
            left = (checked.context.expires_at - asked_at).total_seconds()
            await self._shared.put(token, checked, max(1, int(min(left, self._recheck.total_seconds()))))
        return checked

    def _is_questioned(self, checked: CheckedToken, leeway: timedelta) -> bool:
        """Whether a revocation heard of since the token was checked may be of it."""
        return any(
            checked.checked_at <= heard_at + leeway and is_concerned(checked.context, event)
            for heard_at, event in self._events
        )

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
            raise ServiceUnavailable(
                f"Identity could not check the token: {fault_of('identity', whole(response)).message}"
            )
        raise Unauthorized(_REFUSED)

    async def forget(self, event: Mapping[str, str]) -> None:
        """Handles a revocation event."""
        now = datetime.now(UTC)
        self._events.append((now, event))
        while self._events[0][0] + self._recheck + CLOCK_LEEWAY < now:
            self._events.popleft()
        for key in [key for key, checked in self._known.items() if is_concerned(checked.context, event)]:
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
    # Rules speak of roles in small letters, and names of roles are compared without case.
    return frozenset(role[key].lower() for role in roles)
