"""The operations on volumes and snapshots, one row each: when one may begin, what it shows, and where it ends.

A status that an operation shows is written with its task, and another one with the task's end: none stays without an
owner. Source: Block Storage API reference, the statuses of volumes and snapshots, and "Messages".
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct


class Operation(Struct, frozen=True, kw_only=True):
    program: str
    """The program that carries it out; it has the same name."""
    of: Literal["VOLUME", "VOLUME_SNAPSHOT", "VOLUME_BACKUP"]
    """The kind of thing that it is done to, as messages name it."""
    begins_in: tuple[str, ...] = ()
    """The statuses it may begin in; none for what begins with its subject."""
    shows: str
    """The status while it runs."""
    fails_in: str
    action_id: str
    detail_id: str
    """Numbers by which messages say what failed and why; upstream has none from 900 on."""


CREATE_VOLUME = Operation(
    program="create_volume", of="VOLUME", shows="creating", fails_in="error", action_id="008", detail_id="012"
)
DELETE_VOLUME = Operation(
    program="delete_volume",
    of="VOLUME",
    begins_in=("available", "error", "error_restoring", "error_extending", "error_managing", "error_deleting"),
    shows="deleting",
    fails_in="error_deleting",
    action_id="901",
    detail_id="001",
)
EXTEND_VOLUME = Operation(
    program="extend_volume",
    of="VOLUME",
    begins_in=("available",),
    shows="extending",
    fails_in="error_extending",
    action_id="007",
    detail_id="010",
)
UPLOAD_VOLUME = Operation(
    program="upload_volume",
    of="VOLUME",
    begins_in=("available",),
    shows="uploading",
    fails_in="available",
    action_id="003",
    detail_id="001",
)
REVERT_VOLUME = Operation(
    program="revert_volume",
    of="VOLUME",
    begins_in=("available",),
    shows="reverting",
    fails_in="error",
    action_id="902",
    detail_id="001",
)
CREATE_SNAPSHOT = Operation(
    program="create_snapshot",
    of="VOLUME_SNAPSHOT",
    shows="creating",
    fails_in="error",
    action_id="009",
    detail_id="013",
)
DELETE_SNAPSHOT = Operation(
    program="delete_snapshot",
    of="VOLUME_SNAPSHOT",
    begins_in=("available", "error", "error_deleting"),
    shows="deleting",
    fails_in="error_deleting",
    action_id="010",
    detail_id="016",
)

CREATE_BACKUP = Operation(
    program="create_backup",
    of="VOLUME_BACKUP",
    shows="creating",
    fails_in="error",
    action_id="013",
    detail_id="901",
)
IMPORT_BACKUP = Operation(
    program="import_backup",
    of="VOLUME_BACKUP",
    shows="creating",
    fails_in="error",
    action_id="903",
    detail_id="901",
)
DELETE_BACKUP = Operation(
    program="delete_backup",
    of="VOLUME_BACKUP",
    begins_in=("available", "error", "error_deleting"),
    shows="deleting",
    fails_in="error_deleting",
    action_id="014",
    detail_id="901",
)
RESTORE_BACKUP = Operation(
    program="restore_backup",
    of="VOLUME",
    begins_in=("available",),
    shows="restoring-backup",
    fails_in="error_restoring",
    action_id="015",
    detail_id="901",
)

OPERATIONS: Mapping[str, Operation] = {
    each.program: each
    for each in (
        CREATE_VOLUME,
        DELETE_VOLUME,
        EXTEND_VOLUME,
        UPLOAD_VOLUME,
        REVERT_VOLUME,
        CREATE_SNAPSHOT,
        DELETE_SNAPSHOT,
        CREATE_BACKUP,
        IMPORT_BACKUP,
        DELETE_BACKUP,
        RESTORE_BACKUP,
    )
}
NO_BACKEND = ("001", "003")
"""The action and the detail of a volume that found no back end."""
