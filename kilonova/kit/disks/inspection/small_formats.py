"""VDI and ploop, whose headers say everything in one place."""

from kilonova.kit.disks.inspection.reading import SECTOR_BYTES, ImageRefused, unpack

VDI_VERSION = 0x00010001
VDI_BLOCK_BYTES = 1 << 20
VDI_PARENTS = slice(0x1A8, 0x1C8)
"""The ids of the disk before this one and of its parent."""

PLOOP_VERSION = 2


def check_vdi(head: bytes) -> None:
    """Raises ImageRefused."""
    (version,) = unpack("<I", head, 0x44, "vdi")
    (kind,) = unpack("<I", head, 0x4C, "vdi")
    (sector,) = unpack("<I", head, 0x168, "vdi")
    disk_bytes, block_bytes, _extra, blocks = unpack("<QIII", head, 0x170, "vdi")
    unpack("32x", head, VDI_PARENTS.start, "vdi")
    if version != VDI_VERSION:
        raise ImageRefused(f"The vdi image has the unknown version {version >> 16}.{version & 0xFFFF}.")
    if kind not in (1, 2):
        raise ImageRefused("The vdi image is the difference to another one.")
    if any(head[VDI_PARENTS]):
        raise ImageRefused("The vdi image has a parent.")
    if sector != SECTOR_BYTES or block_bytes != VDI_BLOCK_BYTES:
        raise ImageRefused(
            f"The vdi image has sectors of {sector} and blocks of {block_bytes} bytes, not 512 and 1 MiB."
        )
    if disk_bytes > blocks * block_bytes:
        raise ImageRefused("The vdi image has fewer blocks than its disk needs.")


def vdi_size(head: bytes) -> int:
    """In whole sectors, to which odd sizes are rounded up. Raises ImageRefused."""
    (size,) = unpack("<Q", head, 0x170, "vdi")
    return -(-size // SECTOR_BYTES) * SECTOR_BYTES


def check_ploop(head: bytes) -> None:
    """Raises ImageRefused."""
    (version,) = unpack("<I", head, 16, "ploop")
    if version != PLOOP_VERSION:
        raise ImageRefused(f"The ploop image has the unknown version {version}.")


def ploop_size(head: bytes) -> int:
    """Raises ImageRefused."""
    (sectors,) = unpack("<Q", head, 36, "ploop")
    if head.startswith(b"WithoutFreeSpace"):
        sectors &= 0xFFFFFFFF
    return sectors * SECTOR_BYTES
