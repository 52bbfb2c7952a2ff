"""Copies disks from host to host: one serves them over NBD, the other reads them.

TLS with a key that only the two hosts know: whoever has another one, or none, is refused before a byte is read. The
reader waits for a server that is away for a while, and goes on where it was.

Sources: QEMU's qemu-storage-daemon(1) and "NBD block driver"; the NBD protocol specification.
"""

import asyncio
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.confinement import give, qemu_account
from kilonova.kit.disks.qemu_img import MEMORY_BYTES, SLACK_BYTES
from kilonova.kit.host_commands import Command, HostError, Limits

Format = Literal["raw", "qcow2"]

USER = "kilonova"
KEYS = "keys.psk"
PORTS = range(49152, 49216)
"""Those that hypervisors use for migrations: firewalls between hosts let them through."""
LONGEST_SECONDS = 6 * 3600
AWAY_SECONDS = 300
"""The time for which a reader waits for a server that does not answer any more."""
CONNECTING_SECONDS = 10
LOOK_SECONDS = 2.0
FILES = 256
READERS = 8


class ServedDisk(Struct, frozen=True):
    name: str
    path: Path
    format: Format
    backing: Path | None = None
    """The file that it lies over."""


class Place(Struct, frozen=True):
    """The address that disks are served at, and the directory of the key."""

    address: str
    port: int
    keys: Path


def write_keys(directory: Path, key: str) -> None:
    """Makes the directory that QEMU's account reads the key from. Raises OSError."""
    account = qemu_account()
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / KEYS
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{USER}:{key}\n")
    give(path, account)
    if account is not None:
        os.chown(directory, account.user_id, account.group_id)


def read_key(directory: Path) -> str:
    """Raises OSError."""
    return (directory / KEYS).read_text().strip().removeprefix(f"{USER}:")


async def serving(disks: Iterable[ServedDisk], place: Place) -> Command:
    """Returns the command that serves disks, for reading only, until it is ended. They become QEMU's account's own."""
    account = qemu_account()
    words: list[str | Path] = ["qemu-storage-daemon", "--object", _tls("server", place.keys)]
    for number, disk in enumerate(disks):
        for path in filter(None, (disk.path, disk.backing)):
            await asyncio.to_thread(give, path, account)
        file = {"driver": "file", "filename": str(disk.path), "read-only": True}
        node = {"driver": disk.format, "node-name": f"disk{number}", "read-only": True, "file": file}
        export = {"type": "nbd", "id": f"export{number}", "node-name": f"disk{number}", "name": disk.name}
        words += ["--blockdev", json.dumps(node)]
        # The server is there before what it exports.
        if number == 0:
            words += ["--nbd-server", _server(place)]
        words += ["--export", json.dumps(export)]
    return Command(words, LONGEST_SECONDS, account, _limits(0))


def _server(place: Place) -> str:
    address = {"type": "inet", "host": place.address, "port": str(place.port)}
    return json.dumps({"addr": address, "tls-creds": "tls", "max-connections": READERS})


async def copying(name: str, place: Place, target: Path, disk_format: Format, size_bytes: int) -> Command:
    """Makes an empty `target`, and returns the command that copies the served disk of that name to it.

    It tells how far it is in percent, on standard output. Raises OSError, HostError.
    """
    source = {
        "driver": "nbd",
        "server": {"type": "inet", "host": place.address, "port": str(place.port)},
        "export": name,
        "tls-creds": "tls",
        "open-timeout": CONNECTING_SECONDS,
        "reconnect-delay": AWAY_SECONDS,
    }
    limits = _limits(size_bytes)
    return await qemu_img.copying(source, _tls("client", place.keys), target, disk_format, LONGEST_SECONDS, limits)


def _tls(endpoint: str, keys: Path) -> str:
    found = {"qom-type": "tls-creds-psk", "id": "tls", "endpoint": endpoint, "dir": str(keys)}
    return json.dumps(found if endpoint == "server" else {**found, "username": USER})


def _limits(size_bytes: int) -> Limits:
    return Limits(MEMORY_BYTES, LONGEST_SECONDS, FILES, size_bytes + SLACK_BYTES)


async def pick_port(address: str, before: int | None) -> int:
    """Returns a port that nobody listens on just now; the one from `before` if it can be. Raises HostError."""
    preferred: list[int] = [] if before is None else [before]
    port: int
    for port in (*preferred, *PORTS):
        if not await is_served(address, port):
            return port
    raise HostError(f"Somebody listens on each of the ports {PORTS[0]} to {PORTS[-1]} of {address}.")


async def is_served(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _reader, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def percent(output: str) -> str:
    """Returns how far a copying command is, as the last thing it said of it; empty before it has."""
    last = output.rpartition("(")[2].partition("/100%)")[0].strip()
    return last.partition(".")[0] if last.replace(".", "", 1).isdigit() else ""
