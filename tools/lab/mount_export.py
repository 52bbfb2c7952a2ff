"""`mount -t nfs [-o OPTIONS] -- EXPORT DIRECTORY` on a host of a lab: mounts the filer's disk under the export's name.

The kernel writes down the source that a mount was asked for: it is the export's name because the disk's node lies at
that name, seen from the working directory.
"""

import ctypes
import os
import sys
from pathlib import Path

FILER = "/run/filer"


def main() -> None:
    export, directory = sys.argv[-2:]
    try:
        os.chdir(FILER)
        Path(export).stat()
    except FileNotFoundError:
        sys.exit(f"mount.nfs: mounting {export} failed, reason given by server: No such file or directory")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(export.encode(), directory.encode(), b"ext4", 0, None) != 0:
        sys.exit(f"mount.nfs: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
