"""The Debian packages that the guest is made of: downloaded, unpacked, never installed on the host."""

import re
from collections.abc import Iterable
from pathlib import Path

from kilonova.cli.guest_image.commands import GuestImageError, run
from kilonova.cli.install import has_package_lists

KERNEL_METAPACKAGE = "linux-image-cloud-amd64"
GUEST_PACKAGES = {
    "busybox-static": "shell, init, DHCP client and most commands",
    "dropbear-bin": "ssh server and client",
    "openssh-sftp-server": "scp and sftp",
    "opendoas": "what sudo stands on",
    "e2fsprogs": "makes, checks and grows ext4",
    "qemu-guest-agent": "does in the guest what its host asks, such as setting a password",
}
LIBRARY_PACKAGES = (
    "libaudit1 libblkid1 libc6 libcap-ng0 libcap2 libcom-err2 libcrypt1 libext2fs2 libglib2.0-0 libgmp10 libnuma1 "
    "libpam-modules libpam0g libpcre2-8-0 libss2 libtomcrypt1 libtommath1 libudev1 liburing2 libuuid1 zlib1g"
).split()
ARCHITECTURE = "amd64"
# As root apt would step down to a user who cannot write into a private directory.
AS_ROOT = ["-o", "APT::Sandbox::User=root"]


def ensure_package_lists() -> None:
    if not has_package_lists():
        run(["apt-get", "-q=2", "update"])


def kernel_package(directory: Path) -> str:
    """The name of the kernel package that the metapackage stands for now, e.g. linux-image-6.1.0-40-cloud-amd64."""
    ensure_package_lists()
    depends = run(["apt-cache", "depends", KERNEL_METAPACKAGE]).decode()
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise GuestImageError(f"apt knows no kernel behind {KERNEL_METAPACKAGE}: is this Debian on {ARCHITECTURE}?")
    return found[1]


def missing_downloads(directory: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if not list(directory.glob(f"{name}_*.deb"))]


def download(directory: Path) -> list[Path]:
    """Download what `directory` lacks; returns the path of one archive for each package."""
    directory.mkdir(parents=True, exist_ok=True)
    kernels = [path.name.partition("_")[0] for path in directory.glob("linux-image-*.deb")]
    names = [*GUEST_PACKAGES, *LIBRARY_PACKAGES, kernels[0] if kernels else kernel_package(directory)]
    missing = missing_downloads(directory, names)
    if missing:
        ensure_package_lists()
        try:
            run(["apt-get", *AS_ROOT, "-q=2", "download", *missing], cwd=directory)
        except GuestImageError:
            # Lists older than the mirror name files that are gone from it.
            run(["apt-get", "-q=2", "update"])
            run(["apt-get", *AS_ROOT, "-q=2", "download", *missing_downloads(directory, names)], cwd=directory)
    return [max(directory.glob(f"{name}_*.deb")) for name in names]


def unpack(archives: Iterable[Path], target: Path) -> Path:
    for archive in archives:
        run(["dpkg-deb", "--extract", archive, target])
    return target
