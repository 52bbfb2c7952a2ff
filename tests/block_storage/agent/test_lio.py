"""Targets of the kernel, on a stand-in for its configfs that has what the kernel puts into each directory."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from kilonova.block_storage.agent.drivers.lvm.exports import Export
from kilonova.block_storage.agent.drivers.lvm.lio import Configfs, LioTargets
from kilonova.kit.host_commands import HostError

EXPORT = Export(attachment_id="a1", volume_id="v1", target="iqn.a:volume-v1.a1", username="a1", secret="correct horse")
ATTRIBUTES = ("authentication", "generate_node_acls", "cache_dynamic_acls", "demo_mode_write_protect")
MADE: Mapping[str, tuple[str, ...]] = {
    "store": ("control", "enable", "udev_path", "wwn/vpd_unit_serial"),
    "tpgt_1": ("enable", "auth/userid", "auth/password", "lun/", "np/", *(f"attrib/{each}" for each in ATTRIBUTES)),
}
"""Kind of a directory that is made → the entries that the kernel puts into it."""


class StandIn(Configfs):
    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.made: dict[Path, list[Path]] = {}

    def make(self, directory: Path) -> None:
        super().make(directory)
        kind = "store" if directory.parent.name.startswith("iblock_") else directory.name
        for name in MADE.get(kind, ()):
            place = directory / name
            (place if name.endswith("/") else place.parent).mkdir(exist_ok=True)
            if not name.endswith("/"):
                place.touch()
            self.made.setdefault(directory, []).append(place)

    def remove(self, directory: Path) -> None:
        own = self.made.pop(directory, [])
        for place in own:
            if place.is_file():
                place.unlink()
        for place in own:
            for each in (place, place.parent):
                if each.is_dir() and each != directory and not any(each.iterdir()):
                    each.rmdir()
        # It fails like the kernel where somebody's directory or link is still inside.
        super().remove(directory)

    def write(self, file: Path, value: str) -> None:
        if not file.exists():
            raise FileNotFoundError(2, "No such file or directory", str(file))
        if self.refused and file.name == self.refused:
            raise OSError(22, "Invalid argument")
        super().write(file, value)
        if file.name == "control":
            super().write(file.with_name("udev_path"), value.partition("=")[2])


def targets(tmp_path: Path, refused: str = "") -> LioTargets:
    (tmp_path / "core").mkdir(exist_ok=True)
    return LioTargets("10.0.0.41:3260", tmp_path, StandIn(refused))


def tree(tmp_path: Path) -> dict[str, str]:
    """Returns the files that hold something."""
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    return {name: text for name, path in files.items() if (text := path.read_text().strip())}


async def test_a_target_is_made_closed_and_opened_last(tmp_path: Path) -> None:
    lio = targets(tmp_path)
    for _ in range(2):
        await lio.ensure(EXPORT, Path("/dev/g/volume-v1"))
    group = "iscsi/iqn.a:volume-v1.a1/tpgt_1"
    shown = tree(tmp_path)
    assert shown["core/iblock_3260/a1/udev_path"] == "/dev/g/volume-v1"
    assert shown["core/iblock_3260/a1/wwn/vpd_unit_serial"] == "v1"
    assert (shown[f"{group}/auth/userid"], shown[f"{group}/auth/password"]) == ("a1", "correct horse")
    assert [shown[f"{group}/attrib/{each}"] for each in ATTRIBUTES] == ["1", "1", "1", "0"]
    assert (shown[f"{group}/enable"], (tmp_path / group / "np/10.0.0.41:3260").is_dir()) == ("1", True)
    assert (tmp_path / group / "lun/lun_1/a1").readlink() == tmp_path / "core/iblock_3260/a1"
    assert await lio.find_all() == {EXPORT.target}
    await lio.ensure(EXPORT, Path("/dev/loop7"))
    assert tree(tmp_path)["core/iblock_3260/a1/udev_path"] == "/dev/loop7"
    for _ in range(2):
        await lio.remove(EXPORT)
    assert (await lio.find_all(), tree(tmp_path)) == (set(), {})


@pytest.mark.parametrize("refused", ["control", "userid", "authentication"])
async def test_a_target_that_the_kernel_refuses_leaves_nothing(tmp_path: Path, refused: str) -> None:
    lio = targets(tmp_path, refused)
    with pytest.raises(HostError, match="The kernel refuses to serve /dev/g/v: Invalid argument"):
        await lio.ensure(EXPORT, Path("/dev/g/v"))
    assert (await lio.find_all(), tree(tmp_path)) == (set(), {})


async def test_a_target_that_the_kernel_keeps_is_named(tmp_path: Path) -> None:
    lio = targets(tmp_path)
    await lio.ensure(EXPORT, Path("/dev/g/v"))
    (tmp_path / "iscsi" / EXPORT.target / "tpgt_1" / "np" / "elsewhere").mkdir()
    with pytest.raises(HostError, match=r"The kernel keeps target iqn\.a:volume-v1\.a1"):
        await lio.remove(EXPORT)


async def test_a_kernel_without_targets_has_none(tmp_path: Path) -> None:
    assert await LioTargets("10.0.0.41:3260", tmp_path / "missing").find_all() == set()
