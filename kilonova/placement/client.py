"""Placement as other services call it."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from kilonova.kit.http.answers import check_id
from kilonova.kit.http.client import RemoteFault, RemoteService, at

VERSION = {"OpenStack-API-Version": "placement 1.39"}

Resources = dict[str, int]
"""Resource class → amount, such as `{"VCPU": 1, "MEMORY_MB": 512}`."""


class Room(Struct, frozen=True):
    """How much of each resource class a provider has in all, and how much of it is taken."""

    capacity: Resources
    used: Resources
    offer: dict[str, Resources] = {}
    """A candidate's claim by provider: of this one, those below it, and those that share with it."""


class RequestGroup(Struct, frozen=True):
    """Resources that have to come from one provider with these traits."""

    suffix: str
    """Empty for those that may come from all of a tree."""
    resources: Resources
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    in_tree: str | None = None
    """The id of a provider of the tree that they have to come from."""

    def query(self) -> dict[str, str]:
        wanted = ",".join(f"{name}:{amount}" for name, amount in sorted(self.resources.items()) if amount)
        traits = [*self.required, *(f"!{name}" for name in self.forbidden)]
        asked = {"resources": wanted, "required": ",".join(traits), "in_tree": self.in_tree}
        return {f"{name}{self.suffix}": value for name, value in asked.items() if value}


class Provider(Struct, frozen=True):
    uuid: str
    name: str
    generation: int


