"""Local disks of a server that changes its flavor or its host: offered, brought, kept, put back, enlarged.

The rule: whatever is under way has another name than what is whole, so each call looks at names alone. A host that
offers disks changes none of them; one that gets them has each either whole or not at all. The disks from before a
resize on the same host lie in `former`; while they are put back, in `returning`.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from kilonova.compute.agent.devices import local_disks
from kilonova.compute.agent.devices.disks import INFO, DiskOptions, formats_of, image_format
from kilonova.compute.agent.devices.local_disks import GIB, MIB
from kilonova.compute.agent.drivers.options import LibvirtOptions
from kilonova.compute.agent.drivers.records import settle
from kilonova.compute.agent.spec import (
    BlankSource,
    DiskOffer,
    ImageSource,
    OfferedDisk,
    ServerSpec,
    SpecDisk,
    SwapSource,
    VolumeSource,
)
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.disks import nbd, qemu_img
from kilonova.kit.host_commands import Command, HostError
from kilonova.kit.log import logger

log = logger(__name__)

OFFER, BRINGING = "offer", "bringing"
FORMER, PARTIAL_FORMER, RETURNING = "former", "former.part", "returning"
PORT = "port"
BLOCK_BYTES = 512
"""The unit in which stat(2) counts the blocks of a file."""
KEY_BYTES = 32


class DiskMoves:
    """The local disks of one host's servers, as far as they move."""

    def __init__(self, jobs: Jobs, options: LibvirtOptions) -> None:
        self._jobs = jobs
        self._options = options

    # --- to another host ----------------------------------------------------------------------------------------------

    async def offer(self, spec: ServerSpec, directory: Path) -> DiskOffer | None:
        """Serves the server's disks, whose guest is off; None while they cannot be copied yet. Raises HostError."""
        served = await asyncio.to_thread(lambda: list(self._served(spec, directory)))
        place, name, address = directory / OFFER, _offer_of(directory), self._options.host_ip
        try:
            port = int((place / PORT).read_text()) if (place / PORT).exists() else None
            job = await self._jobs.observe(name)
            if job is None or not job.is_running or port is None:
                if job is not None and job.failure:
                    log.warning("the disks of a server were not offered", server=spec.id, reason=job.failure)
                await self._jobs.cancel(name)
                # Whoever copies already knows the port and the key.
                port = await nbd.pick_port(address, port)
                if not (place / PORT).exists():
                    await asyncio.to_thread(nbd.write_keys, place, secrets.token_hex(KEY_BYTES))
                (place / PORT).write_text(str(port))
                await self._jobs.start(name, await nbd.serving(served, nbd.Place(address, port, place)))
                return None
            if not await nbd.is_served(address, port):
                return None
            offered = await asyncio.to_thread(lambda: tuple(_offered(disk) for disk in served))
            return DiskOffer(address, port, nbd.read_key(place), offered)
        except OSError as error:
            raise HostError(f"The disks in {directory} cannot be offered: {error.strerror}.") from error

    async def withdraw(self, directory: Path) -> None:
        """Ends an offer; ok when there is none. Raises HostError."""
        if (directory / OFFER).exists():
            await self._jobs.cancel(_offer_of(directory))
            await asyncio.to_thread(shutil.rmtree, directory / OFFER, ignore_errors=True)

    def _served(self, spec: ServerSpec, directory: Path) -> Iterator[nbd.ServedDisk]:
        """The files of the server's disks but its swap area, which is made anew."""
        for disk, path, kind in self._local(spec, directory):
            if path.exists() and not isinstance(disk.source, SwapSource):
                backing = local_disks.backing_of(path, kind)
                yield nbd.ServedDisk(disk.name, path, image_format(kind), backing)

    def _local(self, spec: ServerSpec, directory: Path) -> Iterator[tuple[SpecDisk, Path, DiskFormat]]:
        options: DiskOptions = self._options.disks
        formats = formats_of(local_disks.read_info(directory / INFO), options.image_format)
        for disk in spec.disks:
            if not isinstance(disk.source, VolumeSource):
                path = directory / disk.name
                yield disk, path, formats(path, disk.source)

    # --- from another host --------------------------------------------------------------------------------------------

    async def bring(self, spec: ServerSpec, directory: Path, offer: DiskOffer) -> str:
        """Copies the disks that another host offers, one after the other; returns its progress, empty at the end.

        Raises HostError when one cannot be copied; the call after that tries again.
        """
        offered = {each.name: each for each in offer.disks}
        for disk, path, kind in await asyncio.to_thread(lambda: list(self._local(spec, directory))):
            if disk.name in offered and not path.exists():
                return await self._bring(disk, path, kind, offered[disk.name], offer)
        await asyncio.to_thread(shutil.rmtree, directory / BRINGING, ignore_errors=True)
        return ""

    async def _bring(self, disk: SpecDisk, path: Path, kind: DiskFormat, offered: OfferedDisk, offer: DiskOffer) -> str:
        name, partial, keys = _bringing_of(path), path.with_name(path.name + ".part"), path.with_name(BRINGING)
        job = await self._jobs.observe(name)
        if job is not None and job.is_running:
            done = nbd.percent(job.output)
            return f"copying {disk.name}: {done} %" if done else f"copying {disk.name}"
        try:
            if job is None:
                _check_size(disk, offered.size_bytes)
                self._check_room(path, offered.data_bytes)
                await asyncio.to_thread(partial.unlink, missing_ok=True)
                await asyncio.to_thread(nbd.write_keys, keys, offer.key)
                place = nbd.Place(offer.address, offer.port, keys)
                command = await nbd.copying(disk.name, place, partial, image_format(kind), offered.size_bytes)
                await self._jobs.start(name, command)
                return f"copying {disk.name}"
            await self._jobs.clean(name)
            if job.failure:
                await asyncio.to_thread(partial.unlink, missing_ok=True)
                raise HostError(f"{disk.name} could not be copied from the other host: {job.failure}")
            await asyncio.to_thread(settle, partial, path)
        except OSError as error:
            raise HostError(f"{path} cannot be written: {error.strerror}.") from error
        return f"copied {disk.name}"

    def _check_room(self, path: Path, data_bytes: int) -> None:
        room = os.statvfs(path.parent)
        free = room.f_bavail * room.f_frsize
        if free < data_bytes + self._options.reserved_disk_bytes:
            raise HostError(f"The disk has {data_bytes} bytes of data, and the host has {free} bytes free.")

    # --- on the same host ---------------------------------------------------------------------------------------------

    def is_settled(self, spec: ServerSpec, directory: Path) -> bool:
        """Whether the disks from before a resize are where they should be."""
        has_former = (directory / FORMER).exists()
        return has_former == (spec.former_disks == "kept") and not (directory / RETURNING).exists()

    async def settle(self, spec: ServerSpec, directory: Path) -> str:
        """Keeps, puts back or removes the disks from before a resize, under a guest that is off; returns its progress.

        Raises HostError.
        """
        former, returning = directory / FORMER, directory / RETURNING
        try:
            if returning.exists():
                await asyncio.to_thread(_put_back, directory)
            if spec.former_disks == "kept":
                return "" if former.exists() else await self._keep(spec, directory)
            if former.exists() and spec.former_disks == "back":
                await asyncio.to_thread(_put_back, directory)
            await asyncio.to_thread(_remove_tree, former)
        except OSError as error:
            raise HostError(f"The disks in {directory} cannot be settled: {error.strerror}.") from error
        return ""

    async def discard_copies(self, directory: Path) -> None:
        """Ends the copying of disks that are to be kept no more, and removes what it has made. Raises HostError."""
        partial = directory / PARTIAL_FORMER
        if partial.exists():
            await self._jobs.cancel(_keeping_in(directory))
            await asyncio.to_thread(_remove_tree, partial)

    async def discard_former(self, directory: Path) -> None:
        """Removes the disks from before a resize while the guest runs on: it has none of them."""
        await asyncio.to_thread(_remove_tree, directory / FORMER)

    async def _keep(self, spec: ServerSpec, directory: Path) -> str:
        partial, name = directory / PARTIAL_FORMER, _keeping_in(directory)
        job = await self._jobs.observe(name)
        if job is not None and job.is_running:
            return "copying the disks"
        if job is None:
            disks = await asyncio.to_thread(lambda: list(self._local(spec, directory)))
            _check_sizes(disks)
            files = [path for _disk, path, _kind in disks if path.exists()]
            self._check_room(directory / "disk", sum(path.stat().st_blocks * BLOCK_BYTES for path in files))
            await asyncio.to_thread(_remove_tree, partial)
            partial.mkdir(mode=0o700)
            words: list[str | os.PathLike[str]] = ["cp", "-a", "--reflink=auto", "--sparse=always", "-t", partial]
            await self._jobs.start(name, Command([*words, *files], local_disks.COPY_TIMEOUT_SECONDS))
            return "copying the disks"
        await self._jobs.clean(name)
        if job.failure:
            await asyncio.to_thread(_remove_tree, partial)
            raise HostError(f"The disks could not be kept: {job.failure}")
        await asyncio.to_thread(os.sync)
        partial.replace(directory / FORMER)
        return ""

    # --- sizes --------------------------------------------------------------------------------------------------------

    async def enlarge(self, spec: ServerSpec, directory: Path) -> None:
        """Makes disks that are there as large as the flavor says, under a guest that is off. Raises HostError.

        A swap area of another size is removed: it is made anew.
        """
        for disk, path, kind in await asyncio.to_thread(lambda: list(self._local(spec, directory))):
            wanted, present = wanted_bytes(disk), path.exists() and local_disks.virtual_bytes(path, kind)
            if not wanted or not present:
                continue
            if isinstance(disk.source, SwapSource):
                if present != wanted:
                    path.unlink(missing_ok=True)
            elif present < wanted:
                backing = await asyncio.to_thread(local_disks.backing_of, path, kind)
                await qemu_img.grow(path, kind, backing, wanted)

    async def end(self, directory: Path) -> None:
        """Ends everything that goes on with the disks in a server's directory. Raises HostError."""
        await self._jobs.cancel(_offer_of(directory))
        await self._jobs.cancel(_keeping_in(directory))
        for partial in await asyncio.to_thread(lambda: list(directory.glob("*.part"))):
            await self._jobs.cancel(_bringing_of(partial.with_suffix("")))


