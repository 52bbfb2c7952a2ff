"""Placement's tables and row types.

A provider's `generation` goes up with every change of what it has and whenever something is claimed from it; a
consumer's with every change of what it holds. `inventories.used` is the sum of the allocations of that provider and
class, kept in the transaction that changes them: candidates are found without adding up every allocation of the cloud.
`revisions` holds the number of the last change of any provider; each carries that of its own last change.
"""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

from kilonova.kit.db import UtcDateTime

metadata = MetaData()

providers = Table(
    "providers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("generation", Integer, nullable=False),
    Column("root_id", String(36), nullable=False, index=True),
    Column("parent_id", String(36), ForeignKey("providers.id"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

resource_classes = Table(
    "resource_classes",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("updated_at", UtcDateTime, nullable=False),
)

traits = Table(
    "traits",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("updated_at", UtcDateTime, nullable=False),
)

inventories = Table(
    "inventories",
    metadata,
    Column("provider_id", String(36), ForeignKey("providers.id", ondelete="CASCADE"), primary_key=True),
    Column("resource_class", String(255), primary_key=True),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("min_unit", Integer, nullable=False),
    Column("max_unit", Integer, nullable=False),
    Column("step_size", Integer, nullable=False),
    Column("allocation_ratio", Float, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("inventories_resource_class", "resource_class"),
)

provider_traits = Table(
    "provider_traits",
    metadata,
    Column("provider_id", String(36), ForeignKey("providers.id", ondelete="CASCADE"), primary_key=True),
    Column("trait", String(255), primary_key=True),
    Index("provider_traits_trait", "trait"),
)

provider_aggregates = Table(
    "provider_aggregates",
    metadata,
    Column("provider_id", String(36), ForeignKey("providers.id", ondelete="CASCADE"), primary_key=True),
    Column("aggregate_id", String(36), primary_key=True),
    Index("provider_aggregates_aggregate", "aggregate_id"),
)

consumers = Table(
    "consumers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("consumer_type", String(255)),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("consumers_project_user", "project_id", "user_id"),
)

allocations = Table(
    "allocations",
    metadata,
    Column("consumer_id", String(36), ForeignKey("consumers.id"), primary_key=True),
    Column("provider_id", String(36), primary_key=True),
    Column("resource_class", String(255), primary_key=True),
    Column("used", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # What is allocated has an inventory: a claim and the removal of what it claims cannot both succeed.
    ForeignKeyConstraint(["provider_id", "resource_class"], ["inventories.provider_id", "inventories.resource_class"]),
    Index("allocations_provider", "provider_id", "resource_class"),
)


class Provider(Struct, frozen=True):
    id: str
    name: str
    generation: int
    root_id: str
    parent_id: str | None
    created_at: datetime
    updated_at: datetime
    revision: int


class ResourceClass(Struct, frozen=True):
    name: str
    updated_at: datetime


class Trait(Struct, frozen=True):
    name: str
    updated_at: datetime


class Inventory(Struct, frozen=True):
    provider_id: str
    resource_class: str
    total: int
    reserved: int
    min_unit: int
    max_unit: int
    step_size: int
    allocation_ratio: float
    used: int
    updated_at: datetime

    @property
    def capacity(self) -> float:
        """What may be used in all; not rounded."""
        return (self.total - self.reserved) * self.allocation_ratio

    def fits(self, amount: int) -> bool:
        """Whether the inventory gives out pieces of this size at all, however much is in use."""
        return self.min_unit <= amount <= self.max_unit and amount % self.step_size == 0


class ProviderTrait(Struct, frozen=True):
    provider_id: str
    trait: str


class ProviderAggregate(Struct, frozen=True):
    provider_id: str
    aggregate_id: str


class Consumer(Struct, frozen=True):
    id: str
    generation: int
    project_id: str
    user_id: str
    consumer_type: str | None
    """None for consumers made before types existed; shown as `unknown`."""
    updated_at: datetime


class Allocation(Struct, frozen=True):
    consumer_id: str
    provider_id: str
    resource_class: str
    used: int
    updated_at: datetime
