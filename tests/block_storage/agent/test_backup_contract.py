"""The contract of what keeps backups: runs on the fake, and on files whose volumes `qemu-nbd` opens."""

import asyncio
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kilonova.block_storage.agent.backups.chunked import BackupOptions, ChunkedBackups
from kilonova.block_storage.agent.backups.contract import BackupObservation, BackupSpec, RestoreArguments
from kilonova.block_storage.agent.backups.driver import BackupDriver
from kilonova.block_storage.agent.backups.fake import FakeBackups, FakeStore
from kilonova.block_storage.agent.backups.stores import ObjectMissing, PosixStore, Store
from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.drivers.fake import FakeVolume
from kilonova.block_storage.agent.drivers.lvm.exports import Export
from kilonova.kit.connectors import Chap, FileConnection, IscsiConnection
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.disks.confinement import give, qemu_account
from kilonova.kit.host_commands import HostError
from tests.storage_hosts import Tgtd, free_port

MIB = 1 << 20
CONTAINER = "vault"


def new_id() -> str:
    return str(uuid.uuid4())


class Rig(ABC):
    """A keeper of backups, and volumes of 8 MiB beside it."""

    driver: BackupDriver

    @abstractmethod
    def restart(self) -> None:
        """Stands for the next agent of the host."""

    @abstractmethod
    async def make(self, volume_id: str, letter: str) -> None:
        """Makes a volume, or writes another letter into the same place of it."""

    @abstractmethod
    async def letter_of(self, volume_id: str) -> str: ...

    @abstractmethod
    def kept(self) -> set[str]:
        """The ids of the backups of which anything is kept."""

    @abstractmethod
    def damage(self, backup_id: str) -> None: ...

    @abstractmethod
    def way(self, volume_id: str) -> FileConnection: ...

    async def back_up(self, volume_id: str, backup_id: str, parent_id: str | None = None) -> BackupObservation:
        spec = BackupSpec(id=backup_id, container=CONTAINER, size_gib=1, parent_id=parent_id)
        async with asyncio.timeout(60):
            while not (seen := await self.driver.ensure_backup(spec, self.way(volume_id), 1)).is_done:
                await asyncio.sleep(0.05)
        return seen

    async def restore(self, backup_id: str, volume_id: str, task_id: str = "task", epoch: int = 1) -> None:
        asked = RestoreArguments(backup_id, CONTAINER, volume_id, self.way(volume_id), task_id, epoch)
        async with asyncio.timeout(60):
            while not (await self.driver.restore_volume(asked)).is_done:
                await asyncio.sleep(0.05)

    async def release(self, backup_id: str, epoch: int = 2) -> None:
        while not (await self.driver.release_backup(backup_id, CONTAINER, epoch)).is_done:
            await asyncio.sleep(0.05)


class FakeRig(Rig):
    def __init__(self) -> None:
        self.store, self.volumes = FakeStore(), dict[str, FakeVolume]()
        self.restart()

    def restart(self) -> None:
        self.driver = FakeBackups(self.store, lambda path: self.volumes.get(path.name))

    async def make(self, volume_id: str, letter: str) -> None:
        self.volumes[volume_id] = FakeVolume(1, letter)

    async def letter_of(self, volume_id: str) -> str:
        return self.volumes[volume_id].content

    def kept(self) -> set[str]:
        return set(self.store.contents)

    def damage(self, backup_id: str) -> None:
        self.store.is_broken = f"The chunk 1 of {backup_id} is damaged."

    def way(self, volume_id: str) -> FileConnection:
        return FileConnection(path=f"/fake/{volume_id}", disk_format="raw")


class ChunkedRig(Rig):
    def __init__(self, directory: Path, disk_format: DiskFormat, compression: str) -> None:
        self.directory, self.disk_format = directory, disk_format
        self.options = BackupOptions(
            root=directory / "store", state=directory / "state", chunk_bytes=MIB, compression=compression
        )
        self.restart()

    def restart(self) -> None:
        self.driver = ChunkedBackups(self.options)

    async def make(self, volume_id: str, letter: str) -> None:
        path, disk_format = self.directory / volume_id, self.disk_format
        if not path.exists():
            subprocess.run(["qemu-img", "create", "-q", "-f", disk_format, path, "8M"], check=True)
        write = ["qemu-io", "-f", disk_format, "-c", f"write -P {ord(letter)} 3M 64k", str(path)]
        subprocess.run(write, check=True, capture_output=True)
        give(path, qemu_account())

    async def letter_of(self, volume_id: str) -> str:
        raw = self.directory / "raw"
        path = self.directory / volume_id
        subprocess.run(["qemu-img", "convert", "-f", self.disk_format, "-O", "raw", path, raw], check=True)
        content = raw.read_bytes()
        assert len(content) == 8 * MIB
        written = content[3 * MIB : 3 * MIB + 65536]
        assert content.count(0) == len(content) - 65536 and len(set(written)) == 1
        return chr(written[0])

    def kept(self) -> set[str]:
        place = self.options.root / CONTAINER
        return {each.name for each in place.iterdir()} if place.exists() else set()

    def objects(self, backup_id: str) -> list[Path]:
        return sorted((self.options.root / CONTAINER / backup_id).iterdir())

    def damage(self, backup_id: str) -> None:
        chunk = self.objects(backup_id)[0]
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 0xFF
        chunk.write_bytes(data)

    def way(self, volume_id: str) -> FileConnection:
        return FileConnection(path=str(self.directory / volume_id), disk_format=self.disk_format)


