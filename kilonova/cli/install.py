"""Which Debian packages Kilonova needs, and installing those that are missing.

This file runs before anything else exists: `python3 -P kilonova/cli/install.py --for cloud`. Its one rule: standard
library only, and no import of the package it lies in.
"""

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

RUNTIME_PACKAGES = {
    "conntrack": "ends the connections that a removed security group rule had allowed",
    "dnsmasq-base": "answers DHCP and DNS inside each network's namespace",
    "e2fsprogs": "makes file systems on ephemeral disks",
    "ebtables": "drops frames that carry another machine's address",
    "genisoimage": "writes config drives",
    "iproute2": "shows namespaces, bridges and routes to operators",
    "ipset": "holds the members of security groups",
    "iptables": "filters and translates traffic",
    "iputils-arping": "announces an address that moved",
    "iputils-ping": "answers whether a guest is reachable",
    "kmod": "loads the kernel's bridge filter and vxlan where they are modules",
    "libvirt-clients": "virsh, to see what runs",
    "libvirt-daemon": "runs virtual machines",
    "libvirt-daemon-system": "the user and the directories that libvirt's QEMU runs with",
    "novnc": "shows servers' screens in a browser",
    "openssh-client": "makes the demo key and logs in to guests",
    "procps": "sysctl: forwarding and bridge filter settings",
    "qemu-block-extra": "QEMU's own initiators: disks over iSCSI",
    "qemu-system-x86": "is the virtual machine",
    "qemu-utils": "qemu-img: converts images and makes overlays",
}
BUILD_PACKAGES = {
    "gcc": "compiles libvirt's Python binding",
    "libc6-dev": "headers for the compiler",
    "libvirt-dev": "headers of libvirt",
    "pkg-config": "finds libvirt's headers",
}
GUEST_IMAGE_PACKAGES = {
    "binutils": "objdump: which libraries a program needs",
    "cpio": "packs the initial ramdisk",
    "dosfstools": "makes the boot partition",
    "e2fsprogs": "makes the root file system",
    "fdisk": "sfdisk: partitions the disk",
    "mtools": "copies the kernel into the boot partition without mounting it",
    "qemu-utils": "qemu-img: compresses the disk",
    "syslinux": "installs the boot loader",
    "syslinux-common": "the boot loader's master boot record",
}
SERVER_PACKAGES = {
    "postgresql": {"postgresql-15": "a database for many hosts", "postgresql-client-15": "psql, to make databases"},
    "mariadb": {"mariadb-server": "a database for many hosts", "mariadb-client": "mariadb, to make databases"},
    "rabbit": {"rabbitmq-server": "carries messages between hosts"},
    "nats": {"nats-server": "carries messages between hosts"},
    "lvm": {"lvm2": "volumes in a volume group", "tgt": "serves them to hosts over iSCSI"},
    "lab": {"tcpdump": "shows what crosses the network between a lab's hosts"},
}
"""What many hosts stand on, and the tests of it need beside the rest."""
TEST_PACKAGES = {
    "libeatmydata1": "lets tests write without waiting for the disk",
    "lvm2": "volumes in a volume group",
    "memcached": "shares checked tokens between processes",
    "ovmf": "UEFI for guests that ask for it",
    "spice-html5": "shows servers' screens over SPICE in a browser",
    "swtpm": "emulates the TPM of guests that ask for one",
    "swtpm-tools": "makes the state of a new TPM",
    "tgt": "serves volumes over iSCSI",
}
REQUIRED_PACKAGES = {**RUNTIME_PACKAGES, **BUILD_PACKAGES, **GUEST_IMAGE_PACKAGES}
"""Debian package to the reason it is needed."""

POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Kilonova: start no service while packages are installed on a machine without systemd\nexit 101\n"
)


class InstallError(Exception):
    """Packages could not be installed; the message says which and why."""


def python_packages() -> dict[str, str]:
    """What the running interpreter lacks to make a virtual environment and compile against itself."""
    wanted = {}
    if importlib.util.find_spec("ensurepip") is None:
        wanted["python3-venv"] = "makes the virtual environment"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        wanted["python3-dev"] = "headers of Python"
    return wanted