def wanted_bytes(disk: SpecDisk) -> int:
    """Returns the size that the server's flavor gives a disk; 0: the flavor does not say."""
    match disk.source:
        case ImageSource() | BlankSource():
            return disk.source.size_gib * GIB
        case SwapSource(size_mib):
            return size_mib * MIB
        case _:
            return 0


def _check_size(disk: SpecDisk, present_bytes: int) -> None:
    wanted = wanted_bytes(disk)
    if 0 < wanted < present_bytes and not isinstance(disk.source, SwapSource):
        raise HostError(
            f"{disk.name} has {present_bytes} bytes, the flavor {wanted} bytes: disks can only become larger."
        )


def _check_sizes(disks: list[tuple[SpecDisk, Path, DiskFormat]]) -> None:
    for disk, path, kind in disks:
        if path.exists():
            _check_size(disk, local_disks.virtual_bytes(path, kind))


def _offered(disk: nbd.ServedDisk) -> OfferedDisk:
    size_bytes = local_disks.virtual_bytes(disk.path, disk.format)
    return OfferedDisk(disk.name, size_bytes, disk.path.stat().st_blocks * BLOCK_BYTES)


def _offer_of(directory: Path) -> str:
    return f"offer {directory}"


def _keeping_in(directory: Path) -> str:
    return f"keep {directory / FORMER}"


def _bringing_of(path: Path) -> str:
    return f"bring {path}"


def _put_back(directory: Path) -> None:
    """Puts the former disks back in place of the present ones; who dies here is followed by one that goes on."""
    former, returning = directory / FORMER, directory / RETURNING
    if not returning.exists():
        for path in directory.glob("disk*"):
            if path.name != INFO:
                path.unlink()
        former.replace(returning)
    for path in returning.iterdir():
        path.replace(directory / path.name)
    returning.rmdir()


def _remove_tree(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
