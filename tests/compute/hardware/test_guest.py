"""A guest's hardware by its flavor and image: what each value makes, who goes first, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.hardware.asked import Asked
from kilonova.compute.hardware.devices import RandomNumbers
from kilonova.compute.hardware.firmware import Tpm
from kilonova.compute.hardware.guest import GuestHardware, hardware_of
from kilonova.compute.hardware.limits import Bandwidth
from kilonova.compute.hardware.processor import CpuShare, Topology, pick_topology
from kilonova.compute.scheduling.requirements import UnusableSpec

UEFI = {"hw_firmware_type": "uefi"}


def guest(
    specs: dict[str, str] | None = None, properties: dict[str, str] | None = None, cpus: int = 4
) -> GuestHardware:
    return hardware_of(specs or {}, properties or {}, cpus)


@pytest.mark.parametrize(
    ("specs", "properties", "topology"),
    [
        ({}, {}, (4, 1, 1)),
        ({"hw:cpu_sockets": "2"}, {}, (2, 2, 1)),
        ({"hw:cpu_cores": "4"}, {}, (1, 4, 1)),
        ({"hw:cpu_threads": "2"}, {}, (2, 1, 2)),
        ({"hw:cpu_max_sockets": "1"}, {}, (1, 4, 1)),
        ({"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "2"}, {}, (1, 2, 2)),
        ({"hw:cpu_max_sockets": "2"}, {"hw_cpu_max_sockets": "1"}, (1, 4, 1)),
        ({}, {"hw_cpu_cores": "2"}, (2, 2, 1)),
        ({"hw:cpu_sockets": "1"}, {"hw_cpu_sockets": "4"}, (1, 4, 1)),
        ({"hw:cpu_cores": "3"}, {}, (4, 1, 1)),
    ],
)
def test_the_topology(specs: dict[str, str], properties: dict[str, str], topology: tuple[int, int, int]) -> None:
    assert guest(specs, properties).processor.topology == Topology(*topology)


@given(st.integers(1, 64), st.dictionaries(st.sampled_from(["sockets", "cores", "threads"]), st.integers(1, 64)))
def test_a_topology_has_all_processors(cpus: int, preferred: dict[str, int]) -> None:
    specs = {f"hw:cpu_{kind}": str(number) for kind, number in preferred.items()}
    found = pick_topology(Asked(specs, {}), cpus)
    assert found.sockets * found.cores * found.threads == cpus


@pytest.mark.parametrize(
    ("specs", "properties", "sentence"),
    [
        (
            {"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "1", "hw:cpu_max_threads": "2"},
            {},
            "allow 1 sockets, 1 cores",
        ),
        ({"hw:cpu_max_cores": "2"}, {"hw_cpu_max_cores": "3"}, "hw_cpu_max_cores=3, and the flavor allows 2"),
        ({"hw:cpu_max_cores": "2", "hw:cpu_cores": "4"}, {}, "hw:cpu_cores=4, and the limit is 2 cores"),
        ({"hw:cpu_sockets": "0"}, {}, "a whole number from 1 to 65536"),
        ({}, {"hw_cpu_threads": "9" * 400}, "a whole number"),
        ({"hw:pmu": "true"}, {"hw_pmu": "off"}, "they contradict each other"),
        ({}, {"hw_pmu": "perhaps"}, "neither true nor false"),
        ({"hw:hide_hypervisor_id": "true"}, {"img_hide_hypervisor_id": "what"}, "neither true nor false"),
        ({"hw:maxphysaddr_mode": "emulate"}, {}, "needs a number of bits"),
        ({"hw:maxphysaddr_bits": "42"}, {}, "needs a mode"),
        ({"hw:maxphysaddr_mode": "passthrough", "hw:maxphysaddr_bits": "42"}, {}, "only the mode emulate has"),
        ({"quota:cpu_shares": "1"}, {}, "from 2 to 262144"),
        ({"hw:locked_memory": "true"}, {}, "needs a size of pages"),
        ({}, {"hw_firmware_type": "coreboot"}, "possible are bios, uefi"),
        ({}, {"hw_firmware_stateless": "true"}, "needs hw_firmware_type=uefi"),
        ({"os:secure_boot": "required"}, {}, "needs an image with hw_firmware_type=uefi"),
        ({"os:secure_boot": "disabled"}, {**UEFI, "os_secure_boot": "required"}, "they contradict each other"),
        ({"os:secure_boot": "required"}, {**UEFI, "hw_machine_type": "pc"}, "that needs q35"),
        ({"hw:viommu_model": "intel"}, {"hw_machine_type": "pc-i440fx-7.2"}, "that needs q35"),
        ({"hw:viommu_model": "smmuv3"}, {}, "possible are none, auto, virtio, intel"),
        ({"hw:tpm_model": "tpm-tis"}, {}, "needs a version"),
        ({"hw:tpm_version": "1.2", "hw:tpm_model": "tpm-crb"}, {}, "has version 2.0"),
        ({"hw:tpm_version": "2.0"}, {"hw_tpm_version": "1.2"}, "they contradict each other"),
        ({}, {"os_command_line": "root=/dev/vda\nquiet"}, "one printable line"),
        ({"hw:serial_port_count": "2"}, {"hw_serial_port_count": "3"}, "the flavor allows 2"),
        ({"hw:serial_port_count": "5"}, {}, "from 0 to 4"),
        ({"hw:redirected_usb_ports": "16"}, {}, "from 0 to 15"),
        ({"hw_rng:rate_period": "100"}, {}, "needs a number of bytes"),
        ({}, {"hw_rng_model": "none"}, "possible are virtio"),
        ({}, {"hw_video_ram": "64"}, "the flavor allows 0"),
        ({"hw_video:ram_max_mb": "16"}, {"hw_video_ram": "64"}, "the flavor allows 16"),
        ({"hw:vif_multiqueue_enabled": "true"}, {"hw_vif_model": "e1000"}, "model virtio alone"),
        ({}, {"img_root_device_name": "/dev/vdb"}, "the root disk is the first of its bus"),
        ({}, {"root_device_name": "/dev/sda", "hw_disk_bus": "virtio"}, "hw_disk_bus=virtio, whose disks have other"),
        ({"hw:watchdog_action": "explode"}, {}, "possible are none, pause, poweroff, reset, disabled"),
        ({}, {"hw_scsi_model": "buslogic"}, "possible are virtio-scsi"),
        ({"quota:disk_total_iops_sec": "9", "quota:disk_read_iops_sec": "5"}, {}, "a total excludes"),
        ({"quota:disk_read_iops_sec": "-5"}, {}, "a whole number"),
        ({"quota:vif_inbound_peak": "9"}, {}, "needs quota:vif_inbound_average"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    specs: dict[str, str], properties: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UnusableSpec, match=sentence):
        guest(specs, properties)


def test_the_processor() -> None:
    found = guest(
        {
            "hw:pmu": "False",
            "hide_hypervisor_id": "true",
            "hw:maxphysaddr_mode": "emulate",
            "hw:maxphysaddr_bits": "42",
            "quota:cpu_shares": "2048",
            "quota:cpu_quota": "20000",
        },
        {"hw_pmu": "0"},
    ).processor
    assert (found.pmu, found.hides_hypervisor) == (False, True)
    assert (found.address_mode, found.address_bits) == ("emulate", 42)
    assert found.share == CpuShare(2048, None, 20000)
    assert guest({"hw:locked_memory": "1", "hw:mem_page_size": "small"}).memory.is_locked


def test_firmware_and_tpm() -> None:
    found = guest(
        {"os:secure_boot": "required", "hw:tpm_version": "2.0"}, {**UEFI, "os_secure_boot": "optional"}
    ).firmware
    assert (found.is_uefi, found.secure_boot, found.tpm) == (True, "required", Tpm("tpm-tis", "2.0"))
    assert guest({}, {**UEFI, "hw_firmware_stateless": "yes"}).firmware.is_stateless
    assert guest({}, {"os_secure_boot": "optional"}).firmware.secure_boot == "optional"


def test_of_boot_menu_and_watchdog_the_image_s_word_goes_first() -> None:
    specs = {"hw:boot_menu": "true", "hw:watchdog_action": "reset"}
    found = guest(specs)
    assert (found.firmware.has_boot_menu, found.devices.watchdog_action) == (True, "reset")
    found = guest(specs, {"hw_boot_menu": "false", "hw_watchdog_action": "disabled"})
    assert (found.firmware.has_boot_menu, found.devices.watchdog_action) == (False, "")


def test_random_numbers() -> None:
    assert guest().devices.random_numbers == RandomNumbers()
    assert guest({"hw_rng:allowed": "False"}).devices.random_numbers is None
    rate = {"hw_rng:rate_bytes": "100", "hw_rng:rate_period": "500"}
    assert guest(rate).devices.random_numbers == RandomNumbers(100, 500)
    assert guest({"hw_rng:rate_bytes": "100"}).devices.random_numbers == RandomNumbers(100, 1000)


def test_the_image_s_devices_within_the_flavor_s_limits() -> None:
    found = guest(
        {"hw:serial_port_count": "3", "hw_video:ram_max_mb": "128", "hw:redirected_usb_ports": "2"},
        {"hw_serial_port_count": "2", "hw_video_ram": "64", "hw_redirected_usb_ports": "4", "os_type": "Windows"},
    ).devices
    assert (found.serial_ports, found.video_ram_mib, found.redirected_usb_ports) == (2, 64, 4)
    assert found.is_windows
    assert guest({"hw:serial_port_count": "0"}).devices.serial_ports == 0


def test_limits_of_disks_and_interfaces() -> None:
    found = guest(
        {
            "quota:disk_read_bytes_sec": "10240",
            "quota:disk_total_iops_sec": "100",
            "quota:disk_write_bytes_sec": "0",
            "quota:vif_inbound_average": "1000",
            "quota:vif_inbound_burst": "64",
            "quota:vif_outbound_average": "0",
        }
    ).limits
    assert found.disk == {"total_iops_sec": 100, "read_bytes_sec": 10240}
    assert (found.inbound, found.outbound) == (Bandwidth(1000, burst=64), None)


def test_an_empty_value_asks_for_nothing() -> None:
    empty: dict[str, Any] = dict.fromkeys(("hw:watchdog_action", "hw:pmu", "hw:cpu_sockets"), "")
    assert guest(empty, {"hw_firmware_type": ""}) == guest()
