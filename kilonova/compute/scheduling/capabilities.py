"""ComputeCapabilitiesFilter: flavors that ask for a property of the host. Pure.

Source: compute admin guide, "Compute scheduler", extra specs of the scope `capabilities:`. A key without scope
means the same when the host has a property of that name, and nothing otherwise.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from kilonova.compute.scheduling.hosts import HostState, Wanted

_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}
MIB_IN_GIB = 1024


def capabilities_of(host: HostState) -> dict[str, Any]:
    """The host's properties under upstream's names."""
    memory_mib, disk_gib = host.free("MEMORY_MB"), host.free("DISK_GB")
    inventory = host.inventory
    return {
        **{name: value for name, value in inventory.items() if name in ("cpu_info", "host_ip", "vcpus")},
        "failed_builds": host.failed_builds,
        "free_disk_gb": disk_gib,
        "free_disk_mb": disk_gib * MIB_IN_GIB,
        "free_ram_mb": memory_mib,
        "host": host.host,
        "hypervisor_hostname": host.hypervisor_hostname,
        "hypervisor_type": host.hypervisor_type,
        "hypervisor_version": inventory.get("hypervisor_version", 0),
        "local_gb": inventory.get("disk_gib", 0),
        "memory_mb": inventory.get("memory_mib", 0),
        "num_instances": host.servers,
        "num_io_ops": host.building,
        "running_vms": host.servers,
        "total_usable_disk_gb": host.capacity.get("DISK_GB", 0),
        "total_usable_ram_mb": host.capacity.get("MEMORY_MB", 0),
        "uuid": host.id,
        "vcpus_total": host.capacity.get("VCPU", 0),
        "vcpus_used": host.used.get("VCPU", 0),
    }


def compute_capabilities_filter(host: HostState, wanted: Wanted) -> str | None:
    known: dict[str, Any] | None = None
    for key, requirement in wanted.extra_specs.items():
        scope, colon, name = key.partition(":")
        if colon and scope != "capabilities":
            continue
        known = capabilities_of(host) if known is None else known
        if not colon and key not in known:
            continue
        found = _look_up(known, name if colon else key)
        if found is None:
            return f"has no {name if colon else key}, which {key} asks for"
        if not matches(found, requirement):
            return f"does not meet {key}={requirement}"
    return None


def _look_up(known: Any, path: str) -> Any:
    """`cpu_info:topology:cores` goes down into the properties."""
    for part in path.split(":"):
        if not isinstance(known, Mapping):
            return None
        known = known.get(part)
    return known


def matches(found: Any, requirement: str) -> bool:
    """Whether what was found meets a requirement such as `>= 4`, `s== QEMU`, `<in> avx`, `<or> a <or> b`, `QEMU`."""
    word, _, rest = requirement.partition(" ")
    if word == "<or>":
        return any(str(found) == choice.strip() for choice in requirement.split("<or>") if choice.strip())
    if word == "<in>":
        return rest.strip() in (found if isinstance(found, list) else str(found))
    if word == "<all-in>":
        return all(choice in found for choice in rest.split())
    if word in _NUMBERS:
        return _compare_numbers(_NUMBERS[word], found, rest)
    if word in _TEXTS:
        return _TEXTS[word](str(found), rest.strip())
    return str(found) == requirement


def _compare_numbers(compare: Callable[[float, float], bool], found: Any, wanted: str) -> bool:
    try:
        return compare(float(found), float(wanted))
    except (TypeError, ValueError):
        return False
