"""What flavors and images ask for and nobody does is refused by its name; what is done, and notes, are let in."""

import re

import pytest

from kilonova.compute.catalog import extra_specs
from kilonova.compute.hardware.names import FLAVOR, IMAGE, treatment_of
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.unserved import refuse_unserved

LET_IN_OF_FLAVORS = {
    "hw:cpu_policy": "dedicated",
    "hw:cpu_sockets": "2",
    "hw:numa_nodes": "2",
    "hw:numa_cpus.0": "0",
    "hw:boot_menu": "False",
    "hw:mem_page_size": "large",
    "hw_rng:allowed": "True",
    "hw_video:ram_max_mb": "64",
    "os:secure_boot": "disabled",
    "hide_hypervisor_id": "no",
    "quota:cpu_shares": "1024",
    "quota:disk_read_iops_sec": "5",
    "quota:vif_inbound_average": "1000",
    "resources:CUSTOM_GOLD": "1",
    "trait:HW_CPU_X86_AVX": "required",
    "capabilities:hypervisor_type": "QEMU",
    "vmware:hw_version": "vmx-13",
    "colour": "red",
    "mine:anything": "goes",
}
REFUSED_OF_FLAVORS = {
    "hw:mem_encryption": "true",
    "hw:misspelt": "1",
    "quota:memory_limit": "100",
    "quota:vif_limit": "100",
    "pci_passthrough:alias": "gpu:1",
    "accel:device_profile": "fpga",
}
LET_IN_OF_IMAGES = {
    "hw_disk_bus": "scsi",
    "hw_scsi_model": "virtio-scsi",
    "hw_vif_model": "virtio",
    "hw_firmware_type": "uefi",
    "hw_qemu_guest_agent": "yes",
    "hw_rescue_device": "cdrom",
    "hw_tpm_model": "",
    "img_hide_hypervisor_id": "true",
    "kernel_id": "none",
    "os_distro": "debian",
    "os_secure_boot": "optional",
    "os_type": "linux",
    "colour": "red",
}
REFUSED_OF_IMAGES = {
    "hw_mem_encryption_model": "amd-sev",
    "hw_emulation_architecture": "aarch64",
    "block_device_mapping": '[{"volume_id": "1"}]',
}


def test_what_is_done_and_notes_are_let_in() -> None:
    refuse_unserved(LET_IN_OF_FLAVORS, LET_IN_OF_IMAGES, 4)


@pytest.mark.parametrize(("key", "value"), REFUSED_OF_FLAVORS.items())
def test_a_flavor_that_asks_for_more_is_refused_by_the_name(key: str, value: str) -> None:
    with pytest.raises(UnusableSpec, match="The flavor asks for") as refused:
        refuse_unserved({key: value}, {}, 1)
    assert f"{key}={value}" in str(refused.value)


@pytest.mark.parametrize(("key", "value"), REFUSED_OF_IMAGES.items())
def test_an_image_that_asks_for_more_is_refused_by_the_name(key: str, value: str) -> None:
    with pytest.raises(UnusableSpec, match="The image asks for") as refused:
        refuse_unserved({}, {key: value}, 1)
    assert f"{key}={value}" in str(refused.value)


def test_a_value_that_cannot_be_is_refused_before_a_host_is_looked_for() -> None:
    with pytest.raises(UnusableSpec, match="hw_vif_model=wifi, and possible are virtio"):
        refuse_unserved({}, {"hw_vif_model": "wifi"}, 1)


def test_each_extra_spec_that_may_be_set_is_in_the_table() -> None:
    names = [
        f"{namespace}:{name}"
        for namespace, known in extra_specs.NAMESPACES.items()
        for name in known
        if re.fullmatch(r"[a-z_]+", namespace) and re.fullmatch(r"[a-z_.\\d+]+", name)
    ]
    assert len(names) >= 80
    assert [name for name in names if treatment_of(name.replace(r"\.\d+", ".0"), FLAVOR) is None] == []


def test_each_name_of_the_table_is_one_that_flavors_may_have() -> None:
    for name in FLAVOR:
        if "*" not in name and ":" in name:
            namespace, _, rest = name.replace(".N", ".0").partition(":")
            assert any(re.fullmatch(known, rest) for known in extra_specs.NAMESPACES[namespace]), name
    assert {treatment.way for treatment in (*FLAVOR.values(), *IMAGE.values())} == {"obeyed", "refused", "harmless"}


@pytest.mark.parametrize("name", ["cpu_max_sockets", "cpu_max_cores", "cpu_max_threads"])
def test_the_largest_topology_has_upstream_s_names(name: str) -> None:
    extra_specs.check({f"hw:{name}": "2"})
    with pytest.raises(Exception, match="does not appear to be a valid extra spec"):
        extra_specs.check({f"hw:{name.replace('cpu_max', 'max_cpu')}": "2"})
