"""Copies of servers' disks that become images: what every driver does, and what a real disk's copy holds."""

import asyncio
import dataclasses
import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from kilonova.compute.agent.devices.disks import DiskOptions
from kilonova.compute.agent.driver import StaleEpoch
from kilonova.compute.agent.spec import ImageSource, SnapshotObservation, SnapshotSpec, SpecDisk, SpecFlavor
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import MIB, TIMEOUT_SECONDS, LibvirtRig, Rig, make_spec, settle

replace = msgspec.structs.replace


def copy_of(server_id: str, **changes: Any) -> SnapshotSpec:
    return replace(SnapshotSpec(server_id, str(uuid.uuid4()), "copied"), **changes)


async def bring(rig: Rig, spec: SnapshotSpec, epoch: int = 1) -> SnapshotObservation:
    """Asks until the stage is reached."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (seen := await rig.driver.ensure_snapshot(spec, epoch)).progress:
            await asyncio.sleep(0.02)
    return seen


@pytest.mark.parametrize("power", ["running", "paused", "stopped", "suspended"])
async def test_a_disk_is_copied_and_uploaded_whatever_its_guest_does(rig: Rig, power: str) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    await settle(rig, replace(spec, power=power))
    copy = copy_of(spec.id)
    assert (await rig.driver.ensure_snapshot(copy, 2)).progress == "copying the disk"
    assert (await bring(rig, copy, 2)).disk_format == "qcow2"
    assert rig.images.uploaded == {}
    await rig.restart_agent()
    for _ in range(2):
        await bring(rig, replace(copy, stage="uploaded"), 2)
    assert list(rig.images.uploaded) == [copy.image_id]
    assert rig.images.uploaded[copy.image_id].startswith(b"QFI\xfb")
    await bring(rig, replace(copy, stage="absent"), 2)
    assert (await rig.driver.observe_server(spec.id)).power == power
    assert (await rig.driver.observe_server(spec.id)).epoch == 2


async def test_an_older_epoch_copies_nothing(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec, 3)
    with pytest.raises(StaleEpoch):
        await rig.driver.ensure_snapshot(copy_of(spec.id), 2)


async def test_a_server_that_is_not_there_has_no_disk(rig: Rig) -> None:
    copy = copy_of(str(uuid.uuid4()))
    with pytest.raises(HostError, match="has no disk on this host"):
        await rig.driver.ensure_snapshot(copy, 1)
    assert (await rig.driver.ensure_snapshot(replace(copy, stage="absent"), 1)).progress == ""


async def test_an_upload_that_fails_is_told_once_and_tried_again_by_the_call_after_that(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    copy = copy_of(spec.id, stage="uploaded")
    rig.images.upload_failures.append("The image service is full.")
    with pytest.raises(HostError, match="is full"):
        await bring(rig, copy)
    await bring(rig, copy)
    assert list(rig.images.uploaded) == [copy.image_id]


async def test_the_release_of_a_server_ends_what_is_done_with_its_copy(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    copy = copy_of(spec.id)
    await bring(rig, copy)
    rig.images.gate.clear()
    assert (await rig.driver.ensure_snapshot(replace(copy, stage="uploaded"), 1)).progress.startswith("uploading")
    await rig.driver.release_server(spec.id, 2)
    rig.images.gate.set()
    await asyncio.sleep(0.1)
    assert rig.images.uploaded == {}
    assert not rig.has_leftovers(spec.id)


async def test_what_is_left_of_a_copy_goes_when_the_server_is_next_brought_to_what_it_should_be(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    copy = copy_of(spec.id)
    await bring(rig, copy)
    await settle(rig, spec)
    assert (await rig.driver.ensure_snapshot(copy, 1)).progress == "copying the disk"


# --- a real disk -----------------------------------------------------------------------------------------------------


def start_of(path: Path, size_bytes: int) -> bytes:
    """The first bytes of a qcow2 disk's content; the rest of it may be a GiB of zeroes."""
    raw = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    with raw.open("rb") as content:
        return content.read(size_bytes)


