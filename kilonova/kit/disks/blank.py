"""Empty disks, written without starting a program: a cloud makes many of them, and each would wait for it.

Source: the qcow2 specification in QEMU's documentation, version 3 of the header.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from kilonova.kit.disks.confinement import give, qemu_account

CLUSTER_BYTES = 1 << 16
_ENTRIES = CLUSTER_BYTES // 8
"""Pointers in one cluster."""
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_REFCOUNT_BITS_ORDER = 4
"""Refcounts have 16 bits."""
_TABLE, _BLOCK, _L1 = CLUSTER_BYTES, 2 * CLUSTER_BYTES, 3 * CLUSTER_BYTES
"""Offsets of the three clusters after the header: refcount table, refcount block, first level of the guest's table."""


def write_qcow2(path: Path, size_bytes: int) -> None:
    """Makes an empty qcow2 disk, which becomes QEMU's account's own. Raises FileExistsError, OSError."""
    l1_entries = -(-size_bytes // (CLUSTER_BYTES * _ENTRIES))
    l1_clusters = max(-(-l1_entries // _ENTRIES), 1)
    header = _HEADER.pack(
        b"QFI\xfb", 3, 0, 0, 16, size_bytes, 0, l1_entries, _L1, _TABLE, 1, 0, 0, 0, 0, 0, _REFCOUNT_BITS_ORDER,
        _HEADER.size,
    )  # fmt: skip
    used = 3 + l1_clusters
    with _created(path) as file:
        file.write(header)
        file.seek(_TABLE)
        file.write(struct.pack(">Q", _BLOCK))
        file.seek(_BLOCK)
        file.write(struct.pack(">H", 1) * used)
        file.truncate(used * CLUSTER_BYTES)
    give(path, qemu_account())


def write_raw(path: Path, size_bytes: int) -> None:
    """Makes an empty raw disk, which becomes QEMU's account's own. Raises FileExistsError, OSError."""
    with _created(path) as file:
        file.truncate(size_bytes)
    give(path, qemu_account())


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
