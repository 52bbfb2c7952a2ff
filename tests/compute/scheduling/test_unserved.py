"""What flavors and images ask for and nobody does is refused by its name; what is so anyway, and notes, are let in."""

import pytest

from kilonova.compute.catalog import extra_specs
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.unserved import FLAVOR, IMAGE, refuse_unserved

LET_IN_OF_FLAVORS = {
    "hw:cpu_policy": "shared",
    "hw:numa_nodes": "1",
    "hw:boot_menu": "False",
    "hw_rng:allowed": "True",
    "hw_video:ram_max_mb": "64",
    "os:secure_boot": "disabled",
    "hide_hypervisor_id": "no",
    "resources:CUSTOM_GOLD": "1",
    "trait:HW_CPU_X86_AVX": "required",
    "capabilities:hypervisor_type": "QEMU",
    "vmware:hw_version": "vmx-13",
    "colour": "red",
    "mine:anything": "goes",
}
REFUSED_OF_FLAVORS = {
    "hw:cpu_policy": "dedicated",
    "hw:cpu_max_sockets": "2",
    "hw:cpu_cores": "2",
    "hw:numa_nodes": "2",
    "hw:mem_page_size": "large",
    "hw:watchdog_action": "reset",
    "hw:misspelt": "1",
    "hw_rng:allowed": "False",
    "hw_rng:rate_bytes": "100",
    "os:secure_boot": "required",
    "quota:cpu_shares": "1024",
    "quota:disk_read_iops_sec": "5",
    "quota:vif_inbound_average": "1000",
    "aggregate_instance_extra_specs:ssd": "true",
    "pci_passthrough:alias": "gpu:1",
    "accel:device_profile": "fpga",
    "hide_hypervisor_id": "true",
}
LET_IN_OF_IMAGES = {
    "hw_disk_bus": "scsi",
    "hw_scsi_model": "virtio-scsi",
    "hw_vif_model": "e1000",
    "hw_firmware_type": "bios",
    "hw_qemu_guest_agent": "no",
    "hw_rescue_device": "cdrom",
    "hw_tpm_model": "",
    "os_distro": "debian",
    "os_type": "linux",
    "colour": "red",
}
REFUSED_OF_IMAGES = {
    "hw_firmware_type": "uefi",
    "hw_scsi_model": "lsilogic",
    "hw_qemu_guest_agent": "yes",
    "hw_cpu_cores": "2",
    "hw_cpu_max_threads": "1",
    "hw_numa_cpus.0": "0-1",
    "hw_tpm_model": "tpm-crb",
    "hw_video_ram": "64",
    "hw_rng_model": "none",
    "hw_vif_multiqueue_enabled": "true",
    "img_hide_hypervisor_id": "true",
    "os_secure_boot": "required",
    "kernel_id": "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11",
}


def test_what_is_so_anyway_and_notes_are_let_in() -> None:
    refuse_unserved(LET_IN_OF_FLAVORS, LET_IN_OF_IMAGES)


@pytest.mark.parametrize(("key", "value"), REFUSED_OF_FLAVORS.items())
def test_a_flavor_that_asks_for_more_is_refused_by_the_name(key: str, value: str) -> None:
    with pytest.raises(UnusableSpec, match="The flavor asks for") as refused:
        refuse_unserved({key: value}, {})
    assert f"{key}={value}" in str(refused.value)


@pytest.mark.parametrize(("key", "value"), REFUSED_OF_IMAGES.items())
def test_an_image_that_asks_for_more_is_refused_by_the_name(key: str, value: str) -> None:
    with pytest.raises(UnusableSpec, match="The image asks for") as refused:
        refuse_unserved({}, {key: value})
    assert f"{key}={value}" in str(refused.value)


def test_each_name_of_the_table_is_one_that_flavors_may_have() -> None:
    names = {each for each in FLAVOR if ":" in each}
    values = {name: "1" if "nodes" in name or "count" in name else next(iter(FLAVOR[name] or ["1"])) for name in names}
    for name, value in values.items():
        extra_specs.check({name: value})
    assert all(each.startswith(("hw_", "os_", "img_", "kernel_", "ramdisk_")) for each in IMAGE)


@pytest.mark.parametrize("name", ["cpu_max_sockets", "cpu_max_cores", "cpu_max_threads"])
def test_the_largest_topology_has_upstream_s_names(name: str) -> None:
    extra_specs.check({f"hw:{name}": "2"})
    with pytest.raises(Exception, match="does not appear to be a valid extra spec"):
        extra_specs.check({f"hw:{name.replace('cpu_max', 'max_cpu')}": "2"})
