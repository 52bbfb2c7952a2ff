"""Makes block devices of logical volumes: by device-mapper, or as windows on their physical volume.

`show` makes a device where there is none and returns its path; `hide` takes it away again. Both may be repeated.
"""

import asyncio
import grp
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from kilonova.block_storage.agent.drivers.lvm.volume_group import LogicalVolume, VolumeGroup
from kilonova.kit import host_commands
from kilonova.kit.host_commands import HostError

TIMEOUT_SECONDS = 30.0
DEVICE_MODE = 0o660
DEVICE_GROUP = "disk"


class Devices(Protocol):
    async def show(self, volume: LogicalVolume) -> Path:
        """Raises HostError."""
        ...

    async def hide(self, volume: LogicalVolume) -> None:
        """Raises HostError."""
        ...


@dataclass(frozen=True)
class MappedDevices:
    """Logical volumes as device-mapper has them, at `/dev/GROUP/NAME`."""

    group: VolumeGroup

    async def show(self, volume: LogicalVolume) -> Path:
        await self.group.run("lvchange", "-q", "-ay", "-K", f"{self.group.name}/{volume.name}")
        return Path("/dev") / self.group.name / volume.name

    async def hide(self, volume: LogicalVolume) -> None:
        path = Path("/dev") / self.group.name / volume.name
        if path.exists():
            await asyncio.to_thread(take_back, path)
            await self.group.run("lvchange", "-q", "-an", f"{self.group.name}/{volume.name}")


class _Loop(Struct, frozen=True, rename="kebab"):
    name: str
    back_file: str | None
    offset: int
    sizelimit: int


class _Loops(Struct, frozen=True):
    loopdevices: tuple[_Loop, ...] = ()


@dataclass(frozen=True)
class Windows:
    """Loop devices over the pieces of a physical volume, for hosts without device-mapper."""

    group: VolumeGroup

    async def show(self, volume: LogicalVolume) -> Path:
        offset = await self._offset(volume)
        for loop in await self._over(volume.device):
            if loop.offset == offset and loop.sizelimit == volume.size_bytes:
                return Path(loop.name)
        where = ["--offset", str(offset), "--sizelimit", str(volume.size_bytes)]
        made = await _losetup("--find", "--show", *where, volume.device)
        return Path(made.strip())

    async def hide(self, volume: LogicalVolume) -> None:
        offset = await self._offset(volume)
        for loop in await self._over(volume.device):
            if loop.offset == offset:
                # Whoever still has it open keeps it until then, and nobody else gets it.
                await asyncio.to_thread(take_back, Path(loop.name))
                await _losetup("--detach", loop.name)

    async def _offset(self, volume: LogicalVolume) -> int:
        if volume.pieces != 1:
            raise HostError(
                f"Logical volume {volume.name} lies in {volume.pieces} pieces, and this host has no device-mapper to "
                "join them."
            )
        rows = await self.group.report("pvs", ("pe_start", "vg_extent_size"), volume.device)
        return int(rows[0]["pe_start"]) + volume.first_extent * int(rows[0]["vg_extent_size"])

    async def _over(self, device: str) -> list[_Loop]:
        told = await _losetup("--json", "--list", "--output", "NAME,BACK-FILE,OFFSET,SIZELIMIT")
        loops = msgspec.json.decode(told, type=_Loops).loopdevices if told.strip() else ()
        return [loop for loop in loops if loop.back_file == device]


async def _losetup(*words: str) -> str:
    return await host_commands.run(["losetup", *words], timeout_seconds=TIMEOUT_SECONDS)


def take_back(path: Path) -> None:
    """Takes a device from the account that QEMU runs as. Raises OSError."""
    os.chown(path, 0, grp.getgrnam(DEVICE_GROUP).gr_gid)
    path.chmod(DEVICE_MODE)
