"""Request bodies, and what they mean in the newest version.

Most have one form. Allocations were written differently before 1.12 and lacked an owner, a generation and a type
before 1.8, 1.28 and 1.38: each form becomes the one `Claim`. Source: Placement API reference.
"""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32, Float, Int32
from kilonova.kit.http.routes import Reply, Request
from kilonova.kit.http.versions import since
from kilonova.placement.allocations import Claim
from kilonova.placement.inventories import MAX_INTEGER, Stock
from kilonova.placement.service import Placement

PlacementRequest = Request[Placement]

ResourceClassName = Annotated[str, Meta(pattern=r"^[A-Z0-9_]+$(?!\n)", max_length=255)]
CustomName = Annotated[str, Meta(pattern=r"^CUSTOM_[A-Z0-9_]+$(?!\n)", max_length=255)]
TraitName = Annotated[str, Meta(min_length=1, max_length=255)]
ProviderName = Annotated[str, Meta(min_length=1, max_length=200)]
ConsumerType = Annotated[str, Meta(pattern=r"^[A-Z0-9_]+$(?!\n)", min_length=1, max_length=255)]
Owner = Annotated[str, Meta(min_length=1, max_length=255)]
UuidKey = Annotated[str, Meta(pattern=r"^[0-9a-fA-F-]{36}$(?!\n)", max_length=36)]
MOST_NAMED = 1024
"""Resource classes, traits and aggregates of one provider, and resource classes and providers of one claim."""
MOST_AT_ONCE = 4096
"""Consumers and providers of one batch: it is one transaction."""
Amounts = Annotated[
    dict[ResourceClassName, Annotated[int, Meta(ge=1, le=MAX_INT32)]], Meta(min_length=1, max_length=MOST_NAMED)
]
Aggregates = Annotated[list[UUID], Meta(max_length=MOST_NAMED)]
Generation = Int32
Mappings = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[list[UUID], Meta(min_length=1, max_length=MOST_NAMED)]],
    Meta(min_length=1, max_length=MOST_NAMED),
]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Size = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]


class NewProvider(Struct, forbid_unknown_fields=True):
    name: ProviderName
    uuid: UUID | UnsetType = UNSET
    parent_provider_uuid: Annotated[UUID | None | UnsetType, since("1.14")] = UNSET


class ChangedProvider(Struct, forbid_unknown_fields=True):
    name: ProviderName
    parent_provider_uuid: Annotated[UUID | None | UnsetType, since("1.14")] = UNSET


class StockBody(Struct, forbid_unknown_fields=True, kw_only=True):
    total: Size
    reserved: Count = 0
    min_unit: Size = 1
    max_unit: Size = MAX_INTEGER
    step_size: Size = 1
    allocation_ratio: Float = 1.0

    def stock(self) -> Stock:
        return Stock(
            self.total, self.reserved, self.min_unit, self.max_unit, self.step_size, float(self.allocation_ratio)
        )


class ListedStock(StockBody, kw_only=True):
    """One of several; it may repeat the provider's generation, which is not looked at."""

    resource_provider_generation: Generation | UnsetType = UNSET


class NewInventory(ListedStock, kw_only=True):
    resource_class: ResourceClassName


class ChangedInventory(StockBody, kw_only=True):
    resource_provider_generation: Generation


class Inventories(Struct, forbid_unknown_fields=True):
    resource_provider_generation: Generation
    inventories: Annotated[dict[ResourceClassName, ListedStock], Meta(max_length=MOST_NAMED)]


class TraitsOfProvider(Struct, forbid_unknown_fields=True):
    resource_provider_generation: Generation
    traits: Annotated[list[TraitName], Meta(max_length=MOST_NAMED)]


class AggregatesOfProvider(Struct, forbid_unknown_fields=True):
    aggregates: Aggregates
    resource_provider_generation: Generation


class NamedResourceClass(Struct, forbid_unknown_fields=True):
    name: CustomName


# --- allocations, oldest form first ----------------------------------------------------------------------------------


class ListedProvider(Struct, forbid_unknown_fields=True):
    uuid: UUID


class ListedAllocation(Struct, forbid_unknown_fields=True):
    resource_provider: ListedProvider
    resources: Amounts


class ListedAllocations(Struct, forbid_unknown_fields=True, kw_only=True):
    """1.0 to 1.7."""

    allocations: Annotated[list[ListedAllocation], Meta(min_length=1, max_length=MOST_NAMED)]

    def claim(self, consumer_id: str) -> Claim:
        return Claim(consumer_id, {str(each.resource_provider.uuid): each.resources for each in self.allocations})


class OwnedListedAllocations(ListedAllocations, kw_only=True):
    """1.8 to 1.11."""

    project_id: Owner
    user_id: Owner

    def claim(self, consumer_id: str) -> Claim:
        claim = super().claim(consumer_id)
        claim.project_id, claim.user_id = self.project_id, self.user_id
        return claim


class Held(Struct, forbid_unknown_fields=True):
    resources: Amounts
    generation: Generation | UnsetType = UNSET
    """The provider's, as shown; not looked at."""


class DeletableAllocations(Struct, forbid_unknown_fields=True, kw_only=True):
    """1.13 to 1.27, for several consumers."""

    allocations: Annotated[dict[UuidKey, Held], Meta(max_length=MOST_NAMED)]
    project_id: Owner
    user_id: Owner

    def claim(self, consumer_id: str) -> Claim:
        wanted = {provider_id: held.resources for provider_id, held in self.allocations.items()}
        return Claim(consumer_id, wanted, self.project_id, self.user_id)


class OwnedAllocations(DeletableAllocations, kw_only=True):
    """1.12 to 1.27, for one consumer, who may not be left with nothing."""

    allocations: Annotated[dict[UuidKey, Held], Meta(min_length=1, max_length=MOST_NAMED)]


class SeenAllocations(DeletableAllocations, kw_only=True):
    """1.28 to 1.37: says what the caller has seen."""

    consumer_generation: Generation | None
    mappings: Annotated[Mappings | UnsetType, since("1.34")] = UNSET
    """As a candidate has them; not looked at."""

    def claim(self, consumer_id: str) -> Claim:
        claim = super().claim(consumer_id)
        claim.generation = self.consumer_generation
        return claim


class TypedAllocations(SeenAllocations, kw_only=True):
    """From 1.38 on."""

    consumer_type: ConsumerType

    def claim(self, consumer_id: str) -> Claim:
        claim = super().claim(consumer_id)
        claim.consumer_type = self.consumer_type
        return claim


AnyAllocations = ListedAllocations | DeletableAllocations


class ReshapedSeen(Struct, forbid_unknown_fields=True):
    """1.30 to 1.37."""

    inventories: Annotated[dict[UuidKey, Inventories], Meta(min_length=1, max_length=MOST_AT_ONCE)]
    allocations: Annotated[dict[UuidKey, SeenAllocations], Meta(max_length=MOST_AT_ONCE)]


class ReshapedTyped(Struct, forbid_unknown_fields=True):
    inventories: Annotated[dict[UuidKey, Inventories], Meta(min_length=1, max_length=MOST_AT_ONCE)]
    allocations: Annotated[dict[UuidKey, TypedAllocations], Meta(max_length=MOST_AT_ONCE)]


def uuid_of_path(request: PlacementRequest, name: str) -> str:
    """Raises BadRequest for what is no UUID."""
    try:
        return str(UUID(request.path[name]))
    except ValueError as error:
        raise BadRequest(f"Malformed {name}: {request.path[name]}") from error


def no_content() -> Reply:
    return Reply(None, status=204)
