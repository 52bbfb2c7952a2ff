"""The whole placement API on one screen. Source: Placement API reference."""

from typing import Annotated

from msgspec import Meta

from kilonova.kit.auth import Policy
from kilonova.kit.http.edge import Api, Authenticator, Edge
from kilonova.kit.http.formats import placement_error
from kilonova.kit.http.routes import PUBLIC, Route
from kilonova.placement.api import (
    allocations,
    candidates,
    inventories,
    queries,
    resource_classes,
    rooms,
    root,
    traits,
    usages,
)
from kilonova.placement.api import resource_providers as providers
from kilonova.placement.api.bodies import (
    MOST_AT_ONCE,
    Aggregates,
    AggregatesOfProvider,
    ChangedInventory,
    ChangedProvider,
    DeletableAllocations,
    Inventories,
    ListedAllocations,
    NamedResourceClass,
    NewInventory,
    NewProvider,
    OwnedAllocations,
    OwnedListedAllocations,
    ReshapedSeen,
    ReshapedTyped,
    SeenAllocations,
    TraitsOfProvider,
    TypedAllocations,
    UuidKey,
)
from kilonova.placement.api.media import admit
from kilonova.placement.errors import code_of
from kilonova.placement.policy import RULES
from kilonova.placement.service import Placement
from kilonova.placement.versions import EDGE

BATCH_BYTES = 16 << 20
"""Largest body that speaks of many consumers."""

PROVIDERS = "/resource_providers"
PROVIDER = f"{PROVIDERS}/{{uuid}}"
INVENTORY = f"{PROVIDER}/inventories/{{resource_class}}"
HELD = "/allocations/{consumer_uuid}"
RULE = "placement:resource_providers"

