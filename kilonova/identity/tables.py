"""Identity's tables and row types.

Names are unique within their domain, whatever their case: `folded_name` is what they are compared by. `extra` holds
attributes the API accepts and this service gives no meaning to.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from kilonova.identity.names import fold
from kilonova.kit.db import UtcDateTime

metadata = MetaData()

domains = Table(
    "domains",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("extra", JSON, nullable=False),
    Column("folded_name", String(255), nullable=False, server_default=""),
    Index("domains_folded_name", "folded_name", unique=True),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), ForeignKey("domains.id"), nullable=False),
    Column("parent_id", String(64)),
    Column("name", String(64), nullable=False),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("extra", JSON, nullable=False),
    Column("folded_name", String(255), nullable=False, server_default=""),
    UniqueConstraint("domain_id", "name"),
    Index("projects_folded_name", "domain_id", "folded_name", unique=True),
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), ForeignKey("domains.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("password_hash", String(255)),
    Column("enabled", Boolean, nullable=False),
    Column("default_project_id", String(64)),
    Column("extra", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("folded_name", String(255), nullable=False, server_default=""),
    UniqueConstraint("domain_id", "name"),
    Index("users_folded_name", "domain_id", "folded_name", unique=True),
)

roles = Table(
    "roles",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("extra", JSON, nullable=False),
    Column("folded_name", String(255), nullable=False, server_default=""),
    UniqueConstraint("domain_id", "name"),
    Index("roles_folded_name", "domain_id", "folded_name", unique=True),
)

implied_roles = Table(
    "implied_roles",
    metadata,
    Column("prior_role_id", String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("implied_role_id", String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
)

assignments = Table(
    "assignments",
    metadata,
    Column("user_id", String(64), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("target_kind", String(16), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Column("role_id", String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Index("assignments_target", "target_kind", "target_id"),
)

groups = Table(
    "groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), ForeignKey("domains.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("description", Text, nullable=False),
    Column("extra", JSON, nullable=False),
    Column("folded_name", String(255), nullable=False, server_default=""),
    UniqueConstraint("domain_id", "name"),
    Index("groups_folded_name", "domain_id", "folded_name", unique=True),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", String(64), ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Index("group_members_user", "user_id"),
)

group_assignments = Table(
    "group_assignments",
    metadata,
    Column("group_id", String(64), ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("target_kind", String(16), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Column("role_id", String(64), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Index("group_assignments_target", "target_kind", "target_id"),
)

regions = Table(
    "regions",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("parent_region_id", String(255)),
    Column("extra", JSON(none_as_null=True)),
)

services = Table(
    "services",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("extra", JSON(none_as_null=True)),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("service_id", String(64), ForeignKey("services.id", ondelete="CASCADE"), nullable=False),
    Column("interface", String(8), nullable=False),
    Column("region_id", String(255), ForeignKey("regions.id")),
    Column("url", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("extra", JSON(none_as_null=True)),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("audit_id", String(32)),
    Column("user_id", String(64)),
    Column("project_id", String(64)),
    Column("issued_before", UtcDateTime, nullable=False),
    Column("kept_until", UtcDateTime, nullable=False),
    Index("revocations_kept_until", "kept_until"),
)

log_ins = Table(
    "log_ins",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", UtcDateTime),
    Column("succeeded_at", UtcDateTime),
    Column("kept_until", UtcDateTime, nullable=False),
    Index("log_ins_kept_until", "kept_until"),
)

ANYWHERE_ELSE = "*"
"""`source` of what was tried from where the user has not logged in."""

NO_DOMAIN = ""
"""`domain_id` of a role that belongs to no domain: an empty string, because NULLs are all different in a unique key."""

TargetKind = Literal["project", "domain", "system"]
SYSTEM_TARGET_ID = "system"


class Domain(Struct):
    id: str
    name: str
    description: str
    enabled: bool
    extra: dict[str, Any]
    folded_name: str = ""

    def __post_init__(self) -> None:
        self.folded_name = self.folded_name or fold(self.name)


class Project(Struct):
    id: str
    domain_id: str
    parent_id: str | None
    name: str
    description: str
    enabled: bool
    tags: list[str]
    extra: dict[str, Any]
    folded_name: str = ""

    def __post_init__(self) -> None:
        self.folded_name = self.folded_name or fold(self.name)


class User(Struct):
    id: str
    domain_id: str
    name: str
    password_hash: str | None
    enabled: bool
    default_project_id: str | None
    extra: dict[str, Any]
    created_at: datetime
    folded_name: str = ""

    def __post_init__(self) -> None:
        self.folded_name = self.folded_name or fold(self.name)


class Role(Struct):
    id: str
    domain_id: str
    name: str
    description: str
    extra: dict[str, Any]
    folded_name: str = ""

    def __post_init__(self) -> None:
        self.folded_name = self.folded_name or fold(self.name)


class ImpliedRole(Struct, frozen=True):
    prior_role_id: str
    implied_role_id: str


class Assignment(Struct, frozen=True):
    user_id: str
    target_kind: TargetKind
    target_id: str
    role_id: str


class Group(Struct):
    id: str
    domain_id: str
    name: str
    description: str
    extra: dict[str, Any]
    folded_name: str = ""

    def __post_init__(self) -> None:
        self.folded_name = self.folded_name or fold(self.name)


class GroupMember(Struct, frozen=True):
    group_id: str
    user_id: str


class GroupAssignment(Struct, frozen=True):
    group_id: str
    target_kind: TargetKind
    target_id: str
    role_id: str


class Region(Struct):
    id: str
    description: str
    parent_region_id: str | None
    extra: dict[str, Any] | None = None


class Service(Struct):
    id: str
    type: str
    name: str
    description: str
    enabled: bool
    extra: dict[str, Any] | None = None


class Endpoint(Struct):
    id: str
    service_id: str
    interface: str
    region_id: str | None
    url: str
    enabled: bool
    extra: dict[str, Any] | None = None


class Revocation(Struct):
    """Ends tokens issued at or before `issued_before` that match every id that is set."""

    id: str
    audit_id: str | None
    user_id: str | None
    project_id: str | None
    issued_before: datetime
    kept_until: datetime


class LogIn(Struct, frozen=True):
    """What is known of an account and an address. `account`: a user's id, or the digest of names that no user has."""

    account: str
    source: str
    failures: int
    """In a row, the last of them at `failed_at`."""
    failed_at: datetime | None
    succeeded_at: datetime | None
    kept_until: datetime
