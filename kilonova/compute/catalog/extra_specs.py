"""Which extra specs a flavor may have: names and values of the namespaces that are known. Pure.

A name without namespace, or of a namespace nobody here knows, is anybody's own and taken as it is. Source: compute
configuration guide, "Extra specs".
"""

import re
from collections.abc import Callable, Iterator

from kilonova.kit.errors import BadRequest

Check = Callable[[str], str | None]
"""None when the value will do, else what is allowed."""

_BOOLEANS = frozenset("1 t true on y yes 0 f false off n no".split())


def boolean(value: str) -> str | None:
    return None if value.lower() in _BOOLEANS else "a boolean such as true or false"


def text(value: str) -> str | None:
    return None


def whole(least: int | None = None) -> Check:
    def check(value: str) -> str | None:
        try:
            number = int(value) if len(value) <= 10 else None
        except ValueError:
            number = None
        if number is None:
            return "a whole number"
        return None if least is None or number >= least else f"a whole number from {least} on"

    return check


def one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def matching(pattern: str, example: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"of a form such as {example}"


_CPUS = matching(r"\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*", "0-3,^1")
_HW: dict[str, Check] = {
    "boot_menu": boolean,
    "cpu_cores": whole(1),
    "cpu_dedicated_mask": _CPUS,
    "cpu_max_cores": whole(1),
    "cpu_max_sockets": whole(1),
    "cpu_max_threads": whole(1),
    "cpu_policy": one_of("dedicated", "shared", "mixed"),
    "cpu_realtime": boolean,
    "cpu_realtime_mask": _CPUS,
    "cpu_sockets": whole(1),
    "cpu_thread_policy": one_of("prefer", "isolate", "require"),
    "cpu_threads": whole(1),
    "emulator_threads_policy": one_of("isolate", "share"),
    "ephemeral_encryption": boolean,
    "ephemeral_encryption_format": one_of("luks"),
    "hide_hypervisor_id": boolean,
    "locked_memory": boolean,
    "maxphysaddr_bits": whole(0),
    "maxphysaddr_mode": one_of("passthrough", "emulate"),
    "mem_encryption": boolean,
    "mem_encryption_model": one_of("amd-sev", "amd-sev-es"),
    "mem_page_size": matching(r"(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)", "large or 2MB"),
    r"numa_cpus\.\d+": _CPUS,
    r"numa_mem\.\d+": whole(1),
    "numa_nodes": whole(1),
    "pci_numa_affinity_policy": one_of("required", "preferred", "legacy", "socket"),
    "pmem": matching(r"([a-zA-Z0-9_]+(,)?)+", "LABEL1,LABEL2"),
    "pmu": boolean,
    "redirected_usb_ports": whole(0),
    "serial_port_count": whole(0),
    "sound_model": text,
    "tpm_model": one_of("tpm-tis", "tpm-crb"),
    "tpm_secret_security": one_of("user", "host", "deployment"),
    "tpm_version": one_of("1.2", "2.0"),
    "usb_model": text,
    "vif_multiqueue_enabled": boolean,
    "viommu_model": one_of("none", "auto", "virtio", "smmuv3", "intel"),
    "virtio_packed_ring": boolean,
    "watchdog_action": one_of("none", "pause", "poweroff", "reset", "disabled"),
}
_CAPABILITIES = (
    "id uuid service_id host vcpus memory_mb local_gb vcpus_used memory_mb_used local_gb_used hypervisor_type "
    "hypervisor_version hypervisor_hostname free_ram_mb free_disk_gb current_workload running_vms "
    "disk_available_least host_ip mapped cpu_allocation_ratio ram_allocation_ratio disk_allocation_ratio "
    "total_usable_ram_mb total_usable_disk_gb disk_mb_used free_disk_mb vcpus_total num_instances num_io_ops "
    "failed_builds aggregates cell_uuid updated"
).split()
_NESTED_CAPABILITIES = (
    "cpu_info metrics stats numa_topology supported_hv_specs pci_device_pools nodename pci_stats supported_instances "
    "limits instances"
).split()
_RESOURCES = (
    "DISK_GB FPGA IPV4_ADDRESS MEMORY_MB MEM_ENCRYPTION_CONTEXT NET_BW_EGR_KILOBIT_PER_SEC "
    "NET_BW_IGR_KILOBIT_PER_SEC NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC "
    "NET_PACKET_RATE_KILOPACKET_PER_SEC NUMA_CORE NUMA_MEMORY_MB NUMA_SOCKET NUMA_THREAD PCI_DEVICE PCPU PGPU "
    "SRIOV_NET_VF VCPU VGPU VGPU_DISPLAY_HEAD"
).split()
_GROUP = "([a-zA-Z0-9_-]{1,64})?"


def _quotas() -> Iterator[tuple[str, Check]]:
    for resource in ("cpu", "memory", "disk_io", "vif"):
        for key in ("limit", "reservation", "shares_share"):
            yield f"{resource}_{key}", whole()
        yield f"{resource}_shares_level", text
    for key in ("shares", "period", "quota"):
        yield f"cpu_{key}", whole(0)
    for way in ("read", "write", "total"):
        for unit in ("bytes", "iops"):
            yield f"disk_{way}_{unit}_sec", whole(0)
    for way in ("inbound", "outbound"):
        for unit in ("average", "peak", "burst"):
            yield f"vif_{way}_{unit}", whole(0)


NAMESPACES: dict[str, dict[str, Check]] = {
    "accel": {"device_profile": text},
    "aggregate_instance_extra_specs": {".+": text},
    "capabilities": {
        "|".join(_CAPABILITIES): text,
        f"({'|'.join(_NESTED_CAPABILITIES)})(:\\w+)*": text,
    },
    "hw": _HW,
    "hw_rng": {"allowed": boolean, "rate_bytes": whole(0), "rate_period": whole(0)},
    "hw_video": {"ram_max_mb": whole(0)},
    "os": {"secure_boot": one_of("disabled", "required")},
    "pci_passthrough": {"alias": matching(r"[^:]+:\d+(\s*,\s*[^:]+:\d+)*", "gpu:1,nic:2")},
    "quota": dict(_quotas()),
    f"resources{_GROUP}": {f"{'|'.join(_RESOURCES)}|CUSTOM_[A-Z0-9_]+": whole()},
    f"trait{_GROUP}": {"[A-Z][A-Z0-9_]*": one_of("required", "forbidden")},
    "vmware": {"hw_version": text, "storage_policy": text},
}
"""Namespace → name → what a value may be; namespaces and names are regular expressions."""


def check(specs: dict[str, str]) -> None:
    """Raises BadRequest for a name a known namespace does not have, and for a value that is not allowed."""
    for name, value in specs.items():
        if name == "hide_hypervisor_id":
            allowed = boolean(value)
        else:
            namespace, colon, rest = name.partition(":")
            allowed = _problem(name, namespace, rest, value) if colon else None
        if allowed is not None:
            raise BadRequest(f"Validation failed; invalid value for extra spec '{name}': {value!r} is not {allowed}.")


def _problem(name: str, namespace: str, rest: str, value: str) -> str | None:
    for pattern, known in NAMESPACES.items():
        if not re.fullmatch(pattern, namespace):
            continue
        for name_pattern, value_check in known.items():
            if re.fullmatch(name_pattern, rest):
                return value_check(value)
        raise BadRequest(f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.")
    return None
