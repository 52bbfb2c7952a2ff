"""Every call that a back end's agent answers, with its types. Programs and the agent use these declarations alone.

A call that carries an epoch is refused (StaleEpoch) when the back end has obeyed a newer one for that subject.
"""

from msgspec import Struct

from kilonova.block_storage.agent.spec import Observation, VolumeSpec
from kilonova.kit.agents import Call
from kilonova.kit.connectors import Connection


class EnsureArguments(Struct, frozen=True):
    spec: VolumeSpec
    epoch: int


class VolumeArguments(Struct, frozen=True):
    volume_id: str
    epoch: int


class ExtendArguments(Struct, frozen=True):
    volume_id: str
    size_gib: int
    epoch: int


class SnapshotArguments(Struct, frozen=True):
    snapshot_id: str
    volume_id: str
    epoch: int


class RevertArguments(Struct, frozen=True):
    volume_id: str
    snapshot_id: str
    epoch: int


class UploadArguments(Struct, frozen=True):
    volume_id: str
    image_id: str
    """The image that waits for its data."""
    disk_format: str
    size_gib: int
    epoch: int


class StopUploadArguments(Struct, frozen=True):
    volume_id: str
    image_id: str
    epoch: int


class ConnectionArguments(Struct, frozen=True):
    volume_id: str
    attachment_id: str


class DisconnectArguments(Struct, frozen=True):
    volume_id: str
    attachment_id: str | None
    """None: every attachment of the volume."""


class ConnectionAnswer(Struct, frozen=True):
    connection: Connection


ENSURE_VOLUME = Call("ensure_volume", EnsureArguments, Observation)
RELEASE_VOLUME = Call("release_volume", VolumeArguments, type(None))
EXTEND_VOLUME = Call("extend_volume", ExtendArguments, Observation)
ENSURE_SNAPSHOT = Call("ensure_snapshot", SnapshotArguments, Observation)
RELEASE_SNAPSHOT = Call("release_snapshot", SnapshotArguments, Observation)
REVERT_VOLUME = Call("revert_volume", RevertArguments, Observation)
UPLOAD_VOLUME = Call("upload_volume", UploadArguments, Observation)
STOP_UPLOAD = Call("stop_upload", StopUploadArguments, type(None))
CONNECTION_TO = Call("connection_to", ConnectionArguments, ConnectionAnswer)
DISCONNECT = Call("disconnect", DisconnectArguments, type(None))
