"""The store of a cinder-backup: which it is, and what it is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kilonova.block_storage.agent.backups.driver import BackupDriver
from kilonova.kit.config import ConfigError
from kilonova.kit.connectors.mounts import check_export, mount_point
from kilonova.kit.host_commands import HostError

UPSTREAM_NAMES: Mapping[str, str] = {
    "cinder.backup.drivers.posix.PosixBackupDriver": "posix",
    "cinder.backup.drivers.nfs.NFSBackupDriver": "nfs",
}
"""Upstream's name of a driver → ours."""
DRIVERS = ("posix", "nfs", "fake")
STEP_BYTES = 1 << 20


def make_driver(config: Any) -> BackupDriver:
    """Raises ConfigError for options that backups cannot be kept with."""
    spelled = config.backup_driver
    name = UPSTREAM_NAMES.get(spelled, spelled)
    if name not in DRIVERS:
        raise ConfigError(f"[DEFAULT] backup_driver: {spelled!r} is none of {', '.join((*DRIVERS, *UPSTREAM_NAMES))}")
    if name == "fake":
        from kilonova.block_storage.agent.backups.fake import FakeBackups, FakeStore

        return FakeBackups(FakeStore())
    # Nothing of disks is loaded where none are kept.
    from kilonova.block_storage.agent.backups.chunked import BackupOptions, ChunkedBackups

    export = config.backup_share if name == "nfs" else ""
    if name == "nfs":
        try:
            check_export(export)
        except HostError as error:
            raise ConfigError(f"[DEFAULT] backup_share: {error}") from error
    if config.backup_file_size % STEP_BYTES:
        raise ConfigError(f"[DEFAULT] backup_file_size: {config.backup_file_size} is no multiple of {STEP_BYTES}")
    root = mount_point(Path(config.backup_mount_point_base), export) if export else Path(config.backup_posix_path)
    mount_options = tuple(each for each in config.backup_mount_options.split(",") if each)
    return ChunkedBackups(
        BackupOptions(
            root=root,
            state=Path(config.state_path) / "backup-jobs",
            chunk_bytes=config.backup_file_size,
            compression=config.backup_compression_algorithm,
            export=export,
            mount_options=mount_options,
        )
    )
