"""The demo guest image, found or built.

`ensure_guest_image(directory)` returns the disk. A finished image is never written to: a new one is built beside it and
renamed into place, for a running guest may stand on the old one.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kilonova.cli.guest_image import disk, packages, root_tree
from kilonova.cli.guest_image.commands import GuestImageError
from kilonova.cli.install import GUEST_IMAGE_PACKAGES, missing_packages

BUILD_PACKAGES = tuple(GUEST_IMAGE_PACKAGES)
"""Debian packages that must be on the host; those inside the guest are downloaded and never installed."""

IMAGE_NAME = "demo-guest.qcow2"
SOURCES = Path(__file__).parent


def default_cache_dir() -> Path:
    """`$KILONOVA_CACHE_DIR`, else the place the system has for such files."""
    chosen = os.environ.get("KILONOVA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/cache/kilonova")
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "kilonova")


def source_fingerprint(directory: Path = SOURCES) -> str:
    """One hash over all that the image is made from here; the packages inside it do not count."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(directory).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def has_guest_image(cache_dir: Path) -> bool:
    """Whether the image is there and was built from the present sources."""
    stamp = cache_dir / f"{IMAGE_NAME}.sources"
    return (cache_dir / IMAGE_NAME).exists() and stamp.exists() and stamp.read_text() == source_fingerprint()


def ensure_guest_image(cache_dir: Path, *, with_kernel_and_ramdisk: bool = False) -> Path:
    """The path of the demo guest's qcow2 disk, built first if there is none (about 10 s and a 34 MB download).

    With `with_kernel_and_ramdisk` the same guest is also built as `demo-guest.vmlinuz`, `demo-guest.initrd` and
    `demo-guest.ext4.qcow2`, for servers that boot from separate images. Downloads stay in `cache_dir/packages`.

    Raises GuestImageError, naming what is missing: root, a Debian package, a mirror that answers. Blocks.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    names = disk.FILE_NAMES if with_kernel_and_ramdisk else disk.FILE_NAMES[:1]
    with exclusive(cache_dir):
        if not has_guest_image(cache_dir):
            check_host()
            build(cache_dir, names)
            for name in set(disk.FILE_NAMES) - set(names):
                (cache_dir / name).unlink(missing_ok=True)  # made from older sources
        elif missing := [name for name in names if not (cache_dir / name).exists()]:
            check_host()
            build(cache_dir, missing)
    return cache_dir / IMAGE_NAME


@contextmanager
def exclusive(cache_dir: Path) -> Iterator[None]:
    """One builder at a time in a directory; the second finds the image of the first."""
    with (cache_dir / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_host() -> None:
    if os.geteuid() != 0:
        raise GuestImageError("building the demo guest image needs root: its files belong to the guest's users")
    missing = missing_packages(BUILD_PACKAGES)
    if missing:
        raise GuestImageError(f"building the demo guest image needs: apt-get install {' '.join(missing)}")


def build(cache_dir: Path, names: Sequence[str]) -> None:
    work = cache_dir / "building"
    shutil.rmtree(work, ignore_errors=True)  # what a killed build left
    work.mkdir()
    try:
        unpacked = packages.unpack(packages.download(cache_dir / "packages"), work / "unpacked")
        tree = root_tree.make(unpacked, work / "root")
        for name in names:
            disk.MAKERS[name](tree, work / name)
        for name in names:
            (work / name).replace(cache_dir / name)
        (cache_dir / f"{IMAGE_NAME}.sources").write_text(source_fingerprint())
    finally:
        shutil.rmtree(work)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the demo guest image, if there is none.")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument(
        "--kernel-and-ramdisk", action="store_true", help="also as kernel, ramdisk and root file system"
    )
    options = parser.parse_args()
    started = time.monotonic()
    was_there = has_guest_image(options.cache_dir)
    try:
        image = ensure_guest_image(options.cache_dir, with_kernel_and_ramdisk=options.kernel_and_ramdisk)
    except GuestImageError as error:
        print(f"guest image: {error}", file=sys.stderr)
        return 1
    megabytes = image.stat().st_size / 1e6
    how = "found" if was_there else f"built in {time.monotonic() - started:.0f} s"
    print(f"{image} {how}, {megabytes:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
