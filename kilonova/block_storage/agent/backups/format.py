"""The format of backups: chunks of a volume, and a manifest that says which they are. Decision 49 describes it.

A chunk is an object named after its place and the SHA-256 of its content; a chunk of zeros is not stored. The manifest
is stored last: a backup without one is not whole.

Only the standard library: jobs that outlive the agent use it.
"""

import bz2
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field

VERSION = 1
MANIFEST = "manifest"
COMPRESSIONS = ("zlib", "bz2", "none")
ZEROS = ""
"""Stands for the checksum of a chunk of zeros."""


class Damaged(Exception):
    """The store does not have what was stored."""


@dataclass
class Manifest:
    backup_id: str
    size_bytes: int
    chunk_bytes: int
    backups: list[str]
    """The backups that have the chunks' objects: this one first, then those it depends on."""
    chunks: list[tuple[int, str]] = field(default_factory=list)
    """For each chunk, the place in `backups` of the one that stores it, and the checksum of its content."""
    version: int = VERSION

    def encode(self) -> bytes:
        text = json.dumps(asdict(self), separators=(",", ":")).encode()
        return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def read_manifest(data: bytes) -> Manifest:
    """Raises Damaged."""
    checksum, _, text = data.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise Damaged("The manifest does not have its checksum.")
    told = json.loads(text)
    if told["version"] != VERSION:
        raise Damaged(f"The manifest has version {told['version']}; this release reads {VERSION}.")
    return Manifest(**{**told, "chunks": [(place, checksum) for place, checksum in told["chunks"]]})


def object_name(container: str, backup_id: str, name: str) -> str:
    return f"{container}/{backup_id}/{name}"


def chunk_name(number: int, checksum: str) -> str:
    return f"{number:08d}-{checksum}"


def checksum_of(content: bytes) -> str:
    """Returns a chunk's checksum; ZEROS for one that need not be stored."""
    return ZEROS if content.count(0) == len(content) else hashlib.sha256(content).hexdigest()


def pack(content: bytes, compression: str) -> bytes:
    """Returns a chunk as it is stored: a letter for how, then the data."""
    if compression == "zlib":
        return b"z" + zlib.compress(content)
    if compression == "bz2":
        return b"b" + bz2.compress(content)
    return b"n" + content


def unpack(stored: bytes, most_bytes: int) -> bytes:
    """Returns a stored chunk's content, of at most so many bytes. Raises Damaged."""
    kind, data = stored[:1], stored[1:]
    try:
        if kind == b"z":
            return zlib.decompressobj().decompress(data, most_bytes)
        if kind == b"b":
            return bz2.BZ2Decompressor().decompress(data, most_bytes)
    except (zlib.error, OSError, EOFError) as error:
        raise Damaged(f"it cannot be unpacked: {error}") from error
    if kind == b"n":
        return data[:most_bytes]
    raise Damaged("it is in no form that this release knows")
