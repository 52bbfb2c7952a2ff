"""Volumes behind iSCSI targets, in real guests: QEMU opens them by itself, and libvirt gives it the secret."""

import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from kilonova.block_storage.agent.drivers.lvm.exports import Export
from kilonova.compute.agent.drivers.domain_xml.secrets import secret_id_of
from kilonova.compute.agent.spec import DiskPlace, SpecDisk, VolumeSource
from kilonova.kit.connectors import Chap, IscsiConnection
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import MIB, LibvirtRig, Rig, make_spec, settle
from tests.compute.agent.test_driver_contract import devices_of
from tests.storage_hosts import Initiator, Tgtd, free_port

pytestmark = pytest.mark.root
replace = msgspec.structs.replace


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[SpecDisk, Tgtd]]:
    """A volume of a MiB behind a target, and what serves it."""
    tgtd, volume_id, attachment_id = Tgtd(tmp_path, free_port()), str(uuid.uuid4()), str(uuid.uuid4())
    path = tmp_path / "volume"
    path.write_bytes(bytes(MIB))
    tgtd.start()
    try:
        export = Export(
            attachment_id=attachment_id,
            volume_id=volume_id,
            target=f"iqn.2010-10.org.openstack:volume-{volume_id}.{attachment_id}",
            username=attachment_id,
            secret="correct-horse-16",
        )
        await tgtd.targets.ensure(export, path)
        chap = Chap(username=export.username, secret=export.secret)
        connection = IscsiConnection(portals=(tgtd.portal,), target=export.target, unit=1, chap=chap)
        place = DiskPlace("sdb", "scsi", volume_id)
        yield SpecDisk(volume_id, place, VolumeSource(volume_id, connection)), tgtd
    finally:
        tgtd.stop()


def connection_of(volume: SpecDisk) -> IscsiConnection:
    assert isinstance(volume.source, VolumeSource) and isinstance(volume.source.connection, IscsiConnection)
    return volume.source.connection


async def test_a_running_guest_gets_and_loses_a_volume(rig: Rig, served: tuple[SpecDisk, Tgtd]) -> None:
    volume, _tgtd = served
    spec = make_spec(rig.images.add(bytes(MIB), properties={"hw_disk_bus": "scsi"}))
    await settle(rig, spec)
    marker = await rig.boot_marker(spec.id)
    for _ in range(2):
        assert (await settle(rig, replace(spec, disks=(*spec.disks, volume)))).power == "running"
        assert (await devices_of(rig, spec))[0] == ["sda", "sdb"]
        assert rig.connected(spec.id) == {volume.place.serial}
        await rig.restart_agent()
    await settle(rig, spec)
    assert ((await devices_of(rig, spec))[0], rig.connected(spec.id)) == (["sda"], set())
    assert await rig.boot_marker(spec.id) == marker


def write(rig: LibvirtRig, server_id: str, volume: SpecDisk, command: str) -> None:
    """Writes through the guest's own disk; what comes of it stands on the target."""
    shown = rig.virsh("qemu-monitor-command", server_id, "--hmp", "info block")
    told = shown.partition(connection_of(volume).target)[2].partition("Attached to:")[2]
    rig.virsh("qemu-monitor-command", server_id, "--hmp", f'qemu-io -d {told.split()[0]} "{command}"')


@pytest.mark.libvirt
async def test_what_a_guest_writes_is_on_the_target_and_the_secret_is_nowhere(
    libvirt_rig: LibvirtRig, served: tuple[SpecDisk, Tgtd], tmp_path: Path
) -> None:
    rig, (volume, tgtd) = libvirt_rig, served
    spec = make_spec(rig.images.add(bytes(MIB)))
    with_volume = replace(spec, disks=(*spec.disks, volume))
    await settle(rig, with_volume)
    assert "I_T nexus: " in tgtd.show("target")
    write(rig, spec.id, volume, "write -P 9 0 64k")
    secret = connection_of(volume).chap
    assert secret is not None
    command_line = Path(f"/proc/{rig.qemu_process(spec.id)}/cmdline").read_text()
    definition = rig.virsh("dumpxml", "--security-info", spec.id)
    assert connection_of(volume).target in definition
    assert secret.secret not in command_line and secret.secret not in definition
    secret_id = secret_id_of(connection_of(volume).target)
    assert secret_id in rig.virsh("secret-list")
    with pytest.raises(subprocess.CalledProcessError):
        rig.virsh("secret-get-value", secret_id)
    # A libvirtd that was restarted has forgotten it, and a guest that is started anew needs it.
    rig.kill_libvirtd()
    await settle(rig, replace(with_volume, reboot_count=1, reboot_type="HARD"))
    assert "I_T nexus: " in tgtd.show("target")
    await rig.driver.release_server(spec.id, 1)
    assert secret_id not in rig.virsh("secret-list")
    assert (tmp_path / "volume").read_bytes()[:2] == b"\x09\x09"
    assert Initiator(connection_of(volume)).io("read -P 9 0 64k").startswith("read 65536/65536")


@pytest.mark.libvirt
async def test_a_wrong_secret_is_refused_and_leaves_the_guest_without_the_volume(
    libvirt_rig: LibvirtRig, served: tuple[SpecDisk, Tgtd]
) -> None:
    rig, (volume, _tgtd) = libvirt_rig, served
    spec = make_spec(rig.images.add(bytes(MIB), properties={"hw_disk_bus": "scsi"}))
    await settle(rig, spec)
    right = connection_of(volume)
    assert right.chap is not None
    wrong = replace(right, chap=replace(right.chap, secret="wrong-horse-16xx"))
    source = VolumeSource(volume.place.serial, wrong)
    with pytest.raises(HostError, match=r"libvirt: .*[Aa]uthentication"):
        await settle(rig, replace(spec, disks=(*spec.disks, replace(volume, source=source))))
    await settle(rig, spec)
    assert ((await devices_of(rig, spec))[0], rig.connected(spec.id)) == (["sda"], set())


@pytest.mark.libvirt
async def test_a_target_that_nobody_serves_is_refused_by_its_name(
    libvirt_rig: LibvirtRig, served: tuple[SpecDisk, Tgtd]
) -> None:
    rig, (volume, tgtd) = libvirt_rig, served
    tgtd.stop()
    spec = make_spec(rig.images.add(bytes(MIB)))
    with pytest.raises(HostError, match=f"{connection_of(volume).target} cannot be reached"):
        await settle(rig, replace(spec, disks=(*spec.disks, volume)))
    await rig.driver.release_server(spec.id, 1)
    assert not rig.has_leftovers(spec.id)
