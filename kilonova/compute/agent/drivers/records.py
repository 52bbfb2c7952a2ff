"""What this host remembers of a server across restarts of the agent: `spec.json` in its instance directory.

The rule: everything else is asked of the host. The record holds what the host cannot tell: the epoch of the last
caller obeyed, how many reboots were carried out, and how to disconnect volumes. It contains user data, so it is its
owner's alone (0600).
"""

import contextlib
import os
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from kilonova.compute.agent.spec import ServerSpec, VolumeSource
from kilonova.kit.host_commands import HostError

FILE_NAME = "spec.json"


class ServerRecord(Struct, frozen=True):
    epoch: int
    reboots_done: int
    """The `reboot_count` up to which reboots have been carried out."""
    spec: ServerSpec
    connected: dict[str, VolumeSource] = {}
    """Serial → volume, of those this host may be connected to for the server: written before it connects, taken out
    after it has disconnected."""
    rebuilds_done: int = 0
    """The `rebuild_count` up to which disks have been made anew."""


def instance_directory(instances_path: Path, server_id: str) -> Path:
    """Where a server's files lie. Raises HostError for anything but a UUID in its usual form."""
    if not _is_server_id(server_id):
        raise HostError(f"{server_id!r} is not the id of a server.")
    return instances_path / server_id


def read_record(directory: Path) -> ServerRecord | None:
    """The record of a server, None when it has none. Raises HostError when the file is damaged."""
    path = directory / FILE_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(content, type=ServerRecord)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise HostError(f"{path} is damaged: {error}.") from error


def write_record(directory: Path, record: ServerRecord) -> None:
    """Replaces the record in one step, after making the directory; it is on the disk when this returns."""
    partial = directory / (FILE_NAME + ".part")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(directory / FILE_NAME)
        sync_directory(directory)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise HostError(f"Cannot write {directory / FILE_NAME}: {error.strerror}.") from error


OWNER = ".host"


def take_directory(instances_path: Path, hostname: str) -> None:
    """Marks the directory of servers as this host's. Raises HostError where it is another one's.

    A host removes what belongs elsewhere: in a directory of two, the servers of the other one.
    """
    path = instances_path / OWNER
    try:
        instances_path.mkdir(parents=True, exist_ok=True, mode=0o711)
        if not path.exists():
            partial = instances_path / f"{OWNER}.{uuid.uuid4()}"
            partial.write_text(f"{hostname}\n")
            # Of two hosts that come at once the first has it.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(partial)
            partial.unlink()
        owner = path.read_text().strip()
    except OSError as error:
        raise HostError(f"Cannot mark {path}: {error.strerror}.") from error
    if owner != hostname:
        raise HostError(
            f"{instances_path} holds the servers of host {owner}, and this one is called {hostname}: hosts do not "
            f"share a directory of servers. A host that has got another name removes {path} once its servers are gone."
        )


def settle(partial: Path, path: Path) -> None:
    """Gives a whole file its name, once it is on the disk; so is the name when this returns."""
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes renames inside a directory last over a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_recorded(instances_path: Path) -> list[str]:
    """Ids of the servers with an instance directory, with or without a record in it."""
    try:
        entries = sorted(entry.name for entry in instances_path.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [name for name in entries if _is_server_id(name)]


def _is_server_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
