"""What is particular to the libvirt driver: files, definitions, deaths of processes on the host."""

import asyncio
import dataclasses
import hashlib
import json
import os
import stat
import subprocess
import sys
import uuid
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.devices.disks import DiskOptions
from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.libvirtd import find_daemon
from kilonova.compute.agent.spec import SpecFlavor
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import (
    IMAGE_ID,
    MIB,
    LibvirtRig,
    make_document,
    make_spec,
    settle,
    wait_for_event,
    wait_for_power,
)

pytestmark = pytest.mark.libvirt
replace = msgspec.structs.replace


def image_info(path: Path) -> dict[str, object]:
    command = ["qemu-img", "info", "-U", "--output=json", path]
    found: dict[str, object] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


async def test_the_files_lie_where_operators_look_for_them(libvirt_rig: LibvirtRig, tmp_path: Path) -> None:
    qcow2 = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", qcow2, "3M"], check=True)
    image = libvirt_rig.images.add(qcow2.read_bytes(), disk_format="qcow2")
    flavor = SpecFlavor("1", "m1.tiny", 1, 32, 2, ephemeral_gib=1, swap_mib=8)
    server_id = str(uuid.uuid4())
    document = make_document(server_id, user_data=b"#!/bin/sh\n")
    spec = make_spec(image, server_id, flavor=flavor, config_drive=True, metadata_document=document)
    await settle(libvirt_rig, spec)
    instances = libvirt_rig.options.instances_path
    base = instances / "_base" / hashlib.sha1(f"{IMAGE_ID} {image.sha512}".encode()).hexdigest()
    directory = instances / server_id
    assert image_info(base)["format"] == "raw"
    assert base.stat().st_size == 3 * MIB
    disk = image_info(directory / "disk")
    assert (disk["format"], disk["virtual-size"], disk["backing-filename"]) == ("qcow2", 2 << 30, str(base))
    assert sorted(path.name for path in directory.iterdir()) == [
        "console.log",
        "disk",
        "disk.config",
        "disk.eph0",
        "disk.info",
        "disk.swap",
        "spec.json",
    ]
    assert sorted(path.name for path in (instances / "_base").iterdir()) == [base.name]
    for secret in ("spec.json", "disk.config"):
        assert stat.S_IMODE((directory / secret).stat().st_mode) == 0o600
    assert (directory / "disk.eph0").stat().st_size == 1 << 30
    label = subprocess.run(["isoinfo", "-d", "-i", directory / "disk.config"], check=True, capture_output=True).stdout
    assert b"Volume id: config-2" in label
    listing = ["isoinfo", "-R", "-i", directory / "disk.config", "-x", "/openstack/latest/user_data"]
    assert subprocess.run(listing, check=True, capture_output=True).stdout == b"#!/bin/sh\n"


async def test_root_disks_are_raw_copies_where_the_host_says_so_and_keep_their_format(libvirt_rig: LibvirtRig) -> None:
    libvirt_rig.options = dataclasses.replace(libvirt_rig.options, disks=DiskOptions("raw"))
    await libvirt_rig.restart_agent()
    image = libvirt_rig.images.add(b"\x55" * MIB)
    spec = make_spec(image, flavor=SpecFlavor("1", "m1.tiny", 1, 32, 1))
    assert (await settle(libvirt_rig, spec)).power == "running"
    disk = libvirt_rig.options.instances_path / spec.id / "disk"
    assert disk.stat().st_size == 1 << 30
    with disk.open("rb") as file:
        assert file.read(MIB + 1) == b"\x55" * MIB + b"\0"
    await settle(libvirt_rig, replace(spec, power="stopped"))
    libvirt_rig.options = dataclasses.replace(libvirt_rig.options, disks=DiskOptions("qcow2"))
    await libvirt_rig.restart_agent()
    await settle(libvirt_rig, spec)
    driver = parse_xml(libvirt_rig.virsh("dumpxml", spec.id)).find("devices/disk/driver")
    assert driver is not None and driver.get("type") == "raw"
    small = make_spec(libvirt_rig.images.add(bytes(2 * MIB), image_id=str(uuid.uuid4())))
    await settle(libvirt_rig, small)
    assert image_info(libvirt_rig.options.instances_path / small.id / "disk")["format"] == "qcow2"


