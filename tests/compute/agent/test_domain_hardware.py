"""Flavors' and images' demands in libvirt's documented form."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest

from kilonova.compute.agent.drivers.domain_xml import parse_xml, render_disk, render_domain, render_interface
from kilonova.compute.agent.drivers.options import ConsoleOptions, GuestCpu, HardwareOptions, ScreenOptions
from kilonova.compute.agent.spec import GuestCell, GuestPlacement, SpecFlavor
from kilonova.kit.host_commands import HostError
from tests.compute.agent.test_domain_xml import make_plan

Q35 = {"hw_machine_type": "q35"}
UEFI = {**Q35, "hw_firmware_type": "uefi"}


def render(
    specs: dict[str, str] | None = None, properties: dict[str, str] | None = None, vcpus: int = 4, **plan: Any
) -> Element:
    flavor = SpecFlavor("1", "m1.small", vcpus, 2048, 20, extra_specs=specs or {})
    spec = {"flavor": flavor, **plan.pop("spec", {})}
    return parse_xml(render_domain(make_plan(properties=properties, spec=spec, **plan)))


def written(domain: Element, path: str) -> list[str]:
    """The elements of a path, each without white space."""
    return ["".join(line.strip() for line in tostring(each, "unicode").splitlines()) for each in domain.findall(path)]


def test_the_processor() -> None:
    domain = render(
        {
            "hw:cpu_sockets": "1",
            "hw:cpu_threads": "2",
            "hw:pmu": "off",
            "hw:hide_hypervisor_id": "true",
            "hw:maxphysaddr_mode": "emulate",
            "hw:maxphysaddr_bits": "42",
            "quota:cpu_shares": "512",
            "quota:cpu_period": "20000",
            "quota:cpu_quota": "10000",
        },
        virt_type="kvm",
    )
    assert written(domain, "cpu") == [
        '<cpu mode="host-model"><topology sockets="1" cores="2" threads="2" />'
        '<maxphysaddr mode="emulate" bits="42" /></cpu>'
    ]
    assert written(domain, "features/pmu") == ['<pmu state="off" />']
    assert written(domain, "features/kvm") == ['<kvm><hidden state="on" /></kvm>']
    assert written(domain, "cputune") == [
        "<cputune><shares>512</shares><period>20000</period><quota>10000</quota></cputune>"
    ]
    assert render().find("cputune") is None


def test_addresses_as_wide_as_the_host_s_need_its_processor() -> None:
    specs = {"hw:maxphysaddr_mode": "passthrough"}
    domain = render(specs, virt_type="kvm", guest_cpu=GuestCpu("host-passthrough"))
    assert written(domain, "cpu/maxphysaddr") == ['<maxphysaddr mode="passthrough" />']
    with pytest.raises(HostError, match="cpu_mode is host-passthrough; this one's is host-model"):
        render(specs, virt_type="kvm")


def test_a_placement_on_the_host_s_nodes() -> None:
    cells = (
        GuestCell(0, (0, 1), 1024, 1, {0: 8, 1: 9}, page_kib=2048),
        GuestCell(1, (2, 3), 1024, 0, {2: 2}, (4, 5, 6)),
    )
    placement = GuestPlacement(cells, emulator_cpus=(0,), realtime_cpus=(0, 1))
    domain = render(spec={"placement": placement}, host=HardwareOptions(shared_cpus=(4, 5, 6)))
    assert written(domain, "cputune") == [
        '<cputune><vcpupin vcpu="0" cpuset="8" /><vcpupin vcpu="1" cpuset="9" /><vcpupin vcpu="2" cpuset="2" />'
        '<vcpupin vcpu="3" cpuset="4-6" /><emulatorpin cpuset="0" />'
        '<vcpusched vcpus="0-1" scheduler="fifo" priority="1" /></cputune>'
    ]
    assert written(domain, "numatune") == [
        '<numatune><memory mode="strict" nodeset="0-1" /><memnode cellid="0" mode="strict" nodeset="1" />'
        '<memnode cellid="1" mode="strict" nodeset="0" /></numatune>'
    ]
    assert written(domain, "cpu/numa/cell") == [
        '<cell id="0" cpus="0-1" memory="1048576" unit="KiB" />',
        '<cell id="1" cpus="2-3" memory="1048576" unit="KiB" />',
    ]
    assert written(domain, "memoryBacking") == [
        '<memoryBacking><hugepages><page size="2048" unit="KiB" nodeset="0" /></hugepages>'
        "<nosharepages /><locked /></memoryBacking>"
    ]
    assert domain.find("vcpu[@cpuset]") is None


def test_guests_without_processors_of_their_own_run_on_those_that_the_host_shares() -> None:
    assert written(render(host=HardwareOptions(shared_cpus=(0, 1, 3))), "vcpu") == ['<vcpu cpuset="0-1,3">4</vcpu>']


def test_locked_memory() -> None:
    domain = render({"hw:locked_memory": "true", "hw:mem_page_size": "small"})
    assert written(domain, "memoryBacking") == ["<memoryBacking><locked /></memoryBacking>"]
    assert render().find("memoryBacking") is None


def test_uefi_and_secure_boot() -> None:
    assert written(render(properties=UEFI), "os") == [
        '<os firmware="efi"><type arch="x86_64" machine="q35">hvm</type>'
        '<firmware><feature enabled="no" name="secure-boot" /><feature enabled="no" name="enrolled-keys" /></firmware>'
        '<boot dev="hd" /><smbios mode="sysinfo" /></os>'
    ]
    domain = render({"os:secure_boot": "required"}, UEFI)
    assert written(domain, "os/firmware") == [
        '<firmware><feature enabled="yes" name="secure-boot" />'
        '<feature enabled="yes" name="enrolled-keys" /></firmware>'
    ]
    assert written(domain, "features/smm") == ['<smm state="on" />']
    with pytest.raises(HostError, match="needs the machine q35; this host's usual one is pc"):
        render({"os:secure_boot": "required"}, {"hw_firmware_type": "uefi"})
    stateless = render(properties={**UEFI, "hw_firmware_stateless": "true"})
    assert written(stateless, "os/loader") == ['<loader stateless="yes" />']


def test_a_kernel_is_booted_without_a_boot_loader() -> None:
    kernel, ramdisk = Path("/base/k"), Path("/base/r")
    assert written(render(kernel=kernel, ramdisk=ramdisk), "os") == [
        '<os><type arch="x86_64" machine="pc">hvm</type><kernel>/base/k</kernel><initrd>/base/r</initrd>'
        '<cmdline>root=/dev/vda console=tty0 console=ttyS0</cmdline><smbios mode="sysinfo" /></os>'
    ]
    told = render(properties={"os_command_line": "root=LABEL=a quiet"}, kernel=kernel)
    assert (told.findtext("os/cmdline"), told.find("os/initrd")) == ("root=LABEL=a quiet", None)


def test_the_boot_menu() -> None:
    assert written(render({"hw:boot_menu": "true"}), "os/bootmenu") == ['<bootmenu enable="yes" />']
    assert render().find("os/bootmenu") is None


def test_a_tpm_where_the_host_emulates_one() -> None:
    specs = {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}
    assert written(render(specs, host=HardwareOptions(has_tpm_emulator=True)), "devices/tpm") == [
        '<tpm model="tpm-crb"><backend type="emulator" version="2.0" /></tpm>'
    ]
    with pytest.raises(HostError, match=r"needs swtpm, and \[libvirt\] swtpm_enabled"):
        render(specs)


def test_windows_gets_local_time_and_with_kvm_what_it_looks_for() -> None:
    domain = render(properties={"os_type": "windows"}, virt_type="kvm")
    assert domain.find("clock[@offset='localtime']") is not None
    assert written(domain, "clock/timer[@name='hypervclock']") == ['<timer name="hypervclock" present="yes" />']
    assert written(domain, "features/hyperv/spinlocks") == ['<spinlocks state="on" retries="8191" />']
    assert render(properties={"os_type": "windows"}).find("features/hyperv") is None
    assert render(virt_type="kvm").find("features/hyperv") is None


def test_the_timer_of_high_precision() -> None:
    assert written(render(properties={"hw_time_hpet": "true"}), "clock/timer") == [
        '<timer name="hpet" present="yes" />'
    ]


@pytest.mark.parametrize(
    ("specs", "properties", "path", "elements"),
    [
        (
            {"hw:watchdog_action": "reset"},
            {},
            "watchdog",
            ['<watchdog model="i6300esb" action="reset" />'],
        ),
        ({}, {"hw_sound_model": "ich9"}, "sound", ['<sound model="ich9" />']),
        ({"hw_rng:allowed": "false"}, {}, "rng", []),
        (
            {"hw_rng:rate_bytes": "100", "hw_rng:rate_period": "500"},
            {},
            "rng",
            [
                '<rng model="virtio"><rate bytes="100" period="500" />'
                '<backend model="random">/dev/urandom</backend></rng>'
            ],
        ),
        (
            {"hw_video:ram_max_mb": "64"},
            {"hw_video_ram": "32", "hw_video_model": "vga"},
            "video",
            ['<video><model type="vga" vram="32768" /></video>'],
        ),
        (
            {},
            {"hw_input_bus": "virtio"},
            "input",
            ['<input type="tablet" bus="virtio" />', '<input type="keyboard" bus="virtio" />'],
        ),
        ({}, {"hw_usb_model": "none"}, "input", []),
        (
            {"hw:usb_model": "nec-xhci"},
            {},
            "controller",
            ['<controller type="usb" index="0" model="nec-xhci" />'],
        ),
        (
            {},
            {"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"},
            "controller",
            ['<controller type="scsi" index="0" model="lsilogic" />'],
        ),
        (
            {},
            {"hw_qemu_guest_agent": "yes"},
            "channel",
            ['<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0" /></channel>'],
        ),
        ({"hw:viommu_model": "auto"}, Q35, "iommu", ['<iommu model="virtio" />']),
        (
            {"hw:viommu_model": "intel"},
            Q35,
            "iommu",
            ['<iommu model="intel"><driver intremap="on" caching_mode="on" iotlb="on" /></iommu>'],
        ),
        ({"hw:serial_port_count": "0"}, {}, "serial", []),
    ],
)
def test_devices(specs: dict[str, str], properties: dict[str, str], path: str, elements: list[str]) -> None:
    assert written(render(specs, properties), f"devices/{path}") == elements


def test_an_iommu_needs_a_machine_that_can_have_one() -> None:
    with pytest.raises(HostError, match="An IOMMU needs the machine q35; this host's usual one is pc"):
        render({"hw:viommu_model": "virtio"})
    domain = render({"hw:viommu_model": "intel"}, virt_type="kvm", machine_type="q35")
    assert domain.find("devices/iommu/driver[@eim='on']") is not None
    assert written(domain, "features/ioapic") == ['<ioapic driver="qemu" />']


def test_more_serial_lines_have_no_log() -> None:
    first, second = render({"hw:serial_port_count": "2"}).findall("devices/serial")
    assert first.find("log") is not None
    assert written(second, "target") == ['<target port="1" />'] and second.find("log") is None


def test_a_disk_on_usb_needs_a_controller() -> None:
    assert [each.get("bus") for each in render({}, {"hw_disk_bus": "usb"}).findall("devices/disk/target")] == [
        "usb"
    ] * 2
    with pytest.raises(HostError, match="on the bus usb, and hw_usb_model=none"):
        render({}, {"hw_disk_bus": "usb", "hw_usb_model": "none"})


def test_usb_devices_are_redirected_through_spice() -> None:
    specs = {"hw:redirected_usb_ports": "2"}
    domain = render(specs, consoles=ConsoleOptions(vnc=None, spice=ScreenOptions()))
    assert written(domain, "devices/redirdev") == ['<redirdev bus="usb" type="spicevmc" />'] * 2
    with pytest.raises(HostError, match="no SPICE consoles"):
        render(specs)


def test_queues_packed_rings_and_limits() -> None:
    specs = {
        "hw:vif_multiqueue_enabled": "true",
        "hw:virtio_packed_ring": "true",
        "quota:vif_inbound_average": "1000",
        "quota:vif_inbound_peak": "2000",
        "quota:vif_outbound_average": "500",
        "quota:disk_read_iops_sec": "100",
    }
    domain = render(specs)
    assert written(domain, "devices/interface/driver") == ['<driver queues="4" packed="on" />']
    assert written(domain, "devices/interface/bandwidth") == [
        '<bandwidth><inbound average="1000" peak="2000" /><outbound average="500" /></bandwidth>'
    ]
    assert [each.get("packed") for each in domain.findall("devices/disk/driver")] == ["on", "on"]
    assert written(domain, "devices/disk/iotune") == ["<iotune><read_iops_sec>100</read_iops_sec></iotune>"]
    assert written(render({"hw:vif_multiqueue_enabled": "true"}, vcpus=1), "devices/interface/driver") == []


def test_what_is_plugged_in_later_is_as_what_was_there() -> None:
    flavor = SpecFlavor(
        "1", "f", 2, 64, 1, extra_specs={"hw:virtio_packed_ring": "1", "hw:vif_multiqueue_enabled": "1"}
    )
    plan = make_plan(spec={"flavor": flavor}, host=HardwareOptions(discard="ignore"))
    assert 'discard="ignore" packed="on"' in render_disk(plan, plan.disks[0])
    assert '<driver queues="2" packed="on" />' in render_interface(plan.spec, plan.interfaces[0])


def test_what_the_host_says() -> None:
    host = HardwareOptions(
        pcie_ports=3, random_device="/dev/hwrng", memory_report_seconds=0, smbios_serial="abc", discard="ignore"
    )
    domain = render(properties=Q35, host=host)
    assert len(domain.findall("devices/controller[@model='pcie-root-port']")) == 3
    assert domain.findtext("devices/rng/backend") == "/dev/hwrng"
    assert domain.find("devices/memballoon/stats") is None
    assert domain.findtext("sysinfo/system/entry[@name='serial']") == "abc"
    assert domain.find("devices/disk/driver[@discard='ignore']") is not None
    assert render(host=HardwareOptions(smbios_serial="-")).find("sysinfo/system/entry[@name='serial']") is None
