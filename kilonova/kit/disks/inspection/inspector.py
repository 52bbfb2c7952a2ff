"""The inspector: fed with an image's bytes as they come, it keeps what tells the format and throws the rest away."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from kilonova.kit.disks.inspection import qcow2, small_formats, vhd, vhdx, vmdk
from kilonova.kit.disks.inspection.reading import HEAD_BYTES, SECTOR_BYTES, TAIL_BYTES, ImageRefused
from kilonova.kit.disks.inspection.signatures import PARTITIONED, formats_in_head, formats_in_tail

MAX_VIRTUAL_BYTES = 1 << 62

KERNEL_FORMATS = ("aki", "ari")
"""A kernel or a ramdisk is no disk: it must not look like one, and nothing else is known of its content."""

RAW_FORMATS = ("raw", "ami")


class Inspection(Struct, frozen=True):
    format: str
    """The content's format, in the image service's words; equal to the declared disk format unless that is `ami`."""
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
        """Returns the findings, after the last byte. Raises ImageRefused."""
        if not self._is_head_checked:
            self._check_head()
        for window in self._windows:
            if not window.is_done:
                raise ImageRefused(f"The {self._disk_format} image ends in the middle of its tables.")
        if self._disk_format in (*KERNEL_FORMATS, *RAW_FORMATS, "iso"):
            self._refuse_tail()
        if self._disk_format in KERNEL_FORMATS:
            return Inspection(self._disk_format, None)
        if self._disk_format in (*RAW_FORMATS, "iso"):
            return Inspection("iso" if self._disk_format == "iso" else "raw", self._position)
        return Inspection(self._disk_format, self._virtual_size_bytes())

    def _check_head(self) -> None:
        self._is_head_checked = True
        head = bytes(self._head)
        found = formats_in_head(head)
        wrapped = [name for name in found if name not in PARTITIONED]
        match self._disk_format:
            case "raw" | "ami" | "aki" | "ari":
                allowed = not wrapped
            case "iso":
                # A disc that also boots from a stick has a partition table.
                allowed = wrapped == ["iso"]
            case "vhd":
                # A VHD of fixed size has its only header in the last sector, which `finish` reads.
                allowed = found == ["vhd"] or not wrapped
            case _:
                allowed = found == [self._disk_format]
        if not allowed:
            is_partitioned_wrapping = wrapped == [self._disk_format]
            raise self._other_than_declared(found if is_partitioned_wrapping else wrapped)
        if found == ["vhdx"]:
            self._windows += [_Window(each, vhdx.HEADER_BYTES, vhdx.check_header) for each in vhdx.HEADER_OFFSETS]
            self._windows.append(_Window(vhdx.REGIONS_OFFSET, vhdx.REGIONS_BYTES, self._read_vhdx_regions))
        elif self._disk_format in found and self._disk_format in _CHECKS:
            _CHECKS[self._disk_format](head)

    def _refuse_tail(self) -> None:
        found = formats_in_tail(self._last_sector())
        if found:
            raise self._other_than_declared(found)

    def _other_than_declared(self, found: list[str]) -> ImageRefused:
        content = " and ".join(found) if found else "raw"
        return ImageRefused(f"The image is declared as {self._disk_format}, but its content is {content}.")

    def _last_sector(self) -> bytes:
        return bytes(self._tail[-SECTOR_BYTES:])

    def _virtual_size_bytes(self) -> int:
        head = bytes(self._head)
        match self._disk_format:
            case "qcow2":
                size = qcow2.size(head)
            case "vmdk":
                vmdk.check_footer(head, bytes(self._tail), self._position)
                size = vmdk.size(head)
            case "vhd":
                size = vhd.size(head, self._last_sector())
            case "vhdx" if self._vhdx_size is not None:
                size = self._vhdx_size
            case "vdi":
                size = small_formats.vdi_size(head)
            case "ploop":
                size = small_formats.ploop_size(head)
            case _:
                raise ImageRefused(f"Images of the format {self._disk_format} are not taken.")
        if not 0 <= size <= MAX_VIRTUAL_BYTES:
            raise ImageRefused(f"The {self._disk_format} image gives its disk the impossible size of {size} bytes.")
        return size

    # --- VHDX, whose tables lie behind one another -----------------------------------------------------------------

    def _read_vhdx_regions(self, tables: bytes) -> None:
        offset = vhdx.metadata_offset(tables)
        self._windows.append(_Window(offset, vhdx.METADATA_BYTES, self._read_vhdx_metadata))

    def _read_vhdx_metadata(self, region: bytes) -> None:
        self._vhdx_size = vhdx.size(region)

    # --- for files, which need not be read whole ---------------------------------------------------------------------

    def skip_to(self, offset: int) -> int:
        """How far a reader who can seek may go on from here without being missed, at most to `offset`."""
        wanted = [window.offset for window in self._windows if not window.is_done and window.offset > self._position]
        reading = [window for window in self._windows if window.is_reading(self._position)]
        if reading or len(self._head) < HEAD_BYTES:
            return self._position
        self._position = max(self._position, min([offset, *wanted]))
        return self._position


_CHECKS: dict[str, Callable[[bytes], None]] = {
    "qcow2": qcow2.check,
    "vmdk": vmdk.check,
    "vhd": vhd.check,
    "vdi": small_formats.check_vdi,
    "ploop": small_formats.check_ploop,
}


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
