"""Routes: what one line of a service's table says, and the request a handler gets."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response

from kilonova.kit.auth import Policy, RequestContext
from kilonova.kit.errors import Forbidden, Unauthorized
from kilonova.kit.http.versions import Version, VersionEdge

ServiceT = TypeVar("ServiceT")
Handler = Callable[..., Awaitable[Any]]

PUBLIC = "public"
"""The rule of a route that needs no token: version documents, health, authentication itself."""

MAX_BODY_BYTES = 114_688
"""Largest JSON body accepted unless a route says otherwise (upstream's default, 112 KiB)."""


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of an action route: `POST /servers/{id}/action` with the body `{"reboot": {...}}`."""

    key: str
    handler: Handler
    rule: str
    body: Any = None
    """The type of the value under the key; None takes it as it comes."""
    status: int = 202
    since: str | None = None
    until: str | None = None
    shape: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `rule` is a policy rule's name or PUBLIC; a rule the policy lacks stops the start."""

    method: str
    path: str
    handler: Handler | tuple[Action, ...]
    rule: str = ""
    """Empty only for action routes, whose actions each have one."""
    body: Any = None
    query: Mapping[str, str | None] = field(default_factory=dict)
    """Query parameter → the change it came with, None for always. What others mean is the service's own matter."""
    media_type: str = "application/json"
    """The body's, as the OpenAPI document tells it."""
    also_read: Mapping[str, Any] = field(default_factory=dict)
    """Other media type → the type of a body that comes in it."""
    status: int = 200
    also: tuple[int, ...] = ()
    """Statuses that the handler answers with in other cases."""
    since: str | None = None
    until: str | None = None
    shape: str | None = None
    """Name the version edge knows the answer by (`server`); None: the answer is the same in every version."""
    max_body_bytes: int = MAX_BODY_BYTES
    lax: bool = False
    """Numbers and booleans may come as text, as old clients send them."""
    rule_first: bool = False
    """The rule is asked of the caller, without a target, before the body is read: who may not do this hears so (403)
    whatever he sends. The handler does not ask it again."""
    streams_body: bool = False
    """The handler reads the body itself, as it arrives: uploads."""
    look_up: Handler | None = None
    """Of an action route: `look_up(request)` raises NotFound or Forbidden for a thing the caller cannot act on. It is
    called before an action that does not exist is refused."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """The actions of an action route that no version has any more → the sentence that says so (410)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status or headers of its own."""

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Request(Generic[ServiceT]):
    """A request as handlers get it. `service` holds the service's own parts (database, clients, bus)."""

    service: ServiceT
    method: str
    url_path: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Headers
    base_url: str
    """Scheme, host and port the caller used, with no slash at the end: links are built on it."""
    client_address: str
    """Where the request came from; "" inside one process."""
    request_id: str
    stream: Callable[[], AsyncIterator[bytes]]
    policy: Policy
    rule: str
    declared: Mapping[str, str | None] = field(default_factory=dict)
    """The route's query parameters."""
    context: RequestContext | None = None
    version: Version | None = None
    versions: VersionEdge | None = None
    authorized: bool = False
    is_disconnected: bool = False

    @property
    def known_queries(self) -> list[str]:
        """The names of the route's query parameters in the version this request speaks."""
        return [name for name, change in self.declared.items() if change is None or self.allows(change)]

    @property
    def ctx(self) -> RequestContext:
        """The caller. Raises Unauthorized on a public route that was called without a token."""
        if self.context is None:
            raise Unauthorized("The request you have made requires authentication.")
        return self.context

    def authorize(self, target: Mapping[str, Any] | None = None, *, rule: str | None = None) -> None:
        """Raises Forbidden unless the caller may do the route's rule (or `rule`) to `target`.

        Without a target the caller's own project and user are meant: creating something, listing one's own.
        Every handler of a guarded route calls this, but for those of routes with `rule_first`, for which the edge does;
        the edge refuses to answer for one that did not.
        """
        if not self.may(target, rule=rule):
            name = rule or self.rule
            raise Forbidden(f"Policy doesn't allow {name} to be performed.")
        self.authorized = True

    def may(self, target: Mapping[str, Any] | None = None, *, rule: str | None = None) -> bool:
        """Whether the caller may; asks without deciding the request."""
        if target is None:
            target = {"project_id": self.ctx.project_id, "tenant_id": self.ctx.project_id, "user_id": self.ctx.user_id}
        return self.policy.allows(rule or self.rule, self.ctx, target)

    def allows(self, change: str) -> bool:
        """Whether the named change is part of the version this request speaks."""
        return self.versions is None or self.version is None or self.versions.allows(self.version, change)


class RawResponse(Response):
    """A Starlette response passed through untouched: downloads, version documents."""
