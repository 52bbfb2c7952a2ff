"""Makes the libvirt driver's options for guests out of the configuration. Raises ConfigError for what cannot be."""

import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from kilonova.compute.agent.devices.disks import DiskOptions
from kilonova.compute.agent.devices.local_disks import CacheMode, ImageFormat
from kilonova.compute.agent.drivers.host_topology import ORDINARY_KIB, make_topology, narrowed
from kilonova.compute.agent.drivers.options import GuestCpu, HardwareOptions, MigrationOptions, ReservedPages
from kilonova.compute.scheduling.numa.hosts import HostTopology, Pages
from kilonova.kit.config import ConfigError
from kilonova.kit.host_commands import HostError

ARCHITECTURE = "x86_64"
USUAL_PCIE_PORTS = 16
IMAGE_FORMATS: Mapping[str, ImageFormat] = {"default": "qcow2", "qcow2": "qcow2", "raw": "raw", "flat": "raw"}
MACHINE_ID, PRODUCT_ID = Path("/etc/machine-id"), Path("/sys/class/dmi/id/product_uuid")


def guest_cpu(config: Any) -> GuestCpu:
    mode, models = config.libvirt.cpu_mode, config.libvirt.cpu_models
    flags = tuple(config.libvirt.cpu_model_extra_flags)
    if (mode == "custom") != bool(models):
        raise ConfigError("[libvirt] cpu_models: names the model with cpu_mode custom, and nothing without")
    if flags and mode == "none":
        raise ConfigError("[libvirt] cpu_model_extra_flags: there is no model to add to with cpu_mode none")
    return GuestCpu(mode, models[0] if models else "", flags)


def hardware(config: Any) -> HardwareOptions:
    libvirt = config.libvirt
    if not Path(libvirt.rng_dev_path).exists():
        raise ConfigError(f"[libvirt] rng_dev_path: there is no {libvirt.rng_dev_path} on this host")
    if libvirt.swtpm_enabled and shutil.which("swtpm") is None:
        raise ConfigError("[libvirt] swtpm_enabled: swtpm is not installed on this host")
    shared, dedicated = processors(config, os.cpu_count() or 1)
    return HardwareOptions(
        pcie_ports=libvirt.num_pcie_ports or USUAL_PCIE_PORTS,
        random_device=libvirt.rng_dev_path,
        memory_report_seconds=libvirt.mem_stats_period_seconds,
        smbios_serial=serial_number(libvirt.sysinfo_serial),
        discard=libvirt.hw_disk_discard,
        shared_cpus=shared,
        dedicated_cpus=dedicated,
        reserved_pages=reserved_pages(config),
        has_tpm_emulator=libvirt.swtpm_enabled,
    )


def machine_type(config: Any) -> str:
    """The machine of guests whose image names none; empty: the driver's usual one.

    Entries of other architectures are for other hosts.
    """
    found = ""
    for entry in config.libvirt.hw_machine_type:
        architecture, equals, machine = entry.partition("=")
        if not (architecture and equals and machine):
            raise ConfigError(f"[libvirt] hw_machine_type: {entry!r} is not ARCHITECTURE=MACHINE, such as x86_64=q35")
        if architecture == ARCHITECTURE:
            found = machine
    return found


def disk_options(config: Any) -> DiskOptions:
    image_format = IMAGE_FORMATS.get(config.libvirt.images_type)
    if image_format is None:
        raise ConfigError(
            f"[libvirt] images_type: {config.libvirt.images_type} cannot be done here; disks are files: "
            f"{', '.join(IMAGE_FORMATS)}"
        )
    return DiskOptions(image_format, _cache_modes(config))


def _cache_modes(config: Any) -> Mapping[str, CacheMode]:
    found: dict[str, CacheMode] = {}
    for entry in config.libvirt.disk_cachemodes:
        kind, _, mode = entry.partition("=")
        if kind not in ("file", "block", "network") or mode not in get_args(CacheMode):
            raise ConfigError(
                f"[libvirt] disk_cachemodes: {entry!r} is not KIND=MODE; kinds are file, block and network, "
                f"modes {', '.join(get_args(CacheMode))}"
            )
        found[kind] = mode
    return found


def migration_options(config: Any) -> MigrationOptions:
    libvirt = config.libvirt
    return MigrationOptions(
        inbound_address=libvirt.live_migration_inbound_addr,
        scheme=libvirt.live_migration_scheme,
        uses_tls=libvirt.live_migration_with_native_tls,
        permits_post_copy=libvirt.live_migration_permit_post_copy,
        permits_auto_converge=libvirt.live_migration_permit_auto_converge,
        bandwidth_mib_per_second=libvirt.live_migration_bandwidth,
        most_downtime_ms=libvirt.live_migration_downtime,
        downtime_steps=libvirt.live_migration_downtime_steps,
        downtime_step_seconds=libvirt.live_migration_downtime_delay,
        timeout_seconds=libvirt.live_migration_completion_timeout,
        at_timeout=libvirt.live_migration_timeout_action,
    )


