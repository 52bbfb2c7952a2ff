"""Guests of a real libvirt that are made of more than the usual; what this machine's QEMU cannot start is left out."""

import uuid
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.options import HardwareOptions
from kilonova.compute.agent.spec import GuestCell, GuestPlacement, SpecFlavor
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import IMAGE_ID, MIB, LibvirtRig, make_spec, settle

pytestmark = pytest.mark.libvirt
PC = {
    "hw:cpu_sockets": "1",
    "hw:cpu_threads": "2",
    "hw:boot_menu": "true",
    "hw:watchdog_action": "reset",
    "hw:serial_port_count": "2",
    "hw:hide_hypervisor_id": "true",
    "hw:sound_model": "ich6",
    "hw:usb_model": "nec-xhci",
    "hw:vif_multiqueue_enabled": "true",
    "hw_rng:rate_bytes": "1024",
    "hw_video:ram_max_mb": "64",
    "quota:disk_read_iops_sec": "100",
    "quota:disk_write_bytes_sec": "1048576",
}
Q35 = {"hw:virtio_packed_ring": "true", "hw:viommu_model": "virtio", "hw:watchdog_action": "pause"}


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        (PC, {"hw_qemu_guest_agent": "yes", "hw_video_ram": "16", "hw_time_hpet": "true", "hw_input_bus": "usb"}),
        (Q35, {"hw_machine_type": "q35", "hw_disk_bus": "scsi", "hw_input_bus": "virtio", "os_type": "windows"}),
        ({"hw:viommu_model": "intel"}, {"hw_machine_type": "q35", "hw_disk_bus": "sata"}),
        ({}, {"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic", "hw_vif_model": "e1000"}),
    ],
    ids=["pc", "q35", "iommu", "lsilogic"],
)
async def test_a_guest_with_unusual_hardware_starts(
    libvirt_rig: LibvirtRig, specs: dict[str, str], properties: dict[str, str]
) -> None:
    image = libvirt_rig.images.add(bytes(MIB), properties=properties)
    flavor = SpecFlavor("1", "m1.odd", 2, 64, 0, extra_specs=specs)
    seen = await settle(libvirt_rig, make_spec(image, flavor=flavor))
    assert (seen.power, seen.message) == ("running", "")


async def test_a_guest_with_a_tpm_starts(libvirt_rig: LibvirtRig) -> None:
    libvirt_rig.options = replace(libvirt_rig.options, hardware=HardwareOptions(has_tpm_emulator=True))
    await libvirt_rig.restart_agent()
    flavor = SpecFlavor("1", "m1.tpm", 1, 64, 0, extra_specs={"hw:tpm_version": "2.0"})
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), flavor=flavor)
    assert (await settle(libvirt_rig, spec)).power == "running"


@pytest.mark.parametrize("more", [{}, {"os_secure_boot": "required"}])
async def test_a_guest_with_uefi_starts(libvirt_rig: LibvirtRig, more: dict[str, str]) -> None:
    properties = {"hw_machine_type": "q35", "hw_firmware_type": "uefi", **more}
    image = libvirt_rig.images.add(bytes(MIB), properties=properties)
    flavor = SpecFlavor("1", "m1.uefi", 1, 128, 0)
    assert (await settle(libvirt_rig, make_spec(image, flavor=flavor))).power == "running"


def bootable_kernel() -> bytes:
    """As much of a kernel as QEMU looks at before it boots it: four sectors of set-up, and the header's marks."""
    header = bytearray(64 << 10)
    header[0x1F1], header[0x1FE:0x200], header[0x202:0x206], header[0x206:0x208] = 4, b"\x55\xaa", b"HdrS", b"\x0c\x02"
    header[0x22C:0x230] = (0x37FFFFFF).to_bytes(4, "little")  # the highest address of a ramdisk
    return bytes(header)


async def test_a_kernel_and_a_ramdisk_are_fetched_and_booted(libvirt_rig: LibvirtRig) -> None:
    images, ids = libvirt_rig.images, [str(uuid.uuid4()) for _ in range(2)]
    kernel = images.add(bootable_kernel(), image_id=ids[0], disk_format="aki")
    ramdisk = images.add(bytes(MIB), image_id=ids[1], disk_format="ari")
    spec = make_spec(images.add(bytes(MIB), disk_format="ami"), kernel=kernel, ramdisk=ramdisk)
    assert (await settle(libvirt_rig, spec)).power == "running"
    assert sorted(images.fetched) == sorted([*ids, IMAGE_ID])
    command = Path(f"/proc/{libvirt_rig.qemu_process(spec.id)}/cmdline").read_text().split("\0")
    assert "root=/dev/vda console=tty0 console=ttyS0" in command
    assert await libvirt_rig.driver.sweep_images(min_age_seconds=-1) == []


async def test_an_agent_that_does_not_answer_sets_no_password(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB), properties={"hw_qemu_guest_agent": "yes"}))
    await settle(libvirt_rig, spec)
    with pytest.raises(HostError, match="The QEMU guest agent does not answer") as refused:
        await libvirt_rig.driver.set_admin_password(spec.id, "root", "secret")
    assert "secret" not in str(refused.value)


async def test_the_definition_that_libvirt_keeps_has_what_was_asked_for(libvirt_rig: LibvirtRig) -> None:
    image = libvirt_rig.images.add(bytes(MIB), properties={"hw_qemu_guest_agent": "yes"})
    spec = make_spec(image, flavor=SpecFlavor("1", "m1.odd", 2, 64, 0, extra_specs=PC))
    await settle(libvirt_rig, msgspec.structs.replace(spec, power="stopped"))
    domain = parse_xml(libvirt_rig.virsh("dumpxml", "--inactive", spec.id))
    topology = domain.find("cpu/topology")
    assert topology is not None and (topology.get("sockets"), topology.get("threads")) == ("1", "2")
    assert domain.findtext("devices/disk/iotune/read_iops_sec") == "100"
    assert domain.find("devices/channel/target[@name='org.qemu.guest_agent.0']") is not None
    assert domain.find("devices/interface/driver[@queues='2']") is not None


async def test_the_host_tells_its_numa_nodes(libvirt_rig: LibvirtRig) -> None:
    libvirt_rig.options = replace(libvirt_rig.options, hardware=HardwareOptions(shared_cpus=(0,), dedicated_cpus=(1,)))
    await libvirt_rig.restart_agent()
    found = await libvirt_rig.driver.inventory()
    assert found.topology is not None and found.vcpus == 1
    assert {0} == frozenset().union(*(node.shared for node in found.topology.nodes))
    assert {1} == frozenset().union(*(node.dedicated for node in found.topology.nodes))
    assert 0 < found.topology.nodes[0].memory_mib <= found.memory_mib


async def test_a_guest_runs_on_the_processors_that_were_taken_for_it(libvirt_rig: LibvirtRig) -> None:
    cells = (GuestCell(0, (0,), 32, 0, pinned={0: 1}),)
    placement = GuestPlacement(cells, emulator_cpus=(0,), taken_cpus=(1,))
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), placement=placement)
    assert (await settle(libvirt_rig, spec)).power == "running"
    tasks = Path(f"/proc/{libvirt_rig.qemu_process(spec.id)}/task")
    allowed = {
        (task / "comm").read_text().strip(): status.partition("Cpus_allowed_list:")[2].split()[0]
        for task in tasks.iterdir()
        if (status := (task / "status").read_text())
    }
    assert {name: cpus for name, cpus in allowed.items() if name.startswith("CPU ")} == {"CPU 0/TCG": "1"}
    assert {cpus for name, cpus in allowed.items() if not name.startswith("CPU ")} == {"0"}
