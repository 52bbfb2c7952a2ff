"""What nova.conf says of guests reaches the driver, and what cannot be stops the start with a sentence."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons.files import read
from kilonova.cli.parts import guest_options
from kilonova.cli.parts.options import COMPUTE
from kilonova.compute.agent.devices.disks import DiskOptions
from kilonova.compute.agent.devices.local_disks import CacheMode
from kilonova.compute.agent.drivers.options import GuestCpu, HardwareOptions, MigrationOptions, ReservedPages
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology, Pages
from kilonova.kit.config import ConfigError


def config(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "nova.conf"
    path.write_text(text)
    found = read("nova-compute", "nova", [COMPUTE], ["--config-file", str(path)])
    assert not found.idle
    return found.config


def test_nothing_said_is_what_the_driver_does_anyway(tmp_path: Path) -> None:
    found = config(tmp_path, "")
    assert guest_options.hardware(found) == HardwareOptions()
    assert guest_options.guest_cpu(found) == GuestCpu()
    assert guest_options.machine_type(found) == ""
    assert guest_options.disk_options(found) == DiskOptions()
    assert guest_options.migration_options(found) == MigrationOptions()


def test_how_guests_migrate_is_what_a_file_says(tmp_path: Path) -> None:
    text = """
[libvirt]
live_migration_inbound_addr = 192.0.2.7
live_migration_scheme = tls
live_migration_with_native_tls = true
live_migration_permit_post_copy = true
live_migration_permit_auto_converge = true
live_migration_bandwidth = 100
live_migration_downtime = 300
live_migration_downtime_steps = 5
live_migration_downtime_delay = 30
live_migration_completion_timeout = 60
live_migration_timeout_action = force_complete
"""
    options = MigrationOptions("192.0.2.7", "tls", True, True, True, 100, 300, 5, 30, 60, "force_complete")
    assert guest_options.migration_options(config(tmp_path, text)) == options


def test_what_a_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/swtpm")
    text = """
[DEFAULT]
reserved_huge_pages = node:0,size:2048,count:64
reserved_huge_pages = node:1,size:1GB,count:1
[libvirt]
cpu_mode = custom
cpu_models = Haswell-noTSX, Westmere
cpu_model_extra_flags = pcid, -vmx
images_type = flat
disk_cachemodes = "file=writethrough,block=none,network=writeback"
hw_disk_discard = ignore
hw_machine_type = armv7l=virt,x86_64=q35
mem_stats_period_seconds = 0
num_pcie_ports = 24
rng_dev_path = /dev/random
swtpm_enabled = true
sysinfo_serial = none
wait_soft_reboot_seconds = 7
[compute]
cpu_shared_set = 2-5,^3,7
cpu_dedicated_set = 0-1
"""
    found = config(tmp_path, text)
    assert guest_options.hardware(found) == HardwareOptions(
        pcie_ports=24,
        random_device="/dev/random",
        memory_report_seconds=0,
        smbios_serial="-",
        discard="ignore",
        shared_cpus=(2, 4, 5, 7),
        dedicated_cpus=(0, 1),
        reserved_pages=(ReservedPages(0, 2048, 64), ReservedPages(1, 1 << 20, 1)),
        has_tpm_emulator=True,
    )
    assert guest_options.guest_cpu(found) == GuestCpu("custom", "Haswell-noTSX", ("pcid", "-vmx"))
    assert guest_options.machine_type(found) == "q35"
    modes: dict[str, CacheMode] = {"file": "writethrough", "block": "none", "network": "writeback"}
    assert guest_options.disk_options(found) == DiskOptions("raw", modes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[libvirt]\nimages_type = lvm", "images_type: lvm cannot be done here; disks are files: default, qcow2"),
        ("[libvirt]\nimages_type = rbd", "images_type: rbd cannot be done here"),
        ("[libvirt]\ndisk_cachemodes = tape=none", "'tape=none' is not KIND=MODE"),
        ("[libvirt]\ndisk_cachemodes = file=fast", "modes default, none, writethrough"),
        ("[libvirt]\nhw_machine_type = q35", "'q35' is not ARCHITECTURE=MACHINE"),
        ("[libvirt]\nrng_dev_path = /dev/nothing", "there is no /dev/nothing on this host"),
        ("[libvirt]\ncpu_mode = none\ncpu_model_extra_flags = pcid", "no model to add to"),
        ("[libvirt]\nswtpm_enabled = true", "swtpm is not installed on this host"),
        ("[compute]\ncpu_shared_set = 0-8", "not within this host's processors, 0 to 7"),
        ("[compute]\ncpu_shared_set = 5-2", "not within this host's processors"),
        ("[compute]\ncpu_shared_set = two", "'two' is no number, range or exclusion"),
        ("[compute]\ncpu_shared_set = 1-2,^1-2", "leaves no processor"),
        ("[DEFAULT]\nreserved_huge_pages = 2048:64", "'2048:64' is not such as node:0,size:2048,count:64"),
        ("[DEFAULT]\nreserved_huge_pages = node:0,size:2048", "is not such as node:0,size:2048,count:64"),
        ("[DEFAULT]\nreserved_huge_pages = node:0,node:0,size:2048,count:1", "is not such as"),
        ("[DEFAULT]\nreserved_huge_pages = node:1G,size:2048,count:1", "is not such as"),
        ("[compute]\ncpu_shared_set = 0-2\ncpu_dedicated_set = 2-3", "2 stand in cpu_shared_set too"),
    ],
)
def test_what_cannot_be_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    found = config(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        guest_options.guest_cpu(found)
        guest_options.machine_type(found)
        guest_options.disk_options(found)
        guest_options.hardware(found)
    assert sentence in str(refused.value)


def test_the_host_s_own_serial_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, product = tmp_path / "machine-id", tmp_path / "product"
    monkeypatch.setattr(guest_options, "MACHINE_ID", machine)
    monkeypatch.setattr(guest_options, "PRODUCT_ID", product)
    product.write_text("6c1d1fd3-0000-4000-8000-000000000001\n")
    assert guest_options.serial_number("auto") == guest_options.serial_number("hardware") == product.read_text().strip()
    with pytest.raises(ConfigError, match="hold no UUID"):
        guest_options.serial_number("os")
    machine.write_text("6c1d1fd3000040008000000000000002\n")
    assert (
        guest_options.serial_number("os")
        == guest_options.serial_number("auto")
        == str(uuid.UUID(machine.read_text().strip()))
    )


def test_the_processors_of_guests_had_another_name_once(tmp_path: Path) -> None:
    assert guest_options.hardware(config(tmp_path, "[DEFAULT]\nvcpu_pin_set = 0\n")).shared_cpus == (0,)


def test_a_simulated_host_has_the_nodes_that_its_file_says(tmp_path: Path) -> None:
    text = """
