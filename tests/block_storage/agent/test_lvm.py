"""The driver `lvm` beyond the contract of all drivers, on a real volume group and with a real tgtd."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kilonova.block_storage.agent.drivers.lvm.driver import LvmDriver, LvmOptions
from kilonova.block_storage.agent.drivers.lvm.exports import Exports
from kilonova.block_storage.agent.drivers.lvm.tgt import TargetState, TgtTargets, read_targets
from kilonova.block_storage.agent.drivers.lvm.volume_group import VolumeGroup, conf_file
from kilonova.block_storage.agent.spec import GIB, Blank, VolumeSource, VolumeSpec
from kilonova.kit.connectors import IscsiConnection
from kilonova.kit.host_commands import HostError
from tests.block_storage.agent.test_driver_contract import LvmRig, first_byte, new_id, settle
from tests.storage_hosts import Initiator, Tgtd, free_port, volume_group

root = pytest.mark.root


@pytest.fixture
def lvm(public_directory: Callable[[str], Path]) -> Iterator[LvmRig]:
    """A storage host of its own: what a test does to it concerns no other."""
    directory = public_directory("host")
    tgtd = Tgtd(directory, free_port())
    with volume_group(directory) as group:
        tgtd.start()
        rig = LvmRig(public_directory("volumes"), group, tgtd)
        try:
            yield rig
            asyncio.run(rig.empty())
        finally:
            tgtd.stop()


async def connected(rig: LvmRig, volume_id: str, attachment_id: str) -> IscsiConnection:
    connection = await rig.driver.connection_to(volume_id, attachment_id)
    assert isinstance(connection, IscsiConnection)
    return connection


@root
async def test_an_attachment_reaches_its_volume_with_its_own_secret_alone(lvm: LvmRig) -> None:
    volumes, attachments = [await lvm.made() for _ in range(2)], [new_id() for _ in range(2)]
    first, second = [await connected(lvm, *each) for each in zip(volumes, attachments, strict=True)]
    assert await connected(lvm, volumes[0], attachments[0]) == first
    assert first.chap is not None and second.chap is not None and first.chap.secret != second.chap.secret
    assert first_byte(Initiator(first).io("read -v 0 1")) == 0
    stranger = Initiator(replace_chap(first, second))
    for refused in (Initiator(first, secret="wrong"), Initiator(first, secret=second.chap.secret), stranger):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            refused.io("read -v 0 1")
        assert "Authentication failure" in failed.value.stderr
    with pytest.raises(HostError, match=f"is one of volume {volumes[0]}"):
        await lvm.driver.connection_to(volumes[1], attachments[0])


def replace_chap(connection: IscsiConnection, other: IscsiConnection) -> IscsiConnection:
    return IscsiConnection(portals=connection.portals, target=connection.target, unit=connection.unit, chap=other.chap)


@root
async def test_a_session_ends_with_its_attachment(lvm: LvmRig) -> None:
    volume_id, attachments = await lvm.made(), [new_id(), new_id()]
    kept, ended = [await connected(lvm, volume_id, each) for each in attachments]
    with Initiator(ended).session() as session:
        assert "I_T nexus: " in lvm.tgtd.show("target")
        await lvm.driver.disconnect(volume_id, attachments[1])
        assert "I_T nexus: " not in lvm.tgtd.show("target")
        session.kill()
    assert await lvm.tgtd.targets.find_all() == {kept.target}
    assert attachments[1] not in lvm.tgtd.show("account")
    assert first_byte(Initiator(kept).io("read -v 0 1")) == 0
    await lvm.driver.disconnect(volume_id, None)
    assert await lvm.tgtd.targets.find_all() == set()
    assert lvm.windows() == []


@root
async def test_targets_are_made_again_after_a_restart_of_tgtd(lvm: LvmRig) -> None:
    volume_id, attachment_id = await lvm.made(), new_id()
    connection = await connected(lvm, volume_id, attachment_id)
    await asyncio.to_thread(Initiator(connection).io, "write -P 5 0 64k")
    lvm.tgtd.restart()
    lvm.restart()
    await lvm.driver.keep_up()
    assert first_byte(await asyncio.to_thread(Initiator(connection).io, "read -v 0 1")) == 5
    lvm.tgtd.stop()
    await lvm.driver.disconnect(volume_id, attachment_id)
    lvm.tgtd.start()
    await lvm.driver.keep_up()
    assert await lvm.tgtd.targets.find_all() == set()


@root
async def test_what_cannot_be_exported_is_refused_and_does_not_come_later(lvm: LvmRig) -> None:
    volume_id = await lvm.made()
    lvm.tgtd.stop()
    with pytest.raises(HostError, match=r"tgtd does not answer at .*: start it"):
        await lvm.driver.connection_to(volume_id, new_id())
    lvm.tgtd.start()
    await lvm.driver.keep_up()
    assert await lvm.tgtd.targets.find_all() == set()
    assert lvm.windows() == []


@root
async def test_nobody_reads_what_others_have_written(lvm: LvmRig) -> None:
    volume_id = await lvm.made(size_gib=3)
    async with lvm.attached(volume_id) as initiator:
        for gib in range(3):
            await asyncio.to_thread(initiator.io, f"write -P 7 {gib}G 64k")
    await lvm.driver.release_volume(volume_id, 2)
    made = await lvm.made()
    await settle(lambda: lvm.driver.extend_volume(made, 3, 2))
    async with lvm.attached(made) as initiator:
        seen = [first_byte(await asyncio.to_thread(initiator.io, f"read -v {gib}G 1")) for gib in range(3)]
    assert seen == [0, 0, 0]


@root
async def test_room_is_as_it_was_where_nothing_is_to_be_overwritten(lvm: LvmRig) -> None:
    volume_id = await lvm.made()
    await lvm.write(volume_id, 7)
    await lvm.driver.release_volume(volume_id, 2)
    lvm.driver = LvmDriver(replace(lvm.lvm.options, wipes=False), lvm.tgtd.targets, lvm.fetch)
    assert await lvm.read(await lvm.made()) == 7


@root
async def test_a_volume_grows_under_its_attachment(lvm: LvmRig) -> None:
    volume_id, attachment_id = await lvm.made(), new_id()
    connection = await connected(lvm, volume_id, attachment_id)
    await settle(lambda: lvm.driver.extend_volume(volume_id, 2, 1))
    await asyncio.to_thread(Initiator(connection).io, f"write -P 3 {2 * GIB - 512} 512")
    assert await connected(lvm, volume_id, attachment_id) == connection


@root
async def test_what_an_extension_has_yet_to_overwrite_is_shown_to_nobody(lvm: LvmRig) -> None:
    volume_id, attachment_id = await lvm.made(), new_id()
    connection = await connected(lvm, volume_id, attachment_id)
    await lvm.driver.disconnect(volume_id, None)
    assert not (await lvm.driver.extend_volume(volume_id, 2, 1)).is_done
    with pytest.raises(HostError, match="is being extended"):
        await lvm.driver.connection_to(volume_id, attachment_id)
    await settle(lambda: lvm.driver.extend_volume(volume_id, 2, 1))
    assert (await connected(lvm, volume_id, attachment_id)).target == connection.target
    assert not (await lvm.driver.extend_volume(volume_id, 3, 1)).is_done
    await lvm.driver.keep_up()
    assert await lvm.tgtd.targets.find_all() == set()
    await settle(lambda: lvm.driver.extend_volume(volume_id, 3, 1))
    assert await lvm.tgtd.targets.find_all() == {connection.target}


@root
async def test_a_copy_leaves_no_device_of_its_source(lvm: LvmRig) -> None:
    volume_id = await lvm.made()
    await lvm.made(VolumeSource(volume_id=volume_id))
    assert lvm.windows() == []


@root
async def test_a_group_without_room_refuses_in_lvms_words_and_keeps_nothing(lvm: LvmRig) -> None:
    first = await lvm.made()
    await lvm.made()
    with pytest.raises(HostError, match="insufficient free space"):
        await settle(lambda: lvm.driver.ensure_volume(VolumeSpec(new_id(), 100, Blank()), 1))
    with pytest.raises(HostError, match="Insufficient suitable contiguous"):
        await settle(lambda: lvm.driver.extend_volume(first, 2, 2))
    assert len(await lvm.leftovers()) == 2
    assert (await lvm.size_gib(first), await lvm.read(first)) == (1, 0)
    (pool,) = await lvm.driver.pools()
    assert (pool.storage_protocol, pool.thick_provisioning_support, pool.thin_provisioning_support) == (
        "iSCSI",
        True,
        False,
    )
    assert pool.total_capacity_gb - pool.free_capacity_gb == 2


@root
async def test_snapshots_are_refused_without_device_mapper(lvm: LvmRig) -> None:
    volume_id = await lvm.made()
    for ask in (lvm.driver.ensure_snapshot(new_id(), volume_id, 1), lvm.driver.revert_volume(volume_id, new_id(), 1)):
        with pytest.raises(HostError, match="no device-mapper: logical volumes have no snapshots here"):
            await ask


@root
async def test_a_group_that_is_not_there_makes_a_pool_that_is_down(lvm: LvmRig) -> None:
    options = replace(lvm.lvm.options, group=replace(lvm.group, name="nowhere"))
    (pool,) = await LvmDriver(options, lvm.tgtd.targets, lvm.fetch).pools()
    assert (pool.backend_state, pool.total_capacity_gb) == ("down", 0)
    assert "not found" in pool.trouble


def test_a_host_without_the_commands_is_told_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(_image_id: str) -> AsyncIterator[bytes]:
        yield b""

    monkeypatch.setenv("PATH", str(tmp_path))
    options = LvmOptions(directory=tmp_path, group=VolumeGroup("g"), portal="127.0.0.1:3260")
    with pytest.raises(HostError, match="The command lvs is not installed on this host: it is in lvm2"):
        LvmDriver(options, TgtTargets(tmp_path / "s"), fetch).prepare()


def test_a_file_of_settings_has_the_one_name_that_lvm_reads(tmp_path: Path) -> None:
    assert conf_file("") is None and conf_file(str(tmp_path / "lvm.conf")) is None
    for name in ("lvm.conf", "other.conf"):
        (tmp_path / name).touch()
    assert conf_file(str(tmp_path / "lvm.conf")) == tmp_path / "lvm.conf"
    with pytest.raises(HostError, match=r"other.conf is not called lvm.conf"):
        conf_file(str(tmp_path / "other.conf"))


def test_an_export_that_is_damaged_is_named(tmp_path: Path) -> None:
    exports, attachment_id = Exports(tmp_path / "exports", "iqn.2010-10.org.openstack:"), new_id()
    export = exports.ensure(attachment_id, new_id())
    assert (tmp_path / "exports" / f"{attachment_id}.json").stat().st_mode & 0o777 == 0o600
    assert export.secret not in repr(export) and len(export.secret) == 16
    (tmp_path / "exports" / f"{attachment_id}.json").write_text("{")
    with pytest.raises(HostError, match="is damaged"):
        exports.find_all()
    with pytest.raises(HostError, match="is not the id"):
        exports.ensure("../x", new_id())


SHOWN = """Target 1: iqn.a:one
    LUN information:
        LUN: 0
            Backing store path: None
        LUN: 1
            Type: disk
            Backing store path: /dev/loop7
    Account information:
        u1
    ACL information:
        ALL
Target 12: iqn.a:two
    LUN information:
        LUN: 0
            Backing store path: None
    ACL information:
"""


def test_targets_are_read_from_what_tgtd_shows() -> None:
    assert read_targets("") == {}
    assert read_targets(SHOWN) == {
        "iqn.a:one": TargetState(1, "/dev/loop7", is_open=True),
        "iqn.a:two": TargetState(12, "", is_open=False),
    }


@root
async def test_what_tgtd_refuses_is_said_with_its_reason(lvm: LvmRig, tmp_path: Path) -> None:
    export = Exports(tmp_path, "iqn.2010-10.org.openstack:").ensure(new_id(), new_id())
    with pytest.raises(HostError, match="tgtd refuses to serve /nowhere"):
        await lvm.tgtd.targets.ensure(export, Path("/nowhere"))
    assert await lvm.tgtd.targets.find_all() == set()
