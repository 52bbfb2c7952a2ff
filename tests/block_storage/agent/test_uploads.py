"""The contract of what sends volumes to the image service: on the fake, and on files that qemu-img copies."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kilonova.block_storage.agent.contract import UploadArguments
from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.drivers.lvm.exports import Export
from kilonova.block_storage.agent.fake_uploads import FakeUploads
from kilonova.block_storage.agent.uploads import DiskUploads, Uploads
from kilonova.kit.connectors import Chap, FileConnection, IscsiConnection
from kilonova.kit.disks.confinement import give, qemu_account
from kilonova.kit.host_commands import HostError
from tests.storage_hosts import Tgtd, free_port

MIB = 1 << 20


@dataclass
class Images:
    """An image service that keeps what it is sent. `refusal` is its next answer."""

    data: dict[str, bytes] = field(default_factory=dict)
    refusal: str = ""

    async def send(self, image_id: str, read: Callable[[], AsyncIterator[bytes]], size_bytes: int) -> None:
        if self.refusal:
            refusal, self.refusal = self.refusal, ""
            raise HostError(refusal)
        data = b"".join([chunk async for chunk in read()])
        assert len(data) == size_bytes
        self.data[image_id] = data


@dataclass
class Rig:
    uploads: Uploads
    volume: Path
    directory: Path
    images: Images = field(default_factory=Images)

    def asked(self, image_id: str, disk_format: str = "raw", epoch: int = 1) -> UploadArguments:
        return UploadArguments(str(uuid.uuid4()), image_id, disk_format, 1, epoch)

    async def upload(self, image_id: str, disk_format: str = "raw", epoch: int = 1) -> None:
        asked, way = self.asked(image_id, disk_format, epoch), FileConnection(path=str(self.volume), disk_format="raw")
        async with asyncio.timeout(60):
            while not (await self.uploads.ensure_upload(asked, way)).is_done:
                await asyncio.sleep(0.02)


@pytest.fixture(params=["fake", "disk"])
def rig(request: pytest.FixtureRequest, public_directory: Callable[[str], Path]) -> Rig:
    directory, images = public_directory("uploads"), Images()
    volume = directory / "volume"
    volume.write_bytes(b"v" * MIB + bytes(MIB))
    give(volume, qemu_account())
    made: Uploads = FakeUploads(images.send)
    if request.param == "disk":
        made = DiskUploads(directory / "conversion", images.send)
    return Rig(made, volume, directory, images)


def new_id() -> str:
    return str(uuid.uuid4())


async def test_an_image_gets_the_content_once_however_often_it_is_asked_for(rig: Rig) -> None:
    image_id = new_id()
    await rig.upload(image_id)
    data = rig.images.data.pop(image_id)
    await rig.upload(image_id)
    assert rig.images.data == {} and data
    await rig.uploads.stop_upload(image_id, 1)
    await rig.uploads.stop_upload(image_id, 1)


async def test_what_the_image_service_refuses_is_told_once_and_can_be_tried_again(rig: Rig) -> None:
    image_id = new_id()
    rig.images.refusal = "no such image"
    with pytest.raises(HostError, match="no such image"):
        await rig.upload(image_id)
    await rig.upload(image_id)
    assert set(rig.images.data) == {image_id}


async def test_whoever_comes_after_a_newer_caller_is_refused(rig: Rig) -> None:
    image_id, way = new_id(), FileConnection(path=str(rig.volume), disk_format="raw")
    await rig.uploads.stop_upload(image_id, 2)
    with pytest.raises(StaleEpoch):
        await rig.uploads.ensure_upload(rig.asked(image_id), way)
    with pytest.raises(StaleEpoch):
        await rig.uploads.stop_upload(image_id, 1)


@pytest.fixture
def disk(public_directory: Callable[[str], Path]) -> Rig:
    directory, images = public_directory("uploads"), Images()
    volume = directory / "volume"
    volume.write_bytes(b"v" * MIB + bytes(MIB))
    give(volume, qemu_account())
    return Rig(DiskUploads(directory / "conversion", images.send), volume, directory, images)


@pytest.mark.parametrize("disk_format", ["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "ploop"])
async def test_the_data_is_the_volume_in_the_images_format(disk: Rig, disk_format: str) -> None:
    image_id = new_id()
    await disk.upload(image_id, disk_format)
    made = disk.directory / "made"
    made.write_bytes(disk.images.data[image_id])
    name = {"vhd": "vpc", "ploop": "parallels"}.get(disk_format, disk_format)
    words = ["qemu-img", "convert", "-f", name, "-O", "raw", str(made), str(disk.directory / "raw")]
    subprocess.run(words, check=True)
    assert (disk.directory / "raw").read_bytes() == disk.volume.read_bytes()


async def test_nothing_is_left_of_an_upload_that_is_stopped(disk: Rig) -> None:
    image_id, way = new_id(), FileConnection(path=str(disk.volume), disk_format="raw")
    assert not (await disk.uploads.ensure_upload(disk.asked(image_id), way)).is_done
    await disk.uploads.stop_upload(image_id, 2)
    left = [path for path in (disk.directory / "conversion").rglob("*") if image_id in path.name]
    assert [path.parent.name for path in left] in ([], [".records"])
    with pytest.raises(StaleEpoch):
        await disk.uploads.ensure_upload(disk.asked(image_id), way)
    assert disk.images.data == {}


async def test_the_next_agent_goes_on_where_the_last_one_ended(disk: Rig) -> None:
    image_id, way = new_id(), FileConnection(path=str(disk.volume), disk_format="raw")
    await disk.uploads.ensure_upload(disk.asked(image_id, "qcow2"), way)
    disk.uploads = DiskUploads(disk.directory / "conversion", disk.images.send)
    await disk.upload(image_id, "qcow2")
    assert disk.images.data[image_id].startswith(b"QFI")


async def test_a_volume_that_is_gone_is_said_in_the_tools_words(disk: Rig) -> None:
    disk.volume.unlink()
    with pytest.raises(HostError, match="volume"):
        await disk.upload(new_id())
    await disk.uploads.stop_upload(new_id(), 1)


@pytest.mark.root
async def test_a_volume_behind_a_target_is_read_with_its_secret_which_goes(disk: Rig, tmp_path: Path) -> None:
    tgtd, image_id = Tgtd(tmp_path, free_port()), new_id()
    tgtd.start()
    try:
        target = f"iqn.2010-10.org.openstack:volume-{image_id}"
        export = Export(
            attachment_id=image_id, volume_id=new_id(), target=target, username=image_id, secret="correct-horse-16"
        )
        await tgtd.targets.ensure(export, disk.volume)
        chap = Chap(username=export.username, secret=export.secret)
        way = IscsiConnection(portals=(tgtd.portal,), target=target, unit=1, chap=chap)
        async with asyncio.timeout(60):
            while not (await disk.uploads.ensure_upload(disk.asked(image_id), way)).is_done:
                await asyncio.sleep(0.02)
        assert disk.images.data[image_id] == disk.volume.read_bytes()
        await disk.uploads.stop_upload(image_id, 1)
        assert not list((disk.directory / "conversion" / ".secrets").iterdir())
    finally:
        tgtd.stop()


async def test_records_of_what_was_sent_long_ago_go_with_the_next_agent(disk: Rig) -> None:
    old, young = new_id(), new_id()
    for image_id in (old, young):
        await disk.upload(image_id)
        await disk.uploads.stop_upload(image_id, 1)
    records = disk.directory / "conversion" / ".records"
    os.utime(records / f"{old}.json", (0, 0))
    DiskUploads(disk.directory / "conversion", disk.images.send)
    assert [path.stem for path in records.iterdir()] == [young]
