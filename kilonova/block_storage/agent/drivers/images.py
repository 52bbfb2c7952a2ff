"""Images that volumes are made of: downloaded into a directory, checked and inspected before anything reads them.

An image is `image-ID` after the volume that it is for, and `image-ID.part` until it is whole.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.drivers.records import check_subject
from kilonova.block_storage.agent.spec import GIB, ImageSource, Observation, VolumeSpec
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.downloads import FetchImage, download
from kilonova.kit.disks.inspection import ImageRefused, inspect_file
from kilonova.kit.host_commands import HostError

RAW_IMAGES = ("raw", "iso", "ami", "aki", "ari")
"""Disk formats of images whose data is the disk."""


def kind_of(image: ImageSource) -> str:
    """Returns the format of an image's disk, as qemu-img names it."""
    return "raw" if image.disk_format in RAW_IMAGES else qemu_img.FORMATS[image.disk_format]


@dataclass
class Download:
    task: "asyncio.Task[None]"
    progress: str


@dataclass
class Images:
    """`complaining` turns what the file system refuses for a volume into a HostError."""

    directory: Path
    fetch: FetchImage
    complaining: Callable[[str], AbstractContextManager[None]]
    _downloads: dict[str, Download] = field(default_factory=dict)

    def path(self, volume_id: str) -> Path:
        check_subject(volume_id)
        return self.directory / f"image-{volume_id}"

    def discard_partial(self) -> None:
        """Removes what was being downloaded when the agent died. Raises OSError."""
        for path in self.directory.glob("image-*.part"):
            path.unlink()

    async def close(self) -> None:
        running = [each.task for each in self._downloads.values() if not each.task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def ensure(self, spec: VolumeSpec, source: ImageSource) -> Observation:
        """Starts the download of an image, or finds it under way. Raises HostError when it failed."""
        if self.path(spec.id).exists():
            return Observation(True)
        known = self._downloads.get(spec.id)
        if known is None:
            if source.disk_format not in RAW_IMAGES and source.disk_format not in qemu_img.FORMATS:
                raise HostError(f"Image {source.image_id} has the disk format {source.disk_format}: no disk is in it.")
            known = Download(asyncio.create_task(self._download(spec, source)), "downloading the image")
            self._downloads[spec.id] = known
        if not known.task.done():
            return Observation(False, known.progress)
        del self._downloads[spec.id]
        known.task.result()
        return Observation(True)

    async def _download(self, spec: VolumeSpec, source: ImageSource) -> None:
        image = self.path(spec.id)
        partial = _part(image)

        def tell(progress: str) -> None:
            self._downloads[spec.id].progress = progress

        with self.complaining(spec.id):
            try:
                await download(
                    self.fetch, source.image_id, partial, size_bytes=source.size_bytes, sha512=source.sha512, tell=tell
                )
                try:
                    found = await asyncio.to_thread(inspect_file, partial, source.disk_format)
                except ImageRefused as refused:
                    raise HostError(f"Image {source.image_id} is refused: {refused}") from refused
                if found.virtual_size_bytes is not None and found.virtual_size_bytes > spec.size_gib * GIB:
                    raise HostError(
                        f"Image {source.image_id} holds a disk of {found.virtual_size_bytes} bytes, more than the "
                        f"{spec.size_gib} GiB of the volume."
                    )
                partial.replace(image)
            finally:
                partial.unlink(missing_ok=True)

    async def release(self, volume_id: str) -> None:
        """Ends a download and removes the image; ok when there is none. Raises OSError."""
        running = self._downloads.pop(volume_id, None)
        if running is not None:
            running.task.cancel()
            await asyncio.wait([running.task])
        image = self.path(volume_id)
        for path in (image, _part(image)):
            path.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
