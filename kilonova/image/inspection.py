"""Looks into a disk image while it is uploaded, without trusting it and in constant memory.

The rule: nothing outside the file may become part of the disk, and the file must be what it is said to be. A hypervisor
told to open a file which names a backing file, an external data file or foreign extents would hand a guest any file
of the host. The format is told by content alone. Bytes are only compared and counted here, never followed: the
inspector keeps the first 64 KiB, the last 512 bytes, and for VHDX two tables.

Sources: the formats' specifications (qcow2 in QEMU's documentation, VMDK technical note 5.0, Microsoft's VHD and
VHDX, ISO 9660, LUKS) and what QEMU does with them.
"""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from msgspec import Struct

HEAD_BYTES = 64 << 10
TAIL_BYTES = 512
SECTOR_BYTES = 512
MAX_VIRTUAL_BYTES = 1 << 62

UNINSPECTED_FORMATS = ("aki", "ari")
"""A kernel or a ramdisk is no disk; nothing is known about its content."""

RAW_FORMATS = ("raw", "ami")

ISO_MAGIC_OFFSET = 32769
QCOW2_KNOWN_INCOMPATIBLE = 0b11111
"""Bits 0 to 4: dirty, corrupt, external data file, compression type, extended L2 entries."""

QCOW2_EXTERNAL_DATA_BIT = 1 << 2
QCOW2_EXTERNAL_DATA_EXTENSION = 0x44415441
VMDK_CREATE_TYPES = ("monolithicSparse", "streamOptimized")
VMDK_MAX_DESCRIPTOR_BYTES = 32 << 10
VMDK_PARENT_HINT_AREA = slice(0x200, 0x200 + 20 * SECTOR_BYTES)
VMDK_NO_PARENT = "ffffffff"
VHDX_REGION_TABLE_OFFSET = 192 << 10
VHDX_TABLE_BYTES = 64 << 10
VHDX_METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
VHDX_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
VHDX_VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
VHDX_HAS_PARENT = 1 << 1
VHDX_MAX_METADATA_OFFSET = 1 << 30


class ImageRefused(ValueError):
    """The image must not be stored or used; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Inspection(Struct, frozen=True):
    format: str
    """What the content is, in the image service's words; equal to the declared disk format unless that is `ami`."""
    virtual_size_bytes: int | None
    """Size of the disk that a guest sees; None for kernels and ramdisks."""


