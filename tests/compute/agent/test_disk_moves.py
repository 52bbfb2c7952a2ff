"""Disks that go to another host, and disks that are kept beside those in use: what every driver does with them."""

import asyncio
import dataclasses
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.driver import StaleEpoch
from kilonova.compute.agent.drivers.fake import FakeHost
from kilonova.compute.agent.spec import DiskOffer, ServerObservation, ServerSpec, SpecFlavor
from kilonova.kit.disks import nbd
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import MIB, TIMEOUT_SECONDS, FakeRig, LibvirtRig, Rig, change, make_spec, settle

replace = msgspec.structs.replace
Pair = tuple[Rig, Rig]
FLAVOR = SpecFlavor("1", "m1.nano", 1, 32, 1, ephemeral_gib=1, swap_mib=8)
LARGER = SpecFlavor("2", "m1.micro", 1, 48, 2, ephemeral_gib=2, swap_mib=16)


@pytest.fixture
async def other_rig(
    request: pytest.FixtureRequest, rig: Rig, public_directory: Callable[[str], Path]
) -> AsyncIterator[Rig]:
    """Another host, which reaches the first one; a real one shares its hypervisor."""
    if isinstance(rig, FakeRig):
        other = FakeRig(FakeHost("host2", delay_seconds=0.05))
        other.host.reachable = {rig.host.hostname: rig.host}
        yield other
        await other.close()
        return
    assert isinstance(rig, LibvirtRig)
    path = public_directory("lv2") / "instances"
    second = LibvirtRig(dataclasses.replace(rig.options, instances_path=path))
    yield second
    await second.driver.close()
    shutil.rmtree(path, ignore_errors=True)


def path_of(rig: Rig, server_id: str, name: str = "disk") -> Path:
    assert isinstance(rig, LibvirtRig)
    return rig.options.instances_path / server_id / name


def write(rig: Rig, server_id: str, letter: str) -> None:
    """Writes onto a disk whose guest is off."""
    if isinstance(rig, FakeRig):
        rig.host.servers[server_id].data = letter
        return
    pattern = f"write -P {ord(letter)} 64k 512"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", pattern, path_of(rig, server_id)], check=True, capture_output=True)


def reads(rig: Rig, server_id: str, letter: str) -> bool:
    """Whether that letter stands there."""
    if isinstance(rig, FakeRig):
        return rig.host.servers[server_id].data == letter
    pattern = f"read -P {ord(letter)} 64k 512"
    command = ["qemu-io", "-r", "-U", "-f", "qcow2", "-c", pattern, path_of(rig, server_id)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "read 512/512" in found.stdout, found.stderr
    return "verification failed" not in found.stdout


def size_of(rig: Rig, server_id: str, name: str = "disk") -> int:
    command = ["qemu-img", "info", "-U", "--output=json", path_of(rig, server_id, name)]
    found = subprocess.run(command, check=True, capture_output=True).stdout
    return int(msgspec.json.decode(found)["virtual-size"])


async def offered(rig: Rig, spec: ServerSpec, epoch: int = 1) -> ServerObservation:
    seen = await settle(rig, replace(spec, presence="offering"), epoch)
    assert (seen.power, seen.offer is not None) == ("stopped", True)
    return seen


async def bring(rig: Rig, spec: ServerSpec, offer: DiskOffer | None, epoch: int = 1) -> None:
    await settle(rig, replace(spec, presence="incoming", disks_from=offer), epoch)


async def test_disks_go_to_another_host_and_stay_as_they_were(rig: Rig, other_rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), flavor=FLAVOR, config_drive=True)
    await settle(rig, spec)
    await settle(rig, replace(spec, power="stopped"))
    write(rig, spec.id, "A")
    await settle(rig, spec)
    first = await offered(rig, spec)
    assert (await offered(rig, spec)).offer == first.offer
    larger = change(spec, flavor=LARGER)
    for _ in range(2):
        await bring(other_rig, larger, first.offer)
    assert reads(other_rig, spec.id, "A")
    assert other_rig.images.fetched == []
    with pytest.raises(StaleEpoch):
        await rig.driver.ensure_server(spec, 0)
    # Whoever comes back finds all as it was.
    assert (await settle(rig, replace(spec, presence="left"))).power == "stopped"
    assert reads(rig, spec.id, "A")
    assert (await settle(rig, spec)).power == "running"
    # And whoever stays has them there, and there alone.
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id) or isinstance(rig, LibvirtRig)
    assert (await settle(other_rig, larger)).power == "running"
    assert reads(other_rig, spec.id, "A")
    if isinstance(other_rig, LibvirtRig):
        sizes = [size_of(other_rig, spec.id, name) for name in ("disk", "disk.eph0", "disk.swap")]
        assert sizes == [2 << 30, 2 << 30, 16 << 20]
        assert path_of(other_rig, spec.id).stat().st_blocks * 512 < 4 * MIB, "holes stay holes"
        assert not list((other_rig.options.instances_path / spec.id).glob("*.part"))
    await other_rig.driver.release_server(spec.id, 1)
    assert not other_rig.has_leftovers(spec.id)