async def test_the_console_of_a_stopped_server_can_be_read(libvirt_rig: LibvirtRig) -> None:
    boot_sector = serial_writer(b"hello from the guest\n")
    spec = make_spec(libvirt_rig.images.add(boot_sector.ljust(MIB, b"\0")))
    await settle(libvirt_rig, spec)
    async with asyncio.timeout(10):
        while "guest" not in await libvirt_rig.driver.console_log(spec.id, None):
            await asyncio.sleep(0.05)
    await settle(libvirt_rig, replace(spec, power="stopped"))
    text = await libvirt_rig.driver.console_log(spec.id, None)
    assert text.endswith("hello from the guest\n")
    assert await libvirt_rig.driver.console_log(spec.id, 1) == "hello from the guest\n"
    assert await libvirt_rig.driver.console_log(spec.id, 0) == ""


def serial_writer(text: bytes) -> bytes:
    """A boot sector that writes `text` to the first serial port and halts."""
    code = (
        b"\xfc\x31\xc0\x8e\xd8"  # cld; ds = 0
        b"\xbe\x21\x7c"  # si = text
        b"\xac\x84\xc0\x74\x11"  # next: lodsb; end at NUL
        b"\x88\xc3"  # bl = al
        b"\xba\xfd\x03"  # dx = line status register
        b"\xec\xa8\x20\x74\xfb"  # wait for an empty transmitter
        b"\x88\xd8\xb2\xf8\xee"  # out data register, al
        b"\xeb\xea"  # next
        b"\xf4\xeb\xfd"  # halt
    )
    return (code + text + b"\0").ljust(510, b"\0") + b"\x55\xaa"


