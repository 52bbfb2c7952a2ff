"""Looks into a disk image while it is uploaded, without trusting it and in constant memory.

The rule: nothing outside the file may become part of the disk, the file must be what it is said to be, and nothing else
besides. A hypervisor told to open a file which names a backing file, an external data file or foreign extents would
hand a guest any file of the host. Content alone tells the format; what is uncertain is refused. Bytes are only compared
and counted here, never followed: the inspector keeps the first 64 KiB, the last three sectors, and four tables of VHDX.

Sources: the formats' specifications (qcow2 in QEMU's documentation, VMDK technical note 5.0, Microsoft's VHD and
VHDX, ISO 9660) and what QEMU does with them, which the tests ask it.
"""

from kilonova.kit.disks.inspection.inspector import Inspection, Inspector, inspect_file
from kilonova.kit.disks.inspection.reading import ImageRefused

__all__ = ["ImageRefused", "Inspection", "Inspector", "inspect_file"]
