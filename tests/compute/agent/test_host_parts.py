"""The small parts of the host side: errands, records, disks, console files, capabilities."""

import asyncio
import json
import stat
import subprocess
import uuid
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.devices import local_disks
from kilonova.compute.agent.devices.config_drive import ensure_config_drive
from kilonova.compute.agent.driver import StaleEpoch
from kilonova.compute.agent.drivers import console, inventory
from kilonova.compute.agent.drivers.epochs import Tombstones
from kilonova.compute.agent.drivers.errands import Errand, Errands
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.agent.drivers.host_topology import parse_topology
from kilonova.compute.agent.drivers.options import HardwareOptions, ReservedPages
from kilonova.compute.agent.drivers.records import (
    ServerRecord,
    list_recorded,
    read_record,
    take_directory,
    write_record,
)
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology, Pages
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import FakeRig, Images, make_spec, settle

MIB = 1 << 20


async def test_the_failure_of_an_errand_is_raised_once_to_each_who_waited() -> None:
    events: list[str] = []
    errands = Errands(events.append)

    async def fail(errand: Errand) -> None:
        raise HostError("The disk is full.")

    for server_id in ("a", "b"):
        errands.start("image 1", "fetch", "downloading", fail, server_id=server_id)
    await asyncio.sleep(0.01)
    assert events == ["a", "b"]
    for server_id in ("a", "b"):
        with pytest.raises(HostError, match="The disk is full"):
            errands.raise_failure("image 1", server_id)
        errands.raise_failure("image 1", server_id)
    errands.raise_failure("image 1", "c")


async def test_an_unexpected_failure_of_an_errand_keeps_its_cause() -> None:
    errands = Errands(lambda server_id: None)

    async def fail(errand: Errand) -> None:
        raise KeyError("sector")

    errands.start("power 1", "stop", "stopping", fail, server_id="a")
    await asyncio.sleep(0.01)
    with pytest.raises(HostError, match="power 1 failed: KeyError: 'sector'") as caught:
        errands.raise_failure("power 1", "a")
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_cancelled_errand_is_forgotten_and_reports_nothing() -> None:
    events: list[str] = []
    errands = Errands(events.append)

    async def work(errand: Errand) -> None:
        await asyncio.sleep(60)

    errands.start("power 1", "stop", "stopping", work, server_id="a")
    await asyncio.sleep(0)
    assert errands.progress_of("a") == "stopping"
    await errands.cancel("power 1")
    assert errands.find_running("power 1") is None
    assert errands.progress_of("a") == ""
    errands.raise_failure("power 1", "a")
    assert events == []


def test_a_record_survives_and_is_its_owners_alone(tmp_path: Path) -> None:
    spec = make_spec(None)
    directory = tmp_path / spec.id
    record = ServerRecord(7, 2, spec)
    assert read_record(directory) is None
    write_record(directory, record)
    write_record(directory, record)
    assert read_record(directory) == record
    assert stat.S_IMODE((directory / "spec.json").stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == ["spec.json"]


def test_a_record_of_the_release_before_devices_is_read(tmp_path: Path) -> None:
    written = msgspec.to_builtins(ServerRecord(7, 2, make_spec(Images().add(b"x"))))
    del written["connected"], written["spec"]["disks"], written["spec"]["presence"]
    for port in written["spec"]["ports"]:
        del port["plug"]
    (tmp_path / "spec.json").write_bytes(msgspec.json.encode(written))
    record = read_record(tmp_path)
    assert record is not None
    assert (record.epoch, record.spec.disks, record.connected) == (7, (), {})
    assert record.spec.image is not None


def test_a_damaged_record_is_an_error_naming_the_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"epoch": "seven"}')
    with pytest.raises(HostError, match=r"spec\.json is damaged"):
        read_record(tmp_path)


def test_only_directories_named_like_servers_are_listed(tmp_path: Path) -> None:
    server_id = str(uuid.uuid4())
    for name in (server_id, "_base", "lost+found", server_id.upper().replace("-", "")):
        (tmp_path / name).mkdir()
    assert list_recorded(tmp_path) == [server_id]
    assert list_recorded(tmp_path / "missing") == []


