"""What the builder decides without building."""

from pathlib import Path

import pytest

from kilonova.cli.guest_image import build, packages, root_tree
from kilonova.cli.guest_image.commands import GuestImageError

MODULES_DEP = """\
/lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko: /lib/modules/6.1.0/kernel/drivers/virtio/virtio.ko
/lib/modules/6.1.0/kernel/drivers/virtio/virtio.ko:
kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/virtio/virtio.ko
"""


def test_a_module_comes_with_all_it_depends_on() -> None:
    assert root_tree.module_files(MODULES_DEP, ["virtio_blk", "virtio_net"]) == {
        "kernel/drivers/block/virtio_blk.ko",
        "kernel/drivers/net/virtio_net.ko",
        "kernel/drivers/virtio/virtio.ko",
        "kernel/net/core/failover.ko",
    }


def test_a_module_the_kernel_lacks_is_named() -> None:
    with pytest.raises(GuestImageError, match="no module nvme, zram"):
        root_tree.module_files(MODULES_DEP, ["virtio_blk", "nvme", "zram"])


def test_a_library_that_no_package_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(GuestImageError, match=r"no downloaded package holds libnew\.so\.1"):
        root_tree.find_library(tmp_path, "libnew.so.1")


def test_packages_already_downloaded_are_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "libc6_2.36-9_amd64.deb").touch()
    assert packages.missing_downloads(tmp_path, ["libc6", "libc6-dev"]) == ["libc6-dev"]


def finished_image(directory: Path) -> Path:
    image = directory / build.IMAGE_NAME
    image.write_text("an image")
    (directory / f"{build.IMAGE_NAME}.sources").write_text(build.source_fingerprint())
    return image


def test_an_image_built_from_these_sources_is_returned_as_it_is(tmp_path: Path) -> None:
    image = finished_image(tmp_path)
    before = image.stat()
    assert build.ensure_guest_image(tmp_path) == image
    assert (image.stat().st_ino, image.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_new_image_replaces_the_old_one_by_name_and_leaves_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = finished_image(tmp_path)
    (tmp_path / f"{build.IMAGE_NAME}.sources").write_text("older sources")
    monkeypatch.setattr(build, "check_host", lambda: None)
    monkeypatch.setattr(packages, "download", lambda directory: [])
    monkeypatch.setattr(root_tree, "make", lambda unpacked, target: target)
    monkeypatch.setitem(build.disk.MAKERS, build.IMAGE_NAME, lambda tree, target: target.write_text("a newer image"))
    with image.open() as in_use:
        assert build.ensure_guest_image(tmp_path).read_text() == "a newer image"
        assert in_use.read() == "an image"
    assert build.has_guest_image(tmp_path)
    assert not (tmp_path / "building").exists()


def test_a_build_that_fails_keeps_the_old_image_and_leaves_nothing_half_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = finished_image(tmp_path)
    (tmp_path / f"{build.IMAGE_NAME}.sources").write_text("older sources")

    def download(directory: Path) -> list[Path]:
        raise GuestImageError("the mirror does not answer")

    monkeypatch.setattr(build, "check_host", lambda: None)
    monkeypatch.setattr(packages, "download", download)
    with pytest.raises(GuestImageError, match="the mirror does not answer"):
        build.ensure_guest_image(tmp_path)
    assert image.read_text() == "an image"
    assert not (tmp_path / "building").exists()


def test_without_root_the_builder_says_what_it_needs_root_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(GuestImageError, match="needs root: its files belong to the guest's users"):
        build.ensure_guest_image(tmp_path)


def test_every_source_of_the_image_changes_its_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay/issue").write_text("hello")
    before = build.source_fingerprint(tmp_path)
    (tmp_path / "overlay/issue").rename(tmp_path / "overlay/motd")
    assert build.source_fingerprint(tmp_path) != before
