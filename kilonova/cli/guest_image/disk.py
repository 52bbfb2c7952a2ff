"""The bootable disk, made of plain files: partition table, boot partition with kernel, root partition at the end.

The root partition comes last so that the guest can grow it into whatever disk it gets.
"""

import asyncio
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

from kilonova.cli.guest_image.commands import GuestImageError, run
from kilonova.cli.guest_image.root_tree import DISK_MODULES, Tree, add_modules
from kilonova.kit.disks import qemu_img
from kilonova.kit.host_commands import HostError

INITRAMFS_INIT = Path(__file__).parent / "initramfs-init"
BOOT_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")
BOOT_CODE_BYTES = 440  # what the partition table leaves of the first sector

MIB = 1 << 20
SECTORS_PER_MIB = 2048
BOOT_START_MIB, BOOT_MIB, ROOT_MIB = 1, 20, 32
ROOT_START_MIB = BOOT_START_MIB + BOOT_MIB
ROOT_LABEL = "guest-root"  # initramfs-init looks for it
MAX_ROOT_GROWTH_BLOCKS = 64 << 20  # 256 GiB of 4 KiB blocks: reserves room for the descriptors of a grown disk

BOOT_MENU = f"""\
SERIAL 0 115200
DEFAULT guest
PROMPT 0
TIMEOUT 1
LABEL guest
 LINUX /vmlinuz
 INITRD /initrd.img
 APPEND root=LABEL={ROOT_LABEL} console=tty1 console=ttyS0,115200 panic=10
"""
INITRAMFS_DIRECTORIES = ["bin", "sbin", "dev", "proc", "sys", "newroot"]
INITRAMFS_APPLETS = "blockdev cat dd echo ls mkdir modprobe mount printf sh sleep switch_root umount".split()


def make_qcow2(tree: Tree, target: Path) -> None:
    """The whole disk: BIOS boot loader, kernel and root file system."""
    work = target.parent
    boot, root, raw = work / "boot.fat", work / "root.ext4", work / "disk.raw"
    make_boot_partition(tree, boot)
    make_root_partition(tree, root)
    make_partition_table(raw)
    with raw.open("r+b") as disk:
        disk.write(BOOT_CODE.read_bytes()[:BOOT_CODE_BYTES])
        for partition, start_mib in ((boot, BOOT_START_MIB), (root, ROOT_START_MIB)):
            disk.seek(start_mib * MIB)
            with partition.open("rb") as content:
                shutil.copyfileobj(content, disk, MIB)
    compress(raw, target)


def make_root_qcow2(tree: Tree, target: Path) -> None:
    """The root file system alone, on a disk without partitions: for a kernel and ramdisk given apart."""
    root = target.parent / "root.ext4"
    make_root_partition(tree, root)
    compress(root, target)


def compress(raw: Path, target: Path) -> None:
    try:
        asyncio.run(qemu_img.compress(raw, target))
    except HostError as error:
        raise GuestImageError(error.reason) from error


def make_kernel(tree: Tree, target: Path) -> None:
    shutil.copy(tree.kernel, target)


def make_full_ramdisk(tree: Tree, target: Path) -> None:
    """The whole guest as a ramdisk: it runs from memory unless it finds a disk labelled as its root."""
    copy = target.parent / "full-ramdisk"
    # cp keeps owners, modes and links in one go; shutil.copytree loses owners.
    run(["cp", "--archive", tree.path, copy])
    shutil.copy(INITRAMFS_INIT, copy / "init")
    (copy / "init").chmod(0o755)
    pack_ramdisk(copy, target)


def make_initramfs(tree: Tree, target: Path) -> None:
    """The small ramdisk of the disk image: finds the root partition, grows it, and hands over."""
    directory = target.parent / "initramfs"
    for name in INITRAMFS_DIRECTORIES:
        (directory / name).mkdir(parents=True)
    shutil.copy(tree.busybox, directory / "bin/busybox")
    for applet in INITRAMFS_APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "sbin/modprobe").symlink_to("../bin/modprobe")  # where the kernel calls it
    shutil.copy(INITRAMFS_INIT, directory / "init")
    (directory / "init").chmod(0o755)
    add_modules(tree, directory, DISK_MODULES)
    pack_ramdisk(directory, target)


def pack_ramdisk(directory: Path, target: Path) -> None:
    """A newc cpio archive under xz, in the one form of xz that the kernel reads: CRC32, small dictionary."""
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))
    listing = "\n".join([".", *names]).encode()
    archive = run(["cpio", "--quiet", "--create", "--format=newc"], cwd=directory, stdin=listing)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": MIB}]
    target.write_bytes(lzma.compress(archive, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters))


def make_boot_partition(tree: Tree, target: Path) -> None:
    """A FAT file system with loader, kernel and initramfs. mtools writes into it without mounting."""
    initramfs, menu = target.parent / "initrd.img", target.parent / "syslinux.cfg"
    make_initramfs(tree, initramfs)
    menu.write_text(BOOT_MENU)
    hidden_sectors = str(BOOT_START_MIB * SECTORS_PER_MIB)  # the loader adds them to find its own files
    run(["mkfs.fat", "-F", "16", "-h", hidden_sectors, "-n", "GUESTBOOT", "-C", target, str(BOOT_MIB * 1024)])
    for source, name in ((tree.kernel, "vmlinuz"), (initramfs, "initrd.img"), (menu, "syslinux.cfg")):
        run(["mcopy", "-i", target, source, f"::/{name}"])
    run(["syslinux", "--install", target])


def make_root_partition(tree: Tree, target: Path) -> None:
    """An ext4 file system filled from the tree; inodes and journal small, to save the guest's disk and memory."""
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(ROOT_MIB * MIB)
    growth = f"resize={MAX_ROOT_GROWTH_BLOCKS},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
    layout = ["-b", "4096", "-N", "4096", "-J", "size=4", "-m", "0", "-O", "^metadata_csum_seed,resize_inode"]
    run(["mke2fs", "-q", "-t", "ext4", "-L", ROOT_LABEL, *layout, "-E", growth, "-d", tree.path, target])


def make_partition_table(target: Path) -> None:
    with target.open("wb") as file:
        file.truncate((ROOT_START_MIB + ROOT_MIB) * MIB)
    start, size = BOOT_START_MIB * SECTORS_PER_MIB, BOOT_MIB * SECTORS_PER_MIB
    table = f"label: dos\nstart={start}, size={size}, type=e, bootable\n"
    table += f"start={ROOT_START_MIB * SECTORS_PER_MIB}, size={ROOT_MIB * SECTORS_PER_MIB}, type=83\n"
    run(["sfdisk", "--quiet", target], stdin=table.encode())


MAKERS: dict[str, Callable[[Tree, Path], None]] = {
    "demo-guest.qcow2": make_qcow2,
    "demo-guest.vmlinuz": make_kernel,
    "demo-guest.initrd": make_full_ramdisk,
    "demo-guest.ext4.qcow2": make_root_qcow2,
}
FILE_NAMES = tuple(MAKERS)
