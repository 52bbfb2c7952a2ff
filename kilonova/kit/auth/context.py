"""The caller of one request, as identity described the token it came with."""

from datetime import datetime

from msgspec import Struct


class RequestContext(Struct, frozen=True, kw_only=True):
    """One validated token. Exactly one scope is set: project, domain, system, or none (an unscoped token)."""

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str = ""
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None
    roles: frozenset[str] = frozenset()
    """Role names, implied roles included."""
    role_ids: frozenset[str] = frozenset()
    methods: tuple[str, ...] = ()
    audit_ids: tuple[str, ...] = ()
    issued_at: datetime
    expires_at: datetime
    service_roles: frozenset[str] = frozenset()
    """Roles of the service that passed this user's token on (X-Service-Token)."""
    token: str = ""
    """The token itself, to act for the user at another service. Never logged."""

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def credentials(self) -> dict[str, object]:
        """The names policy rules may compare with (`user_id:%(user_id)s`)."""
        return {
            "user_id": self.user_id,
            "project_id": self.project_id,
            "tenant_id": self.project_id,
            "domain_id": self.domain_id,
            "user_domain_id": self.user_domain_id,
            "project_domain_id": self.project_domain_id,
            "system_scope": self.system_scope,
            "is_admin": self.is_admin,
        }
