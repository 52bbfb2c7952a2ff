"""Disks made anew: what every driver does, and what becomes of real files."""

import uuid
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.spec import SpecFlavor
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import MIB, LibvirtRig, Rig, change, make_spec, make_volume, settle

replace = msgspec.structs.replace
OTHER_IMAGE = "0b2b5d29-6f2f-4d1e-9f3f-d9f2d0c7a002"


@pytest.mark.parametrize("power", ["running", "stopped"])
async def test_a_raised_count_makes_the_disks_anew_once(rig: Rig, power: str) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), rebuild_count=3, power=power)
    await settle(rig, spec)
    other = rig.images.add(bytes(2 * MIB), image_id=OTHER_IMAGE)
    rebuilt = replace(change(spec, image=other), rebuild_count=4)
    before = await rig.boot_marker(spec.id) if power == "running" else None
    assert (await settle(rig, rebuilt)).power == power
    if power == "running":
        after = await rig.boot_marker(spec.id)
        assert after != before
        await rig.restart_agent()
        await settle(rig, rebuilt)
        assert await rig.boot_marker(spec.id) == after
    assert rig.images.fetched == [spec.image.id if spec.image else "", OTHER_IMAGE]


async def test_what_a_suspended_guest_had_in_memory_is_given_up(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    await settle(rig, replace(spec, power="suspended"))
    assert (await settle(rig, replace(spec, rebuild_count=1))).power == "running"


async def test_an_image_that_cannot_be_fetched_leaves_the_guest_as_it_was(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    before = await rig.boot_marker(spec.id)
    bad = replace(rig.images.add(bytes(MIB), image_id=OTHER_IMAGE), sha512="0" * 128)
    with pytest.raises(HostError, match="SHA-512"):
        await settle(rig, replace(change(spec, image=bad), rebuild_count=1))
    assert await rig.boot_marker(spec.id) == before
    assert (await rig.driver.observe_server(spec.id)).power == "running"


async def test_volumes_stay(rig: Rig, tmp_path: Path) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    volume = make_volume(tmp_path / "volume")
    spec = replace(spec, disks=(*spec.disks, volume))
    await settle(rig, spec)
    await settle(rig, replace(spec, rebuild_count=1))
    assert rig.connected(spec.id) == {volume.place.serial}


@pytest.mark.libvirt
@pytest.mark.parametrize("keeps_ephemeral", [False, True])
async def test_only_an_ephemeral_disk_may_be_kept(libvirt_rig: LibvirtRig, keeps_ephemeral: bool) -> None:
    server_id = str(uuid.uuid4())
    flavor = SpecFlavor("1", "m1.tiny", 1, 32, 0, ephemeral_gib=1)
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), server_id, flavor=flavor, config_drive=True, power="stopped")
    await settle(libvirt_rig, spec)
    directory = libvirt_rig.options.instances_path / server_id
    before = {path.name: path.stat().st_ino for path in directory.glob("disk*")}
    with (directory / "disk.eph0").open("r+b") as file:
        file.write(b"kept")
    wanted = replace(spec, rebuild_count=1, keeps_ephemeral=keeps_ephemeral)
    await settle(libvirt_rig, wanted)
    after = {path.name: path.stat().st_ino for path in directory.glob("disk*")}
    assert before.keys() == after.keys() == {"disk", "disk.config", "disk.eph0", "disk.info"}
    assert ((directory / "disk.eph0").read_bytes()[:4] == b"kept") == keeps_ephemeral
