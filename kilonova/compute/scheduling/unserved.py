"""What a flavor or an image asks of a host or of its hypervisor, and nobody here does yet. Pure.

Taken in silence it would be missed in the guest only. What asks for what is so anyway is let in, and so are names that
nobody here knows the meaning of: they are their owners' notes. Source: compute configuration guide, "Extra specs";
image guide, "Useful image properties".
"""

import re
from collections.abc import Mapping

from kilonova.compute.scheduling.requirements import UnusableSpec

OFF = frozenset("0 f false off n no".split())
ON = frozenset("1 t true on y yes".split())
ANY = None
"""Whatever it says: nothing here has to do with it."""

Neutral = frozenset[str] | None

_GUEST: dict[str, Neutral] = {
    "boot_menu": OFF,
    "cpu_policy": frozenset({"shared"}),
    "cpu_thread_policy": frozenset({"prefer"}),
    "emulator_threads_policy": frozenset({"share"}),
    "ephemeral_encryption": OFF,
    "hide_hypervisor_id": OFF,
    "locked_memory": OFF,
    "mem_encryption": OFF,
    "mem_page_size": frozenset({"small", "any"}),
    "numa_nodes": frozenset({"1"}),
    "redirected_usb_ports": frozenset({"0"}),
    "serial_port_count": frozenset({"1"}),
    "vif_multiqueue_enabled": OFF,
    "viommu_model": frozenset({"none"}),
    "virtio_packed_ring": OFF,
    "watchdog_action": frozenset({"disabled"}),
}
"""Names that flavors have behind `hw:` and images behind `hw_` → values that ask for what is so anyway."""

FLAVOR: dict[str, Neutral] = {
    **{f"hw:{name}": values for name, values in _GUEST.items()},
    "hw:cpu_realtime": OFF,
    "hide_hypervisor_id": OFF,
    "hw_rng:allowed": ON,
    "hw_video:ram_max_mb": ANY,
    "os:secure_boot": frozenset({"disabled"}),
}
_FLAVOR_SCOPES = frozenset(
    "hw hw_rng hw_video os quota aggregate_instance_extra_specs pci_passthrough accel hide_hypervisor_id".split()
)
"""Namespaces of which nothing else is done."""

IMAGE: dict[str, Neutral] = {
    **{f"hw_{name}": values for name, values in _GUEST.items() if name != "hide_hypervisor_id"},
    "hw_auto_disk_config": OFF,
    "hw_cdrom_bus": frozenset(),
    "hw_cpu_realtime_mask": frozenset(),
    "hw_disk_type": frozenset(),
    "hw_emulation_architecture": frozenset(),
    "hw_firmware_stateless": OFF,
    "hw_firmware_type": frozenset({"bios"}),
    "hw_floppy_bus": frozenset(),
    "hw_input_bus": frozenset({"usb"}),
    "hw_ipxe_boot": OFF,
    "hw_pmu": frozenset(),
    "hw_qemu_guest_agent": OFF,
    "hw_rng_model": frozenset({"virtio"}),
    "hw_scsi_model": frozenset({"virtio-scsi"}),
    "hw_sound_model": frozenset(),
    "hw_time_hpet": OFF,
    "hw_tpm_model": frozenset(),
    "hw_tpm_version": frozenset(),
    "hw_usb_model": frozenset(),
    "hw_video_ram": frozenset(),
    "img_hide_hypervisor_id": OFF,
    "kernel_id": frozenset({"none"}),
    "os_command_line": frozenset(),
    "ramdisk_id": frozenset({"none"}),
    "os_secure_boot": frozenset({"disabled", "optional"}),
}
_IMAGE_KINDS = re.compile(
    r"hw_(cpu_(max_)?(sockets|cores|threads)|numa_(cpus|mem)\.\d+|maxphysaddr_(mode|bits)|mem_encryption_model"
    r"|ephemeral_encryption_(format|secret_uuid)|pci_numa_affinity_policy)"
)
"""Names of which no value is done."""
_NOTHING: frozenset[str] = frozenset()


def refuse_unserved(extra_specs: Mapping[str, str], image_properties: Mapping[str, str]) -> None:
    """Raises UnusableSpec naming the first that asks for what is not done."""
    for key, value in extra_specs.items():
        known = key in FLAVOR or key.partition(":")[0] in _FLAVOR_SCOPES
        if known and not _is_neutral(FLAVOR.get(key, _NOTHING), value):
            raise UnusableSpec(f"The flavor asks for {key}={value}, which cannot be done here yet.")
    for key, value in image_properties.items():
        known = key in IMAGE or _IMAGE_KINDS.fullmatch(key) is not None
        if known and not _is_neutral(IMAGE.get(key, _NOTHING), value):
            raise UnusableSpec(f"The image asks for {key}={value}, which cannot be done here yet.")


def _is_neutral(neutral: Neutral, value: str) -> bool:
    return neutral is None or value.strip().lower() in neutral or value == ""
