"""The job that stores a volume's chunks, or writes them back; it outlives the agent that started it.

It is told what to do in a file, and says how far it is on standard output. Only the standard library.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from kilonova.block_storage.agent.backups.disk import Disk, DiskFailed, open_disk
from kilonova.block_storage.agent.backups.format import (
    MANIFEST,
    ZEROS,
    Damaged,
    Manifest,
    checksum_of,
    chunk_name,
    object_name,
    pack,
    read_manifest,
    unpack,
)
from kilonova.block_storage.agent.backups.stores import ObjectMissing, PosixStore, Store

REFUSAL = "refused: "
"""Begins the line that says why a job has failed."""


@dataclass
class Way:
    """The way in which a job opens its volume."""

    disk: list[str]
    """Says which disk, to qemu-nbd."""
    directory: str
    """A directory of the job's own."""
    account: tuple[int, int] | None
    """User and group that open the disk."""


@dataclass
class Order:
    """A job's work."""

    kind: str
    """`back_up` or `restore`."""
    root: str
    container: str
    backup_id: str
    way: Way
    chunk_bytes: int = 0
    compression: str = "none"
    parent_id: str | None = None


def main(path: str) -> None:
    told = json.loads(Path(path).read_text())
    order = Order(**{**told, "way": Way(**told["way"])})
    way = order.way
    try:
        with open_disk(way.disk, Path(way.directory), way.account, writes=order.kind == "restore") as disk:
            work = restore if order.kind == "restore" else back_up
            work(order, PosixStore(Path(order.root)), disk)
    except (DiskFailed, Damaged) as error:
        sys.exit(f"{REFUSAL}{error}")
    except OSError as error:
        sys.exit(f"{REFUSAL}The store cannot be used: {error.strerror or error}.")


def back_up(order: Order, store: Store, disk: Disk) -> None:
    """Stores the chunks that neither the parent nor an earlier attempt has stored, then the manifest."""
    parent = None if order.parent_id is None else manifest_of(store, order.container, order.parent_id)
    chunk_bytes = order.chunk_bytes if parent is None else parent.chunk_bytes
    made = Manifest(
        order.backup_id, disk.size_bytes, chunk_bytes, [order.backup_id, *(parent.backups if parent else ())]
    )
    stored = set(store.list(object_name(order.container, order.backup_id, "")))
    for number, offset in enumerate(range(0, disk.size_bytes, chunk_bytes)):
        content = disk.read(offset, min(chunk_bytes, disk.size_bytes - offset))
        checksum = checksum_of(content)
        place = 0 if checksum == ZEROS else _place_in(parent, number, checksum)
        made.chunks.append((place, checksum))
        name = object_name(order.container, order.backup_id, chunk_name(number, checksum))
        if place == 0 and checksum != ZEROS and name not in stored:
            store.put(name, pack(content, order.compression))
        tell(offset + len(content), disk.size_bytes)
    store.put(object_name(order.container, order.backup_id, MANIFEST), made.encode())


def _place_in(parent: Manifest | None, number: int, checksum: str) -> int:
    """Returns the place, among the new backup's, of the backup that has this chunk already; 0: none has."""
    if parent is None or number >= len(parent.chunks):
        return 0
    place, known = parent.chunks[number]
    return place + 1 if known == checksum else 0


def restore(order: Order, store: Store, disk: Disk) -> None:
    """Writes every chunk; one that does not have its checksum ends it. Raises Damaged."""
    manifest = manifest_of(store, order.container, order.backup_id)
    if manifest.size_bytes > disk.size_bytes:
        raise Damaged(f"The backup has {manifest.size_bytes} bytes, more than the {disk.size_bytes} of the volume.")
    for number, (place, checksum) in enumerate(manifest.chunks):
        offset = number * manifest.chunk_bytes
        length = min(manifest.chunk_bytes, manifest.size_bytes - offset)
        if checksum == ZEROS:
            disk.write_zeros(offset, length)
        else:
            name = object_name(order.container, manifest.backups[place], chunk_name(number, checksum))
            disk.write(offset, _content(store, name, checksum, length))
        tell(offset + length, manifest.size_bytes)


def _content(store: Store, name: str, checksum: str, length: int) -> bytes:
    try:
        content = unpack(store.get(name), length)
    except ObjectMissing as error:
        raise Damaged(f"The chunk {name} is missing.") from error
    except Damaged as error:
        raise Damaged(f"The chunk {name} is damaged: {error}.") from error
    if len(content) != length or checksum_of(content) != checksum:
        raise Damaged(f"The chunk {name} is damaged: it does not have its checksum.")
    return content


def manifest_of(store: Store, container: str, backup_id: str) -> Manifest:
    """Raises Damaged."""
    try:
        return read_manifest(store.get(object_name(container, backup_id, MANIFEST)))
    except ObjectMissing as error:
        raise Damaged(f"There is no backup {backup_id} here.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"The manifest of backup {backup_id} cannot be read.") from error


def object_count(store: Store, container: str, backup_id: str) -> int | None:
    """Returns how many objects a backup has stored, its manifest among them; None where it is not whole."""
    names = list(store.list(object_name(container, backup_id, "")))
    return len(names) if object_name(container, backup_id, MANIFEST) in names else None


def tell(done_bytes: int, of_bytes: int) -> None:
    sys.stdout.write(f"{100 * done_bytes // max(of_bytes, 1)} %\n")
    sys.stdout.flush()
