"""Volumes as images: a job writes a copy in the image's format, then the copy is sent to the image service.

In the directory, `IMAGE.part` is a copy on its way, `IMAGE` a whole one, `IMAGE.sent` one that the image service has.
A job outlives the agent; a sending that was cut off begins anew. What is there of an image goes when it is stopped.
"""

import asyncio
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kilonova.block_storage.agent.contract import UploadArguments
from kilonova.block_storage.agent.drivers.records import Records
from kilonova.block_storage.agent.spec import GIB, Observation
from kilonova.kit import connectors
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors import Connection
from kilonova.kit.connectors.qemu_words import disk_words
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.confinement import qemu_account
from kilonova.kit.disks.uploads import UploadImage, reading
from kilonova.kit.host_commands import Command, HostError

LONGEST_SECONDS = 6 * 3600.0
DONE = Observation(True)


class Uploads(Protocol):
    """Sends volumes to the image service. Failures are HostErrors, raised once. Every call may be repeated."""

    async def ensure_upload(self, asked: UploadArguments, connection: Connection) -> Observation:
        """Gives an image the content of a volume. Raises HostError, StaleEpoch."""
        ...

    async def stop_upload(self, image_id: str, epoch: int) -> None:
        """Ends an upload, and removes what it has made here; ok when there is none. Raises HostError, StaleEpoch."""
        ...


@dataclass
class DiskUploads:
    directory: Path
    send: UploadImage
    _sending: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)
    _sent_bytes: dict[str, int] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Image → held while it is worked on."""

    def __post_init__(self) -> None:
        self._records = Records(self.directory / ".records")
        self._jobs = Jobs(self.directory / ".jobs")
        self._records.sweep()

    async def ensure_upload(self, asked: UploadArguments, connection: Connection) -> Observation:
        image_id = asked.image_id
        async with self._locks[image_id]:
            self._records.admit(image_id, asked.epoch)
            try:
                return await self._advance(asked, connection)
            except OSError as error:
                raise HostError(f"{self.directory}: {error.strerror or error}.") from error

    async def _advance(self, asked: UploadArguments, connection: Connection) -> Observation:
        image_id = asked.image_id
        whole = self.directory / image_id
        if whole.with_suffix(".sent").exists():
            return DONE
        if whole.exists() or image_id in self._sending:
            return await self._send(image_id, whole)
        job, partial = self._job(image_id), whole.with_suffix(".part")
        seen = await self._jobs.observe(job)
        if seen is None:
            await self._jobs.start(job, await self._command(asked, connection, partial))
            return Observation(False, "copying the volume")
        if seen.is_running:
            return Observation(False, f"copying the volume: {seen.output.rpartition('(')[2].partition('/')[0]} %")
        await self._jobs.clean(job)
        if seen.failure:
            partial.unlink(missing_ok=True)
            raise HostError(seen.failure)
        partial.replace(whole)
        return await self._send(image_id, whole)

    async def _command(self, asked: UploadArguments, connection: Connection, partial: Path) -> Command:
        connected, own = await connectors.connect(connection), self._own(asked.image_id)
        # QEMU's account gets to the files in them that are its own, and sees no other.
        for each in (self.directory, own.parent, own):
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o711)
        words = disk_words(connected, own, qemu_account())
        partial.unlink(missing_ok=True)
        return await qemu_img.exporting(words, partial, asked.disk_format, asked.size_gib * GIB, LONGEST_SECONDS)

    async def _send(self, image_id: str, whole: Path) -> Observation:
        task = self._sending.get(image_id)
        if task is None:
            self._sending[image_id] = asyncio.create_task(self._sent(image_id, whole))
            return Observation(False, f"uploading image {image_id}")
        if not task.done():
            done = 100 * self._sent_bytes.get(image_id, 0) // max(1, whole.stat().st_size)
            return Observation(False, f"uploading image {image_id}: {done} %")
        self._forget(image_id)
        task.result()
        whole.with_suffix(".sent").touch(mode=0o600)
        whole.unlink(missing_ok=True)
        return DONE

    async def _sent(self, image_id: str, whole: Path) -> None:
        def tell(taken_bytes: int) -> None:
            self._sent_bytes[image_id] = taken_bytes

        await self.send(image_id, reading(whole, tell), (await asyncio.to_thread(whole.stat)).st_size)

    async def stop_upload(self, image_id: str, epoch: int) -> None:
        async with self._locks[image_id]:
            self._records.admit(image_id, epoch)
            if (task := self._sending.get(image_id)) is not None:
                task.cancel()
                await asyncio.wait([task])
                self._forget(image_id)
            await self._jobs.cancel(self._job(image_id))
            for suffix in ("", ".part", ".sent"):
                (self.directory / f"{image_id}{suffix}").unlink(missing_ok=True)
            shutil.rmtree(self._own(image_id), ignore_errors=True)
            self._records.bury(image_id, epoch)

    def _forget(self, image_id: str) -> None:
        self._sending.pop(image_id, None)
        self._sent_bytes.pop(image_id, None)

    def _own(self, image_id: str) -> Path:
        return self.directory / ".secrets" / image_id

    @staticmethod
    def _job(image_id: str) -> str:
        return f"upload {image_id}"