# fmt: off
ROUTES = [
    Route("GET", "/", root.show_versions, PUBLIC),

    Route("GET", PROVIDERS, providers.list_providers, f"{RULE}:list", shape="resource_provider",
          query=queries.PROVIDERS.query),
    Route("POST", PROVIDERS, providers.create_provider, f"{RULE}:create", body=NewProvider,
          shape="resource_provider", also=(201,)),
    Route("GET", PROVIDER, providers.show_provider, f"{RULE}:show", shape="resource_provider"),
    Route("PUT", PROVIDER, providers.update_provider, f"{RULE}:update", body=ChangedProvider,
          shape="resource_provider"),
    Route("DELETE", PROVIDER, providers.delete_provider, f"{RULE}:delete", status=204),

    Route("GET", f"{PROVIDER}/inventories", inventories.list_inventories, f"{RULE}:inventories:list"),
    Route("PUT", f"{PROVIDER}/inventories", inventories.set_inventories, f"{RULE}:inventories:update",
          body=Inventories),
    Route("POST", f"{PROVIDER}/inventories", inventories.create_inventory, f"{RULE}:inventories:create",
          body=NewInventory, status=201),
    Route("DELETE", f"{PROVIDER}/inventories", inventories.delete_inventories, f"{RULE}:inventories:delete",
          status=204),
    Route("GET", INVENTORY, inventories.show_inventory, f"{RULE}:inventories:show"),
    Route("PUT", INVENTORY, inventories.update_inventory, f"{RULE}:inventories:update", body=ChangedInventory),
    Route("DELETE", INVENTORY, inventories.delete_inventory, f"{RULE}:inventories:delete", status=204),

    Route("GET", f"{PROVIDER}/usages", providers.show_usages, f"{RULE}:usages"),
    Route("GET", f"{PROVIDER}/allocations", providers.list_allocations, f"{RULE}:allocations:list",
          shape="provider_allocations"),
    Route("GET", f"{PROVIDER}/aggregates", providers.list_aggregates, f"{RULE}:aggregates:list",
          since="1.1", shape="membership"),
    Route("PUT", f"{PROVIDER}/aggregates", providers.set_listed_aggregates, f"{RULE}:aggregates:update",
          body=Aggregates, since="1.1", until="1.18", shape="membership"),
    Route("PUT", f"{PROVIDER}/aggregates", providers.set_aggregates, f"{RULE}:aggregates:update",
          body=AggregatesOfProvider, since="1.19", shape="membership"),
    Route("GET", f"{PROVIDER}/traits", providers.list_traits, f"{RULE}:traits:list", since="1.6"),
    Route("PUT", f"{PROVIDER}/traits", providers.set_traits, f"{RULE}:traits:update",
          body=TraitsOfProvider, since="1.6"),
    Route("DELETE", f"{PROVIDER}/traits", providers.delete_traits, f"{RULE}:traits:delete", since="1.6", status=204),

    Route("GET", "/resource_classes", resource_classes.list_resource_classes, "placement:resource_classes:list",
          since="1.2"),
    Route("POST", "/resource_classes", resource_classes.create_resource_class, "placement:resource_classes:create",
          body=NamedResourceClass, since="1.2", status=201),
    Route("GET", "/resource_classes/{name}", resource_classes.show_resource_class, "placement:resource_classes:show",
          since="1.2"),
    Route("PUT", "/resource_classes/{name}", resource_classes.rename_resource_class,
          "placement:resource_classes:update", body=NamedResourceClass, since="1.2", until="1.6"),
    Route("PUT", "/resource_classes/{name}", resource_classes.ensure_resource_class,
          "placement:resource_classes:update", since="1.7", status=201, also=(204,)),
    Route("DELETE", "/resource_classes/{name}", resource_classes.delete_resource_class,
          "placement:resource_classes:delete", since="1.2", status=204),

    Route("GET", "/traits", traits.list_traits, "placement:traits:list", since="1.6", query=traits.LISTING.query),
    Route("GET", "/traits/{name}", traits.show_trait, "placement:traits:show", since="1.6"),
    Route("PUT", "/traits/{name}", traits.ensure_trait, "placement:traits:update", since="1.6", status=201,
          also=(204,)),
    Route("DELETE", "/traits/{name}", traits.delete_trait, "placement:traits:delete", since="1.6", status=204),

    Route("GET", "/allocation_candidates", candidates.list_candidates, "placement:allocation_candidates:list",
          since="1.10", shape="candidates", query=queries.CANDIDATES_QUERY),

    *(
        Route("PUT", HELD, allocations.set_allocations, "placement:allocations:update",
              body=body, since=since, until=until, status=204)
        for body, since, until in (
            (ListedAllocations, None, "1.7"),
            (OwnedListedAllocations, "1.8", "1.11"),
            (OwnedAllocations, "1.12", "1.27"),
            (SeenAllocations, "1.28", "1.37"),
            (TypedAllocations, "1.38", None),
        )
    ),
    *(
        Route("POST", "/allocations", allocations.set_many_allocations, "placement:allocations:manage",
              body=Annotated[dict[UuidKey, body], Meta(min_length=1, max_length=MOST_AT_ONCE)],  # type: ignore[valid-type]
              since=since, until=until, status=204, max_body_bytes=BATCH_BYTES)
        for body, since, until in (
            (DeletableAllocations, "1.13", "1.27"),
            (SeenAllocations, "1.28", "1.37"),
            (TypedAllocations, "1.38", None),
        )
    ),
    Route("GET", HELD, allocations.show_allocations, "placement:allocations:list", shape="holding"),
    Route("DELETE", HELD, allocations.delete_allocations, "placement:allocations:delete", status=204),
    Route("POST", "/reshaper", allocations.reshape, "placement:reshaper:reshape", body=ReshapedSeen,
          since="1.30", until="1.37", status=204, max_body_bytes=BATCH_BYTES),
    Route("POST", "/reshaper", allocations.reshape, "placement:reshaper:reshape", body=ReshapedTyped,
          since="1.38", status=204, max_body_bytes=BATCH_BYTES),

    Route("GET", "/rooms", rooms.list_rooms, "placement:rooms:list"),

    Route("GET", "/usages", usages.show_usages, "placement:usages", since="1.9", query=usages.PARAMETERS),
]
# fmt: on


def make_app(
    placement: Placement, authenticator: Authenticator, policy_overrides: dict[str, str] | None = None
) -> Edge[Placement]:
    """The ASGI app of the placement service."""
    policy = Policy(RULES, policy_overrides)
    return Edge(
        Api(
            "placement",
            placement,
            ROUTES,
            policy,
            authenticator,
            placement_error(code_of),
            versions=EDGE,
            admit=admit,
            check=placement.database.check,
        )
    )
