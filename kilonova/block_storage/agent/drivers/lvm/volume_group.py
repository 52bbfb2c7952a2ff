"""A volume group of LVM: its logical volumes by their names, and the commands that change them.

Names and sizes come from LVM's reports alone; nothing is remembered here. Where the kernel has no device-mapper nothing
can be activated: logical volumes are then allocated in one piece, so that a window on the physical volume shows each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from kilonova.kit import host_commands
from kilonova.kit.host_commands import HostError

TIMEOUT_SECONDS = 120.0
MAPPER = Path("/dev/mapper/control")
WITHOUT_MAPPER = (
    "global{activation=0} activation{udev_sync=0 udev_rules=0 monitoring=0} "
    'devices{use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source="none"}'
)
"""LVM's settings where it must neither ask device-mapper nor wait for udev."""

Provisioning = Literal["thick", "thin"]


class LogicalVolume(Struct, frozen=True):
    name: str
    size_bytes: int
    device: str
    """The physical volume that its first piece is on."""
    first_extent: int
    pieces: int
    tags: frozenset[str] = frozenset()


class Space(Struct, frozen=True):
    """The room of a volume group, or of its thin pool."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class VolumeGroup:
    """`thin_pool` names the pool that volumes are made in; empty: they are linear."""

    name: str
    config_file: Path | None = None
    """An `lvm.conf`; the others of its directory hold, too. None: the host's own."""
    has_mapper: bool = True
    thin_pool: str = ""

    async def run(self, *words: str) -> str:
        """Runs a command of LVM. Raises HostError in LVM's own words."""
        command: list[str] = [*words[:1], *(() if self.has_mapper else ("--config", WITHOUT_MAPPER)), *words[1:]]
        if self.config_file is not None:
            command = ["env", f"LVM_SYSTEM_DIR={self.config_file.parent}", *command]
        return await host_commands.run(command, timeout_seconds=TIMEOUT_SECONDS)

    async def report(self, command: str, fields: Sequence[str], *which: str) -> list[dict[str, str]]:
        """Returns one row for each thing that a reporting command lists, sizes in bytes. Raises HostError."""
        options = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o", ",".join(fields))
        told: dict[str, Any] = msgspec.json.decode(await self.run(command, *options, *which))
        (rows,) = told["report"][0].values()
        return list(rows)

    async def find_all(self) -> dict[str, LogicalVolume]:
        """Returns name → logical volume. Raises HostError."""
        fields = ("lv_name", "lv_size", "seg_start_pe", "devices", "lv_tags")
        found: dict[str, LogicalVolume] = {}
        for row in await self.report("lvs", fields, self.name):
            name = row["lv_name"]
            if name in found:
                found[name] = msgspec.structs.replace(found[name], pieces=found[name].pieces + 1)
                continue
            device, _, extent = row["devices"].rstrip(")").rpartition("(")
            tags = frozenset(filter(None, row["lv_tags"].split(",")))
            found[name] = LogicalVolume(name, int(row["lv_size"]), device, int(extent or 0), 1, tags)
        return found

    async def find(self, name: str) -> LogicalVolume | None:
        """Raises HostError."""
        return (await self.find_all()).get(name)

    async def space(self) -> Space:
        """Raises HostError, as when there is no such volume group."""
        if self.thin_pool:
            (row,) = await self.report("lvs", ("lv_size", "data_percent"), f"{self.name}/{self.thin_pool}")
            total = int(row["lv_size"])
            return Space(total, int(total * (1 - float(row["data_percent"] or 0) / 100)))
        (row,) = await self.report("vgs", ("vg_size", "vg_free"), self.name)
        return Space(int(row["vg_size"]), int(row["vg_free"]))

    async def create(self, name: str, size_bytes: int) -> None:
        """Allocates a logical volume; a linear one holds what was on the disk before. Raises HostError."""
        if self.thin_pool:
            await self.run("lvcreate", "-q", "-T", f"{self.name}/{self.thin_pool}", "-V", f"{size_bytes}b", "-n", name)
            return
        await self.run("lvcreate", *self._linear(), "-L", f"{size_bytes}b", "-n", name, self.name)

    def _linear(self) -> tuple[str, ...]:
        # Signatures of what lay there before are no reason to ask: everything is overwritten.
        if self.has_mapper:
            return ("-q", "--yes", "-Wn")
        return ("-q", "--yes", "-an", "-Zn", "-Wn", "--alloc", "contiguous")

    async def snapshot(self, origin: str, name: str, size_bytes: int) -> None:
        """Keeps the present content of a logical volume under another name. Raises HostError."""
        # A snapshot of a thin volume takes room in its pool; one of a linear volume has to be able to hold all of it.
        room = ("-kn",) if self.thin_pool else ("-L", f"{size_bytes}b")
        await self.run("lvcreate", "-q", "--yes", "-s", "-n", name, *room, f"{self.name}/{origin}")

    async def extend(self, name: str, size_bytes: int) -> None:
        """Raises HostError, as where the volume has to stay in one piece and another one lies behind it."""
        pieces = () if self.has_mapper else ("--alloc", "contiguous")
        await self.run("lvextend", "-q", *pieces, "-L", f"{size_bytes}b", f"{self.name}/{name}")

    async def tag(self, name: str, tag: str) -> None:
        """Raises HostError."""
        await self.run("lvchange", "-q", "--addtag", tag, f"{self.name}/{name}")

    async def untag(self, name: str, tag: str) -> None:
        """Raises HostError."""
        await self.run("lvchange", "-q", "--deltag", tag, f"{self.name}/{name}")

    async def rename(self, name: str, new: str) -> None:
        """Raises HostError."""
        await self.run("lvrename", "-q", self.name, name, new)

    async def remove(self, name: str) -> None:
        """Raises HostError, as for one that is in use."""
        await self.run("lvremove", "-q", "--yes", f"{self.name}/{name}")


def host_has_mapper() -> bool:
    """Whether the kernel has device-mapper, without which no logical volume becomes a device."""
    return MAPPER.exists()


def conf_file(path: str) -> Path | None:
    """Returns an `lvm.conf` that is there; None stands for the host's own. Raises HostError for another name."""
    if not path or not Path(path).exists():
        return None
    if Path(path).name != "lvm.conf":
        raise HostError(f"{path} is not called lvm.conf, the one name that LVM reads.")
    return Path(path)
