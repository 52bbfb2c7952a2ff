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


INVENTORY = frozenset({"cpu_info", "host_ip", "vcpus"})
"""Properties that a host has when its agent tells them."""
PROPERTIES: Mapping[str, Callable[[HostState], Any]] = {
    "failed_builds": lambda host: host.failed_builds,
    "free_disk_gb": lambda host: host.free("DISK_GB"),
    "free_disk_mb": lambda host: host.free("DISK_GB") * MIB_IN_GIB,
    "free_ram_mb": lambda host: host.free("MEMORY_MB"),
    "host": lambda host: host.host,
    "hypervisor_hostname": lambda host: host.hypervisor_hostname,
    "hypervisor_type": lambda host: host.hypervisor_type,
    "hypervisor_version": lambda host: host.hypervisor_version,
    "local_gb": lambda host: host.inventory.get("disk_gib", 0),
    "memory_mb": lambda host: host.inventory.get("memory_mib", 0),
    "num_instances": lambda host: host.servers,
    "num_io_ops": lambda host: host.building,
    "running_vms": lambda host: host.servers,
    "total_usable_disk_gb": lambda host: host.capacity.get("DISK_GB", 0),
    "total_usable_ram_mb": lambda host: host.capacity.get("MEMORY_MB", 0),
    "uuid": lambda host: host.id,
    "vcpus_total": lambda host: host.capacity.get("VCPU", 0),
    "vcpus_used": lambda host: host.used.get("VCPU", 0),
}
"""The properties that every host has, under upstream's names."""


def compute_capabilities_filter(host: HostState, wanted: Wanted) -> str | None:
    for key, requirement in wanted.extra_specs.items():
        scope, colon, name = key.partition(":")
        if colon and scope != "capabilities":
            continue
        if not colon and key not in PROPERTIES and not (key in INVENTORY and key in host.inventory):
            continue
        found = look_up(host, name if colon else key)
        if found is None:
            return f"has no {name if colon else key}, which {key} asks for"
        if not matches(found, requirement):
            return f"does not meet {key}={requirement}"
    return None


def look_up(host: HostState, path: str) -> Any:
    """The host's property, None where it has none; `cpu_info:topology:cores` goes down into the properties."""
    first, *below = path.split(":")
    found = (
        PROPERTIES[first](host) if first in PROPERTIES else host.inventory.get(first) if first in INVENTORY else None
    )
    for part in below:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


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
