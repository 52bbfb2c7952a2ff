"""The contract of every driver of a back end: runs on the fake, on files of both formats, and on logical volumes."""

import asyncio
import contextlib
import hashlib
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kilonova.block_storage.agent.driver import StaleEpoch, VolumeDriver
from kilonova.block_storage.agent.drivers.fake import FakeBackend, FakeDriver
from kilonova.block_storage.agent.drivers.file import FileDriver, FileOptions
from kilonova.block_storage.agent.drivers.lvm.driver import LvmDriver, LvmOptions
from kilonova.block_storage.agent.drivers.lvm.volume_group import VolumeGroup
from kilonova.block_storage.agent.drivers.nfs import NfsDriver, NfsOptions, Share
from kilonova.block_storage.agent.spec import (
    GIB,
    Blank,
    ImageSource,
    Observation,
    SnapshotSource,
    VolumeSource,
    VolumeSpec,
)
from kilonova.kit.connectors import FileConnection, IscsiConnection
from kilonova.kit.connectors.mounts import mount_point
from kilonova.kit.host_commands import HostError
from tests.storage_hosts import Initiator, Tgtd, free_port, run, volume_group

IMAGE_BYTES = b"\x07" * (1 << 20)
IMAGE = ImageSource(
    image_id=str(uuid.uuid4()),
    disk_format="raw",
    size_bytes=len(IMAGE_BYTES),
    sha512=hashlib.sha512(IMAGE_BYTES).hexdigest(),
)


def new_id() -> str:
    return str(uuid.uuid4())


class Rig(ABC):
    """A driver, what a guest would do with its volumes, and the driver of the next agent on the same back end."""

    driver: VolumeDriver
    fetched: list[str]
    image = IMAGE_BYTES
    protocol = "file"

    @abstractmethod
    def restart(self) -> None: ...

    async def begin(self) -> None:
        """Does what the driver's agent does when it begins."""
        await self.driver.keep_up()

    @abstractmethod
    async def write(self, volume_id: str, byte: int) -> None: ...

    @abstractmethod
    async def read(self, volume_id: str) -> int: ...

    @abstractmethod
    async def size_gib(self, volume_id: str) -> float: ...

    @abstractmethod
    async def leftovers(self) -> list[str]: ...

    async def fetch(self, image_id: str) -> AsyncIterator[bytes]:
        self.fetched.append(image_id)
        for start in range(0, len(self.image), 65_536):
            yield self.image[start : start + 65_536]

    async def made(self, source: Any = Blank(), size_gib: int = 1) -> str:  # noqa: B008 - frozen
        spec = VolumeSpec(new_id(), size_gib, source)
        await settle(lambda: self.driver.ensure_volume(spec, 1))
        return spec.id


