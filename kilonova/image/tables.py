"""The image service's tables and row types.

An image's record outlives no data and its data no record: data is written before the record says `active`, and removed
after the record is gone; what a crash leaves in between, recovery removes (`recovery.py`). Each upload writes under a
name of its own. An id is given once: what booted from it must not become another image.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

from kilonova.kit.db import UtcDateTime

metadata = MetaData()

Status = Literal["queued", "saving", "active", "deactivated"]
Visibility = Literal["public", "private", "shared", "community"]
MemberStatus = Literal["pending", "accepted", "rejected"]

images = Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255)),
    Column("status", String(16), nullable=False),
    Column("visibility", String(16), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("owner", String(255)),
    Column("disk_format", String(32)),
    Column("container_format", String(32)),
    Column("min_disk_gib", Integer, nullable=False),
    Column("min_ram_mib", Integer, nullable=False),
    Column("size_bytes", BigInteger),
    Column("virtual_size_bytes", BigInteger),
    Column("checksum", String(32)),
    Column("hash_algorithm", String(64)),
    Column("hash_value", String(128)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("images_owner", "owner"),
    Index("images_created_at", "created_at"),
)

deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("deleted_at", UtcDateTime, nullable=False),
)

image_locations = Table(
    "image_locations",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("store", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
)

upload_leases = Table(
    "upload_leases",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("store", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Index("upload_leases_until", "lease_until"),
)

image_properties = Table(
    "image_properties",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Text, nullable=False),
    Index("image_properties_name", "name"),
)

image_tags = Table(
    "image_tags",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(255), primary_key=True),
    Index("image_tags_tag", "tag"),
)

image_members = Table(
    "image_members",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", String(255), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("image_members_member", "member_id"),
)


class ImageRow(Struct, frozen=True):
    id: str
    name: str | None
    status: Status
    visibility: Visibility
    protected: bool
    hidden: bool
    owner: str | None
    disk_format: str | None
    container_format: str | None
    min_disk_gib: int
    min_ram_mib: int
    size_bytes: int | None
    virtual_size_bytes: int | None
    checksum: str | None
    """MD5 of the data, in hexadecimal; it tells copies apart, and protects nothing."""
    hash_algorithm: str | None
    hash_value: str | None
    created_at: datetime
    updated_at: datetime


class DeletedImage(Struct, frozen=True):
    id: str
    deleted_at: datetime


class Location(Struct, frozen=True):
    """Where an image's data is: in which store, under which name."""

    image_id: str
    store: str
    name: str


class Upload(Struct, frozen=True):
    """What holds an image that is `saving`, and where it writes."""

    id: str
    image_id: str
    store: str
    name: str
    lease_until: datetime

    @property
    def place(self) -> Location:
        return Location(self.image_id, self.store, self.name)


class ImageProperty(Struct, frozen=True):
    image_id: str
    name: str
    value: str


class ImageTag(Struct, frozen=True):
    image_id: str
    tag: str


class ImageMember(Struct, frozen=True):
    image_id: str
    member_id: str
    """A project's id."""
    status: MemberStatus
    created_at: datetime
    updated_at: datetime
