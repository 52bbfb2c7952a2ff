"""Names every format that some reader would take a file for, by its first and last bytes.

A file with the marks of two formats is read as one thing by one program and as another by the next.
"""

import re
import struct
from collections.abc import Callable

PARTITIONED = ("mbr", "gpt")
"""Partition tables: what the content of a disk may have, and no wrapping of one."""

ISO_MAGIC_OFFSET = 32769
VDI_MAGIC_OFFSET = 64
MBR_ENTRIES = 446
MBR_MAGIC_OFFSET = 510

_MAGICS = (
    (0, b"QED\x00", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"\xbe\xba\xfe\xca\x00\x00\x00\x00", "vmdk"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"WithoutFreeSpace", "ploop"),
    (0, b"WithouFreSpacExt", "ploop"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"),
    (VDI_MAGIC_OFFSET, b"\x7f\x10\xda\xbe", "vdi"),
    (ISO_MAGIC_OFFSET, b"CD001", "iso"),
    (512, b"EFI PART", "gpt"),
    (4096, b"EFI PART", "gpt"),
)

_VMDK_DESCRIPTOR = re.compile(rb"(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n")
"""How QEMU knows the text that names the files of a VMDK: comments and blank lines may come first."""


def formats_in_head(head: bytes) -> list[str]:
    """The names of all formats that the first 64 KiB speak for, sorted; none for a plain disk."""
    found = {name for offset, magic, name in _MAGICS if head.startswith(magic, offset)}
    found |= {name for name, is_there in _TESTS.items() if is_there(head)}
    return sorted(found)


def formats_in_tail(last_sector: bytes) -> list[str]:
    """The same of the last sector, where two formats have what others have at their beginning."""
    return [name for magic, name in ((b"conectix", "vhd"), (b"koly", "dmg")) if last_sector.startswith(magic)]


def _is_qcow(head: bytes) -> bool:
    return head[:8] == b"QFI\xfb\0\0\0\1"


def _is_qcow2(head: bytes) -> bool:
    return head.startswith(b"QFI\xfb") and not _is_qcow(head)


def _is_vmdk_descriptor(head: bytes) -> bool:
    return _VMDK_DESCRIPTOR.match(head) is not None


def _has_partition_table(head: bytes) -> bool:
    """A boot sector alone has the mark too: there is a table when one of its entries is a partition."""
    if head[MBR_MAGIC_OFFSET : MBR_MAGIC_OFFSET + 2] != b"\x55\xaa":
        return False
    entries = [struct.unpack_from("<B3xB", head, MBR_ENTRIES + 16 * number) for number in range(4)]
    return all(status in (0, 0x80) for status, _ in entries) and any(kind for _, kind in entries)


_TESTS: dict[str, Callable[[bytes], bool]] = {
    "qcow": _is_qcow,
    "qcow2": _is_qcow2,
    "vmdk": _is_vmdk_descriptor,
    "mbr": _has_partition_table,
}
