"""Placement's faults, and the codes clients know them by.

Source of the codes: Placement API reference, "Errors".
"""

from collections.abc import Iterable

from kilonova.kit.errors import BadRequest, Conflict, Fault, NotFound


class ConcurrentUpdate(Conflict):
    """A generation is not the one the caller has seen: read again, then repeat."""


class InventoryInUse(Conflict):
    def __init__(self, resource_classes: Iterable[str], provider_id: str) -> None:
        names = ", ".join(resource_classes)
        super().__init__(f"Resource provider {provider_id} has allocations of {names}: that inventory is in use.")


class DuplicateName(Conflict):
    pass


class ProviderInUse(Conflict):
    pass


class ProviderHasChildren(Conflict):
    pass


class ProviderNotFound(NotFound):
    def __init__(self, provider_id: str) -> None:
        super().__init__(f"There is no resource provider {provider_id}.")


class UnknownProvider(BadRequest):
    """A body names a provider that does not exist."""


class ResourceClassNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no resource class {name}.")


class UnknownResourceClass(BadRequest):
    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(f"There are no such resource classes: {', '.join(sorted(names))}.")


class TraitNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no trait {name}.")


class UnknownTrait(BadRequest):
    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(f"There are no such traits: {', '.join(sorted(names))}.")


class InUse(Conflict):
    """A trait or resource class that is still used."""


class InvalidInventory(BadRequest):
    pass


class InventoryNotFound(NotFound):
    pass


class AllocationRefused(Conflict):
    """What is claimed is not there: no such inventory, too little left, or not in pieces of this size."""


class AllocationsNotFound(NotFound):
    def __init__(self, consumer_id: str) -> None:
        super().__init__(f"Consumer {consumer_id} holds nothing.")


class BadQueryValue(BadRequest):
    pass


class MissingQueryValue(BadRequest):
    pass


class DuplicateQueryKey(BadRequest):
    pass


class TooManyWays(BadRequest):
    def __init__(self, most: int) -> None:
        super().__init__(
            f"More than {most} ways of putting the groups together would have to be looked at: ask for fewer groups, "
            "narrow them by in_tree or member_of, or set a limit."
        )


CODES: dict[type[Fault], str] = {
    ConcurrentUpdate: "placement.concurrent_update",
    InventoryInUse: "placement.inventory.inuse",
    DuplicateName: "placement.duplicate_name",
    ProviderInUse: "placement.resource_provider.inuse",
    ProviderHasChildren: "placement.resource_provider.cannot_delete_parent",
    UnknownProvider: "placement.resource_provider.not_found",
    BadQueryValue: "placement.query.bad_value",
    MissingQueryValue: "placement.query.missing_value",
    DuplicateQueryKey: "placement.query.duplicate_key",
}


def code_of(fault: Fault) -> str:
    return CODES.get(type(fault), "placement.undefined_code")
