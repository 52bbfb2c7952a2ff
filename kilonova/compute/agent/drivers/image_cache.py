"""The images of a host: fetched once, verified, inspected, kept as raw files in `_base`.

The rule: a file without a suffix is whole, verified and raw. On the way there it is `*.part` while it is downloaded,
`*.verified` when that is whole and as declared, and `*.raw-part` while a job converts that. An agent that is asked for
an image goes on from a verified file or a job that it finds; anything else on the way is discarded.

The layout is the one operators know, but for one thing: a name is the SHA-1 of the image's id and of its data's hash.
So whoever asks for an image by an id that is not his to use, or that has stood for other data before, does not find it
here by that id alone.
"""

import asyncio
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kilonova.compute.agent.driver import InspectImage
from kilonova.compute.agent.drivers.errands import Errand, Errands
from kilonova.compute.agent.drivers.records import settle
from kilonova.compute.agent.spec import SpecImage
from kilonova.kit.agents import Jobs
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.downloads import FetchImage, download
from kilonova.kit.host_commands import HostError

RAW_FORMATS = ("raw", "iso", "ami", "aki", "ari")
DAY_SECONDS = 86400.0


@dataclass(frozen=True)
class ImageCache:
    """`base_path` is `<instances_path>/_base`."""

    base_path: Path
    jobs: Jobs
    fetch: FetchImage
    inspect: InspectImage
    reserved_disk_bytes: int = 0

    def path_of(self, image: SpecImage) -> Path:
        """Where the raw image lies once it is there."""
        return self.base_path / _file_name(image)

    def ensure(self, image: SpecImage, errands: Errands, *, server_id: str, has_disk: bool = False) -> Errand | None:
        """None when the image is there; else the errand that fetches it, which reports to `server_id` when it ends.

        `has_disk`: the server's disk was made before, maybe over a file that has its name from the id alone.
        Raises HostError when the last attempt has failed since somebody asked.
        """
        name = f"image {image.id} {image.sha512}"
        errands.raise_failure(name, server_id)
        for path in (self.path_of(image), *([self.base_path / _former_name(image)] if has_disk else ())):
            if path.exists():
                os.utime(path)  # keeps `sweep` away until the overlay is there
                return None

        async def work(errand: Errand) -> None:
            await self._fetch(image, errand)

        return errands.start(name, "fetch", f"downloading image {image.id}", work, server_id=server_id)

    async def _fetch(self, image: SpecImage, errand: Errand) -> None:
        if image.disk_format not in RAW_FORMATS and image.disk_format not in qemu_img.FORMATS:
            raise HostError(
                f"Image {image.id} has the disk format {image.disk_format}, which servers cannot boot from."
            )
        path = self.path_of(image)
        partial, verified = path.with_suffix(".part"), path.with_suffix(".verified")
        await asyncio.to_thread(self.base_path.mkdir, parents=True, exist_ok=True, mode=0o711)
        try:
            if not verified.exists():
                partial.unlink(missing_ok=True)
                await asyncio.to_thread(self._check_space, image)
                await self._download(image, partial, errand)
                await asyncio.to_thread(self._inspect, image, partial)
                partial.replace(verified)
            if image.disk_format in RAW_FORMATS:
                await asyncio.to_thread(settle, verified, path)
            else:
                errand.progress = f"converting image {image.id}"
                await self._convert(image, verified, path)
        except OSError as error:
            raise HostError(_disk_complaint(image, self.base_path, error)) from error
        finally:
            partial.unlink(missing_ok=True)

    def _check_space(self, image: SpecImage) -> None:
        free = shutil.disk_usage(self.base_path).free
        if free < image.size_bytes + self.reserved_disk_bytes:
            raise HostError(
                f"Image {image.id} has {image.size_bytes} bytes, the file system of {self.base_path} {free} bytes free."
            )

    async def _download(self, image: SpecImage, partial: Path, errand: Errand) -> None:
        def tell(progress: str) -> None:
            errand.progress = progress

        await download(self.fetch, image.id, partial, size_bytes=image.size_bytes, sha512=image.sha512, tell=tell)

    def _inspect(self, image: SpecImage, partial: Path) -> int | None:
        try:
            return self.inspect(partial, image.disk_format)
        except ValueError as error:
            raise HostError(f"Image {image.id} is refused: {error}") from error

    async def _convert(self, image: SpecImage, verified: Path, path: Path) -> None:
        """Has a job convert the image, or finds the job of an agent that has died."""
        raw, name = path.with_suffix(".raw-part"), _conversion_of(path)
        virtual_size_bytes = await asyncio.to_thread(self._inspect, image, verified)
        if await self.jobs.observe(name) is None:
            raw.unlink(missing_ok=True)
            command = await qemu_img.conversion_to_raw(verified, image.disk_format, raw, virtual_size_bytes)
            await self.jobs.start(name, command)
        converted = await self.jobs.wait(name)
        try:
            if converted is None:
                raise HostError(f"The conversion of image {image.id} was ended.")
            if converted.failure:
                raise HostError(converted.failure)
            found = raw.stat().st_size
            if virtual_size_bytes is not None and found < virtual_size_bytes:
                raise HostError(f"Image {image.id} converts to {found} bytes instead of {virtual_size_bytes}.")
            await asyncio.to_thread(settle, raw, path)
        finally:
            await self.jobs.clean(name)
            raw.unlink(missing_ok=True)
            verified.unlink(missing_ok=True)

    def discard_downloads(self) -> None:
        """Removes what a dead agent had yet to download; only for the start of an agent."""
        for path in self.base_path.glob("*.part"):
            path.unlink(missing_ok=True)

    async def sweep(self, used: Collection[SpecImage], *, min_age_seconds: float = DAY_SECONDS) -> list[Path]:
        """Removes images nobody uses, and unfinished ones, that nobody touched for `min_age_seconds`; returns them.

        Conservative: `used` must be the images of all servers of this host; a wrong answer is caught by the age only.
        Files whose name is not one of ours are left alone.
        """
        removed = await asyncio.to_thread(_sweep, self.base_path, used, min_age_seconds)
        for path in removed:
            await self.jobs.clean(_conversion_of(path.with_suffix("")))
        return removed


def _sweep(base_path: Path, used: Collection[SpecImage], min_age_seconds: float) -> list[Path]:
    kept = {name for image in used for name in (_file_name(image), _former_name(image))}
    oldest = time.time() - min_age_seconds
    removed = []
    for path in sorted(base_path.iterdir()) if base_path.is_dir() else []:
        is_partial = path.suffix in (".part", ".verified", ".raw-part")
        is_ours = len(path.stem) == 40 and (is_partial or not path.suffix)
        if is_ours and (is_partial or path.name not in kept) and path.stat().st_mtime < oldest:
            path.unlink()
            removed.append(path)
    return removed


def _file_name(image: SpecImage) -> str:
    return _sha1(f"{image.id} {image.sha512}")


def _former_name(image: SpecImage) -> str:
    """The file's name before the hash was part of it: disks made then lie over a file of that name."""
    return _sha1(image.id)


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _conversion_of(path: Path) -> str:
    """The name of the job that makes the raw image at `path`."""
    return f"convert {path}"


def _disk_complaint(image: SpecImage, base_path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The file system of {base_path} is full; image {image.id} cannot be kept there."
    return f"Image {image.id} cannot be kept in {base_path}: {error.strerror or error}."