class Inspector:
    """Fed with an upload: `eat` each chunk, then `finish`. Either raises ImageRefused, `eat` as early as possible."""

    def __init__(self, disk_format: str) -> None:
        self._disk_format = disk_format
        self._position = 0
        self._head = bytearray()
        self._tail = bytearray()
        self._windows: list[_Window] = []
        self._vhdx_size: int | None = None
        self._is_head_checked = False

    def eat(self, chunk: bytes) -> None:
        """The next bytes of the image, in chunks of any size. Raises ImageRefused."""
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._tail = bytearray((bytes(self._tail) + chunk[-TAIL_BYTES:])[-TAIL_BYTES:])
        start, self._position = self._position, self._position + len(chunk)
        if not self._is_head_checked and len(self._head) == HEAD_BYTES:
            self._check_head()
        # A window that is filled may ask for another one further on, even in the same chunk.
        for window in self._windows:
            window.eat(start, chunk)
            if window.is_full and not window.is_done:
                window.is_done = True
                window.then(bytes(window.content))

    def finish(self) -> Inspection:
        """What the image is, after its last byte. Raises ImageRefused."""
        if not self._is_head_checked:
            self._check_head()
        for window in self._windows:
            if not window.is_done:
                raise ImageRefused(f"The {self._disk_format} image ends in the middle of its tables.")
        if self._disk_format in UNINSPECTED_FORMATS:
            return Inspection(self._disk_format, None)
        if self._disk_format in (*RAW_FORMATS, "iso"):
            return Inspection("iso" if self._disk_format == "iso" else "raw", self._position)
        return Inspection(self._disk_format, self._virtual_size_bytes())

    def _check_head(self) -> None:
        self._is_head_checked = True
        if self._disk_format in UNINSPECTED_FORMATS:
            return
        head = bytes(self._head)
        found = detect_format(head)
        expected = "raw" if self._disk_format in RAW_FORMATS else self._disk_format
        if found == "raw" and expected == "vhd":
            # A VHD of fixed size has its only header in the last sector, which `finish` reads.
            return
        if found != expected:
            raise ImageRefused(f"The image is declared as {self._disk_format}, but its content is {found}.")
        check = _HEAD_CHECKS.get(found)
        if check:
            check(head)
        if found == "vhdx":
            self._windows.append(_Window(VHDX_REGION_TABLE_OFFSET, VHDX_TABLE_BYTES, self._read_vhdx_regions))

    def _virtual_size_bytes(self) -> int:
        head = bytes(self._head)
        if self._disk_format == "vhdx":
            if self._vhdx_size is None:
                raise ImageRefused("The vhdx image does not give the size of its disk.")
            size = self._vhdx_size
        elif self._disk_format == "vhd":
            header = head if head.startswith(b"conectix") else bytes(self._tail)
            size = _vhd_size(header)
        elif self._disk_format == "luks":
            size = _luks_size(head, self._position)
        elif self._disk_format in _SIZES:
            size = _SIZES[self._disk_format](head)
        else:
            raise ImageRefused(f"Images of the format {self._disk_format} are not taken.")
        if not 0 <= size <= MAX_VIRTUAL_BYTES:
            raise ImageRefused(f"The {self._disk_format} image gives its disk the impossible size of {size} bytes.")
        return size

    # --- VHDX, whose tables lie behind one another -----------------------------------------------------------------

    def _read_vhdx_regions(self, table: bytes) -> None:
        offset = _vhdx_metadata_offset(table)
        if not VHDX_REGION_TABLE_OFFSET + VHDX_TABLE_BYTES <= offset <= VHDX_MAX_METADATA_OFFSET:
            raise ImageRefused(f"The vhdx image has its metadata at the impossible offset {offset}.")
        self._windows.append(_Window(offset, 2 * VHDX_TABLE_BYTES, self._read_vhdx_metadata))

    def _read_vhdx_metadata(self, region: bytes) -> None:
        self._vhdx_size = _vhdx_size(region)

    # --- for files, which need not be read whole ---------------------------------------------------------------------

    def skip_to(self, offset: int) -> int:
        """How far a reader who can seek may go on from here without being missed, at most to `offset`."""
        wanted = [window.offset for window in self._windows if not window.is_done and window.offset > self._position]
        reading = [window for window in self._windows if window.is_reading(self._position)]
        if reading or len(self._head) < HEAD_BYTES:
            return self._position
        self._position = max(self._position, min([offset, *wanted]))
        return self._position


class _Window:
    """A part of the stream that is kept while it passes by."""

    def __init__(self, offset: int, length: int, then: Callable[[bytes], None]) -> None:
        self.offset = offset
        self.length = length
        self.then = then
        self.content = bytearray()
        self.is_done = False

    @property
    def is_full(self) -> bool:
        return len(self.content) == self.length

    def is_reading(self, position: int) -> bool:
        return not self.is_done and self.offset <= position

    def eat(self, start: int, chunk: bytes) -> None:
        begin = self.offset + len(self.content) - start
        if 0 <= begin < len(chunk):
            self.content += chunk[begin : begin + self.length - len(self.content)]


def inspect_file(path: Path, disk_format: str) -> Inspection:
    """Inspects a file, reading only the parts that matter; blocking. Raises ImageRefused, OSError."""
    inspector = Inspector(disk_format)
    size = path.stat().st_size
    tail_offset = max(0, size - TAIL_BYTES)
    with path.open("rb") as file:
        position = 0
        while position < size:
            file.seek(position)
            chunk = file.read(HEAD_BYTES)
            if not chunk:
                break
            inspector.eat(chunk)
            position = max(position + len(chunk), inspector.skip_to(tail_offset))
    return inspector.finish()


