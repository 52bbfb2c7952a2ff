"""Block storage's tables and row types.

A volume's status is a column, written in the same transaction as the task that owns it, and again in the one that ends
the task. A row that is deleted leaves its table at once; its data was removed before.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

from kilonova.kit.db import UtcDateTime
from kilonova.kit.tasks import ChoreTable, TaskTables

metadata = MetaData()

tasks = TaskTables(metadata)
chores = ChoreTable(metadata)

volumes = Table(
    "volumes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("size_gib", Integer, nullable=False),
    Column("growth_gib", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("host", String(255)),
    Column("availability_zone", String(255), nullable=False),
    Column("volume_type_id", String(36), nullable=False),
    Column("source_snapshot_id", String(36)),
    Column("source_volume_id", String(36)),
    Column("source_image", JSON),
    Column("image_metadata", JSON, nullable=False),
    Column("bootable", Boolean, nullable=False),
    Column("readonly", Boolean, nullable=False),
    Column("multiattach", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("launched_at", UtcDateTime),
    Column("source_backup_id", String(36)),
    Index("volumes_project", "project_id", "created_at"),
    Index("volumes_created_at", "created_at"),
    Index("volumes_host", "host"),
    Index("volumes_source_snapshot", "source_snapshot_id"),
    Index("volumes_source_volume", "source_volume_id"),
    Index("volumes_type", "volume_type_id"),
)

volume_metadata = Table(
    "volume_metadata",
    metadata,
    Column("owner_id", String(36), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", String(255), nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("size_gib", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("progress", String(8), nullable=False),
    Column("volume_type_id", String(36), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("snapshots_project", "project_id", "created_at"),
    Index("snapshots_created_at", "created_at"),
    Index("snapshots_volume", "volume_id"),
)

snapshot_metadata = Table(
    "snapshot_metadata",
    metadata,
    Column("owner_id", String(36), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", String(255), nullable=False),
)

volume_types = Table(
    "volume_types",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", String(255)),
    Column("is_public", Boolean, nullable=False),
    Column("extra_specs", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("qos_specs_id", String(36)),
    Index("volume_types_created_at", "created_at"),
    Index("volume_types_qos_specs", "qos_specs_id"),
)

qos_specs = Table(
    "qos_specs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("consumer", String(16), nullable=False),
    Column("specs", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

volume_type_projects = Table(
    "volume_type_projects",
    metadata,
    Column("volume_type_id", String(36), primary_key=True),
    Column("project_id", String(255), primary_key=True),
)

default_types = Table(
    "default_types",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("volume_type_id", String(36), nullable=False, index=True),
)

quotas = Table(
    "quotas",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("resource", String(255), primary_key=True),
    Column("hard_limit", BigInteger, nullable=False),
)

quota_classes = Table(
    "quota_classes",
    metadata,
    Column("class_name", String(255), primary_key=True),
    Column("resource", String(255), primary_key=True),
    Column("hard_limit", BigInteger, nullable=False),
)

services = Table(
    "services",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False, unique=True),
    Column("availability_zone", String(255), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", String(255)),
    Column("pools", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("server_id", String(36)),
    Column("attached_host", String(255)),
    Column("mountpoint", String(255)),
    Column("attach_mode", String(16), nullable=False),
    Column("status", String(32), nullable=False),
    Column("connector", JSON),
    Column("connection", JSON),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attached_at", UtcDateTime),
    Index("attachments_volume", "volume_id"),
    Index("attachments_project", "project_id", "created_at"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False, unique=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255)),
    Column("with_snapshots", Boolean, nullable=False),
    Column("key_hash", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("transfers_project", "project_id", "created_at"),
)

backups = Table(
    "backups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("volume_id", String(36), nullable=False),
    Column("snapshot_id", String(36)),
    Column("parent_id", String(36)),
    Column("name", String(255)),
    Column("description", Text),
    Column("size_gib", Integer, nullable=False),
    Column("status", String(32), nullable=False),
    Column("fail_reason", Text),
    Column("host", String(255)),
    Column("availability_zone", String(255)),
    Column("container", String(255), nullable=False),
    Column("object_count", Integer, nullable=False),
    Column("volume_properties", JSON, nullable=False),
    Column("data_timestamp", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("backups_project", "project_id", "created_at"),
    Index("backups_created_at", "created_at"),
    Index("backups_volume", "volume_id"),
    Index("backups_parent", "parent_id"),
)

backup_metadata = Table(
    "backup_metadata",
    metadata,
    Column("owner_id", String(36), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", String(255), nullable=False),
)

backup_services = Table(
    "backup_services",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False, unique=True),
    Column("availability_zone", String(255), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", String(255)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("action_id", String(8), nullable=False),
    Column("detail_id", String(8), nullable=False),
    Column("resource_type", String(36), nullable=False),
    Column("resource_id", String(36), nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index("messages_project", "project_id", "created_at"),
)


class SourceImage(Struct, frozen=True):
    """An image as it was when a volume was asked of it."""

    id: str
    disk_format: str
    size_bytes: int
    sha512: str


class Volume(Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size_gib: int
    growth_gib: int
    """The GiB that it takes of the quota beyond its size, while it is extended."""
    status: str
    host: str | None
    """`HOST@BACKEND#POOL`; None: it has no place yet, or none any more."""
    availability_zone: str
    volume_type_id: str
    source_snapshot_id: str | None
    source_volume_id: str | None
    source_image: dict[str, Any] | None
    """A SourceImage."""
    image_metadata: dict[str, str]
    bootable: bool
    readonly: bool
    multiattach: bool
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    source_backup_id: str | None = None


class MetadataItem(Struct, frozen=True):
    owner_id: str
    """The volume's, the snapshot's or the backup's."""
    key: str
    value: str