def test_tombstones_refuse_older_epochs_and_take_equal_ones() -> None:
    tombstones = Tombstones()
    tombstones.bury("a", 5)
    tombstones.bury("a", 3)
    tombstones.admit("a", 5, None)
    tombstones.admit("b", 1, None)
    with pytest.raises(StaleEpoch):
        tombstones.admit("a", 4, None)
    with pytest.raises(StaleEpoch):
        tombstones.admit("b", 1, 2)


async def test_an_overlay_has_the_flavors_size_or_the_images(tmp_path: Path) -> None:
    backing = tmp_path / "base"
    backing.write_bytes(bytes(MIB))
    for name, root_gib, expected in (("large", 3, 3 << 30), ("equal", 0, MIB)):
        await local_disks.ensure_overlay(tmp_path / name, backing, root_gib)
        info = subprocess.run(["qemu-img", "info", "--output=json", tmp_path / name], check=True, capture_output=True)
        assert json.loads(info.stdout)["virtual-size"] == expected
    before = (tmp_path / "large").stat().st_mtime_ns
    await local_disks.ensure_overlay(tmp_path / "large", backing, 9)
    assert (tmp_path / "large").stat().st_mtime_ns == before


async def test_a_disk_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    backing = tmp_path / "base"
    backing.write_bytes(bytes(MIB))
    with pytest.raises(HostError, match="Cannot make"):
        await local_disks.ensure_overlay(tmp_path / "missing/disk", backing, 1)
    with pytest.raises(HostError, match=r"Cannot make .*disk\.swap"):
        await local_disks.ensure_swap(tmp_path / "missing/disk.swap", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


async def test_ephemeral_and_swap_disks_are_ready_for_use(tmp_path: Path) -> None:
    await local_disks.ensure_ephemeral(tmp_path / "disk.eph0", 1, "ephemeral0")
    await local_disks.ensure_swap(tmp_path / "disk.swap", 4)
    ephemeral = (tmp_path / "disk.eph0").read_bytes()[:2048]
    assert ephemeral[1024 + 56 : 1024 + 58] == b"\x53\xef"
    assert b"ephemeral0" in ephemeral
    assert (tmp_path / "disk.swap").read_bytes()[4086:4096] == b"SWAPSPACE2"


def test_the_disks_formats_are_written_down_and_follow_them(tmp_path: Path) -> None:
    path = tmp_path / "disk.info"
    for formats in ({tmp_path / "disk": "qcow2"}, {tmp_path / "disk": "qcow2", tmp_path / "disk.swap": "raw"}):
        local_disks.ensure_info(path, formats)
        local_disks.ensure_info(path, formats)
        assert json.loads(path.read_text()) == {str(disk): disk_format for disk, disk_format in formats.items()}
    assert [each.name for each in tmp_path.iterdir()] == ["disk.info"]
    with pytest.raises(HostError, match=r"Cannot write .*disk\.info: No such file"):
        local_disks.ensure_info(tmp_path / "missing/disk.info", {})


async def test_the_config_drive_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "disk.config"
    await ensure_config_drive(path, {"openstack/latest/meta_data.json": b"{}", "openstack/latest/user_data": b"\x00"})
    first = path.read_bytes()
    await ensure_config_drive(path, {"other": b""})
    assert path.read_bytes() == first
    command = ["isoinfo", "-J", "-i", path, "-x", "/openstack/latest/meta_data.json"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"{}"
    assert [entry.name for entry in tmp_path.iterdir()] == ["disk.config"]


def test_the_console_goes_on_over_a_rollover(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    assert console.read_tail(path, None) == ""
    path.with_name("console.log.0").write_bytes(b"one\ntwo\n")
    path.write_bytes(b"three\nf\xffur")
    assert console.read_tail(path, None) == "one\ntwo\nthree\nf\ufffdur"
    assert console.read_tail(path, 3) == "two\nthree\nf\ufffdur"
    assert console.read_tail(path, 0) == ""


CAPABILITIES = """
<capabilities>
  <host>
    <cpu><arch>x86_64</arch><model>Broadwell</model><vendor>Intel</vendor>
      <topology sockets='2' dies='1' cores='4' threads='2'/>
      <feature name='vmx'/><feature name='aes'/></cpu>
    <topology><cells num='2'><cell id='0'/><cell id='1'/></cells></topology>
  </host>
  <guest><os_type>hvm</os_type><arch name='i686'><domain type='qemu'/></arch></guest>
  <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>
"""


def test_capabilities_are_read() -> None:
    cpu_info = inventory.parse_cpu_info(CAPABILITIES)
    assert cpu_info == {
        "arch": "x86_64",
        "model": "Broadwell",
        "vendor": "Intel",
        "features": ["aes", "vmx"],
        "topology": {"cells": 2, "sockets": 2, "cores": 4, "threads": 2},
    }
    assert inventory.parse_supported_instances(CAPABILITIES) == (
        ("i686", "qemu", "hvm"),
        ("x86_64", "qemu", "hvm"),
        ("x86_64", "kvm", "hvm"),
    )
    traits = inventory.pick_traits({"HW_CPU_X86_AVX"}, cpu_info)
    assert {"HW_CPU_X86_AVX", "HW_CPU_HYPERTHREADING", "HW_ARCH_X86_64", "COMPUTE_NODE"} <= set(traits)
    assert list(traits) == sorted(traits)


NODES = """
<capabilities><host><topology><cells num='2'>
  <cell id='0'>
    <memory unit='KiB'>8388608</memory>
    <pages unit='KiB' size='4'>1572864</pages>
    <pages unit='KiB' size='2048'>512</pages>
    <pages unit='KiB' size='1048576'>1</pages>
    <cpus num='4'>
      <cpu id='0' socket_id='0' die_id='0' core_id='0' siblings='0,4'/>
      <cpu id='1' socket_id='0' die_id='0' core_id='1' siblings='1,5'/>
      <cpu id='4' socket_id='0' die_id='0' core_id='0' siblings='0,4'/>
      <cpu id='5' socket_id='0' die_id='0' core_id='1' siblings='1,5'/>
    </cpus>
  </cell>
  <cell id='1'>
    <memory unit='KiB'>4194304</memory>
    <cpus num='2'><cpu id='2' core_id='0' siblings='2-3'/><cpu id='3' core_id='0' siblings='2-3'/></cpus>
  </cell>
</cells></topology></host></capabilities>
"""


def test_numa_nodes_are_read_from_the_capabilities() -> None:
    found = parse_topology(NODES, HardwareOptions())
    cores = (frozenset({0, 4}), frozenset({1, 5}))
    pages = (Pages(2048, 512), Pages(1 << 20, 1))
    assert found == HostTopology(
        (
            HostNode(id=0, shared=frozenset({0, 1, 4, 5}), cores=cores, memory_mib=6144, pages=pages),
            HostNode(id=1, shared=frozenset({2, 3}), cores=(frozenset({2, 3}),), memory_mib=4096),
        )
    )
    assert parse_topology("<capabilities><host/></capabilities>", HardwareOptions()) is None


def test_guests_have_of_the_nodes_what_the_options_leave_them() -> None:
    reserved = (ReservedPages(0, 2048, 500), ReservedPages(0, 1 << 20, 2), ReservedPages(1, 4, 262_144))
    found = parse_topology(NODES, HardwareOptions(dedicated_cpus=(1, 2, 5), reserved_pages=reserved))
    assert found is not None
    assert [(node.shared, node.dedicated) for node in found.nodes] == [(frozenset(), {1, 5}), (frozenset(), {2})]
    assert (found.nodes[0].pages, found.nodes[1].memory_mib) == ((Pages(2048, 12), Pages(1 << 20, 0)), 3072)
    both = parse_topology(NODES, HardwareOptions(shared_cpus=(0,), dedicated_cpus=(1,)))
    assert both is not None
    assert [(node.shared, node.dedicated) for node in both.nodes] == [({0}, {1}), (frozenset(), frozenset())]
    with pytest.raises(HostError, match="have no processors 6, 7"):
        parse_topology(NODES, HardwareOptions(shared_cpus=(0, 6, 7)))
    with pytest.raises(HostError, match="no NUMA node 1 with pages of 2048 KiB"):
        parse_topology(NODES, HardwareOptions(reserved_pages=(ReservedPages(1, 2048, 1),)))


def test_cpu_traits_come_from_the_features_a_guest_gets() -> None:
    expanded = (
        "<cpu><feature policy='require' name='avx2'/><feature policy='disable' name='vmx'/>"
        "<feature policy='require' name='unknown-thing'/><feature policy='require' name='sse4.2'/></cpu>"
    )
    assert inventory.parse_cpu_traits(expanded) == {"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42"}


def test_device_traits_are_what_both_sides_know() -> None:
    domain_capabilities = """
    <domainCapabilities><devices>
      <disk><enum name='bus'><value>virtio</value><value>fdc</value></enum></disk>
      <video><enum name='modelType'><value>vga</value><value>ramfb</value></enum></video>
    </devices></domainCapabilities>
    """
    assert inventory.parse_device_traits(domain_capabilities) == {
        "COMPUTE_STORAGE_BUS_VIRTIO",
        "COMPUTE_GRAPHICS_MODEL_VGA",
    }


FIRMWARE = """
<domainCapabilities>
  <os><enum name='firmware'><value>efi</value></enum>
    <loader><enum name='secure'><value>yes</value><value>no</value></enum></loader></os>
  <devices><tpm>
    <enum name='model'><value>tpm-tis</value><value>tpm-spapr</value></enum>
    <enum name='backendModel'><value>passthrough</value><value>emulator</value></enum>
    <enum name='backendVersion'><value>2.0</value></enum>
  </tpm></devices>
</domainCapabilities>
"""


def test_a_host_tells_of_the_firmware_that_it_has() -> None:
    secure = {"COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_UEFI_SECURE_BOOT"}
    assert inventory.parse_firmware_traits(FIRMWARE, has_tpm_emulator=False) == secure
    tpm = {"COMPUTE_SECURITY_TPM_TIS", "COMPUTE_SECURITY_TPM_2_0"}
    assert inventory.parse_firmware_traits(FIRMWARE, has_tpm_emulator=True) == secure | tpm
    assert inventory.parse_firmware_traits("<domainCapabilities/>", has_tpm_emulator=True) == set()


async def test_the_fake_fails_when_it_is_told_to_and_only_once() -> None:
    rig = FakeRig(FakeHost("host1"))
    rig.host.fail_next_spawn("The fake memory is broken.")
    spec = make_spec(rig.images.add(b"x" * 100))
    with pytest.raises(HostError, match="The fake memory is broken"):
        await settle(rig, spec)
    assert (await rig.driver.observe_server(spec.id)).message == "The fake memory is broken."
    assert (await settle(rig, spec)).power == "running"
    assert await rig.driver.console_log(spec.id, 1) == "web <1> login: \n"
    await rig.close()


async def test_an_instant_fake_host_answers_with_a_running_server_at_once() -> None:
    driver = FakeDriver(FakeHost("host1"), lambda server_id: None)
    spec = make_spec(Images().add(b"x"))
    seen = await driver.ensure_server(spec, 1)
    assert (seen.power, seen.progress) == ("running", "")
    await driver.close()


async def test_many_fake_hosts_live_in_one_process() -> None:
    rigs = [FakeRig(FakeHost(f"host{number}")) for number in range(3)]
    for rig in rigs:
        await settle(rig, make_spec(rig.images.add(b"x")))
    assert [len(await rig.driver.observe_all()) for rig in rigs] == [1, 1, 1]
    assert [(await rig.driver.inventory()).hostname for rig in rigs] == ["host0", "host1", "host2"]


@pytest.mark.parametrize(
    ("file_system", "has"), [("ext2", []), ("ext3", ["has_journal"]), ("ext4", ["has_journal", "extent"])]
)
async def test_an_ephemeral_disk_has_the_file_system_that_was_asked_for(
    tmp_path: Path, file_system: str, has: list[str]
) -> None:
    path = tmp_path / "disk.eph0"
    await local_disks.ensure_ephemeral(path, 1, "ephemeral0", file_system)
    told = subprocess.run(["/sbin/dumpe2fs", "-h", path], check=True, capture_output=True, text=True).stdout
    features = next(line for line in told.splitlines() if line.startswith("Filesystem features:")).split()
    assert [each for each in ("has_journal", "extent") if each in features] == has


def test_two_hosts_do_not_share_a_directory_of_servers(tmp_path: Path) -> None:
    path = tmp_path / "instances"
    for _ in range(2):
        take_directory(path, "compute1")
    with pytest.raises(HostError, match="holds the servers of host compute1, and this one is called compute2"):
        take_directory(path, "compute2")
    assert [each.name for each in path.iterdir()] == [".host"]
    assert list_recorded(path) == []
