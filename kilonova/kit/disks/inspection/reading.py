"""Reading numbers out of headers, and the refusal that ends every inspection that goes wrong."""

import struct

HEAD_BYTES = 64 << 10
"""How much of a file's beginning is looked at."""

TAIL_BYTES = 1536
"""How much of its end: a VMDK's footer between its two markers. A VHD's footer is the last 512 of them."""

SECTOR_BYTES = 512


class ImageRefused(ValueError):
    """The image must not be stored or used; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def unpack(layout: str, data: bytes, offset: int, what: str) -> tuple[int, ...]:
    """Numbers of the `what` image's header. Raises ImageRefused where the data ends before them."""
    if offset + struct.calcsize(layout) > len(data):
        raise ImageRefused(f"The {what} image ends in the middle of its header.")
    values: tuple[int, ...] = struct.unpack_from(layout, data, offset)
    return values


def whole_sectors(size: int, what: str) -> int:
    """The size of a disk. Raises ImageRefused for one that a reader would cut down to whole sectors."""
    if size % SECTOR_BYTES:
        raise ImageRefused(f"The {what} image gives its disk {size} bytes, which are not whole sectors of 512.")
    return size
