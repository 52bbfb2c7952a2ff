"""The driver `nfs`: volumes are files on NFS shares that this host mounts, and each share is a pool.

On each share works the driver `file`. A share that is not mounted is never touched: what would be written to the
directory under it would be hidden by the next mount, and a volume that is not found may be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from kilonova.block_storage.agent.drivers.file import FileDriver, FileOptions
from kilonova.block_storage.agent.spec import Observation, PoolStats, VolumeSpec
from kilonova.kit.connectors import Connection, FileConnection, NfsConnection
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.connectors.mounts import HostMounts, Mounts, check_export, mount_point
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

MOST_SHARES = 256


@dataclass(frozen=True)
class Share:
    export: str
    """`server:/directory`, which is the pool's name."""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NfsOptions:
    shares: tuple[Share, ...]
    mount_base: Path
    disk_format: DiskFormat = "raw"
    is_sparse: bool = True
    """Whether raw volumes take no room before they are written to."""
    backend_name: str = "nfs"
    reserved_percentage: int = 0
    max_over_subscription_ratio: str = "20.0"


def read_shares(path: Path, more_options: str) -> tuple[Share, ...]:
    """Reads a file with a share each line, and mount options behind it. Raises HostError, naming file and line.

    `more_options`: those of all shares, which a share's own go behind.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}.") from error
    found: dict[str, Share] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            check_export(words[0])
            if words[0] in found:
                raise HostError(f"{words[0]} stands there twice.")
            options = [option for word in (more_options, *words[1:]) for option in _options(word)]
        except HostError as error:
            raise HostError(f"{path}:{number}: {error.reason}") from error
        found[words[0]] = Share(words[0], tuple(options))
    if not 0 < len(found) <= MOST_SHARES:
        raise HostError(f"{path} names {len(found)} shares: it has to name at least one, and at most {MOST_SHARES}.")
    return tuple(found.values())


def _options(word: str) -> list[str]:
    """Returns the options in a word such as `-o vers=4.1,soft`, whose `-o` may be a word of its own."""
    text = word.strip().removeprefix("-o").strip()
    options = [option for option in text.split(",") if option]
    if any(option.startswith("-") or " " in option for option in options):
        raise HostError(f"{word!r} is no list of mount options.")
    return options


@dataclass
class NfsDriver:
    options: NfsOptions
    fetch: FetchImage
    mounts: Mounts = field(default_factory=HostMounts)

    def __post_init__(self) -> None:
        options = self.options
        self._drivers: dict[str, FileDriver] = {}
        self._prepared: set[str] = set()
        for share in options.shares:
            file_options = FileOptions(
                directory=self._directory(share),
                disk_format=options.disk_format,
                is_sparse=options.is_sparse,
                backend_name=options.backend_name,
                reserved_percentage=options.reserved_percentage,
                max_over_subscription_ratio=options.max_over_subscription_ratio,
            )
            self._drivers[share.export] = FileDriver(file_options, self.fetch)

    def _directory(self, share: Share) -> Path:
        return mount_point(self.options.mount_base, share.export)

    async def close(self) -> None:
        for driver in self._drivers.values():
            await driver.close()

    async def keep_up(self) -> None:
        """Mounts the shares that are not."""
        failures = []
        for share in self.options.shares:
            try:
                await self._mount(share)
            except HostError as error:
                failures.append(f"{share.export}: {error.reason}")
        if failures:
            raise HostError(" ".join(failures))

    async def _mount(self, share: Share) -> None:
        await self.mounts.ensure(share.export, self._directory(share), share.options)
        if share.export not in self._prepared:
            self._drivers[share.export].prepare()
            self._prepared.add(share.export)

    async def pools(self) -> Sequence[PoolStats]:
        """Tells each share's room; one that cannot be mounted is a pool that is down."""
        return [await self._pool(share) for share in self.options.shares]

    async def _pool(self, share: Share) -> PoolStats:
        try:
            await self._mount(share)
            (told,) = await self._drivers[share.export].pools()
        except (HostError, OSError) as error:
            log.warning("a share cannot be used", share=share.export, reason=str(error))
            options = self.options
            told = PoolStats(
                pool_name=share.export,
                volume_backend_name=options.backend_name,
                storage_protocol="nfs",
                total_capacity_gb=0,
                free_capacity_gb=0,
                reserved_percentage=options.reserved_percentage,
                max_over_subscription_ratio=options.max_over_subscription_ratio,
                backend_state="down",
                trouble=str(error),
            )
        return structs.replace(told, pool_name=share.export, storage_protocol="nfs")

    # --- what is asked of one share ----------------------------------------------------------------------------------

    def _on(self, export: str) -> FileDriver:
        """Returns the driver of a share. Raises HostError for one that is not ours, or not mounted."""
        shares = self.options.shares
        share = next((each for each in shares if each.export == export or (not export and len(shares) == 1)), None)
        if share is None:
            raise HostError(f"{export!r} is none of this back end's shares.")
        if not self._is_mounted(share):
            raise HostError(f"The share {share.export} is not mounted.")
        return self._drivers[share.export]

    def _is_mounted(self, share: Share) -> bool:
        return share.export in self._prepared and self.mounts.is_mounted(share.export, self._directory(share))

    def _find(self, subject_id: str) -> tuple[str, FileDriver] | None:
        """Returns the share that has a volume. Raises HostError when it may be on one that is not mounted."""
        away = []
        for share in self.options.shares:
            if not self._is_mounted(share):
                away.append(share.export)
            elif self._drivers[share.export].keeps(subject_id):
                return share.export, self._drivers[share.export]
        if away:
            raise HostError(f"Volume {subject_id} may be on {', '.join(away)}, which is not mounted.")
        return None

    def _holder(self, volume_id: str) -> FileDriver:
        found = self._find(volume_id)
        if found is None:
            raise HostError(f"There is no volume {volume_id} here.")
        return found[1]

    async def ensure_volume(self, spec: VolumeSpec, epoch: int) -> Observation:
        return await self._on(spec.pool).ensure_volume(spec, epoch)

    async def release_volume(self, volume_id: str, epoch: int) -> None:
        found = self._find(volume_id)
        # Where there is none each share notes the epoch: an older caller may come back with any of them.
        for driver in [found[1]] if found is not None else self._drivers.values():
            await driver.release_volume(volume_id, epoch)

    async def extend_volume(self, volume_id: str, size_gib: int, epoch: int) -> Observation:
        return await self._holder(volume_id).extend_volume(volume_id, size_gib, epoch)

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        return await self._holder(volume_id).ensure_snapshot(snapshot_id, volume_id, epoch)

    async def release_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        found = self._find(volume_id)
        for driver in [found[1]] if found is not None else self._drivers.values():
            seen = await driver.release_snapshot(snapshot_id, volume_id, epoch)
            if not seen.is_done:
                return seen
        return Observation(True)

    async def revert_volume(self, volume_id: str, snapshot_id: str, epoch: int) -> Observation:
        return await self._holder(volume_id).revert_volume(volume_id, snapshot_id, epoch)

    async def connection_to(self, volume_id: str, attachment_id: str) -> Connection:
        found = self._find(volume_id)
        if found is None:
            raise HostError(f"There is no volume {volume_id} here.")
        export, driver = found
        connection = await driver.connection_to(volume_id, attachment_id)
        if not isinstance(connection, FileConnection):
            raise TypeError(f"a volume on a share is a file, not {connection!r}")
        options = next(share.options for share in self.options.shares if share.export == export)
        name = Path(connection.path).name
        return NfsConnection(export=export, name=name, disk_format=connection.disk_format, options=options)

    async def disconnect(self, volume_id: str, attachment_id: str | None) -> None:
        """A file needs no farewell."""
