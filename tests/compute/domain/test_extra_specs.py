"""Extra specs: known names with allowed values, unknown namespaces left alone."""

import pytest

from kilonova.compute.catalog import extra_specs
from kilonova.kit.errors import BadRequest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw:cpu_policy", "dedicated"),
        ("hw:cpu_realtime", "True"),
        ("hw:cpu_realtime_mask", "^0-1,3"),
        ("hw:numa_nodes", "2"),
        ("hw:numa_cpus.0", "0-3"),
        ("hw:numa_mem.1", "512"),
        ("hw:mem_page_size", "2MB"),
        ("hw_rng:allowed", "no"),
        ("hw_video:ram_max_mb", "64"),
        ("os:secure_boot", "required"),
        ("quota:disk_read_bytes_sec", "10240000"),
        ("quota:cpu_shares_level", "high"),
        ("quota:vif_limit", "-1"),
        ("resources:VCPU", "0"),
        ("resources1:CUSTOM_GOLD", "4"),
        ("resources_NET:SRIOV_NET_VF", "1"),
        ("trait:HW_CPU_X86_VMX", "required"),
        ("trait2:CUSTOM_GOLD", "forbidden"),
        ("capabilities:hypervisor_type", "s== QEMU"),
        ("capabilities:cpu_info:topology:cores", ">= 4"),
        ("pci_passthrough:alias", "gpu:1, nic:2"),
        ("aggregate_instance_extra_specs:ssd", "true"),
        ("accel:device_profile", "mine"),
        ("hide_hypervisor_id", "true"),
        ("group_policy", "isolate"),
        ("anything", "goes"),
        ("mine:anything", "goes"),
    ],
)
def test_a_spec_that_can_be_meant_is_taken(name: str, value: str) -> None:
    extra_specs.check({name: value})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("hw:cpu_policy", "pinned", "one of dedicated, shared, mixed"),
        ("hw:cpu_realtime", "perhaps", "a boolean"),
        ("hw:numa_nodes", "0", "from 1 on"),
        ("hw:numa_nodes", "two", "a whole number"),
        ("hw:numa_mem.x", "512", "does not appear to be a valid extra spec"),
        ("hw:cpu_polcy", "shared", "does not appear to be a valid extra spec"),
        ("hw:mem_page_size", "huge", "of a form such as"),
        ("quota:cpu_shares", "-1", "from 0 on"),
        ("quota:bananas", "1", "does not appear to be a valid extra spec"),
        ("resources:BANANAS", "1", "does not appear to be a valid extra spec"),
        ("resources:VCPU", "many", "a whole number"),
        ("trait:HW_CPU_X86_VMX", "wanted", "one of required, forbidden"),
        ("capabilities:magic", "x", "does not appear to be a valid extra spec"),
        ("pci_passthrough:alias", "gpu", "of a form such as"),
        ("hide_hypervisor_id", "perhaps", "a boolean"),
    ],
)
def test_one_that_cannot_be_meant_is_refused_by_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        extra_specs.check({name: value})
    assert f"'{name}'" in refused.value.message
    assert sentence in refused.value.message
