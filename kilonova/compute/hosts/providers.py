"""Tells placement of a host: what its agent sees, what the operator adds, and what others have said of it.

The rule: what is an operator's own (`CUSTOM_…` traits) and was given in placement stays there.
"""

from collections.abc import Collection, Iterable, Mapping

from kilonova.compute.agent.spec import COMPUTE_NODE, HostInventory, ProviderAddition
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.log import logger
from kilonova.placement.client import Inventory, PlacementClient

log = logger(__name__)

CUSTOM = "CUSTOM_"
NOTHING = ProviderAddition(uuid=COMPUTE_NODE)


def inventory_of(host: HostInventory, known: Mapping[str, Inventory] | None = None) -> dict[str, Inventory]:
    """Placement's inventory of a host. `known`: what placement has now."""
    share, known = host.share, known or {}

    def entry(name: str, total: int, reserved: int, ratio: float) -> Inventory:
        if name in share.initial_ratios and name in known:
            ratio = known[name].allocation_ratio
        # A small host keeps half for servers, whatever is said to be reserved.
        return Inventory(total, min(reserved, total // 2), max_unit=total, allocation_ratio=ratio)

    own = 0 if host.topology is None else sum(len(node.dedicated) for node in host.topology.nodes)
    return {
        **({"VCPU": entry("VCPU", host.vcpus, share.reserved_cpus, share.cpu_allocation_ratio)} if host.vcpus else {}),
        **({"PCPU": Inventory(own, max_unit=own)} if own else {}),
        "MEMORY_MB": entry("MEMORY_MB", host.memory_mib, share.reserved_memory_mib, share.ram_allocation_ratio),
        "DISK_GB": entry("DISK_GB", max(host.disk_gib, 1), share.reserved_disk_gib, share.disk_allocation_ratio),
    }


def own_addition(additions: Iterable[ProviderAddition], provider_id: str, name: str) -> ProviderAddition:
    """Returns the addition to the host's own provider: the one that names it, else the one for every host's own."""
    for_all, found = NOTHING, None
    for each in additions:
        if each.uuid == COMPUTE_NODE:
            for_all = each
        elif provider_id == each.uuid or (each.name and each.name == name):
            found = each
    return found if found is not None and (found.inventories or found.traits) else for_all


async def added_inventories(placement: PlacementClient, addition: ProviderAddition) -> dict[str, Inventory]:
    """Placement knows their classes from then on."""
    for name in addition.inventories:
        await placement.ensure_resource_class(name)
    return {
        name: Inventory(
            each.total, each.reserved, each.min_unit, each.max_unit, each.step_size, float(each.allocation_ratio)
        )
        for name, each in addition.inventories.items()
    }


async def set_traits(
    placement: PlacementClient, provider_id: str, generation: int, seen: Collection[str], addition: ProviderAddition
) -> None:
    """Those its agent sees and the operator adds, and the operator's own that it has already."""
    for name in addition.traits:
        await placement.ensure_trait(name)
    known = await placement.traits(provider_id)
    wanted = {*seen, *addition.traits, *(name for name in known if name.startswith(CUSTOM))}
    if wanted != set(known):
        await placement.set_traits(provider_id, generation, sorted(wanted))


async def add_to_others(
    placement: PlacementClient, host_id: str, additions: Iterable[ProviderAddition], own: ProviderAddition
) -> None:
    """To providers below the host's; what names one that is not there changes nothing."""
    others = [each for each in additions if each is not own and each.uuid != COMPUTE_NODE]
    if not others:
        return
    below = {each.uuid: each for each in await placement.providers(in_tree=host_id) if each.uuid != host_id}
    by_name = {each.name: each for each in below.values()}
    for addition in others:
        found = below.get(addition.uuid) or by_name.get(addition.name)
        if found is None:
            log.warning("there is no such provider below the host", provider=addition.uuid or addition.name)
            continue
        try:
            await _add(placement, found.uuid, found.generation, addition)
        except RemoteFault as fault:
            log.warning("placement refused what is added to a provider", provider=found.name, reason=fault.message)


async def _add(placement: PlacementClient, provider_id: str, generation: int, addition: ProviderAddition) -> None:
    known = await placement.inventory(provider_id)
    wanted = {**known, **await added_inventories(placement, addition)}
    if wanted != known:
        generation = await placement.set_inventory(provider_id, generation, wanted)
    await set_traits(placement, provider_id, generation, await placement.traits(provider_id), addition)