REAL: list[tuple[DiskFormat, str]] = [("raw", "zlib"), ("qcow2", "none"), ("raw", "bz2")]


@pytest.fixture(params=["fake", *REAL], ids=str)
async def rig(request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> Rig:
    if request.param == "fake":
        return FakeRig()
    chunked = ChunkedRig(public_directory("backups"), *request.param)
    await chunked.driver.prepare()
    return chunked


async def test_a_backup_is_restored_to_another_volume(rig: Rig) -> None:
    volume_id, other_id, backup_id = new_id(), new_id(), new_id()
    await rig.make(volume_id, "a")
    await rig.make(other_id, "b")
    seen = await rig.back_up(volume_id, backup_id)
    assert seen.object_count > 0
    assert await rig.back_up(volume_id, backup_id) == seen
    rig.restart()
    await rig.restore(backup_id, other_id)
    await rig.restore(backup_id, other_id)
    await rig.driver.stop_restore(other_id, 1)
    await rig.driver.stop_restore(other_id, 1)
    assert await rig.letter_of(other_id) == "a"
    await rig.make(other_id, "c")
    await rig.restore(backup_id, other_id, "another task", 2)
    assert await rig.letter_of(other_id) == "a"


async def test_an_incremental_backup_has_what_has_changed(rig: Rig) -> None:
    volume_id, full_id, part_id, last_id = new_id(), new_id(), new_id(), new_id()
    await rig.make(volume_id, "a")
    await rig.back_up(volume_id, full_id)
    await rig.make(volume_id, "b")
    await rig.back_up(volume_id, part_id, full_id)
    await rig.back_up(volume_id, last_id, part_id)
    await rig.make(volume_id, "c")
    for number, (backup_id, letter) in enumerate(((full_id, "a"), (part_id, "b"), (last_id, "b"))):
        await rig.restore(backup_id, volume_id, str(number), number)
        assert await rig.letter_of(volume_id) == letter


async def test_a_released_backup_leaves_nothing_and_does_not_come_back(rig: Rig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await rig.make(volume_id, "a")
    await rig.back_up(volume_id, backup_id)
    assert rig.kept() == {backup_id}
    assert (await rig.driver.find_backup(backup_id, CONTAINER)).object_count > 0
    await rig.release(backup_id)
    with pytest.raises(HostError, match="There is no backup"):
        await rig.driver.find_backup(backup_id, CONTAINER)
    await rig.release(backup_id)
    assert rig.kept() == set()
    with pytest.raises(StaleEpoch):
        await rig.back_up(volume_id, backup_id)
    await rig.release(new_id())


async def test_a_backup_that_has_only_begun_is_released(rig: Rig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await rig.make(volume_id, "a")
    spec = BackupSpec(id=backup_id, container=CONTAINER, size_gib=1)
    await rig.driver.ensure_backup(spec, rig.way(volume_id), 1)
    await rig.release(backup_id)
    assert rig.kept() == set()


async def test_what_is_damaged_is_not_restored(rig: Rig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await rig.make(volume_id, "a")
    await rig.back_up(volume_id, backup_id)
    rig.damage(backup_id)
    with pytest.raises(HostError, match="is damaged"):
        await rig.restore(backup_id, volume_id)
    await rig.driver.stop_restore(volume_id, 1)
    with pytest.raises(HostError, match="There is no backup"):
        await rig.restore(new_id(), volume_id, "next", 2)


async def test_a_volume_that_is_not_there_is_told(rig: Rig) -> None:
    with pytest.raises(HostError, match="cannot be reached"):
        await rig.back_up(new_id(), new_id())


# --- in chunks -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def chunked(public_directory: Callable[[str], Path]) -> ChunkedRig:
    rig = ChunkedRig(public_directory("backups"), "raw", "zlib")
    await rig.driver.prepare()
    return rig


async def test_zeros_are_not_stored_and_chunks_are_stored_once(chunked: ChunkedRig) -> None:
    volume_id, full_id, part_id = new_id(), new_id(), new_id()
    await chunked.make(volume_id, "a")
    assert (await chunked.back_up(volume_id, full_id)).object_count == 2
    assert [each.name[:9] for each in chunked.objects(full_id)] == ["00000003-", "manifest"]
    assert (await chunked.back_up(volume_id, part_id, full_id)).object_count == 1
    assert not list((chunked.options.state / ".work").iterdir()), "nothing is left of a job"


async def test_a_job_that_was_cut_off_goes_on_with_the_chunks_there_are(chunked: ChunkedRig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await chunked.make(volume_id, "a")
    await chunked.back_up(volume_id, backup_id)
    chunk, manifest = chunked.objects(backup_id)
    manifest.unlink()
    (chunk.parent / ".part").write_bytes(b"half")
    before = chunk.stat().st_mtime_ns, chunk.stat().st_ino
    chunked.restart()
    assert (await chunked.back_up(volume_id, backup_id)).object_count == 2
    assert (chunk.stat().st_mtime_ns, chunk.stat().st_ino) == before


async def test_a_manifest_that_is_damaged_is_not_believed(chunked: ChunkedRig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await chunked.make(volume_id, "a")
    await chunked.back_up(volume_id, backup_id)
    manifest = chunked.objects(backup_id)[-1]
    manifest.write_bytes(manifest.read_bytes().replace(b'"size_bytes":8', b'"size_bytes":7'))
    with pytest.raises(HostError, match="does not have its checksum"):
        await chunked.restore(backup_id, volume_id)


async def test_a_chunk_that_is_missing_ends_the_restore(chunked: ChunkedRig) -> None:
    volume_id, backup_id = new_id(), new_id()
    await chunked.make(volume_id, "a")
    await chunked.back_up(volume_id, backup_id)
    chunked.objects(backup_id)[0].unlink()
    with pytest.raises(HostError, match="is missing"):
        await chunked.restore(backup_id, volume_id)


async def test_a_volume_that_is_too_small_is_not_written(chunked: ChunkedRig) -> None:
    volume_id, small_id, backup_id = new_id(), new_id(), new_id()
    await chunked.make(volume_id, "a")
    await chunked.back_up(volume_id, backup_id)
    small = chunked.directory / small_id
    small.write_bytes(b"x" * MIB)
    give(small, qemu_account())
    with pytest.raises(HostError, match=r"8388608 bytes, more than the 1048576"):
        await chunked.restore(backup_id, small_id)
    assert small.read_bytes() == b"x" * MIB


# --- stores ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return PosixStore(tmp_path / "store")


def test_a_store_has_what_was_put_until_it_is_deleted(store: Store) -> None:
    names = ["vault/one/1", "vault/one/2", "vault/two/1"]
    for name in names:
        store.put(name, name.encode())
    store.put(names[0], b"again")
    assert store.get(names[0]) == b"again" and store.get(names[2]) == b"vault/two/1"
    assert sorted(store.list("vault/one/")) == names[:2]
    assert list(store.list("vault/three/")) == []
    store.delete_all("vault/one/")
    store.delete_all("vault/one/")
    assert list(store.list("vault/one/")) == [] and list(store.list("vault/two/")) == names[2:]
    with pytest.raises(ObjectMissing):
        store.get(names[0])


def test_files_of_backups_are_nobody_elses(tmp_path: Path) -> None:
    PosixStore(tmp_path / "store").put("vault/one/1", b"secret")
    path = tmp_path / "store/vault/one/1"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


# --- ways to a volume and to the store -------------------------------------------------------------------------------


@pytest.mark.root
async def test_a_volume_behind_a_target_is_read_and_written(
    chunked: ChunkedRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tgtd, volume_id, backup_id = Tgtd(tmp_path, free_port()), new_id(), new_id()
    path = tmp_path / "volume"
    path.write_bytes(bytes(MIB) + b"\x07" * MIB)
    tgtd.start()
    try:
        target = f"iqn.2010-10.org.openstack:volume-{volume_id}.{backup_id}"
        export = Export(
            attachment_id=backup_id, volume_id=volume_id, target=target, username=backup_id, secret="correct-horse-16"
        )
        await tgtd.targets.ensure(export, path)
        chap = Chap(username=export.username, secret=export.secret)
        connection = IscsiConnection(portals=(tgtd.portal,), target=target, unit=1, chap=chap)
        monkeypatch.setattr(chunked, "way", lambda _volume_id: connection)
        assert (await chunked.back_up(volume_id, backup_id)).object_count == 2
        path.write_bytes(b"\x09" * 2 * MIB)
        await chunked.restore(backup_id, volume_id)
        await chunked.driver.stop_restore(volume_id, 1)
        assert path.read_bytes() == bytes(MIB) + b"\x07" * MIB
        assert not list((chunked.options.state / ".work").iterdir()), "the secret is nowhere any more"
    finally:
        tgtd.stop()


class Share:
    """Mounts that are told of."""

    def __init__(self) -> None:
        self.mounted: list[tuple[str, Path, tuple[str, ...]]] = []

    def is_mounted(self, export: str, directory: Path) -> bool:
        return any(each[:2] == (export, directory) for each in self.mounted)

    async def ensure(self, export: str, directory: Path, options: Sequence[str]) -> None:
        if not self.is_mounted(export, directory):
            self.mounted.append((export, directory, tuple(options)))


async def test_a_share_is_mounted_before_it_is_used(tmp_path: Path) -> None:
    share = Share()
    options = BackupOptions(
        root=tmp_path / "mnt", state=tmp_path / "state", export="storage:/backups", mount_options=("soft",)
    )
    driver = ChunkedBackups(options, share)
    await driver.prepare()
    await driver.prepare()
    assert share.mounted == [("storage:/backups", tmp_path / "mnt", ("soft",))]
