"""Request filters: demands on placement that the operator adds to those of every server's flavor and image. Pure.

Source: compute configuration reference, [scheduler]; compute admin guide, "Filtering hosts by isolating aggregates" and
"Tenant isolation with placement". Aggregates are in memory here: what upstream asks placement of them, hosts are asked.
"""

from collections.abc import Collection, Iterable, Mapping

from kilonova.compute.scheduling.aggregate_filters import tenants_of
from kilonova.compute.scheduling.hosts import HostAggregate, HostState, Wanted
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.rules import Rules

TRAIT, REQUIRED = "trait:", "required"

IMAGE_TYPES = frozenset("aki ami ari iso ploop qcow2 raw vdi vhd vhdx vmdk".split())
PROPERTY_TRAITS: Mapping[str, str] = {
    "hw_cdrom_bus": "COMPUTE_STORAGE_BUS_",
    "hw_disk_bus": "COMPUTE_STORAGE_BUS_",
    "hw_video_model": "COMPUTE_GRAPHICS_MODEL_",
    "hw_vif_model": "COMPUTE_NET_VIF_MODEL_",
}
"""Image property → what its value follows in the trait of hosts that can do it."""


def traits_for(disk_format: str, properties: Mapping[str, str], rules: Rules) -> list[str]:
    """The traits that hosts must have for such an image. Raises UnusableSpec.

    `disk_format`: empty for a server without image.
    """
    found = []
    if rules.query_placement_for_image_type_support and disk_format:
        if disk_format not in IMAGE_TYPES:
            raise UnusableSpec(f"No host can make a disk of an image in the format {disk_format}.")
        found.append(f"COMPUTE_IMAGE_TYPE_{disk_format.upper()}")
    if rules.image_metadata_prefilter:
        asked = ((prefix, properties.get(name, "")) for name, prefix in PROPERTY_TRAITS.items())
        found += [f"{prefix}{value.upper().replace('-', '_')}" for prefix, value in asked if value]
    return found


def has_own_aggregate(aggregates: Iterable[HostAggregate], project_id: str) -> bool:
    """Whether some aggregate is for the project."""
    return any(project_id in tenants_of([each]) for each in aggregates)


def asks_for_tenant_aggregate(wanted: Wanted) -> bool:
    rules = wanted.rules
    return rules.limit_tenants_to_placement_aggregate and (
        wanted.has_own_aggregate or rules.placement_aggregate_required_for_tenants
    )


def require_tenant_aggregate(host: HostState, wanted: Wanted) -> str | None:
    """A project that has aggregates of its own stays in them."""
    return None if wanted.project_id in tenants_of(host.aggregates) else "is in no aggregate for the project"


def asks_for_isolation(wanted: Wanted) -> bool:
    return wanted.rules.enable_isolated_aggregate_filtering and _isolates(wanted.aggregate_keys)


def _isolates(keys: Collection[str]) -> bool:
    return any(key.startswith(TRAIT) for key in keys)


def isolate_aggregates(host: HostState, wanted: Wanted) -> str | None:
    """A host of an aggregate that names traits takes only servers that require them all."""
    for aggregate in host.aggregates:
        for key, value in aggregate.metadata.items():
            trait = key.removeprefix(TRAIT)
            if trait != key and value == REQUIRED and trait not in wanted.required_traits:
                return f"is in an aggregate for servers that require {trait}"
    return None