class Inventory(Struct, frozen=True):
    """How much of a resource class a provider has, and how that may be given away."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = 0x7FFFFFFF
    step_size: int = 1
    allocation_ratio: float = 1.0


class _Changed(Struct, frozen=True):
    """The provider after a change to what it has."""

    resource_provider_generation: int


class _Providers(Struct, frozen=True):
    resource_providers: list[Provider]


class _Inventories(Struct, frozen=True):
    inventories: dict[str, Inventory]


class _Traits(Struct, frozen=True):
    traits: list[str]


class _Held(Struct, frozen=True):
    resources: Resources


class _Allocations(Struct, frozen=True):
    allocations: dict[str, _Held]
    consumer_generation: int | None = None


class Claims(Struct, frozen=True):
    """Everything that a consumer holds, and what the consumer is."""

    allocations: dict[str, _Held]
    consumer_generation: int | None = None
    consumer_type: str = ""
    """Empty for a consumer that holds nothing, as are the two below."""
    project_id: str = ""
    user_id: str = ""

    @property
    def held(self) -> dict[str, Resources]:
        """Provider id → resources."""
        return {provider: each.resources for provider, each in self.allocations.items()}


class _Aggregates(Struct, frozen=True):
    aggregates: list[str]
    resource_provider_generation: int


class _Amounts(Struct, frozen=True):
    capacity: int
    used: int


class _Filled(Struct, frozen=True):
    resources: dict[str, _Amounts]

    def room(self, offer: dict[str, Resources] | None = None) -> Room:
        capacity = {name: amounts.capacity for name, amounts in self.resources.items()}
        return Room(capacity, {name: amounts.used for name, amounts in self.resources.items()}, offer or {})


class _Rooms(Struct, frozen=True):
    rooms: dict[str, _Filled]


class _Summary(_Filled, frozen=True):
    root_provider_uuid: str


class _Candidates(Struct, frozen=True):
    allocation_requests: list[_Allocations]
    provider_summaries: dict[str, _Summary]


class ClaimConflict(Exception):
    """What was to be claimed is no longer free, or somebody else claimed for this consumer: look again."""


class PlacementClient:
    """Source: Placement API reference, microversion 1.39."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def ensure_provider(self, provider_id: str, name: str) -> int:
        """Creates the provider or finds it; returns its generation. RemoteFault 409: another one has the name."""
        body = {"uuid": provider_id, "name": name}
        try:
            path = at("/resource_providers")
            found = await self._remote.request("POST", path, json=body, headers=VERSION, answer=Provider)
            check_id(self._remote.name, provider_id, found.uuid)
        except RemoteFault as fault:
            if fault.status != 409:
                raise
            found = await self._own_provider(provider_id, name)
        generation: int = found.generation
        return generation

    async def _own_provider(self, provider_id: str, name: str) -> Provider:
        try:
            path = at("/resource_providers/{id}", id=provider_id)
            found: Provider = await self._remote.request("GET", path, headers=VERSION, answer=Provider)
            check_id(self._remote.name, provider_id, found.uuid)
            return found
        except RemoteFault as fault:
            if fault.status != 404:
                raise
            others = [each.uuid for each in await self.providers(name=name)]
            told = (
                f"the resource provider {name} is {' and '.join(others)}, made for an earlier database of compute: "
                "`openstack resource provider delete` it, if none of its allocations is in use"
            )
            raise RemoteFault(fault.service, 409, told) from fault

    async def delete_provider(self, provider_id: str) -> None:
        """Safe to repeat."""
        try:
            await self._remote.request("DELETE", at("/resource_providers/{id}", id=provider_id), headers=VERSION)
        except RemoteFault as fault:
            if fault.status != 404:
                raise

    async def set_inventory(self, provider_id: str, generation: int, inventories: dict[str, Inventory]) -> int:
        """Replaces the provider's inventory; returns the new generation. RemoteFault 409: the generation moved on."""
        body = {"resource_provider_generation": generation, "inventories": inventories}
        path = at("/resource_providers/{id}/inventories", id=provider_id)
        changed: _Changed = await self._remote.request("PUT", path, json=body, headers=VERSION, answer=_Changed)
        return changed.resource_provider_generation

    async def inventory(self, provider_id: str) -> dict[str, Inventory]:
        """Resource class → what the provider has of it."""
        path = at("/resource_providers/{id}/inventories", id=provider_id)
        found: _Inventories = await self._remote.request("GET", path, headers=VERSION, answer=_Inventories)
        return found.inventories

    async def traits(self, provider_id: str) -> list[str]:
        path = at("/resource_providers/{id}/traits", id=provider_id)
        found: _Traits = await self._remote.request("GET", path, headers=VERSION, answer=_Traits)
        return found.traits

    async def ensure_trait(self, name: str) -> None:
        await self._remote.request("PUT", at("/traits/{name}", name=name), headers=VERSION)

    async def ensure_resource_class(self, name: str) -> None:
        await self._remote.request("PUT", at("/resource_classes/{name}", name=name), headers=VERSION)

    async def set_traits(self, provider_id: str, generation: int, traits: list[str]) -> int:
        body = {"resource_provider_generation": generation, "traits": sorted(traits)}
        path = at("/resource_providers/{id}/traits", id=provider_id)
        changed: _Changed = await self._remote.request("PUT", path, json=body, headers=VERSION, answer=_Changed)
        return changed.resource_provider_generation

    async def allocation_candidates(
        self, groups: Sequence[RequestGroup], *, group_policy: str = "", limit: int = 1000
    ) -> dict[str, Room]:
        """The roots of trees that have all that is wanted free, by id, in placement's order, with the room each has.

        `group_policy`: `none` or `isolate`, wherever there are several groups with a suffix.
        """
        query: dict[str, Any] = {"limit": limit, **({"group_policy": group_policy} if group_policy else {})}
        for group in groups:
            query.update(group.query())
        candidates: _Candidates = await self._remote.request(
            "GET", at("/allocation_candidates"), params=query, headers=VERSION, answer=_Candidates
        )
        found: dict[str, Room] = {}
        summaries = candidates.provider_summaries
        for each in candidates.allocation_requests:
            offer = {provider: held.resources for provider, held in each.allocations.items()}
            for provider in offer:
                root = summaries[provider].root_provider_uuid
                if root not in found:
                    found[root] = summaries[root].room(offer)
        return found

    async def rooms(self) -> dict[str, Room]:
        """Root provider → what it can give in all (overcommit in, reserve out), and what of it is taken."""
        found: _Rooms = await self._remote.request("GET", at("/rooms"), headers=VERSION, answer=_Rooms)
        return {provider_id: each.room() for provider_id, each in found.rooms.items()}

    async def allocations(self, consumer_id: str) -> dict[str, Resources]:
        """Provider id → resources the consumer holds there; empty when it holds nothing."""
        return _amounts(await self._claims_of(consumer_id))

    async def claim(self, consumer_id: str, held: Mapping[str, Resources], *, project_id: str, user_id: str) -> None:
        """Claims, of each provider, for a consumer that holds nothing yet. Raises ClaimConflict."""
        body = {
            "allocations": {
                provider: {"resources": {name: n for name, n in resources.items() if n}}
                for provider, resources in held.items()
            },
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
            "project_id": project_id,
            "user_id": user_id,
        }
        try:
            await self._remote.request("PUT", at("/allocations/{id}", id=consumer_id), json=body, headers=VERSION)
        except RemoteFault as fault:
            if fault.status == 409:
                raise ClaimConflict(fault.message) from fault
            raise

    async def claims(self, consumer_id: str) -> Claims:
        path = at("/allocations/{id}", id=consumer_id)
        found: Claims = await self._remote.request("GET", path, headers=VERSION, answer=Claims)
        return found

    async def replace_claims(
        self, consumer_id: str, known: Claims, held: Mapping[str, Resources], *, project_id: str, user_id: str
    ) -> None:
        """Has a consumer hold this instead of what is `known` of it. Raises ClaimConflict when it holds other things
        meanwhile, or there is no room.
        """
        owner = {"project_id": project_id, "user_id": user_id}
        kind = known.consumer_type or "INSTANCE"
        await self._write_claims({consumer_id: _claim(held, known.consumer_generation, kind, owner)})

    async def consumers(self, provider_id: str) -> list[str]:
        """The ids of those that hold something of a provider. RemoteFault 404: there is no such provider."""
        path = at("/resource_providers/{id}/allocations", id=provider_id)
        found: _Allocations = await self._remote.request("GET", path, headers=VERSION, answer=_Allocations)
        return sorted(found.allocations)

    async def join_aggregate(self, provider_id: str, aggregate_id: str) -> bool:
        """Makes a provider one of an aggregate's; False when it was one. RemoteFault 404: there is no such provider;
        409: it has changed meanwhile.
        """
        path = at("/resource_providers/{id}/aggregates", id=provider_id)
        known: _Aggregates = await self._remote.request("GET", path, headers=VERSION, answer=_Aggregates)
        if aggregate_id in known.aggregates:
            return False
        wanted = [*known.aggregates, aggregate_id]
        body = {"aggregates": wanted, "resource_provider_generation": known.resource_provider_generation}
        await self._remote.request("PUT", path, json=body, headers=VERSION)
        return True

    async def claim_beside(
        self, consumer_id: str, keeper_id: str, wanted: Mapping[str, Resources], *, project_id: str, user_id: str
    ) -> None:
        """Claims of other providers for a consumer; what it holds is the keeper's from then on. Both or neither.

        Raises ClaimConflict when there is no room, or the consumer's claims have changed meanwhile.
        """
        held = await self._claims_of(consumer_id)
        owner = {"project_id": project_id, "user_id": user_id}
        await self._write_claims(
            {
                consumer_id: _claim(wanted, held.consumer_generation, "INSTANCE", owner),
                keeper_id: _claim(_amounts(held), None, "MIGRATION", owner),
            }
        )

    async def claim_back(self, consumer_id: str, keeper_id: str, *, project_id: str, user_id: str) -> None:
        """Undoes `claim_beside`. Safe to repeat. Raises ClaimConflict when one's claims have changed meanwhile."""
        kept = await self._claims_of(keeper_id)
        if not kept.allocations:
            return
        held = await self._claims_of(consumer_id)
        owner = {"project_id": project_id, "user_id": user_id}
        await self._write_claims(
            {
                consumer_id: _claim(_amounts(kept), held.consumer_generation, "INSTANCE", owner),
                keeper_id: _claim({}, kept.consumer_generation, "MIGRATION", owner),
            }
        )

    async def _claims_of(self, consumer_id: str) -> _Allocations:
        path = at("/allocations/{id}", id=consumer_id)
        found: _Allocations = await self._remote.request("GET", path, headers=VERSION, answer=_Allocations)
        return found

    async def _write_claims(self, claims: dict[str, dict[str, Any]]) -> None:
        try:
            await self._remote.request("POST", at("/allocations"), json=claims, headers=VERSION)
        except RemoteFault as fault:
            if fault.status == 409:
                raise ClaimConflict(fault.message) from fault
            raise

    async def release(self, consumer_id: str) -> None:
        """Gives back everything the consumer holds. Safe to repeat."""
        try:
            await self._remote.request("DELETE", at("/allocations/{id}", id=consumer_id), headers=VERSION)
        except RemoteFault as fault:
            if fault.status != 404:
                raise

    async def providers(self, **filters: str) -> list[Provider]:
        found: _Providers = await self._remote.request(
            "GET", at("/resource_providers"), params=filters or None, headers=VERSION, answer=_Providers
        )
        return found.resource_providers


def _amounts(claims: _Allocations) -> dict[str, Resources]:
    return {provider: each.resources for provider, each in claims.allocations.items()}


def _claim(
    held: Mapping[str, Resources], generation: int | None, consumer_type: str, owner: dict[str, str]
) -> dict[str, Any]:
    """The claims of one consumer, of several that are written at once."""
    return {
        "allocations": {provider: {"resources": amounts} for provider, amounts in held.items()},
        "consumer_generation": generation,
        "consumer_type": consumer_type,
        **owner,
    }
