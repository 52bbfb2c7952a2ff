"""NFS exports on a host: what is mounted where, and files in them as volumes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kilonova.kit.connectors import ConnectedDisk, NfsConnection, mounts, nfs
from kilonova.kit.connectors.mounts import HostMounts, mount_point, read_mounts
from kilonova.kit.host_commands import HostError

INFO = """22 27 0:20 / /sys rw - sysfs sysfs rw
36 35 0:44 / /mnt/a\\040b rw,relatime shared:9 - nfs4 filer:/one rw,vers=4.1
37 35 0:45 / /mnt/c rw - ext4 /dev/sda1 rw
38 35 0:46 / /mnt/c rw - nfs filer:/two/ rw
"""


def test_mounts_are_read_the_last_of_several() -> None:
    assert read_mounts(INFO) == {"/sys": "sysfs", "/mnt/a b": "filer:/one", "/mnt/c": "filer:/two/"}


def test_what_is_mounted_in_the_place_of_an_export_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "mountinfo"
    info.write_text(INFO)
    monkeypatch.setattr(mounts, "MOUNT_INFO", info)
    host = HostMounts()
    assert host.is_mounted("filer:/one", Path("/mnt/a b")) and host.is_mounted("filer:/two", Path("/mnt/c"))
    assert not host.is_mounted("filer:/one", Path("/mnt/d"))
    with pytest.raises(HostError, match="filer:/two/ is mounted at /mnt/c, where filer:/one belongs"):
        host.is_mounted("filer:/one", Path("/mnt/c"))


async def test_what_is_mounted_is_not_mounted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostMounts, "is_mounted", lambda *_: True)
    await HostMounts().ensure("filer:/one", tmp_path / "there", ())
    assert not (tmp_path / "there").exists()


async def test_a_mount_that_fails_is_said_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="mount failed with status"):
        await HostMounts().ensure("127.0.0.1:/nowhere", tmp_path / "there", ("soft", "timeo=1", "retry=0"))
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be made"):
        await HostMounts().ensure("127.0.0.1:/nowhere", tmp_path / "file" / "there", ())


class Mounted:
    """A host that has mounted what it was asked to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Path, tuple[str, ...]]] = []

    def is_mounted(self, export: str, directory: Path) -> bool:
        return directory.is_dir()

    async def ensure(self, export: str, directory: Path, options: Sequence[str]) -> None:
        self.asked.append((export, directory, tuple(options)))
        directory.mkdir(exist_ok=True)
        (directory / "volume-1").touch()


async def test_a_volume_is_a_file_of_its_export(tmp_path: Path) -> None:
    host = Mounted()
    connection = NfsConnection(export="filer:/one", name="volume-1", disk_format="qcow2", options=("soft",))
    directory = mount_point(tmp_path, "filer:/one")
    assert await nfs.connect(connection, host, tmp_path) == ConnectedDisk(directory / "volume-1", "qcow2")
    assert host.asked == [("filer:/one", directory, ("soft",))]


@pytest.mark.parametrize(
    ("export", "name", "words"),
    [
        ("filer:/one", "../secret", "is not that of a file in"),
        ("filer:/one", "..", "is not that of a file in"),
        ("filer:/one", "", "is not that of a file in"),
        ("filer:/one", "volume-2", "cannot be reached"),
        ("--bind", "volume-1", "is not SERVER:/DIRECTORY"),
    ],
)
async def test_what_leads_elsewhere_is_refused(tmp_path: Path, export: str, name: str, words: str) -> None:
    with pytest.raises(HostError, match=words):
        await nfs.connect(NfsConnection(export=export, name=name, disk_format="raw"), Mounted(), tmp_path)
