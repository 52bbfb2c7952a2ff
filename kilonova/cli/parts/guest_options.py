"""Makes the libvirt driver's options for guests out of the configuration. Raises ConfigError for what cannot be."""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from kilonova.compute.agent.devices.disks import DiskOptions
from kilonova.compute.agent.devices.local_disks import CacheMode, ImageFormat
from kilonova.compute.agent.drivers.options import GuestCpu, HardwareOptions
from kilonova.kit.config import ConfigError

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
    return HardwareOptions(
        pcie_ports=libvirt.num_pcie_ports or USUAL_PCIE_PORTS,
        random_device=libvirt.rng_dev_path,
        memory_report_seconds=libvirt.mem_stats_period_seconds,
        smbios_serial=serial_number(libvirt.sysinfo_serial),
        discard=libvirt.hw_disk_discard,
        shared_cpus=shared_cpus(config),
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
        if kind not in ("file", "block") or mode not in get_args(CacheMode):
            raise ConfigError(
                f"[libvirt] disk_cachemodes: {entry!r} is not KIND=MODE; kinds are file and block, "
                f"modes {', '.join(get_args(CacheMode))}"
            )
        found[kind] = mode
    return found


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


def shared_cpus(config: Any) -> tuple[int, ...]:
    """The host's processors that guests run on; empty: all."""
    shared = cpu_set("cpu_shared_set", config.compute.cpu_shared_set)
    dedicated = cpu_set("cpu_dedicated_set", config.compute.cpu_dedicated_set)
    if dedicated and not shared:
        raise ConfigError(
            "[compute] cpu_dedicated_set: guests get no processors of their own here yet, so cpu_shared_set has to "
            "name those that they run on"
        )
    if dedicated & shared:
        both = ", ".join(map(str, sorted(dedicated & shared)))
        raise ConfigError(f"[compute] cpu_dedicated_set: {both} stand in cpu_shared_set too")
    return tuple(sorted(shared))


def cpu_set(name: str, text: str) -> frozenset[int]:
    """`2-7,^4` as numbers."""
    most, chosen, left_out = os.cpu_count() or 1, set[int](), set[int]()
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