class Snapshot(Struct, frozen=True, kw_only=True):
    id: str
    volume_id: str
    project_id: str
    user_id: str
    name: str | None
    description: str | None
    size_gib: int
    """The volume's at that time."""
    status: str
    progress: str
    volume_type_id: str
    created_at: datetime
    updated_at: datetime


class VolumeType(Struct, frozen=True):
    id: str
    name: str
    description: str | None
    is_public: bool
    extra_specs: dict[str, str]
    created_at: datetime
    updated_at: datetime
    qos_specs_id: str | None = None


class QosSpecs(Struct, frozen=True, kw_only=True):
    """Limits of volumes of some types, and who is to obey them."""

    id: str
    name: str
    consumer: str
    """`front-end`: the server's host; `back-end`: where the volume is; or `both`."""
    specs: dict[str, str]
    created_at: datetime


class TypeAccess(Struct, frozen=True):
    volume_type_id: str
    project_id: str


class DefaultType(Struct, frozen=True):
    project_id: str
    volume_type_id: str


class QuotaLimit(Struct, frozen=True):
    resource: str
    hard_limit: int


class VolumeService(Struct, frozen=True, kw_only=True):
    """A cinder-volume: one back end on one host."""

    id: str
    host: str
    """`HOST@BACKEND`"""
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    pools: list[dict[str, Any]]
    """PoolStats, as the agent last told them."""
    created_at: datetime
    updated_at: datetime


class VolumeProperties(Struct, frozen=True, kw_only=True):
    """The part of a volume's record that a volume which is restored has again."""

    metadata: dict[str, str] = {}
    image_metadata: dict[str, str] = {}
    bootable: bool = False


class Backup(Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    volume_id: str
    """The volume that it is of, which may be gone."""
    snapshot_id: str | None
    parent_id: str | None
    """The backup whose chunks it does not store again; None: it is a full one."""
    name: str | None
    description: str | None
    size_gib: int
    status: str
    fail_reason: str | None
    host: str | None
    """The cinder-backup that keeps it; None: none was chosen yet."""
    availability_zone: str | None
    """None: any."""
    container: str
    object_count: int
    volume_properties: dict[str, Any]
    """VolumeProperties, as they were then."""
    data_timestamp: datetime
    """The time that its content is of."""
    created_at: datetime
    updated_at: datetime


class BackupService(Struct, frozen=True, kw_only=True):
    """A cinder-backup."""

    id: str
    host: str
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class Attachment(Struct, frozen=True, kw_only=True):
    id: str
    volume_id: str
    project_id: str
    server_id: str | None
    attached_host: str | None
    mountpoint: str | None
    attach_mode: str
    status: str
    connector: dict[str, Any] | None
    connection: dict[str, Any] | None
    created_at: datetime
    attached_at: datetime | None


class Transfer(Struct, frozen=True, kw_only=True):
    """The offer of a volume to whoever has the key; it owns the volume's status until it is accepted or deleted."""

    id: str
    volume_id: str
    project_id: str
    """The project that offers the volume."""
    name: str | None
    with_snapshots: bool
    key_hash: str
    created_at: datetime


class Message(Struct, frozen=True, kw_only=True):
    """A failure, in words for the project it happened to."""

    id: str
    project_id: str
    request_id: str
    action_id: str
    detail_id: str
    resource_type: str
    resource_id: str
    text: str
    created_at: datetime
    expires_at: datetime
