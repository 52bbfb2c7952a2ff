"""VHDX: two headers, two tables of regions, and a region of metadata that says how large the disk is."""

from uuid import UUID

from kilonova.kit.disks.inspection.reading import ImageRefused, unpack, whole_sectors

HEADER_OFFSETS = (64 << 10, 128 << 10)
HEADER_BYTES = 4096
REGIONS_OFFSET = 192 << 10
TABLE_BYTES = 64 << 10
REGIONS_BYTES = 2 * TABLE_BYTES
"""The table, and its copy behind it."""

METADATA_BYTES = 2 * TABLE_BYTES
FIRST_METADATA_OFFSET = 1 << 20
LAST_METADATA_OFFSET = 1 << 30
MOST_ENTRIES = 2047

METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
BLOCKS_REGION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
PHYSICAL_SECTOR_SIZE = UUID("cda348c7-445d-4471-9cc9-e9885251c556").bytes_le
DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746").bytes_le
PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le

REGIONS = (METADATA_REGION, BLOCKS_REGION)
ITEMS = (FILE_PARAMETERS, VIRTUAL_DISK_SIZE, LOGICAL_SECTOR_SIZE, PHYSICAL_SECTOR_SIZE, DISK_ID)
HAS_PARENT = 1 << 1


def check_header(header: bytes) -> None:
    """Raises ImageRefused. Of one that was not closed, a log says what its tables should have been."""
    if header.startswith(b"head") and any(header[48:64]):
        raise ImageRefused("The vhdx image was not closed: it has a log that would have to be replayed.")


def metadata_offset(tables: bytes) -> int:
    """Where the metadata begins. Raises ImageRefused."""
    first, second = tables[:TABLE_BYTES], tables[TABLE_BYTES:]
    if not first.startswith(b"regi"):
        raise ImageRefused("The vhdx image has no region table.")
    if second.startswith(b"regi") and second != first:
        raise ImageRefused("The vhdx image has two region tables that say different things.")
    (count,) = unpack("<I", first, 8, "vhdx")
    regions = _entries(first, 16, count)
    for kind, fields in regions.items():
        if kind not in REGIONS and fields[-1] & 1:
            raise ImageRefused("The vhdx image has a region that is required and not known.")
    if METADATA_REGION not in regions:
        raise ImageRefused("The vhdx image has no metadata region.")
    (offset,) = unpack("<Q", regions[METADATA_REGION], 0, "vhdx")
    if not FIRST_METADATA_OFFSET <= offset <= LAST_METADATA_OFFSET:
        raise ImageRefused(f"The vhdx image has its metadata at the impossible offset {offset}.")
    return offset


def size(region: bytes) -> int:
    """Reads the metadata table at the beginning of the region and the items it points to. Raises ImageRefused."""
    if not region.startswith(b"metadata"):
        raise ImageRefused("The vhdx image has no metadata table.")
    (count,) = unpack("<H", region, 10, "vhdx")
    items = _entries(region[:TABLE_BYTES], 32, count)
    if PARENT_LOCATOR in items:
        raise ImageRefused("The vhdx image is the difference to another one.")
    offsets = {}
    for kind, fields in items.items():
        if kind not in ITEMS and fields[8] & 4:
            raise ImageRefused("The vhdx image has metadata that is required and not known.")
        (offsets[kind],) = unpack("<I", fields, 0, "vhdx")
    for kind in ITEMS:
        if kind not in offsets:
            raise ImageRefused("The vhdx image does not have all its metadata, or not the size of its disk.")
    if unpack("<II", region, offsets[FILE_PARAMETERS], "vhdx")[1] & HAS_PARENT:
        raise ImageRefused("The vhdx image is the difference to another one.")
    (sector,) = unpack("<I", region, offsets[LOGICAL_SECTOR_SIZE], "vhdx")
    if sector != 512:
        # QEMU takes the disk of one with 4096 for eight times smaller than it is.
        raise ImageRefused(f"The vhdx image has sectors of {sector} bytes; those of 512 are taken.")
    return whole_sectors(unpack("<Q", region, offsets[VIRTUAL_DISK_SIZE], "vhdx")[0], "vhdx")


def _entries(table: bytes, start: int, count: int) -> dict[bytes, bytes]:
    """Kind → the 16 bytes of fields behind it. Raises ImageRefused for too many, and for one that is there twice."""
    if count > min(MOST_ENTRIES, (len(table) - start) // 32):
        raise ImageRefused(f"The vhdx image has a table of the impossible length {count}.")
    found: dict[bytes, bytes] = {}
    for position in range(start, start + 32 * count, 32):
        kind = table[position : position + 16]
        if kind in found:
            raise ImageRefused("The vhdx image has a table that names one thing twice.")
        found[kind] = table[position + 16 : position + 32]
    return found
