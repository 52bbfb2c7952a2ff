"""The guest's root file system as a directory: busybox, a few real programs, their libraries, modules, settings.

The one rule: everything comes from the unpacked packages or from `overlay/`; nothing of the host gets in.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kilonova.cli.guest_image.commands import GuestImageError, run

OVERLAY = Path(__file__).parent / "overlay"
LIBRARY_DIRECTORY = "lib/x86_64-linux-gnu"
DYNAMIC_LINKER = "lib64/ld-linux-x86-64.so.2"

DIRECTORIES = (
    f"bin dev etc/dropbear etc/pam.d home/demo lib64 {LIBRARY_DIRECTORY}/security media mnt newroot proc root run sbin "
    "sys tmp usr/bin usr/lib/openssh usr/sbin usr/share var/lib/guest var/log"
).split()
PROGRAMS = (
    "sbin/dumpe2fs sbin/e2fsck sbin/mke2fs sbin/resize2fs sbin/tune2fs usr/bin/dbclient usr/bin/doas "
    "usr/bin/dropbearkey usr/sbin/dropbear usr/sbin/qemu-ga usr/lib/openssh/sftp-server "
    f"{LIBRARY_DIRECTORY}/security/pam_permit.so"
).split()
LINKS = {
    "sbin/fsck.ext4": "e2fsck",
    "sbin/mkfs.ext2": "mke2fs",
    "sbin/mkfs.ext3": "mke2fs",
    "sbin/mkfs.ext4": "mke2fs",
    "usr/bin/ssh": "dbclient",
    "usr/lib/sftp-server": "openssh/sftp-server",
    "var/run": "../run",
}
# Busybox has a weak make-file-system of its own, and package tools that have no database here.
UNWANTED_APPLETS = {"busybox", "dpkg", "dpkg-deb", "mke2fs", "rpm", "rpm2cpio"}
SYSTEM_APPLETS = (
    "acpid blockdev depmod fdisk findfs fstrim getty halt ifconfig init insmod klogd losetup lsmod mdev mkswap "
    "modprobe pivot_root poweroff reboot rmmod route swapoff swapon switch_root sysctl syslogd udhcpc uevent"
).split()

DISK_MODULES = ["ata_piix", "sd_mod", "virtio_blk", "virtio_pci", "virtio_scsi"]
"""What the initial ramdisk needs to find the root disk, on any machine type."""
OTHER_MODULES = (
    "virtio_net virtio-rng virtio_balloon virtio_console virtio_mmio sr_mod 8021q button evdev "
    "isofs vfat nls_ascii nls_cp437 nls_iso8859-1 nls_utf8"
).split()

DEMO_USER_ID = 1000
DEMO_PASSWORD = "demo"  # noqa: S105  # good on the console alone: the guest's ssh takes keys only
SETTINGS = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "sshd:x:74:74::/run:/bin/false\n"
        "nobody:x:65534:65534::/:/bin/false\n"
        f"demo:x:{DEMO_USER_ID}:{DEMO_USER_ID}:demo:/home/demo:/bin/sh\n"
    ),
    "etc/group": f"root:x:0:\ntty:x:5:\ndisk:x:6:\nsudo:x:27:demo\ndemo:x:{DEMO_USER_ID}:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n/bin/ash\n",
    "etc/doas.conf": "permit nopass keepenv root\npermit nopass keepenv demo\n",
    "etc/pam.d/doas": "".join(f"{kind} sufficient pam_permit.so\n" for kind in ("auth", "account", "session")),
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/resolv.conf": "",
    # What `mount` tries when it is told no type; the kernel loads their modules.
    "etc/filesystems": "iso9660\nvfat\next4\n",
}
MODES = {
    "tmp": 0o1777,
    "root": 0o700,
    "etc/shadow": 0o640,
    "etc/doas.conf": 0o600,
    "usr/bin/doas": 0o4755,
    # It gives the right up at once but in the applets that need it, such as ping.
    "bin/busybox": 0o4755,
}
EXECUTABLE_DIRECTORIES = ("etc/init.d", "etc/acpi", "etc/udhcpc", "usr/bin", "usr/sbin")


@dataclass(frozen=True)
class Tree:
    """A finished root file system, and the unpacked packages it was made from."""

    path: Path
    unpacked: Path

    @property
    def busybox(self) -> Path:
        return self.unpacked / "bin/busybox"

    @property
    def kernel_version(self) -> str:
        return next((self.unpacked / "lib/modules").iterdir()).name

    @property
    def kernel(self) -> Path:
        return self.unpacked / f"boot/vmlinuz-{self.kernel_version}"


def make(unpacked: Path, target: Path) -> Tree:
    tree = Tree(target, unpacked)
    for name in DIRECTORIES:
        (target / name).mkdir(parents=True, exist_ok=True)
    add_busybox(tree)
    add_programs(tree)
    add_libraries(tree)
    index_modules(tree)
    add_modules(tree, target, [*DISK_MODULES, *OTHER_MODULES])
    add_settings(tree)
    set_owners(target)
    return tree


def add_busybox(tree: Tree) -> None:
    """Every applet is in /bin, because ssh gives a command no longer search path; system ones are in /sbin too."""
    shutil.copy(tree.busybox, tree.path / "bin/busybox")
    for applet in run([tree.busybox, "--list"]).decode().split():
        if applet in UNWANTED_APPLETS:
            continue
        (tree.path / "bin" / applet).symlink_to("busybox")
        if applet in SYSTEM_APPLETS:
            (tree.path / "sbin" / applet).symlink_to("../bin/busybox")


def add_programs(tree: Tree) -> None:
    for name in [*PROGRAMS, DYNAMIC_LINKER]:
        shutil.copy(tree.unpacked / name, tree.path / name)
    shutil.copy(tree.unpacked / "etc/mke2fs.conf", tree.path / "etc/mke2fs.conf")
    for name, link_target in LINKS.items():
        (tree.path / name).symlink_to(link_target)


def needed_libraries(program: Path) -> list[str]:
    """The libraries an ELF file asks the dynamic linker for: its DT_NEEDED entries."""
    lines = run(["objdump", "--private-headers", program]).decode().splitlines()
    return [line.split()[1] for line in lines if line.split()[:1] == ["NEEDED"]]


def add_libraries(tree: Tree) -> None:
    waiting = [library for name in PROGRAMS for library in needed_libraries(tree.path / name)]
    for library in waiting:  # grows while it is walked: libraries need libraries
        target = tree.path / LIBRARY_DIRECTORY / library
        if target.exists() or library == Path(DYNAMIC_LINKER).name:
            continue
        source = find_library(tree.unpacked, library)
        shutil.copy(source, target)
        waiting += needed_libraries(source)


def find_library(unpacked: Path, library: str) -> Path:
    for directory in (LIBRARY_DIRECTORY, f"usr/{LIBRARY_DIRECTORY}"):
        if (unpacked / directory / library).exists():
            return unpacked / directory / library
    raise GuestImageError(f"no downloaded package holds {library}: add its package to LIBRARY_PACKAGES")


def index_modules(tree: Tree) -> None:
    run([tree.busybox, "depmod", "-b", tree.unpacked, tree.kernel_version])


def module_files(index: str, names: Iterable[str]) -> set[str]:
    """Kernel modules and all they depend on, as `kernel/…` paths, from the text of `modules.dep`."""
    found = {}
    for line in index.splitlines():
        file, _, needed = line.partition(":")
        found[Path(file).name.removesuffix(".ko")] = {file, *needed.split()}
    missing = [name for name in names if name not in found]
    if missing:
        raise GuestImageError(f"the guest's kernel has no module {', '.join(missing)}")
    return {path[path.index("kernel/") :] for name in names for path in found[name]}


def add_modules(tree: Tree, target: Path, names: Iterable[str]) -> None:
    """Copy modules as they are: stripping one drops its signature, and the kernel says so at every boot."""
    relative = f"lib/modules/{tree.kernel_version}"
    index = (tree.unpacked / relative / "modules.dep").read_text()
    for name in module_files(index, names):
        copy = target / relative / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.unpacked / relative / name, copy)
    (target / relative / "modules.builtin").touch()
    run([tree.busybox, "depmod", "-b", target, tree.kernel_version])


def add_settings(tree: Tree) -> None:
    shutil.copytree(OVERLAY, tree.path, dirs_exist_ok=True)
    for name, text in SETTINGS.items():
        (tree.path / name).write_text(text)
    shutil.copy(tree.path / "etc/pam.d/doas", tree.path / "etc/pam.d/other")
    hashed = run([tree.busybox, "mkpasswd", "-m", "sha512", DEMO_PASSWORD]).decode().strip()
    accounts = {"root": "*", "nobody": "*", "demo": hashed}
    shadow = "".join(f"{user}:{password}:19000:0:99999:7:::\n" for user, password in accounts.items())
    (tree.path / "etc/shadow").write_text(shadow)


def set_owners(root: Path) -> None:
    """All files are root's but for the demo user's; modes do not depend on who cloned the repository how."""
    for path in [root, *root.rglob("*")]:
        owner = DEMO_USER_ID if path.is_relative_to(root / "home/demo") else 0
        os.chown(path, owner, owner, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    written = [source.relative_to(OVERLAY).as_posix() for source in OVERLAY.rglob("*") if source.is_file()]
    for name in [*written, *SETTINGS]:
        (root / name).chmod(0o755 if name.startswith(EXECUTABLE_DIRECTORIES) else 0o644)
    for name, mode in MODES.items():
        (root / name).chmod(mode)
