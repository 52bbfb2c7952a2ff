"""qcow2: a header with numbered extensions behind it, both within the first cluster."""

from kilonova.kit.disks.inspection.reading import HEAD_BYTES, ImageRefused, unpack, whole_sectors

EXTERNAL_DATA_BIT = 1 << 2
COMPRESSION_BIT = 1 << 3
KNOWN_INCOMPATIBLE = 0b11101
"""Dirty, external data file, compression type, extended L2 entries. An image marked corrupt (bit 1) is not taken."""

COMPRESSION_TYPE_OFFSET = 104
COMPRESSION_TYPES = (0, 1)
"""zlib and zstd; the first is there without the feature bit, the others with it."""

EXTENSIONS_END = 0
EXTERNAL_DATA_EXTENSION = 0x44415441


def check(head: bytes) -> None:
    """Raises ImageRefused."""
    (version,) = unpack(">I", head, 4, "qcow2")
    backing_offset, backing_length, cluster_bits = unpack(">QII", head, 8, "qcow2")
    (encryption,) = unpack(">I", head, 32, "qcow2")
    unpack(">Q", head, 64, "qcow2")
    if version not in (2, 3):
        raise ImageRefused(f"The qcow2 image has the unknown version {version}.")
    if backing_offset or backing_length:
        raise ImageRefused("The qcow2 image has a backing file.")
    if not 9 <= cluster_bits <= 21:
        raise ImageRefused(f"The qcow2 image has impossible clusters of 2^{cluster_bits} bytes.")
    if encryption:
        raise ImageRefused("The qcow2 image is encrypted, and nothing here has its key.")
    header_length = 72 if version == 2 else _check_version_3(head)
    if header_length > 1 << cluster_bits:
        raise ImageRefused(f"The qcow2 image has a header of the impossible length {header_length}.")
    _check_extensions(head, header_length, 1 << cluster_bits)


def _check_version_3(head: bytes) -> int:
    """The header's length."""
    incompatible, _compatible, _autoclear, _order, header_length = unpack(">QQQII", head, 72, "qcow2")
    if incompatible & EXTERNAL_DATA_BIT:
        raise ImageRefused("The qcow2 image keeps its data in another file.")
    if incompatible & ~KNOWN_INCOMPATIBLE:
        raise ImageRefused(f"The qcow2 image has unknown incompatible features (bits {incompatible:#x}).")
    if not COMPRESSION_TYPE_OFFSET <= header_length <= HEAD_BYTES or header_length % 8:
        raise ImageRefused(f"The qcow2 image has a header of the impossible length {header_length}.")
    compression = 0
    if header_length > COMPRESSION_TYPE_OFFSET:
        (compression,) = unpack(">B", head, COMPRESSION_TYPE_OFFSET, "qcow2")
    if compression not in COMPRESSION_TYPES or bool(incompatible & COMPRESSION_BIT) != bool(compression):
        raise ImageRefused(f"The qcow2 image has the unknown compression {compression}.")
    if any(head[COMPRESSION_TYPE_OFFSET + 1 : header_length]):
        raise ImageRefused("The qcow2 image has header fields that are not known here.")
    return header_length


def _check_extensions(head: bytes, position: int, cluster_bytes: int) -> None:
    end = min(cluster_bytes, HEAD_BYTES)
    while position < end:
        kind, length = unpack(">II", head, position, "qcow2")
        position += 8
        if kind == EXTENSIONS_END:
            return
        if kind == EXTERNAL_DATA_EXTENSION:
            raise ImageRefused("The qcow2 image names a file with its data.")
        if length > end - position:
            raise ImageRefused("The qcow2 image has a header extension that does not end within its first cluster.")
        position += (length + 7) // 8 * 8
    if cluster_bytes > end:
        raise ImageRefused(f"The qcow2 image has header extensions beyond its first {HEAD_BYTES} bytes.")


def size(head: bytes) -> int:
    """Raises ImageRefused."""
    return whole_sectors(unpack(">Q", head, 24, "qcow2")[0], "qcow2")
