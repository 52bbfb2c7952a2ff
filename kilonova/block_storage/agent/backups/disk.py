"""A volume as a job reads and writes it: `qemu-nbd` opens it, in whatever format and wherever it is.

Only the standard library: jobs that outlive the agent use it. Source: the NBD protocol specification.
"""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
POLL_SECONDS = 0.02
NBD_MAGIC, OPTION_MAGIC = b"NBDMAGIC", b"IHAVEOPT"
EXPORT_NAME = 1
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
REQUEST, REPLY = 0x25609513, 0x67446698
READ, WRITE, END, FLUSH, WRITE_ZEROES = 0, 1, 2, 3, 6
HAS_WRITE_ZEROES = 1 << 6


class DiskFailed(Exception):
    """The volume cannot be read or written."""


class Disk:
    """An NBD client, one request at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        if self._take(8) != NBD_MAGIC or self._take(8) != OPTION_MAGIC:
            raise DiskFailed("qemu-nbd does not speak NBD.")
        self._take(2)
        connection.sendall(struct.pack(">I", FIXED_NEWSTYLE | NO_ZEROES))
        connection.sendall(OPTION_MAGIC + struct.pack(">II", EXPORT_NAME, 0))
        self.size_bytes, self._flags = struct.unpack(">QH", self._take(10))

    def read(self, offset: int, length: int) -> bytes:
        self._ask(READ, offset, length)
        return self._take(length)

    def write(self, offset: int, data: bytes) -> None:
        self._ask(WRITE, offset, len(data), data)

    def write_zeros(self, offset: int, length: int) -> None:
        if self._flags & HAS_WRITE_ZEROES:
            self._ask(WRITE_ZEROES, offset, length)
        else:
            self.write(offset, bytes(length))

    def flush(self) -> None:
        self._ask(FLUSH, 0, 0)

    def close(self) -> None:
        self._connection.sendall(struct.pack(">IHHQQI", REQUEST, 0, END, 0, 0, 0))
        self._connection.close()

    def _ask(self, kind: int, offset: int, length: int, data: bytes = b"") -> None:
        self._connection.sendall(struct.pack(">IHHQQI", REQUEST, 0, kind, 0, offset, length) + data)
        magic, error, _handle = struct.unpack(">IIQ", self._take(16))
        if magic != REPLY:
            raise DiskFailed("qemu-nbd does not speak NBD any more.")
        if error:
            doing = "read" if kind == READ else "written"
            raise DiskFailed(f"The volume cannot be {doing} at byte {offset}: error {error}.")

    def _take(self, length: int) -> bytes:
        taken = bytearray(length)
        view, filled = memoryview(taken), 0
        while filled < length:
            count = self._connection.recv_into(view[filled:])
            if count == 0:
                raise DiskFailed("The volume was closed while it was used.")
            filled += count
        return bytes(taken)


@contextlib.contextmanager
def open_disk(
    arguments: Sequence[str], directory: Path, account: Sequence[int] | None, *, writes: bool
) -> Iterator[Disk]:
    """Serves a disk from a socket in `directory`, under an account's user and group; `arguments` say which disk.

    Raises DiskFailed.
    """
    (directory / "socket").unlink(missing_ok=True)
    # A socket's path has 107 bytes at most: both sides go by a descriptor of its directory.
    held = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    place = Path(f"/proc/self/fd/{held}/socket")
    words = ["qemu-nbd", "--socket", str(place), "--persistent", *([] if writes else ["--read-only"]), *arguments]
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account[0], "group": account[1], "extra_groups": []}
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(held,),
        **identity,
    )
    try:
        disk = Disk(_connected(process, place))
        yield disk
        if writes:
            disk.flush()
        disk.close()
    finally:
        process.terminate()
        process.wait()
        os.close(held)


def _connected(process: "subprocess.Popen[bytes]", place: Path) -> socket.socket:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            complaint = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise DiskFailed(f"The volume cannot be opened: {' '.join(complaint.split())}")
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(place))
        except OSError:
            connection.close()
            time.sleep(POLL_SECONDS)
            continue
        return connection
    raise DiskFailed(f"qemu-nbd did not start within {START_SECONDS:.0f} seconds.")