@pytest.mark.libvirt
@pytest.mark.parametrize("kind", ["qcow2", "raw"])
@pytest.mark.parametrize("power", ["running", "stopped"])
async def test_a_copy_has_the_whole_disk_and_nothing_under_it(
    libvirt_rig: LibvirtRig, tmp_path: Path, power: str, kind: Literal["qcow2", "raw"]
) -> None:
    libvirt_rig.options = dataclasses.replace(libvirt_rig.options, disks=DiskOptions(kind))
    await libvirt_rig.restart_agent()
    data = os.urandom(2 * MIB)
    spec = make_spec(libvirt_rig.images.add(data), flavor=SpecFlavor("1", "m1.tiny", 1, 32, 1, ephemeral_gib=1))
    await settle(libvirt_rig, spec)
    await settle(libvirt_rig, replace(spec, power=power))
    copy = copy_of(spec.id)
    await bring(libvirt_rig, copy)
    await bring(libvirt_rig, replace(copy, stage="uploaded"))
    path = tmp_path / "copy.qcow2"
    path.write_bytes(libvirt_rig.images.uploaded[copy.image_id])
    command = ["qemu-img", "info", "--output=json", path]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (shown["virtual-size"], "backing-filename" in shown) == (1 << 30, False)
    assert path.stat().st_size < 8 * MIB
    assert start_of(path, len(data)) == data
    (left,) = (libvirt_rig.options.instances_path / spec.id).glob("snapshot-*")
    assert (left.name, left.stat().st_size) == (f"snapshot-{copy.image_id}.uploaded", 0)
    await settle(libvirt_rig, spec)
    assert list((libvirt_rig.options.instances_path / spec.id).glob("snapshot-*")) == []


@pytest.mark.libvirt
@pytest.mark.parametrize("power", ["running", "stopped"])
async def test_a_copy_that_an_agent_has_begun_is_finished_by_the_next_one(libvirt_rig: LibvirtRig, power: str) -> None:
    spec = make_spec(libvirt_rig.images.add(os.urandom(24 * MIB)))
    await settle(libvirt_rig, spec)
    await settle(libvirt_rig, replace(spec, power=power))
    copy = copy_of(spec.id)
    assert (await libvirt_rig.driver.ensure_snapshot(copy, 1)).progress
    await libvirt_rig.restart_agent()
    await bring(libvirt_rig, copy)
    path = libvirt_rig.options.instances_path / spec.id / f"snapshot-{copy.image_id}"
    assert path.stat().st_size > 24 * MIB


@pytest.mark.libvirt
async def test_a_disk_that_the_host_has_no_room_to_copy_is_refused_before(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    libvirt_rig.options = dataclasses.replace(libvirt_rig.options, reserved_disk_bytes=1 << 60)
    await libvirt_rig.restart_agent()
    with pytest.raises(HostError, match="bytes to copy, and its host has"):
        await bring(libvirt_rig, copy_of(spec.id))
    assert (await libvirt_rig.driver.observe_server(spec.id)).power == "running"


@pytest.mark.libvirt
async def test_a_guest_that_has_to_be_still_and_has_no_agent_is_not_copied(libvirt_rig: LibvirtRig) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    with pytest.raises(HostError, match="cannot be made still"):
        await bring(libvirt_rig, copy_of(spec.id, quiesce="required"))
    await bring(libvirt_rig, copy_of(spec.id, quiesce="wanted"))


@pytest.mark.libvirt
async def test_a_disk_that_is_whole_needs_no_image_any_more(libvirt_rig: LibvirtRig) -> None:
    data = os.urandom(2 * MIB)
    image = libvirt_rig.images.add(data)
    spec = make_spec(image, flavor=SpecFlavor("1", "m1.tiny", 1, 32, 1))
    place, instances = spec.disks[0].place, libvirt_rig.options.instances_path
    root = SpecDisk("disk", place, ImageSource(image, 1, is_whole=True))
    spec = replace(spec, disks=(root, *spec.disks[1:]))
    await settle(libvirt_rig, spec)
    path = instances / spec.id / "disk"
    command = ["qemu-img", "info", "-U", "--output=json", path]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (shown["virtual-size"], "backing-filename" in shown) == (1 << 30, False)
    await settle(libvirt_rig, replace(spec, power="stopped"))
    for each in (instances / "_base").iterdir():
        each.unlink()
    libvirt_rig.images.contents.clear()
    assert (await settle(libvirt_rig, spec)).power == "running"
    await settle(libvirt_rig, replace(spec, power="stopped"))
    assert start_of(path, len(data)) == data
