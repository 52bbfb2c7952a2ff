"""Block storage's faults."""

from kilonova.kit.errors import BadRequest, Conflict, NotFound, TooLarge


class VolumeNotFound(NotFound):
    def __init__(self, volume_id: str) -> None:
        super().__init__(f"Volume {volume_id} could not be found.")


class SnapshotNotFound(NotFound):
    def __init__(self, snapshot_id: str) -> None:
        super().__init__(f"Snapshot {snapshot_id} could not be found.")


class BackupNotFound(NotFound):
    def __init__(self, backup_id: str) -> None:
        super().__init__(f"Backup {backup_id} could not be found.")


class VolumeTypeNotFound(NotFound):
    def __init__(self, type_id: str) -> None:
        super().__init__(f"Volume type {type_id} could not be found.")


class AttachmentNotFound(NotFound):
    def __init__(self, attachment_id: str) -> None:
        super().__init__(f"Volume attachment {attachment_id} could not be found.")


class TransferNotFound(NotFound):
    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"Transfer {transfer_id} could not be found.")


class InvalidAuthKey(BadRequest):
    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"The auth key is not the one of transfer {transfer_id}.")


class MessageNotFound(NotFound):
    def __init__(self, message_id: str) -> None:
        super().__init__(f"Message {message_id} could not be found.")


class KeyNotFound(NotFound):
    """Metadata or an extra spec that is not there."""


class InvalidVolume(BadRequest):
    """The volume's present state does not allow what was asked for."""


class InvalidSnapshot(BadRequest):
    """The snapshot's present state does not allow what was asked for."""


class BackupExists(Conflict):
    def __init__(self, backup_id: str) -> None:
        super().__init__(f"Backup {backup_id} is here already.")


class InvalidBackup(BadRequest):
    """The backup's present state does not allow what was asked for."""


class Busy(Conflict):
    """Another operation has begun on the same thing."""


class InUse(Conflict):
    """A server has the volume, and only compute can take it away."""

    def __init__(self, volume_id: str, server_id: str) -> None:
        super().__init__(f"Volume {volume_id} is attached to server {server_id}: detach it there, by the Compute API.")


class VolumeTypeExists(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(f"Volume type {name} already exists.")


class VolumeTypeInUse(BadRequest):
    """A type that volumes have, or that is somebody's default."""


class QosSpecsNotFound(NotFound):
    def __init__(self, qos_specs_id: str) -> None:
        super().__init__(f"QoS specs {qos_specs_id} could not be found.")


class QosSpecsExist(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(f"QoS specs {name} already exist.")


class QosSpecsInUse(BadRequest):
    """QoS specs that volume types have."""


class AccessExists(Conflict):
    """The project may use the type already."""


class AccessNotFound(NotFound):
    """The project has no access that could be taken away."""


class OverQuota(TooLarge):
    """A project has as much of a resource as it may have."""

    def __init__(self, resource: str, wanted: int, used: int, limit: int) -> None:
        super().__init__(
            f"Quota exceeded for {resource}: requested {wanted}, already used {used}, and the limit is {limit}.",
            headers={"Retry-After": "0"},
        )
