"""Targets of the kernel, LIO, made in its part of configfs: no command line ever has a secret.

A target lets every initiator in that proves itself with the target's name and secret. Source: the kernel's
`Documentation/target/` and `drivers/target/iscsi/iscsi_target_configfs.c`.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.drivers.lvm.exports import UNIT, Export
from kilonova.kit.host_commands import HostError

ROOT = Path("/sys/kernel/config/target")
ADAPTER = "core/iblock_3260"
"""The adapter that has all our devices; the number is one that other tools do not begin with."""
ATTRIBUTES = {
    "authentication": "1",
    "generate_node_acls": "1",
    "cache_dynamic_acls": "1",
    "demo_mode_write_protect": "0",
}


class Configfs:
    """The file system through which the kernel is told: what is made here begins to exist, with what belongs to it."""

    def make(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)

    def remove(self, directory: Path) -> None:
        directory.rmdir()

    def write(self, file: Path, value: str) -> None:
        file.write_text(value)


@dataclass(frozen=True)
class LioTargets:
    portal: str
    """`address:port`, on which the kernel listens for each target."""
    root: Path = ROOT
    configfs: Configfs = field(default_factory=Configfs)

    async def find_all(self) -> set[str]:
        return await asyncio.to_thread(self._find_all)

    def _find_all(self) -> set[str]:
        fabric = self.root / "iscsi"
        return {path.name for path in fabric.iterdir() if path.name.startswith("iqn.")} if fabric.is_dir() else set()

    async def ensure(self, export: Export, device: Path) -> None:
        await asyncio.to_thread(self._ensure, export, device)

    def _ensure(self, export: Export, device: Path) -> None:
        try:
            if self._is_open(export) and self._device(export) == str(device):
                return
            self._remove(export)
            self._make(export, device)
        except OSError as error:
            self._clean_up(export)
            raise HostError(f"The kernel refuses to serve {device}: {error.strerror or error}.") from error

    def _make(self, export: Export, device: Path) -> None:
        fs, store, group = self.configfs, self._store(export), self._group(export)
        for directory in (store.parent, store):
            fs.make(directory)
        fs.write(store / "control", f"udev_path={device}\n")
        fs.write(store / "enable", "1\n")
        fs.write(store / "wwn" / "vpd_unit_serial", f"{export.volume_id}\n")
        unit = group / "lun" / f"lun_{UNIT}"
        for directory in (self.root / "iscsi", group.parent, group, unit):
            fs.make(directory)
        (unit / export.attachment_id).symlink_to(store)
        for name, value in ATTRIBUTES.items():
            fs.write(group / "attrib" / name, f"{value}\n")
        fs.write(group / "auth" / "userid", f"{export.username}\n")
        fs.write(group / "auth" / "password", f"{export.secret}\n")
        fs.make(group / "np" / self.portal)
        # Last: nobody gets in before all of it stands.
        fs.write(group / "enable", "1\n")

    async def remove(self, export: Export) -> None:
        try:
            await asyncio.to_thread(self._remove, export)
        except OSError as error:
            raise HostError(f"The kernel keeps target {export.target}: {error.strerror or error}.") from error

    def _remove(self, export: Export) -> None:
        group, store = self._group(export), self._store(export)
        unit = group / "lun" / f"lun_{UNIT}"
        if group.is_dir():
            self.configfs.write(group / "enable", "0\n")
        link = unit / export.attachment_id
        if link.is_symlink():
            link.unlink()
        for directory in (group / "np" / self.portal, unit, group, group.parent, store):
            if directory.is_dir():
                self.configfs.remove(directory)

    def _clean_up(self, export: Export) -> None:
        """Takes away what was made of a target before it failed; what the kernel keeps is tried again with the next."""
        try:
            self._remove(export)
        except OSError as error:
            raise HostError(f"The kernel keeps half of target {export.target}: {error.strerror or error}.") from error

    def _is_open(self, export: Export) -> bool:
        enable = self._group(export) / "enable"
        return enable.exists() and enable.read_text().strip() == "1"

    def _device(self, export: Export) -> str:
        path = self._store(export) / "udev_path"
        return path.read_text().strip() if path.exists() else ""

    def _store(self, export: Export) -> Path:
        return self.root / ADAPTER / export.attachment_id

    def _group(self, export: Export) -> Path:
        return self.root / "iscsi" / export.target / "tpgt_1"
