"""VMDK: only the self-contained sparse kind, whose descriptor is text inside the file.

A stream-optimized file ends in a footer, a second header that readers take instead of the first: both have to agree.
"""

import re

from kilonova.kit.disks.inspection.reading import HEAD_BYTES, SECTOR_BYTES, ImageRefused, unpack

CREATE_TYPES = ("monolithicSparse", "streamOptimized")
MAX_DESCRIPTOR_BYTES = 32 << 10
PARENT_HINT_AREA = slice(0x200, 0x200 + 20 * SECTOR_BYTES)
"""Where QEMU looks for a parent, wherever the header says that the descriptor is."""

NO_PARENT = "ffffffff"
DIRECTORY_AT_END = (1 << 64) - 1
HEADER_BYTES = 79
DIRECTORIES = slice(48, 64)
"""The offsets of the two grain directories: what a footer knows and the header before it could not."""

FOOTER_MARKER = 3
_UNPRINTABLE = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]")


def check(head: bytes) -> None:
    """Raises ImageRefused."""
    if not head.startswith(b"KDMV"):
        raise ImageRefused("The vmdk image is no self-contained sparse one: its data would be in other files.")
    capacity, _grain, descriptor_offset, descriptor_sectors = unpack("<QQQQ", head, 12, "vmdk")
    unpack(f"{HEADER_BYTES}x", head, 0, "vmdk")
    if capacity == 0:
        # QEMU takes such a file for a bare descriptor, whose extents can be any files.
        raise ImageRefused("The vmdk image has no capacity.")
    start, length = descriptor_offset * SECTOR_BYTES, descriptor_sectors * SECTOR_BYTES
    if not 0 < start <= HEAD_BYTES - length or not 0 < length <= MAX_DESCRIPTOR_BYTES:
        raise ImageRefused("The vmdk image has no descriptor near its beginning.")
    if b"parentFileNameHint" in head[PARENT_HINT_AREA]:
        raise ImageRefused("The vmdk image has a parent.")
    text, _, rest = head[start : start + length].partition(b"\0")
    if rest.strip(b"\0") or _UNPRINTABLE.search(text):
        # One reader ends at the first NUL, another at the last sector.
        raise ImageRefused("The vmdk image has a descriptor that is not plain text.")
    _check_descriptor(text.decode("latin-1"))


def _check_descriptor(descriptor: str) -> None:
    types = re.findall(r'^[ \t]*createType[ \t]*=[ \t]*"([^"\n]*)"', descriptor, re.MULTILINE | re.IGNORECASE)
    if len(types) != 1 or types[0] not in CREATE_TYPES:
        found, allowed = ", ".join(types) or "none", " or ".join(CREATE_TYPES)
        raise ImageRefused(f"The vmdk image is of the type {found}, not {allowed}.")
    if "parentfilenamehint" in descriptor.lower():
        raise ImageRefused("The vmdk image has a parent.")
    for parent in re.findall(r"^[ \t]*parentCID[ \t]*=[ \t]*(\S*)", descriptor, re.MULTILINE | re.IGNORECASE):
        if parent.lower() != NO_PARENT:
            raise ImageRefused("The vmdk image has a parent.")
    extents = re.findall(r"^[ \t]*((?:RW|RDONLY|NOACCESS)\b.*)$", descriptor, re.MULTILINE | re.IGNORECASE)
    if len(extents) != 1:
        raise ImageRefused(f"The vmdk image consists of {len(extents)} extents instead of one.")
    if not re.fullmatch(r'(?:RW|RDONLY)[ \t]+\d+[ \t]+SPARSE[ \t]+"[^"/\\\n]*"[ \t\r]*', extents[0]):
        raise ImageRefused("The vmdk image has an extent other than a sparse one in the file itself.")


def check_footer(head: bytes, tail: bytes, file_bytes: int) -> None:
    """Checks the footer, which only the end of the file shows. Raises ImageRefused."""
    (directory,) = unpack("<Q", head, 56, "vmdk")
    if directory != DIRECTORY_AT_END:
        return
    if file_bytes % SECTOR_BYTES or len(tail) < 3 * SECTOR_BYTES:
        raise ImageRefused("The vmdk image ends in the middle of its footer.")
    marker, footer, end = tail[:SECTOR_BYTES], tail[SECTOR_BYTES:-SECTOR_BYTES], tail[-SECTOR_BYTES:]
    size, kind = unpack("<8xII", marker, 0, "vmdk")
    if (size, kind) != (0, FOOTER_MARKER) or any(end[:16]):
        raise ImageRefused("The vmdk image has no footer, where its header says that there is one.")
    if unpack("<Q", footer, 56, "vmdk")[0] == DIRECTORY_AT_END or _but_directories(footer) != _but_directories(head):
        raise ImageRefused("The vmdk image has a footer that says something else than its header.")


def _but_directories(header: bytes) -> bytes:
    return header[: DIRECTORIES.start] + header[DIRECTORIES.stop : HEADER_BYTES]


def size(head: bytes) -> int:
    """Raises ImageRefused."""
    return unpack("<Q", head, 12, "vmdk")[0] * SECTOR_BYTES
