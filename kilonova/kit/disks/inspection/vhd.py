"""VHD: a footer in the last sector, and in a disk that grows a copy of it in the first."""

from kilonova.kit.disks.inspection.reading import SECTOR_BYTES, ImageRefused, unpack, whole_sectors

MAGIC = b"conectix"
FIXED, DYNAMIC = 2, 3
SIZED_BY_THEIR_FIELD = (b"win ", b"qem2", b"d2v ", b"CTXS", b"tap\0", b"wa\0\0")
"""Programs whose disks are as large as the field says; of all others the geometry counts, as in Virtual PC."""

LARGEST_GEOMETRY_SECTORS = 65535 * 16 * 255
"""A geometry at its limit stands for a disk that is larger: the field counts."""


def check(head: bytes) -> None:
    """Of a disk that grows. Raises ImageRefused."""
    _check_kind(head, DYNAMIC)


def size(head: bytes, last_sector: bytes) -> int:
    """Raises ImageRefused."""
    if head.startswith(MAGIC):
        if last_sector.startswith(MAGIC) and last_sector != head[:SECTOR_BYTES]:
            raise ImageRefused("The vhd image has two footers that say different things.")
        return _size(head)
    if not last_sector.startswith(MAGIC):
        raise ImageRefused("The image is declared as vhd, but its content is raw.")
    _check_kind(last_sector, FIXED)
    return _size(last_sector)


def _check_kind(footer: bytes, expected: int) -> None:
    (kind,) = unpack(">I", footer, 60, "vhd")
    if kind not in (FIXED, DYNAMIC):
        raise ImageRefused("The vhd image is the difference to another one.")
    if kind != expected:
        raise ImageRefused("The vhd image has its footer where its kind of disk has none.")


def _size(footer: bytes) -> int:
    (field,) = unpack(">Q", footer, 48, "vhd")
    cylinders, heads, sectors = unpack(">HBB", footer, 56, "vhd")
    by_geometry = cylinders * heads * sectors
    if footer[28:32] in SIZED_BY_THEIR_FIELD or by_geometry == LARGEST_GEOMETRY_SECTORS:
        return whole_sectors(field, "vhd")
    return by_geometry * SECTOR_BYTES
