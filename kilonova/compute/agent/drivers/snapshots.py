"""Copies of servers' root disks, in the servers' directories: made, uploaded as images, removed.

The rule: `snapshot-<image id>` is a whole copy, `.part` behind its name one being made, `.uploaded` one whose data the
image service has. Under a guest QEMU makes the copy, as one of the moment in which it begins; otherwise a job does.
Both outlive the agent, and the next one finds them.
"""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import libvirt

from kilonova.compute.agent.devices import local_disks
from kilonova.compute.agent.devices.disks import INFO
from kilonova.compute.agent.drivers.domain_xml import disks_of, parse_xml
from kilonova.compute.agent.drivers.domains import lookup
from kilonova.compute.agent.drivers.errands import Errand
from kilonova.compute.agent.drivers.options import SnapshotFormat
from kilonova.compute.agent.drivers.records import settle
from kilonova.compute.agent.spec import Quiescence
from kilonova.kit.agents import Jobs
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.uploads import UploadImage, reading
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

PREFIX = "snapshot-"
ROOT_SERIAL = "root"
BLOCK_BYTES = 512
"""The unit in which stat(2) counts the blocks of a file."""

BACKUP_XML = """
<domainbackup mode='push'>
  <disks>
    <disk name='{device}' backup='yes' type='file'><driver type='{format}'/><target file='{target}'/></disk>
  </disks>
</domainbackup>
"""


class Copy:
    """One copy of a server's disk."""

    def __init__(self, directory: Path, image_id: str, disk_format: SnapshotFormat) -> None:
        self.image_id = image_id
        self.disk_format: SnapshotFormat = disk_format
        self.disk = directory / "disk"
        self.whole = directory / f"{PREFIX}{image_id}"
        self.partial = directory / f"{PREFIX}{image_id}.part"
        self.uploaded = directory / f"{PREFIX}{image_id}.uploaded"

    @property
    def job(self) -> str:
        return f"copy {self.whole}"

    @property
    def errand(self) -> str:
        return f"upload {self.whole}"

    def finish(self) -> None:
        """Makes what has been copied the whole copy."""
        settle(self.partial, self.whole)

    def remove(self) -> None:
        for path in (self.partial, self.whole, self.uploaded):
            path.unlink(missing_ok=True)


def find_all(directory: Path, disk_format: SnapshotFormat) -> list[Copy]:
    """The copies that a server's directory holds anything of."""
    names = {path.name.removeprefix(PREFIX).partition(".")[0] for path in directory.glob(f"{PREFIX}*")}
    return [Copy(directory, image_id, disk_format) for image_id in sorted(names)]


def check_room(copy: Copy, backing: Path | None, reserved_bytes: int) -> None:
    """Raises HostError where a copy might leave the guests of the host no room to write."""
    needed = sum(each.stat().st_blocks * BLOCK_BYTES for each in (copy.disk, backing) if each and each.exists())
    room = os.statvfs(copy.disk.parent)
    free = room.f_bavail * room.f_frsize
    if free < needed + reserved_bytes:
        raise HostError(f"The disk may take {needed} bytes to copy, and its host has {free} bytes free.")


# --- under a guest ---------------------------------------------------------------------------------------------------


def backup_progress(connection: Any, server_id: str) -> str | None:
    """Returns QEMU's progress with a copy of the server's disk; None when it makes none."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        return None
    found = domain.jobStats()
    if found.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return None
    total = found.get("disk_total", 0)
    return f"copying the disk: {100 * found.get('disk_processed', 0) // total} %" if total else "copying the disk"


def backup_failure(connection: Any, server_id: str) -> str | None:
    """Why QEMU has not come to the end of the copy it made last; empty when it has, None when it has ended itself."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        return None
    kept = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    found = domain.jobStats(kept)
    if found.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return None
    return (
        "" if found.get("success") else f"QEMU could not copy the disk: {found.get('errmsg') or 'it gave no reason'}."
    )


def begin_backup(connection: Any, server_id: str, copy: Copy, quiesce: Quiescence) -> bool:
    """Has QEMU copy the root disk as it is now; False when the server has no guest that it could be copied under."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        return False
    live = domain.XMLDesc(0)
    device = parse_xml(disks_of(live)[ROOT_SERIAL]).find("target")
    if device is None:
        raise HostError(f"The guest of server {server_id} has no root disk.")
    # How the last copy ended is not to be taken for how this one did.
    domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    others = "".join(
        f"<disk name='{target.get('dev')}' backup='no'/>"
        for target in parse_xml(live).iterfind("devices/disk/target")
        if target.get("dev") != device.get("dev")
    )
    wanted = BACKUP_XML.format(device=device.get("dev"), format=copy.disk_format, target=copy.partial)
    is_still = quiesce != "no" and _freeze(domain, quiesce)
    try:
        domain.backupBegin(wanted.replace("</disks>", f"{others}</disks>"), None, 0)
    except libvirt.libvirtError:
        copy.partial.unlink(missing_ok=True)
        raise
    finally:
        if is_still:
            domain.fsThaw()
    return True


def _freeze(domain: Any, quiesce: Quiescence) -> bool:
    try:
        domain.fsFreeze()
    except libvirt.libvirtError as error:
        if quiesce == "required":
            raise HostError(f"The guest's file systems cannot be made still: {error}.") from error
        log.info("a disk is copied while its guest may write to it", domain=domain.name(), reason=str(error))
        return False
    return True


def thaw(connection: Any, server_id: str) -> None:
    """Lets a guest write again whose agent died in the moment in which it was still."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        return
    try:
        domain.fsThaw()
    except libvirt.libvirtError as error:
        log.debug("the guest was not made still", domain=domain.name(), reason=str(error))


def abort_backup(connection: Any, server_id: str) -> None:
    """Ends the copy that QEMU is making; ok when it makes none."""
    if backup_progress(connection, server_id) is None:
        return
    domain = lookup(connection, server_id)
    try:
        if domain is not None:
            domain.abortJob()
    except libvirt.libvirtError as error:
        if backup_progress(connection, server_id) is not None:
            raise HostError(f"The copying of the disk does not end: {error}.") from error


# --- without one -----------------------------------------------------------------------------------------------------


async def begin_job(jobs: Jobs, copy: Copy, backing: Path | None) -> None:
    """Has a job copy the root disk, which no guest writes to."""
    copy.partial.unlink(missing_ok=True)
    await jobs.clean(copy.job)
    formats = await asyncio.to_thread(local_disks.read_info, copy.disk.with_name(INFO))
    kind = formats.get(copy.disk, "qcow2")
    await jobs.start(copy.job, await qemu_img.flattening(copy.disk, kind, backing, copy.partial, copy.disk_format))


# --- to the image service --------------------------------------------------------------------------------------------


async def upload(copy: Copy, send: UploadImage, errand: Errand) -> None:
    """Sends a whole copy, and gives its room on the host back. Raises HostError."""
    size = (await asyncio.to_thread(copy.whole.stat)).st_size

    def tell(taken_bytes: int) -> None:
        errand.progress = f"uploading image {copy.image_id}: {100 * taken_bytes // size} %"

    await send(copy.image_id, reading(copy.whole, tell), size)
    await asyncio.to_thread(_give_back, copy)


def _give_back(copy: Copy) -> None:
    copy.uploaded.touch(mode=0o600)
    copy.whole.unlink()


def complaint(copy: Copy, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The file system of {copy.whole.parent} is full; the disk cannot be copied there."
    return f"The disk cannot be copied to {copy.whole.parent}: {error.strerror or error}."