async def test_an_offer_outlives_its_agent_and_ends_with_the_server(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    before = await offered(rig, spec)
    await rig.restart_agent()
    assert (await offered(rig, spec)).offer == before.offer
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id)
    if isinstance(rig, LibvirtRig) and before.offer is not None:
        assert not await nbd.is_served(before.offer.address, before.offer.port)


async def test_disks_that_nobody_offers_do_not_come(rig: Rig, other_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nbd, "CONNECTING_SECONDS", 1)
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    offer = (await offered(rig, spec)).offer
    await settle(rig, replace(spec, presence="left"))
    assert offer is not None
    with pytest.raises(HostError, match=r"could not be copied|offers no disks"):
        await bring(other_rig, spec, offer)
    await other_rig.driver.release_server(spec.id, 1)


@pytest.mark.libvirt
async def test_a_disk_larger_than_the_flavors_does_not_come(
    libvirt_rig: LibvirtRig, public_directory: Callable[[str], Path]
) -> None:
    rig = libvirt_rig
    path = public_directory("image") / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "2G"], check=True)
    image = rig.images.add(path.read_bytes(), disk_format="qcow2")
    spec = make_spec(image, flavor=SpecFlavor("1", "m1.nano", 1, 32, 0))
    await settle(rig, spec)
    assert size_of(rig, spec.id) == 2 << 30
    other = LibvirtRig(dataclasses.replace(rig.options, instances_path=public_directory("lv3") / "instances"))
    with pytest.raises(HostError, match="disks can only become larger"):
        await bring(other, change(spec, flavor=SpecFlavor("2", "m1.less", 1, 32, 1)), (await offered(rig, spec)).offer)
    await other.driver.close()


async def test_the_disks_from_before_are_kept_and_put_back(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), flavor=FLAVOR)
    await settle(rig, spec)
    await settle(rig, replace(spec, power="stopped"))
    write(rig, spec.id, "A")
    await settle(rig, spec)
    larger = change(spec, flavor=LARGER, former_disks="kept")
    assert (await settle(rig, larger)).power == "running"
    await settle(rig, replace(larger, power="stopped"))
    assert reads(rig, spec.id, "A")
    write(rig, spec.id, "B")
    await settle(rig, larger)
    await rig.restart_agent()
    for _ in range(2):
        assert (await settle(rig, replace(spec, former_disks="back"))).power == "running"
        assert reads(rig, spec.id, "A")
    if isinstance(rig, LibvirtRig):
        sizes = [size_of(rig, spec.id, name) for name in ("disk", "disk.eph0", "disk.swap")]
        assert sizes == [1 << 30, 1 << 30, 8 << 20]
        assert not path_of(rig, spec.id, "former").exists() and not path_of(rig, spec.id, "returning").exists()