def packages_for(purpose: str, servers: Sequence[str] = ()) -> dict[str, str]:
    """The packages for one purpose: `check` compiles the environment, `cloud` and `test` also run everything."""
    if purpose == "check":
        return BUILD_PACKAGES | python_packages()
    wanted = REQUIRED_PACKAGES | python_packages()
    if purpose == "test":
        wanted |= TEST_PACKAGES
    for server in servers:
        wanted |= SERVER_PACKAGES[server]
    return wanted


def missing_packages(wanted: Sequence[str]) -> list[str]:
    """Those of `wanted` that dpkg does not know as installed, in order."""
    try:
        answer = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *wanted],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # one line for each package that was never heard of
            text=True,
        ).stdout
    except FileNotFoundError:
        raise InstallError(
            "dpkg-query is not on this machine: Kilonova sets itself up on Debian 12; elsewhere install what provides "
            + ", ".join(wanted)
        ) from None
    installed = {line.split()[1] for line in answer.splitlines() if line.startswith("installed ")}
    return [name for name in wanted if name not in installed]


def has_package_lists(directory: Path = Path("/var/lib/apt/lists")) -> bool:
    return any(directory.glob("*_Packages*"))


def has_systemd() -> bool:
    return Path("/run/systemd/system").exists()


@contextlib.contextmanager
def services_held_back(policy_file: Path = POLICY_FILE) -> Iterator[None]:
    """Keep package scripts from starting daemons where no systemd would ever stop them.

    A machine that has systemd, or a policy of its own, is left as it is.
    """
    if has_systemd() or (policy_file.exists() and policy_file.read_text() != POLICY_TEXT):
        yield
        return
    policy_file.write_text(POLICY_TEXT)
    policy_file.chmod(0o755)
    try:
        yield
    finally:
        policy_file.unlink(missing_ok=True)


def run_apt(arguments: Sequence[str], log: IO[str]) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    log.write(f"$ {' '.join(command)}\n")
    log.flush()
    try:
        subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True
        )
    except FileNotFoundError:
        raise InstallError("apt-get is not on this machine") from None
    except subprocess.CalledProcessError as error:
        raise InstallError(f"`{' '.join(command)}` ended with {error.returncode}") from error


def install(packages: Sequence[str], log: IO[str]) -> None:
    """Install `packages` with apt, without recommended ones and without starting services. Needs root."""
    if not packages:
        return
    if os.geteuid() != 0:
        raise InstallError(f"installing needs root: sudo apt-get install {' '.join(packages)}")
    arguments = ["install", "--yes", "--no-install-recommends", *packages]
    with services_held_back():
        if has_package_lists():
            # Lists that are days old name files the mirror no longer has, so a failure here is tried once more below.
            with contextlib.suppress(InstallError):
                run_apt(arguments, log)
                return
        run_apt(["update"], log)
        run_apt(arguments, log)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Install the Debian packages that Kilonova needs and that are missing."
    )
    parser.add_argument("--for", dest="purpose", choices=["cloud", "test", "check"], default="cloud")
    parser.add_argument("--with", dest="servers", choices=sorted(SERVER_PACKAGES), action="append", default=[])
    parser.add_argument("--log", type=Path, help="where apt's output goes (default: standard error)")
    parser.add_argument("--list", action="store_true", help="print each needed package with its reason and stop")
    options = parser.parse_args()
    wanted = packages_for(options.purpose, options.servers)
    if options.list:
        for name, reason in sorted(wanted.items()):
            print(f"{name:24}{reason}")
        return 0
    try:
        missing = missing_packages(list(wanted))
        if not missing:
            print(f"all {len(wanted)} Debian packages are installed")
            return 0
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(options.log.open("a")) if options.log else sys.stderr
            install(missing, log)
    except InstallError as error:
        print(f"Debian packages: {error}", file=sys.stderr)
        return 1
    print(f"installed {len(missing)} Debian packages: {' '.join(missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