def serial_number(kind: str) -> str:
    """Empty: each server's id; `-`: none."""
    if kind in ("unique", "none"):
        return "" if kind == "unique" else "-"
    sources = {"os": [MACHINE_ID], "hardware": [PRODUCT_ID], "auto": [MACHINE_ID, PRODUCT_ID]}[kind]
    for path in sources:
        try:
            return str(uuid.UUID(path.read_text().strip()))
        except (OSError, ValueError):
            continue
    raise ConfigError(f"[libvirt] sysinfo_serial: {' and '.join(map(str, sources))} hold no UUID")


def processors(config: Any, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The host's processors that guests share (empty: all, unless some are dedicated), and those dedicated to them."""
    shared = cpu_set("cpu_shared_set", config.compute.cpu_shared_set, count)
    dedicated = cpu_set("cpu_dedicated_set", config.compute.cpu_dedicated_set, count)
    if dedicated & shared:
        both = ", ".join(map(str, sorted(dedicated & shared)))
        raise ConfigError(f"[compute] cpu_dedicated_set: {both} stand in cpu_shared_set too")
    return tuple(sorted(shared)), tuple(sorted(dedicated))


def cpu_set(name: str, text: str, most: int) -> frozenset[int]:
    """`2-7,^4` as numbers below `most`."""
    chosen, left_out = set[int](), set[int]()
    for part in filter(None, (each.strip() for each in text.split(","))):
        target = left_out if part.startswith("^") else chosen
        first, dash, last = part.lstrip("^").partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ConfigError(f"[compute] {name}: {part!r} is no number, range or exclusion, such as 2-7,^4")
        numbers = range(int(first), int(last or first) + 1)
        if not numbers or numbers[-1] >= most:
            raise ConfigError(f"[compute] {name}: {part!r} is not within this host's processors, 0 to {most - 1}")
        target.update(numbers)
    if text.strip() and not chosen - left_out:
        raise ConfigError(f"[compute] {name}: {text!r} leaves no processor")
    return frozenset(chosen - left_out)


_RESERVED = re.compile(r"(node|size|count):(\d{1,12})([kmgt]?)i?b?", re.IGNORECASE)
_IN_KIB = {"": 1, "k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}


def reserved_pages(config: Any) -> tuple[ReservedPages, ...]:
    """`node:0,size:2048,count:64`: sizes in KiB, or with a unit."""
    return tuple(map(_read_reserved, config.reserved_huge_pages))


def _read_reserved(entry: str) -> ReservedPages:
    found: dict[str, int] = {}
    for part in entry.split(","):
        match = _RESERVED.fullmatch(part.strip())
        if match is None or match.group(1).lower() in found or (match.group(3) and match.group(1).lower() != "size"):
            break
        found[match.group(1).lower()] = int(match.group(2)) * _IN_KIB[match.group(3).lower()]
    if found.keys() != {"node", "size", "count"} or entry.count(",") != len(found) - 1:
        raise ConfigError(f"[DEFAULT] reserved_huge_pages: {entry!r} is not such as node:0,size:2048,count:64")
    return ReservedPages(found["node"], found["size"], found["count"])


def simulated_topology(config: Any) -> HostTopology | None:
    """The NUMA nodes of a simulated host; None: it tells none."""
    fake, pages = config.fake, [_read_pages(each) for each in config.fake.huge_pages]
    shared, dedicated = processors(config, fake.vcpus)
    if not fake.numa_nodes:
        if dedicated or pages:
            raise ConfigError("[fake] numa_nodes: a simulated host without nodes has no cpu_dedicated_set and no pages")
        return None
    if fake.vcpus % (fake.numa_nodes * fake.threads_per_core):
        raise ConfigError(
            f"[fake] numa_nodes: {fake.vcpus} processors do not come out even on {fake.numa_nodes} nodes "
            f"with {fake.threads_per_core} threads a core"
        )
    whole = make_topology(fake.vcpus, fake.memory_mb, fake.numa_nodes, fake.threads_per_core, pages)
    if any(node.memory_mib < 0 for node in whole.nodes):
        raise ConfigError(f"[fake] huge_pages: a node has {fake.memory_mb // fake.numa_nodes} MiB in all")
    options = HardwareOptions(shared_cpus=shared, dedicated_cpus=dedicated, reserved_pages=reserved_pages(config))
    try:
        return narrowed(whole, options)
    except HostError as error:
        raise ConfigError(f"[DEFAULT] reserved_huge_pages: {error.reason}") from error


def _read_pages(entry: str) -> Pages:
    size, _, count = entry.partition(":")
    if not (size.isdecimal() and count.isdecimal() and len(entry) < 20 and int(size) > ORDINARY_KIB):
        raise ConfigError(f"[fake] huge_pages: {entry!r} is not SIZE_IN_KIB:COUNT, such as 2048:512")
    return Pages(int(size), int(count))