async def test_the_disks_from_before_go_while_the_guest_runs_on(rig: Rig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), flavor=FLAVOR)
    await settle(rig, spec)
    larger = change(spec, flavor=LARGER, former_disks="kept")
    await settle(rig, larger)
    marker = await rig.boot_marker(spec.id)
    assert (await settle(rig, replace(larger, former_disks="gone"))).power == "running"
    assert await rig.boot_marker(spec.id) == marker
    if isinstance(rig, LibvirtRig):
        assert not path_of(rig, spec.id, "former").exists()
        assert size_of(rig, spec.id) == 2 << 30
    else:
        assert isinstance(rig, FakeRig)
        assert rig.host.servers[spec.id].former_data is None


@pytest.mark.libvirt
async def test_whoever_dies_while_disks_are_put_back_is_followed_by_one_that_goes_on(libvirt_rig: LibvirtRig) -> None:
    rig = libvirt_rig
    spec = make_spec(rig.images.add(bytes(MIB)), flavor=FLAVOR, power="stopped")
    await settle(rig, spec)
    write(rig, spec.id, "A")
    await settle(rig, change(spec, flavor=LARGER, former_disks="kept"))
    write(rig, spec.id, "B")
    # As it is between two of its renames: the present disks are gone, one of the former ones is back.
    directory = rig.options.instances_path / spec.id
    for path in directory.glob("disk*"):
        if path.name != "disk.info":
            path.unlink()
    (directory / "former").rename(directory / "returning")
    (directory / "returning" / "disk").rename(directory / "disk")
    await settle(rig, replace(spec, former_disks="back"))
    assert reads(rig, spec.id, "A")
    assert size_of(rig, spec.id, "disk.eph0") == 1 << 30


@pytest.mark.libvirt
async def test_a_copy_goes_on_when_its_offer_was_killed_and_comes_back(
    libvirt_rig: LibvirtRig, public_directory: Callable[[str], Path]
) -> None:
    """The reader waits for the server and goes on where it was."""
    rig = libvirt_rig
    spec = make_spec(rig.images.add(os.urandom(64 * MIB)))
    await settle(rig, spec)
    offer = (await offered(rig, spec)).offer
    other = LibvirtRig(dataclasses.replace(rig.options, instances_path=public_directory("lv4") / "instances"))
    incoming = replace(spec, presence="incoming", disks_from=offer)
    await other.driver.ensure_server(incoming, 1)
    for process in _serving(path_of(rig, spec.id)):
        os.kill(process, signal.SIGKILL)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (await other.driver.ensure_server(incoming, 1)).progress:
            await asyncio.sleep(0.1)
            # Its agent finds that nobody serves the disks, and serves them again, at the same place or another one.
            again = await rig.driver.ensure_server(replace(spec, presence="offering"), 1)
            incoming = replace(incoming, disks_from=again.offer or incoming.disks_from)
    assert path_of(other, spec.id).exists()
    await other.driver.close()


def _serving(path: Path) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"qemu-storage-daemon.*{path}"], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


@pytest.mark.libvirt
async def test_whoever_has_another_key_gets_nothing(
    libvirt_rig: LibvirtRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nbd, "CONNECTING_SECONDS", 1)
    rig = libvirt_rig
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    offer = (await offered(rig, spec)).offer
    assert offer is not None
    nbd.write_keys(tmp_path / "keys", "0" * 64)
    command = await nbd.copying(
        "disk", nbd.Place(offer.address, offer.port, tmp_path / "keys"), tmp_path / "d", "raw", MIB
    )
    arguments = [str(each) for each in command.arguments]
    refused = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode != 0
    plain = ["qemu-img", "info", f"nbd://{offer.address}:{offer.port}/disk"]
    told = subprocess.run(plain, capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode != 0, "TLS" in told.stderr) == (True, True)