[DEFAULT]
reserved_huge_pages = node:1,size:2048,count:10
[fake]
vcpus = 8
memory_mb = 4096
numa_nodes = 2
threads_per_core = 2
huge_pages = 2048:100
[compute]
cpu_shared_set = 0,4
cpu_dedicated_set = 1-3,5-7
"""
    found = guest_options.simulated_topology(config(tmp_path, text))
    cores = [(frozenset({4 * n, 4 * n + 1}), frozenset({4 * n + 2, 4 * n + 3})) for n in range(2)]
    nodes = [
        HostNode(
            id=n,
            shared=frozenset({4 * n}),
            dedicated=frozenset(range(4 * n + 1, 4 * n + 4)),
            cores=cores[n],
            memory_mib=2048 - 200,
            pages=(Pages(2048, 100 - 10 * n),),
        )
        for n in range(2)
    ]
    assert found == HostTopology(tuple(nodes))
    assert guest_options.simulated_topology(config(tmp_path, "")) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[compute]\ncpu_dedicated_set = 0", "a simulated host without nodes has no cpu_dedicated_set"),
        ("[fake]\nhuge_pages = 2048:1", "a simulated host without nodes has no cpu_dedicated_set and no pages"),
        ("[fake]\nnuma_nodes = 3", "1000 processors do not come out even on 3 nodes with 1 threads a core"),
        ("[fake]\nnuma_nodes = 1\nhuge_pages = large", "'large' is not SIZE_IN_KIB:COUNT"),
        ("[fake]\nnuma_nodes = 1\nmemory_mb = 100\nhuge_pages = 2048:100", "a node has 100 MiB in all"),
        ("[fake]\nnuma_nodes = 1\n[compute]\ncpu_shared_set = 1000", "not within this host's processors, 0 to 999"),
        (
            "[fake]\nnuma_nodes = 1\n[DEFAULT]\nreserved_huge_pages = node:1,size:2048,count:1",
            "has no NUMA node 1 with pages of 2048 KiB to be reserved",
        ),
    ],
)
def test_nodes_that_cannot_be_stop_the_start(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        guest_options.simulated_topology(config(tmp_path, text))
    assert sentence in str(refused.value)
