"""POST /volumes/{id}/action, os-volume_upload_image."""

from typing import Any

from msgspec import UnsetType

from kilonova.block_storage import volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import VolumeRequest, reading_volume, task_for, writing_volume
from kilonova.block_storage.errors import InvalidVolume
from kilonova.block_storage.operations import UPLOAD_VOLUME as UPLOADING
from kilonova.block_storage.policy import ACTIONS
from kilonova.block_storage.programs.upload_volume import UPLOAD_VOLUME, UploadArgs
from kilonova.block_storage.tables import Volume
from kilonova.block_storage.views.volumes import upload_view
from kilonova.image.client import is_property
from kilonova.kit.errors import Fault
from kilonova.kit.http.passing_on import passing_refusals_on

OF_OTHER_DATA = ("image_id", "image_name", "img_signature", "cinder_encryption")
"""How properties begin that say something of the image which the volume was made of, not of its content now."""


async def upload_image(request: VolumeRequest, body: bodies.Upload) -> dict[str, Any]:
    """Makes the image with the caller's own token, then starts the task that fills it; together or not at all."""
    service = request.service
    async with reading_volume(request) as found:
        _check_readable(found.row)
    fields = _fields(request, found.row, body)
    protected = not isinstance(body.protected, UnsetType) and bodies.flag_of("protected", body.protected)
    with passing_refusals_on():
        image = await service.image.create(fields, request.ctx.token)
    args = UploadArgs(image_id=image.id, disk_format=fields["disk_format"], is_protected=protected)
    try:
        async with writing_volume(request) as found:
            _check_readable(found.row)
            task = task_for(request, UPLOAD_VOLUME, found.row.id, args)
            await volumes.begin(found.tx, found.row, UPLOADING, task, service.clock.now())
            (record,) = await volumes.complete(found.tx, [await volumes.find(found.tx, found.row.id, None)])
    except Fault:
        await service.image.delete(image.id, request.ctx.token)
        raise
    return {"os-volume_upload_image": upload_view(record, image.id, fields, is_protected=protected)}


def _check_readable(row: Volume) -> None:
    """Raises InvalidVolume for one that a server writes to, whatever `force` says: its copy would be of no one time."""
    if row.status == "in-use":
        raise InvalidVolume(
            f"Volume {row.id} is in use: it cannot be uploaded while a server writes; make a volume of a snapshot of "
            "it, and upload that."
        )
    volumes.check_begins(row, UPLOADING)


def _fields(request: VolumeRequest, row: Volume, body: bodies.Upload) -> dict[str, Any]:
    """Returns the image's record: what the volume's owner has noted about its content goes along."""
    visibility = "private" if isinstance(body.visibility, UnsetType) else body.visibility
    if visibility == "public":
        request.authorize(rule=f"{ACTIONS}upload_public")
    # Given or not, it changes nothing: a volume that may be read at all need not be forced.
    bodies.flag_of("force", body.force)
    noted = {
        name: value
        for name, value in row.image_metadata.items()
        if is_property(name) and not name.startswith(OF_OTHER_DATA)
    }
    return {
        **noted,
        "name": body.image_name,
        "disk_format": body.disk_format or "raw",
        "container_format": body.container_format or "bare",
        "visibility": visibility,
    }
