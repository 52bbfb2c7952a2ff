"""Every extra spec and image property that is known, and whether it is obeyed, refused or harmless; pure data.

The rule: nothing is taken and ignored. `docs/operations/guests.md` is written from these tables. In a name, `.N` is any
number and `*` any text. Source: compute configuration guide, "Extra specs"; image guide, "Useful image properties".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kilonova.compute.hardware.asked import FALSE

Way = Literal["obeyed", "refused", "harmless"]


@dataclass(frozen=True)
class Treatment:
    way: Way
    note: str
    """The effect of a name that is obeyed; the reason why one is refused or harmless."""
    neutral: frozenset[str] = frozenset()
    """Values that are let in although the name is refused: they ask for what is so anyway."""


def _obeyed(note: str) -> Treatment:
    return Treatment("obeyed", note)


def _refused(note: str, *neutral: str) -> Treatment:
    return Treatment("refused", note, frozenset(neutral))


def _harmless(note: str) -> Treatment:
    return Treatment("harmless", note)


_TOPOLOGY = _obeyed("a preference: as many of these numbers as possible are met, and then it is the most sockets")
_LIMIT = _obeyed("the topology does not exceed it")
_VMWARE = "it is an option of VMware, and hosts run QEMU"
_XEN = "it is an option of Xen, and hosts run QEMU"
_IRONIC = "it is an option of bare metal, and hosts run QEMU"
_NO_ENCRYPTION = "disks are not encrypted by their hosts here"
_NO_SEV = "memory is not encrypted by the hosts here"
_NOTE = "it describes the image for its users"
_DISK_LIMIT = _obeyed("`<iotune>` of each local disk")
_VIF_LIMIT = _obeyed("`<bandwidth>` of each interface, which libvirt sets with tc")
_OFF = tuple(sorted(FALSE))

_BOTH: Mapping[str, Treatment] = {
    "boot_menu": _obeyed("the firmware offers what to boot from; the image's goes first"),
    "cpu_cores": _TOPOLOGY,
    "cpu_max_cores": _LIMIT,
    "cpu_max_sockets": _LIMIT,
    "cpu_max_threads": _LIMIT,
    "cpu_policy": _obeyed("shared, or dedicated or mixed: on hosts with `[compute] cpu_dedicated_set`"),
    "cpu_realtime_mask": _obeyed("processors of the guest's own that are realtime, or with ^ those that are not"),
    "cpu_sockets": _TOPOLOGY,
    "cpu_thread_policy": _obeyed("prefer, require (hosts with threads) or isolate (hosts without)"),
    "cpu_threads": _TOPOLOGY,
    "emulator_threads_policy": _obeyed("share: on shared processors; isolate: on one more of its own"),
    "ephemeral_encryption": _refused(_NO_ENCRYPTION, *_OFF),
    "ephemeral_encryption_format": _refused(_NO_ENCRYPTION),
    "locked_memory": _obeyed("`<locked>`: the host cannot swap the guest out; needs a size of pages"),
    "maxphysaddr_bits": _obeyed("with the mode emulate: bits of a physical address"),
    "maxphysaddr_mode": _obeyed("passthrough (on hosts with cpu_mode host-passthrough) or emulate"),
    "mem_encryption": _refused(_NO_SEV, *_OFF),
    "mem_encryption_model": _refused(_NO_SEV),
    "mem_page_size": _obeyed("small, large, any or a size; the image chooses where the flavor says large or any"),
    "numa_cpus.N": _obeyed("the processors of the guest's node N"),
    "numa_mem.N": _obeyed("MiB of the guest's node N"),
    "numa_nodes": _obeyed("nodes of the guest, each on one of the host"),
    "pci_numa_affinity_policy": _harmless("guests have no devices of their hosts"),
    "pmu": _obeyed("whether the processor counts events"),
    "redirected_usb_ports": _obeyed("on hosts with SPICE: ports for devices of the user's computer; the larger number"),
    "serial_port_count": _obeyed("0 to 4, the first is the console; the image may have as many as the flavor allows"),
    "sound_model": _obeyed("sb16, es1370, pcspk, ac97, ich6, ich9 or usb"),
    "tpm_model": _obeyed("tpm-tis or tpm-crb"),
    "tpm_version": _obeyed("1.2 or 2.0; on hosts with `[libvirt] swtpm_enabled`"),
    "usb_model": _obeyed("the USB controller; none: no USB at all"),
    "vif_multiqueue_enabled": _obeyed("interfaces of the model virtio have a queue for each processor"),
    "viommu_model": _obeyed("none, auto, virtio or intel; on the machine q35"),
    "virtio_packed_ring": _obeyed("disks and interfaces of virtio have packed rings"),
    "watchdog_action": _obeyed("an i6300esb that does so; the image's goes first"),
}
"""Names that flavors have behind `hw:` and images behind `hw_`."""

FLAVOR: Mapping[str, Treatment] = {
    **{f"hw:{name}": treatment for name, treatment in _BOTH.items()},
    "accel:device_profile": _refused("there are no accelerators here"),
    "aggregate_instance_extra_specs:*": _obeyed(
        "an aggregate of the host has the property, where AggregateInstanceExtraSpecsFilter is enabled"
    ),
    "capabilities:*": _obeyed("the host has to have the property"),
    "hide_hypervisor_id": _obeyed("as hw:hide_hypervisor_id"),
    "hw:cpu_dedicated_mask": _obeyed("with hw:cpu_policy=mixed: the processors that are the guest's own"),
    "hw:cpu_realtime": _obeyed("processors of the guest's own go before all else on the host"),
    "hw:hide_hypervisor_id": _obeyed("the guest does not see that it is one"),
    "hw:pmem": _refused("hosts have no persistent memory"),
    "hw:tpm_secret_security": _refused("the state of a TPM is not encrypted here: there is no key manager yet"),
    "hw_rng:allowed": _obeyed("false: the guest has no source of random numbers"),
    "hw_rng:rate_bytes": _obeyed("bytes of random numbers in a period"),
    "hw_rng:rate_period": _obeyed("milliseconds of the period"),
    "hw_video:ram_max_mb": _obeyed("the most that an image may ask for with hw_video_ram"),
    "os:secure_boot": _obeyed("required or disabled; for images with hw_firmware_type=uefi, on the machine q35"),
    "pci_passthrough:alias": _refused("devices of a host are not passed through here yet"),
    "quota:cpu_limit": _refused(_VMWARE),
    "quota:cpu_period": _obeyed("`<period>` of control groups, in microseconds"),
    "quota:cpu_quota": _obeyed("`<quota>` of control groups, in microseconds"),
    "quota:cpu_reservation": _refused(_VMWARE),
    "quota:cpu_shares": _obeyed("`<shares>` of control groups"),
    "quota:cpu_shares_level": _refused(_VMWARE),
    "quota:cpu_shares_share": _refused(_VMWARE),
    **{f"quota:disk_{way}_{unit}_sec": _DISK_LIMIT for unit in ("bytes", "iops") for way in ("read", "total", "write")},
    "quota:disk_io_*": _refused(_VMWARE),
    "quota:memory_*": _refused(_VMWARE),
    **{
        f"quota:vif_{way}_{kind}": _VIF_LIMIT
        for way in ("inbound", "outbound")
        for kind in ("average", "burst", "peak")
    },
    "quota:vif_*": _refused(_VMWARE),
    "resources:*": _obeyed("amounts asked of placement"),
    "trait:*": _obeyed("the host has to have the trait, or not to have it"),
    "vmware:*": _harmless(_VMWARE),
}
SCOPES = frozenset("hw hw_rng hw_video os quota aggregate_instance_extra_specs pci_passthrough accel".split())
"""Namespaces of flavors of which no other name is known: one that is not in the table is refused."""

IMAGE: Mapping[str, Treatment] = {
    **{f"hw_{name}": treatment for name, treatment in _BOTH.items()},
    "architecture": _obeyed("as hw_architecture"),
    "auto_disk_config": _harmless(_XEN),
    "block_device_mapping": _refused("images that stand for snapshots of volumes are not booted here yet", "[]"),
    "cinder_encryption_key_id": _refused(_NO_ENCRYPTION),
    "hw_architecture": _obeyed("the host runs guests of it"),
    "hw_auto_disk_config": _harmless(_XEN),
    "hw_cdrom_bus": _obeyed("the config drive is a cdrom on it: ide, sata or scsi; with virtio it is a disk"),
    "hw_disk_bus": _obeyed("virtio, scsi, sata, ide or usb"),
    "hw_disk_type": _harmless(_VMWARE),
    "hw_emulation_architecture": _refused("hosts run guests of their own architecture", "x86_64"),
    "hw_ephemeral_encryption_secret_uuid": _refused(_NO_ENCRYPTION),
    "hw_firmware_stateless": _obeyed("changes of UEFI's variables are not kept"),
    "hw_firmware_type": _obeyed("bios or uefi"),
    "hw_floppy_bus": _harmless("guests have no floppies"),
    "hw_input_bus": _obeyed("usb or virtio, of pointer and keyboard"),
    "hw_ipxe_boot": _harmless(_IRONIC),
    "hw_machine_type": _obeyed("libvirt's name of the machine; goes before `[libvirt] hw_machine_type`"),
    "hw_pointer_model": _obeyed("usbtablet or ps2mouse"),
    "hw_qemu_guest_agent": _obeyed("a channel to QEMU's agent in the guest, through which passwords are set"),
    "hw_rescue_bus": _obeyed("of the disk that a server is rescued with"),
    "hw_rescue_device": _obeyed("disk or cdrom: what a server is rescued with"),
    "hw_rng_model": _obeyed("virtio"),
    "hw_scsi_model": _obeyed("of the controller: virtio-scsi, lsilogic, lsisas1068, lsisas1078 or vmpvscsi"),
    "hw_time_hpet": _obeyed("the guest has a high precision event timer"),
    "hw_video_model": _obeyed("vga, virtio, cirrus, qxl, bochs or none"),
    "hw_video_ram": _obeyed("MiB of the video card, up to the flavor's hw_video:ram_max_mb"),
    "hw_vif_model": _obeyed("virtio, e1000, e1000e, rtl8139, ne2k_pci or pcnet"),
    "hw_vm_mode": _obeyed("the host runs guests of it"),
    "hypervisor_type": _obeyed("as img_hv_type"),
    "img_config_drive": _obeyed("mandatory: the guest has a config drive"),
    "img_hide_hypervisor_id": _obeyed("the guest does not see that it is one"),
    "img_hv_type": _obeyed("the host runs guests of it"),
    "img_owner_id": _harmless(_NOTE),
    "img_root_device_name": _obeyed("vda, sda or hda: the bus of the root disk, where hw_disk_bus names none"),
    "img_signature": _harmless("what is booted has the SHA-512 that the image service gives"),
    "img_signature_*": _harmless("what is booted has the SHA-512 that the image service gives"),
    "img_use_agent": _harmless(_XEN),
    "instance_uuid": _harmless(_NOTE),
    "kernel_id": _obeyed("the image of a kernel, which is booted without a boot loader; none: no kernel"),
    "mappings": _harmless("guests have the names of their disks in their metadata"),
    "min_disk": _obeyed("the flavor's disk is as large"),
    "min_ram": _obeyed("the flavor's memory is as large"),
    "os_admin_user": _obeyed("whose password is changed in the guest; root, or Administrator with os_type=windows"),
    "os_command_line": _obeyed("with kernel_id: what the kernel is told; else root=/dev/vda and both consoles"),
    "os_distro": _harmless(_NOTE),
    "os_require_quiesce": _obeyed("an image is made of a running server only when its agent has quiesced it"),
    "os_secure_boot": _obeyed("required, optional or disabled; with hw_firmware_type=uefi, on the machine q35"),
    "os_shutdown_timeout": _obeyed("seconds until a guest that does not shut down is cut off"),
    "os_skip_agent_inject_files_at_boot": _harmless(_XEN),
    "os_skip_agent_inject_ssh": _harmless(_XEN),
    "os_type": _obeyed("windows: the clock has local time, and with KVM the processor Hyper-V's enlightenments"),
    "os_version": _harmless(_NOTE),
    "ramdisk_id": _obeyed("the image of the kernel's first file system; with kernel_id"),
    "root_device_name": _obeyed("vda, sda or hda: the bus of the root disk, where hw_disk_bus names none"),
    "trait:*": _obeyed("the host has to have the trait"),
    "vm_mode": _obeyed("as hw_vm_mode"),
    "vmware_*": _harmless(_VMWARE),
}


def treatment_of(name: str, table: Mapping[str, Treatment]) -> Treatment | None:
    """Returns a name's treatment, by its own row before one of a pattern; None for a name that nobody here knows."""
    if name in table:
        return table[name]
    for pattern, treatment in table.items():
        if _as_expression(pattern).fullmatch(name):
            return treatment
    return None


def _as_expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\.N", r"\.\d+").replace(r"\*", ".+"))