async def test_a_killed_libvirtd_is_started_again_and_finds_its_guests(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    guest, marker = libvirt_rig.qemu_process(spec.id), await libvirt_rig.boot_marker(spec.id)
    libvirt_rig.kill_libvirtd()
    assert (await libvirt_rig.driver.observe_server(spec.id)).power == "running"
    assert libvirt_rig.qemu_process(spec.id) == guest
    assert (await settle(libvirt_rig, spec)).power == "running"
    assert await libvirt_rig.boot_marker(spec.id) == marker
    # The new libvirtd reports a guest's end only once it has its monitor back, which this question waits for.
    libvirt_rig.virsh("qemu-monitor-command", spec.id, "--hmp", "info status")
    libvirt_rig.events.clear()
    await libvirt_rig.change_power(spec.id, "crashed")
    await wait_for_event(libvirt_rig, spec.id)


AGENT = """
import asyncio, sys
from pathlib import Path
from kilonova.compute.agent.drivers.options import LibvirtOptions
from tests.compute.agent.rigs import LibvirtRig, make_spec, settle

async def main(state_dir, server_id):
    options = LibvirtOptions(state_dir, state_dir / "instances", "host1", "127.0.0.1", use_system_libvirtd=False)
    rig = LibvirtRig(options)
    seen = await settle(rig, make_spec(rig.images.add(bytes(1 << 20)), server_id))
    print(seen.power, flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


async def test_servers_run_on_when_the_agent_is_killed_with_its_process_group(libvirt_rig: LibvirtRig) -> None:
    server_id = str(uuid.uuid4())
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AGENT, libvirt_rig.options.state_dir, server_id),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert agent.stdout is not None
    assert await asyncio.wait_for(agent.stdout.readline(), 30) == b"running\n"
    guest = libvirt_rig.qemu_process(server_id)
    os.killpg(agent.pid, 9)
    await agent.wait()
    assert os.getsid(guest) != agent.pid
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), server_id)
    assert (await settle(libvirt_rig, spec)).power == "running"
    assert libvirt_rig.qemu_process(server_id) == guest


async def test_a_change_of_the_definition_is_defined_and_takes_effect_at_the_next_start(
    libvirt_rig: LibvirtRig,
) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    renamed = replace(spec, display_name="another name", reboot_count=1, reboot_type="HARD")
    await settle(libvirt_rig, renamed)
    live = parse_xml(libvirt_rig.virsh("dumpxml", spec.id))
    namespace = "{http://openstack.org/xmlns/libvirt/nova/1.1}"
    assert live.findtext(f"metadata/{namespace}instance/{namespace}name") == "another name"


async def test_a_disk_that_was_not_connected_for_a_server_is_not_taken_from_its_guest(
    libvirt_rig: LibvirtRig, tmp_path: Path
) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    (tmp_path / "theirs").write_bytes(bytes(MIB))
    libvirt_rig.virsh("attach-disk", spec.id, f"{tmp_path}/theirs", "vdz", "--serial", "theirs", "--live")
    assert (await settle(libvirt_rig, spec)).power == "running"
    assert [each.device for each in (await libvirt_rig.driver.diagnostics(spec.id)).disks] == ["vda", "vdz"]


async def test_a_missing_definition_is_made_again(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    libvirt_rig.virsh("destroy", spec.id)
    libvirt_rig.virsh("undefine", spec.id)
    await wait_for_power(libvirt_rig, spec.id, "absent")
    assert [seen.id for seen in await libvirt_rig.driver.observe_all()] == [spec.id]
    assert (await settle(libvirt_rig, spec)).power == "running"


async def test_a_server_whose_directory_was_lost_is_still_seen_and_released(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    (libvirt_rig.options.instances_path / spec.id / "spec.json").unlink()
    assert [(seen.id, seen.epoch) for seen in await libvirt_rig.driver.observe_all()] == [(spec.id, 0)]
    await libvirt_rig.driver.release_server(spec.id, 1)
    assert not libvirt_rig.has_leftovers(spec.id)


async def test_what_a_dead_agent_left_unfinished_is_discarded(libvirt_rig: LibvirtRig) -> None:
    image = libvirt_rig.images.add(bytes(MIB))
    spec = make_spec(image, config_drive=True)
    instances = libvirt_rig.options.instances_path
    base = instances / "_base" / hashlib.sha1(f"{IMAGE_ID} {image.sha512}".encode()).hexdigest()
    directory = instances / spec.id
    base.parent.mkdir(parents=True)
    directory.mkdir()
    for path in (base.with_suffix(".part"), directory / "disk.part", directory / "disk.config.part"):
        path.write_bytes(b"half")
    (directory / "disk.config.tree").mkdir()
    assert (await settle(libvirt_rig, spec)).power == "running"
    left = [path.name for path in (*base.parent.iterdir(), *directory.iterdir()) if "." in path.name]
    assert sorted(left) == ["console.log", "disk.config", "disk.info", "spec.json"]


async def test_libvirts_refusal_is_passed_on(libvirt_rig: LibvirtRig) -> None:
    image = libvirt_rig.images.add(bytes(MIB), properties={"hw_machine_type": "pdp11"})
    with pytest.raises(HostError, match="libvirt: XML error"):
        await settle(libvirt_rig, make_spec(image))


async def test_unused_images_are_swept_and_used_ones_kept(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    other = libvirt_rig.images.add(b"x" * MIB, image_id="other")
    await settle(libvirt_rig, spec)
    gone = make_spec(other)
    await settle(libvirt_rig, gone)
    await libvirt_rig.driver.release_server(gone.id, 1)
    assert await libvirt_rig.driver.sweep_images() == []
    removed = await libvirt_rig.driver.sweep_images(min_age_seconds=0.0)
    assert [path.name for path in removed] == [hashlib.sha1(f"other {other.sha512}".encode()).hexdigest()]


async def test_the_image_of_a_server_of_the_release_before_devices_is_not_swept(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    path = libvirt_rig.options.instances_path / spec.id / "spec.json"
    record = json.loads(path.read_text())
    del record["spec"]["disks"]
    path.write_text(json.dumps(record))
    assert await libvirt_rig.driver.sweep_images(min_age_seconds=0.0) == []


def queued_seconds() -> float:
    """How long this thread has been ready to run and had no processor: the machine's doing, not ours."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def longest_pause_seconds(work: Awaitable[object]) -> float:
    """The longest time for which the loop did not come round while `work` went on, less what it queued for a
    processor.
    """
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before, queued = loop.time(), queued_seconds()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before - (queued_seconds() - queued))

    watcher = asyncio.create_task(watch())
    await work
    watcher.cancel()
    return longest


async def test_the_loop_is_not_held_while_a_server_is_built(libvirt_rig: LibvirtRig) -> None:
    await libvirt_rig.driver.inventory()
    image = libvirt_rig.images.add(bytes(4 * MIB))
    # A loaded machine may pause us by itself, but a call that blocks pauses every one of the builds.
    pauses = [await longest_pause_seconds(settle(libvirt_rig, make_spec(image, config_drive=True))) for _ in range(3)]
    assert min(pauses) < 0.05, f"the loop was held for {min(pauses):.3f} s in each build"


async def test_the_mark_of_the_private_libvirtd_is_its_run_directory(libvirt_rig: LibvirtRig) -> None:
    await libvirt_rig.driver.observe_all()
    process_id = find_daemon(libvirt_rig.sandbox, "libvirtd")
    assert Path(f"/proc/{process_id}/root/run/libvirt").samefile(libvirt_rig.sandbox / "run/libvirt")