def detect_format(head: bytes) -> str:
    """The format that the first 64 KiB of an image tell; `raw` when they tell none."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    if head[ISO_MAGIC_OFFSET : ISO_MAGIC_OFFSET + 5] == b"CD001":
        return "iso"
    return "raw"


_MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (b"QED\x00", "qed"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"# Disk DescriptorFile", "vmdk"),
    (b"conectix", "vhd"),
    (b"vhdxfile", "vhdx"),
    (b"LUKS\xba\xbe", "luks"),
    (b"WithoutFreeSpace", "ploop"),
    (b"WithouFreSpacExt", "ploop"),
)


def _unpack(layout: str, data: bytes, offset: int, what: str) -> tuple[int, ...]:
    if offset + struct.calcsize(layout) > len(data):
        raise ImageRefused(f"The {what} image ends in the middle of its header.")
    values: tuple[int, ...] = struct.unpack_from(layout, data, offset)
    return values


# --- qcow2 -----------------------------------------------------------------------------------------------------------


def _check_qcow2(head: bytes) -> None:
    (version,) = _unpack(">I", head, 4, "qcow2")
    backing_offset, _backing_size, cluster_bits = _unpack(">QII", head, 8, "qcow2")
    if version not in (2, 3):
        raise ImageRefused(f"The qcow2 image has the unknown version {version}.")
    if backing_offset != 0:
        raise ImageRefused("The qcow2 image has a backing file.")
    if not 9 <= cluster_bits <= 21:
        raise ImageRefused(f"The qcow2 image has impossible clusters of 2^{cluster_bits} bytes.")
    header_length = 72
    if version == 3:
        incompatible, _compatible, _autoclear, _order, header_length = _unpack(">QQQII", head, 72, "qcow2")
        if incompatible & QCOW2_EXTERNAL_DATA_BIT:
            raise ImageRefused("The qcow2 image keeps its data in another file.")
        if incompatible & ~QCOW2_KNOWN_INCOMPATIBLE:
            raise ImageRefused(f"The qcow2 image has unknown incompatible features (bits {incompatible:#x}).")
        if header_length < 104 or header_length % 8:
            raise ImageRefused(f"The qcow2 image has a header of the impossible length {header_length}.")
    _check_qcow2_extensions(head, header_length, min(1 << cluster_bits, HEAD_BYTES))


def _check_qcow2_extensions(head: bytes, position: int, end: int) -> None:
    while position + 8 <= end:
        kind, length = _unpack(">II", head, position, "qcow2")
        if kind == 0:
            return
        if kind == QCOW2_EXTERNAL_DATA_EXTENSION:
            raise ImageRefused("The qcow2 image names a file with its data.")
        position += 8 + (length + 7) // 8 * 8
    if position > end:
        raise ImageRefused("The qcow2 image has a header extension that does not end within its first cluster.")


def _qcow2_size(head: bytes) -> int:
    return _unpack(">Q", head, 24, "qcow2")[0]


# --- vmdk ------------------------------------------------------------------------------------------------------------


def _check_vmdk(head: bytes) -> None:
    if not head.startswith(b"KDMV"):
        raise ImageRefused("The vmdk image is no self-contained sparse one: its data would be in other files.")
    capacity, _grain, descriptor_offset, descriptor_sectors = _unpack("<QQQQ", head, 12, "vmdk")
    if capacity == 0:
        # QEMU takes such a file for a bare descriptor, whose extents can be any files.
        raise ImageRefused("The vmdk image has no capacity.")
    start, length = descriptor_offset * SECTOR_BYTES, descriptor_sectors * SECTOR_BYTES
    if not 0 < start <= HEAD_BYTES - length or not 0 < length <= VMDK_MAX_DESCRIPTOR_BYTES:
        raise ImageRefused("The vmdk image has no descriptor near its beginning.")
    if b"parentFileNameHint" in head[VMDK_PARENT_HINT_AREA]:
        raise ImageRefused("The vmdk image has a parent.")
    descriptor = head[start : start + length].split(b"\0", 1)[0].decode("latin-1")
    _check_vmdk_descriptor(descriptor)


def _check_vmdk_descriptor(descriptor: str) -> None:
    types = re.findall(r'^[ \t]*createType[ \t]*=[ \t]*"([^"\n]*)"', descriptor, re.MULTILINE | re.IGNORECASE)
    if len(types) != 1 or types[0] not in VMDK_CREATE_TYPES:
        found, allowed = ", ".join(types) or "none", " or ".join(VMDK_CREATE_TYPES)
        raise ImageRefused(f"The vmdk image is of the type {found}, not {allowed}.")
    if "parentfilenamehint" in descriptor.lower():
        raise ImageRefused("The vmdk image has a parent.")
    for parent in re.findall(r"^[ \t]*parentCID[ \t]*=[ \t]*(\S*)", descriptor, re.MULTILINE | re.IGNORECASE):
        if parent.lower() != VMDK_NO_PARENT:
            raise ImageRefused("The vmdk image has a parent.")
    extents = re.findall(r"^[ \t]*((?:RW|RDONLY|NOACCESS)\b.*)$", descriptor, re.MULTILINE | re.IGNORECASE)
    if len(extents) != 1:
        raise ImageRefused(f"The vmdk image consists of {len(extents)} extents instead of one.")
    if not re.fullmatch(r'(?:RW|RDONLY)[ \t]+\d+[ \t]+SPARSE[ \t]+"[^"/\\\n]*"[ \t\r]*', extents[0]):
        raise ImageRefused("The vmdk image has an extent other than a sparse one in the file itself.")


def _vmdk_size(head: bytes) -> int:
    return _unpack("<Q", head, 12, "vmdk")[0] * SECTOR_BYTES


# --- vdi, vhd, vhdx, ploop, luks -------------------------------------------------------------------------------------


def _check_vdi(head: bytes) -> None:
    (kind,) = _unpack("<I", head, 0x4C, "vdi")
    if kind not in (1, 2):
        raise ImageRefused("The vdi image is the difference to another one.")
    _unpack("<QQQQ", head, 0x1A8, "vdi")
    if any(head[0x1A8:0x1C8]):
        raise ImageRefused("The vdi image has a parent.")


def _vdi_size(head: bytes) -> int:
    return _unpack("<Q", head, 0x170, "vdi")[0]


def _check_vhd(header: bytes) -> None:
    (kind,) = _unpack(">I", header, 60, "vhd")
    if kind not in (2, 3):
        raise ImageRefused("The vhd image is the difference to another one.")


def _vhd_size(header: bytes) -> int:
    if not header.startswith(b"conectix"):
        raise ImageRefused("The image is declared as vhd, but its content is raw.")
    _check_vhd(header)
    return _unpack(">Q", header, 48, "vhd")[0]


def _vhdx_metadata_offset(table: bytes) -> int:
    if not table.startswith(b"regi"):
        raise ImageRefused("The vhdx image has no region table.")
    (count,) = _unpack("<I", table, 8, "vhdx")
    for index in range(min(count, (VHDX_TABLE_BYTES - 16) // 32)):
        start = 16 + 32 * index
        if table[start : start + 16] == VHDX_METADATA_REGION:
            return _unpack("<Q", table, start + 16, "vhdx")[0]
    raise ImageRefused("The vhdx image has no metadata region.")


def _vhdx_size(region: bytes) -> int:
    """Reads the metadata table at the beginning of the region and the items it points to."""
    if not region.startswith(b"metadata"):
        raise ImageRefused("The vhdx image has no metadata table.")
    (count,) = _unpack("<H", region, 10, "vhdx")
    size = None
    for index in range(min(count, (VHDX_TABLE_BYTES - 32) // 32)):
        start = 32 + 32 * index
        item = region[start : start + 16]
        (offset,) = _unpack("<I", region, start + 16, "vhdx")
        if item == VHDX_FILE_PARAMETERS and _unpack("<II", region, offset, "vhdx")[1] & VHDX_HAS_PARENT:
            raise ImageRefused("The vhdx image is the difference to another one.")
        if item == VHDX_VIRTUAL_DISK_SIZE:
            (size,) = _unpack("<Q", region, offset, "vhdx")
    if size is None:
        raise ImageRefused("The vhdx image does not give the size of its disk.")
    return size


def _ploop_size(head: bytes) -> int:
    (sectors,) = _unpack("<Q", head, 36, "ploop")
    if head.startswith(b"WithoutFreeSpace"):
        sectors &= 0xFFFFFFFF
    return sectors * SECTOR_BYTES


def _luks_size(head: bytes, file_bytes: int) -> int:
    (version,) = _unpack(">H", head, 6, "luks")
    if version == 1:
        (payload_sectors,) = _unpack(">I", head, 104, "luks")
        return file_bytes - payload_sectors * SECTOR_BYTES
    if version == 2:
        return file_bytes
    raise ImageRefused(f"The luks image has the unknown version {version}.")


_HEAD_CHECKS: dict[str, Callable[[bytes], None]] = {
    "qcow2": _check_qcow2,
    "vmdk": _check_vmdk,
    "vdi": _check_vdi,
    "vhd": _check_vhd,
}
_SIZES: dict[str, Callable[[bytes], int]] = {
    "qcow2": _qcow2_size,
    "vmdk": _vmdk_size,
    "vdi": _vdi_size,
    "ploop": _ploop_size,
}