async def settle(ask: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not (seen := await ask()).is_done:
            assert isinstance(seen, Observation) and seen.progress
            await asyncio.sleep(0.02)


def first_byte(told: str) -> int:
    """Returns the byte that qemu-io has read."""
    return int(told.split()[1], 16)


def bytes_told(told: str) -> int:
    """Returns the size of the disk that qemu-img describes."""
    return int(told.partition("(")[2].partition(" bytes")[0])


class FakeRig(Rig):
    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.restart()

    def restart(self) -> None:
        self.driver = FakeDriver(self.backend)

    async def write(self, volume_id: str, byte: int) -> None:
        self.backend.volumes[volume_id].content = str(byte)

    async def read(self, volume_id: str) -> int:
        content = self.backend.volumes[volume_id].content
        return IMAGE_BYTES[0] if content.startswith("image") else int(content or 0)

    async def size_gib(self, volume_id: str) -> float:
        return self.backend.volumes[volume_id].size_gib

    async def leftovers(self) -> list[str]:
        return sorted(self.backend.volumes)


class FileRig(Rig):
    def __init__(self, directory: Path, disk_format: Any) -> None:
        self.directory, self.disk_format = directory, disk_format
        self.fetched = []
        self.restart()

    def restart(self) -> None:
        self.files = FileDriver(FileOptions(directory=self.directory, disk_format=self.disk_format), self.fetch)
        self.files.prepare()
        self.driver = self.files

    async def write(self, volume_id: str, byte: int) -> None:
        await asyncio.to_thread(self._io, volume_id, f"write -P {byte} 0 64k")

    async def read(self, volume_id: str) -> int:
        return first_byte(await asyncio.to_thread(self._io, volume_id, "read -v 0 1"))

    def _io(self, volume_id: str, command: str) -> str:
        path = self.directory / f"volume-{volume_id}"
        arguments = ["qemu-io", "-f", self.disk_format, "-c", command, path]
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout

    async def size_gib(self, volume_id: str) -> float:
        path = self.directory / f"volume-{volume_id}"
        told = subprocess.run(
            ["qemu-img", "info", "-f", self.disk_format, path], check=True, capture_output=True, text=True
        ).stdout
        return bytes_told(told) / GIB

    async def leftovers(self) -> list[str]:
        jobs = self.directory / ".jobs"
        return sorted(
            path.name.removeprefix("volume-")
            for path in [*self.directory.iterdir(), *(jobs.iterdir() if jobs.is_dir() else [])]
            if not path.name.startswith(".")
        )


@dataclass
class FakeMounts:
    """Shares that are directories of this host."""

    mounted: set[Path] = field(default_factory=set)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    """Shares whose server does not answer."""

    def is_mounted(self, export: str, directory: Path) -> bool:
        return directory in self.mounted

    async def ensure(self, export: str, directory: Path, options: Sequence[str]) -> None:
        if export in self.away:
            raise HostError(f"mount failed: {export} does not answer.")
        directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.mounted.add(directory)
        self.options[export] = tuple(options)


SHARE = Share("filer:/volumes", ("vers=4.1",))


class NfsRig(FileRig):
    """One share; whether it is mounted is this host's word for it."""

    protocol = "nfs"

    def __init__(self, base: Path) -> None:
        self.base, self.mounts = base, FakeMounts()
        super().__init__(mount_point(base, SHARE.export), "raw")

    def restart(self) -> None:
        options = NfsOptions(shares=(SHARE,), mount_base=self.base)
        self.nfs = NfsDriver(options, self.fetch, self.mounts)
        self.driver = self.nfs


class LvmRig(Rig):
    """Logical volumes, read and written by QEMU's initiator through an attachment of their own."""

    protocol = "iscsi"

    def __init__(self, directory: Path, group: VolumeGroup, tgtd: Tgtd) -> None:
        self.directory, self.group, self.tgtd = directory, group, tgtd
        self.fetched = []
        self.restart()

    def restart(self) -> None:
        options = LvmOptions(directory=self.directory, group=self.group, portal=self.tgtd.portal)
        self.lvm = LvmDriver(options, self.tgtd.targets, self.fetch)
        self.lvm.prepare()
        self.driver = self.lvm

    @contextlib.asynccontextmanager
    async def attached(self, volume_id: str) -> AsyncIterator[Initiator]:
        attachment_id = new_id()
        connection = await self.driver.connection_to(volume_id, attachment_id)
        assert isinstance(connection, IscsiConnection)
        try:
            yield Initiator(connection)
        finally:
            await self.driver.disconnect(volume_id, attachment_id)

    async def write(self, volume_id: str, byte: int) -> None:
        async with self.attached(volume_id) as initiator:
            await asyncio.to_thread(initiator.io, f"write -P {byte} 0 64k")

    async def read(self, volume_id: str) -> int:
        async with self.attached(volume_id) as initiator:
            return first_byte(await asyncio.to_thread(initiator.io, "read -v 0 1"))

    async def size_gib(self, volume_id: str) -> float:
        async with self.attached(volume_id) as initiator:
            return bytes_told(await asyncio.to_thread(initiator.info)) / GIB

    async def leftovers(self) -> list[str]:
        kept = [path.name for path in self.directory.iterdir() if not path.name.startswith(".")]
        kept += [path.name for each in (".jobs", ".exports") for path in (self.directory / each).glob("*")]
        kept += await self.tgtd.targets.find_all()
        return sorted(kept + [name.removeprefix("volume-") for name in await self.group.find_all()])

    def windows(self) -> list[str]:
        """Returns the loop devices that show volumes."""
        (group,) = run("losetup", "--noheadings", "--output", "NAME", "-j", self.tgtd.directory / "group.img").split()
        told = run("losetup", "--noheadings", "--raw", "--list", "--output", "NAME,BACK-FILE").splitlines()
        return [name for name, back_file in (line.split(" ", 1) for line in told) if back_file == group]

    async def empty(self) -> None:
        for name in await self.group.find_all():
            volume_id = name.removeprefix("volume-").partition(".")[0]
            await self.driver.release_volume(volume_id, 1000)
        assert (await self.leftovers(), self.windows()) == ([], [])


@pytest.fixture(scope="module")
def storage_host(public_directory: Callable[[str], Path]) -> Iterator[tuple[VolumeGroup, Tgtd]]:
    """A volume group and a tgtd, which the tests of this file share."""
    directory = public_directory("host")
    tgtd = Tgtd(directory, free_port())
    with volume_group(directory) as group:
        tgtd.start()
        try:
            yield group, tgtd
        finally:
            tgtd.stop()


@pytest.fixture
def lvm(storage_host: tuple[VolumeGroup, Tgtd], public_directory: Callable[[str], Path]) -> Iterator[LvmRig]:
    group, tgtd = storage_host
    rig = LvmRig(public_directory("volumes"), group, tgtd)
    yield rig
    asyncio.run(rig.empty())


def make_rig(kind: str, request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> Rig:
    if kind == "fake":
        return FakeRig()
    if kind == "nfs":
        return NfsRig(public_directory("shares"))
    if kind == "lvm":
        found: LvmRig = request.getfixturevalue("lvm")
        return found
    return FileRig(public_directory("volumes"), kind)


KEEPING = ("fake", "qcow2", "raw", "nfs")
"""Drivers that keep snapshots on every host."""
LVM = pytest.param("lvm", marks=pytest.mark.root)


@pytest.fixture(params=[*KEEPING, LVM])
async def rig(request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> Rig:
    made = make_rig(request.param, request, public_directory)
    await made.begin()
    return made


@pytest.fixture(params=KEEPING)
async def keeping(request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> Rig:
    """A back end that keeps snapshots."""
    made = make_rig(request.param, request, public_directory)
    await made.begin()
    return made


async def test_a_blank_volume_has_its_size_and_reads_as_zeros(rig: Rig) -> None:
    volume_id = await rig.made(size_gib=2)
    assert (await rig.size_gib(volume_id), await rig.read(volume_id)) == (2, 0)
    connection = await rig.driver.connection_to(volume_id, new_id())
    assert msgspec.to_builtins(connection)["kind"] == rig.protocol
    await rig.driver.disconnect(volume_id, None)


async def test_what_is_asked_again_changes_nothing(rig: Rig) -> None:
    volume_id = await rig.made()
    await rig.write(volume_id, 5)
    rig.restart()
    await rig.begin()
    assert (await rig.driver.ensure_volume(VolumeSpec(volume_id, 1, Blank()), 1)).is_done
    assert await rig.read(volume_id) == 5
    assert await rig.leftovers() == [volume_id]


async def test_a_volume_from_an_image_has_its_data_and_the_size_asked_for(rig: Rig) -> None:
    volume_id = await rig.made(IMAGE, 2)
    assert (await rig.size_gib(volume_id), await rig.read(volume_id)) == (2, IMAGE_BYTES[0])
    assert await rig.leftovers() == [volume_id]


async def test_a_copy_of_a_volume_is_its_own(rig: Rig) -> None:
    volume_id = await rig.made()
    await rig.write(volume_id, 5)
    copy = await rig.made(VolumeSource(volume_id=volume_id), 2)
    await rig.write(volume_id, 6)
    assert (await rig.size_gib(copy), await rig.read(copy), await rig.read(volume_id)) == (2, 5, 6)


async def test_a_copy_goes_on_under_the_next_agent(rig: Rig) -> None:
    volume_id = await rig.made()
    await rig.write(volume_id, 5)
    spec = VolumeSpec(new_id(), 1, VolumeSource(volume_id=volume_id))
    assert not (await rig.driver.ensure_volume(spec, 1)).is_done
    rig.restart()
    await rig.begin()
    await settle(lambda: rig.driver.ensure_volume(spec, 1))
    assert await rig.read(spec.id) == 5


async def test_a_snapshot_keeps_the_content_whatever_becomes_of_the_volume(keeping: Rig) -> None:
    rig = keeping
    volume_id, snapshot_id = await rig.made(), new_id()
    await rig.write(volume_id, 5)
    for _ in range(2):
        await settle(lambda: rig.driver.ensure_snapshot(snapshot_id, volume_id, 1))
    await rig.write(volume_id, 6)
    await settle(lambda: rig.driver.ensure_snapshot(snapshot_id, volume_id, 1))
    await settle(lambda: rig.driver.extend_volume(volume_id, 3, 1))
    made = await rig.made(SnapshotSource(snapshot_id=snapshot_id, volume_id=volume_id), 1)
    assert (await rig.read(made), await rig.size_gib(made)) == (5, 1)
    assert (await rig.read(volume_id), await rig.size_gib(volume_id)) == (6, 3)


async def test_a_volume_goes_back_to_a_snapshot(keeping: Rig) -> None:
    rig = keeping
    volume_id, first, second = await rig.made(), new_id(), new_id()
    for byte, snapshot_id in ((5, first), (6, second)):
        await rig.write(volume_id, byte)
        await settle(lambda each=snapshot_id: rig.driver.ensure_snapshot(each, volume_id, 1))
    await rig.write(volume_id, 7)
    for _ in range(2):
        await settle(lambda: rig.driver.revert_volume(volume_id, second, 2))
    assert await rig.read(volume_id) == 6
    await settle(lambda: rig.driver.release_snapshot(second, volume_id, 2))
    await settle(lambda: rig.driver.revert_volume(volume_id, first, 3))
    assert await rig.read(volume_id) == 5


async def test_nothing_stays_of_a_snapshot_that_is_released(keeping: Rig) -> None:
    volume_id, snapshot_id = await keeping.made(), new_id()
    await settle(lambda: keeping.driver.ensure_snapshot(snapshot_id, volume_id, 1))
    for _ in range(2):
        await settle(lambda: keeping.driver.release_snapshot(snapshot_id, volume_id, 2))
    assert await keeping.leftovers() == [volume_id]


async def test_nothing_stays_of_what_is_released_and_it_may_be_released_again(rig: Rig) -> None:
    volume_id = await rig.made()
    copied = VolumeSpec(new_id(), 1, VolumeSource(volume_id=volume_id))
    await rig.driver.ensure_volume(copied, 1)
    await rig.driver.connection_to(volume_id, new_id())
    for each in (copied.id, volume_id, volume_id):
        await rig.driver.release_volume(each, 2)
    assert await rig.leftovers() == []
    await rig.driver.release_snapshot(new_id(), volume_id, 3)
    await rig.driver.disconnect(volume_id, new_id())
    with pytest.raises(HostError, match="There is no volume"):
        await rig.driver.connection_to(volume_id, new_id())


async def test_an_extended_volume_keeps_its_content_and_reads_as_zeros_behind_it(rig: Rig) -> None:
    volume_id = await rig.made()
    await rig.write(volume_id, 5)
    for _ in range(2):
        await settle(lambda: rig.driver.extend_volume(volume_id, 2, 1))
    rig.restart()
    await rig.begin()
    assert (await rig.size_gib(volume_id), await rig.read(volume_id)) == (2, 5)


async def test_an_older_epoch_is_refused_also_after_a_release_and_by_the_next_agent(rig: Rig) -> None:
    volume_id = await rig.made()
    await settle(lambda: rig.driver.extend_volume(volume_id, 1, 7))
    for _ in range(2):
        with pytest.raises(StaleEpoch, match=r"Epoch 6 .* older than 7"):
            await rig.driver.release_volume(volume_id, 6)
        rig.restart()
        await rig.begin()
    await rig.driver.release_volume(volume_id, 8)
    rig.restart()
    await rig.begin()
    with pytest.raises(StaleEpoch):
        await rig.driver.ensure_volume(VolumeSpec(volume_id, 1, Blank()), 7)
    assert await rig.leftovers() == []


async def test_what_is_not_there_is_named(rig: Rig) -> None:
    nowhere, volume_id = new_id(), await rig.made()
    with pytest.raises(HostError, match="no volume"):
        await rig.driver.extend_volume(nowhere, 2, 1)
    with pytest.raises(HostError, match="no volume"):
        await rig.driver.ensure_snapshot(new_id(), nowhere, 1)
    with pytest.raises(HostError):
        # Where there are no snapshots the refusal is that.
        await settle(lambda: rig.driver.revert_volume(volume_id, nowhere, 1))
    spec = VolumeSpec(new_id(), 1, VolumeSource(volume_id=nowhere))
    with pytest.raises(HostError, match="no volume"):
        await settle(lambda: rig.driver.ensure_volume(spec, 1))
    with pytest.raises(HostError, match="is not the id"):
        await rig.driver.release_volume("../secret", 1)
    with pytest.raises(HostError, match="no volume"):
        await rig.driver.connection_to(nowhere, new_id())
    assert await rig.leftovers() == [volume_id]


async def test_pools_tell_their_capacity(rig: Rig) -> None:
    (pool,) = await rig.driver.pools()
    assert pool.total_capacity_gb >= pool.free_capacity_gb > 0


@pytest.fixture(params=["qcow2", "raw"])
def files(request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> FileRig:
    return FileRig(public_directory("volumes"), request.param)


@pytest.mark.parametrize(
    ("source", "data", "sentence"),
    [
        (IMAGE, b"\x08" * len(IMAGE_BYTES), "does not have the SHA-512"),
        (IMAGE, IMAGE_BYTES[:-1], "instead of the"),
        (IMAGE, IMAGE_BYTES + b"x", "is larger than"),
    ],
)
async def test_data_that_is_not_the_image_makes_no_volume(
    files: FileRig, source: ImageSource, data: bytes, sentence: str
) -> None:
    files.image = data
    spec = VolumeSpec(new_id(), 1, source)
    with pytest.raises(HostError, match=sentence):
        await settle(lambda: files.driver.ensure_volume(spec, 1))
    assert await files.leftovers() == []
    files.image = IMAGE_BYTES
    await settle(lambda: files.driver.ensure_volume(spec, 1))
    assert files.fetched == [IMAGE.image_id] * 2


async def test_an_image_with_a_disk_larger_than_the_volume_is_refused_before_it_is_unpacked(
    files: FileRig, tmp_path: Path
) -> None:
    path = tmp_path / "large.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "2G"], check=True)
    files.image = path.read_bytes()
    source = ImageSource(
        image_id=new_id(),
        disk_format="qcow2",
        size_bytes=len(files.image),
        sha512=hashlib.sha512(files.image).hexdigest(),
    )
    spec = VolumeSpec(new_id(), 1, source)
    with pytest.raises(HostError, match="more than the 1 GiB"):
        await settle(lambda: files.driver.ensure_volume(spec, 1))
    assert await files.leftovers() == []
    made = await files.made(source, 2)
    assert await files.size_gib(made) == 2


async def test_an_image_that_reaches_outside_itself_is_refused(files: FileRig, tmp_path: Path) -> None:
    path = tmp_path / "sly.qcow2"
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", path, "1G"]
    subprocess.run(command, check=True)
    files.image = path.read_bytes()
    source = ImageSource(
        image_id=new_id(),
        disk_format="qcow2",
        size_bytes=len(files.image),
        sha512=hashlib.sha512(files.image).hexdigest(),
    )
    spec = VolumeSpec(new_id(), 1, source)
    with pytest.raises(HostError, match="is refused"):
        await settle(lambda: files.driver.ensure_volume(spec, 1))
    assert await files.leftovers() == []


async def test_new_volumes_have_the_format_set_and_older_ones_keep_theirs(files: FileRig) -> None:
    before, formats = await files.made(), {"qcow2": "raw", "raw": "qcow2"}
    kept = files.disk_format
    files.disk_format = formats[kept]
    files.restart()
    after = await files.made()
    connections = [await files.driver.connection_to(each, new_id()) for each in (before, after)]
    assert [each.disk_format for each in connections if isinstance(each, FileConnection)] == [kept, formats[kept]]
