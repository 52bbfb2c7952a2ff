"""Keeps backups in chunks. For each, a job reads or writes the volume, and the next agent finds it again.

`.records` holds the epoch that was obeyed last for each backup and each volume, `.jobs` the jobs, and `.work` what
each of them was told.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import kilonova
from kilonova.block_storage.agent.backups.contract import BackupObservation, BackupSpec, RestoreArguments
from kilonova.block_storage.agent.backups.format import object_name
from kilonova.block_storage.agent.backups.job import REFUSAL, Order, Way, object_count
from kilonova.block_storage.agent.backups.stores import PosixStore, Store
from kilonova.block_storage.agent.drivers.records import Records, check_subject
from kilonova.block_storage.agent.spec import Observation
from kilonova.kit import connectors
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors import Connection
from kilonova.kit.connectors.mounts import HostMounts, Mounts
from kilonova.kit.connectors.qemu_words import disk_words
from kilonova.kit.disks.confinement import qemu_account
from kilonova.kit.host_commands import Command, HostError

DONE = Observation(True)
LONGEST_SECONDS = 6 * 3600.0
ROOT = Path(kilonova.__file__).parents[1]
START = "import sys; sys.path.insert(0, sys.argv[1]); from kilonova.block_storage.agent.backups.job import main; "
START += "main(sys.argv[2])"


@dataclass(frozen=True, kw_only=True)
class BackupOptions:
    root: Path
    """The directory of the store."""
    state: Path
    """The directory of this host's own records."""
    chunk_bytes: int = 4 << 20
    compression: str = "zlib"
    export: str = ""
    """The NFS export that is mounted at the root; empty: none."""
    mount_options: tuple[str, ...] = ()


@dataclass
class ChunkedBackups:
    options: BackupOptions
    mounts: Mounts = field(default_factory=HostMounts)
    _is_swept: bool = False
    """Whether the records of what was released long ago are gone."""
    _removing: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Subject → held while it is worked on."""

    def __post_init__(self) -> None:
        self._records = Records(self.options.state / ".records")
        self._jobs = Jobs(self.options.state / ".jobs")
        self._store: Store = PosixStore(self.options.root)

    async def prepare(self) -> None:
        options = self.options
        if not self._is_swept:
            self._is_swept = True
            self._records.sweep()
        if options.export:
            await self.mounts.ensure(options.export, options.root, options.mount_options)
        with self._complaining():
            options.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    # --- backing up --------------------------------------------------------------------------------------------------

    async def ensure_backup(self, spec: BackupSpec, connection: Connection, epoch: int) -> BackupObservation:
        async with self._locks[spec.id]:
            self._records.admit(spec.id, epoch)
            job = f"back up {spec.id}"
            with self._complaining():
                progress = await self._progress(job, spec.id)
                if progress is not None:
                    return BackupObservation(False, progress)
                count = await asyncio.to_thread(object_count, self._store, spec.container, spec.id)
                if count is not None:
                    return BackupObservation(True, object_count=count)
                order = Order(
                    kind="back_up",
                    root=str(self.options.root),
                    container=spec.container,
                    backup_id=spec.id,
                    parent_id=spec.parent_id,
                    chunk_bytes=self.options.chunk_bytes,
                    compression=self.options.compression,
                    way=await self._way(spec.id, connection),
                )
                await self._start(job, spec.id, order)
                return BackupObservation(False, "reading the volume")

    async def find_backup(self, backup_id: str, container: str) -> BackupObservation:
        check_subject(backup_id)
        with self._complaining():
            count = await asyncio.to_thread(object_count, self._store, container, backup_id)
        if count is None:
            raise HostError(f"There is no backup {backup_id} here.")
        return BackupObservation(True, object_count=count)

    async def release_backup(self, backup_id: str, container: str, epoch: int) -> Observation:
        async with self._locks[backup_id]:
            self._records.admit(backup_id, epoch)
            with self._complaining():
                await self._jobs.cancel(f"back up {backup_id}")
                self._clean(backup_id)
                removing = self._removing.get(backup_id)
                if removing is None:
                    prefix = object_name(container, backup_id, "")
                    removing = asyncio.create_task(asyncio.to_thread(self._store.delete_all, prefix))
                    self._removing[backup_id] = removing
                await asyncio.wait([removing], timeout=1.0)
                if not removing.done():
                    return Observation(False, "removing its objects")
                del self._removing[backup_id]
                removing.result()
            self._records.bury(backup_id, epoch)
            return DONE

    # --- restoring ---------------------------------------------------------------------------------------------------

    async def restore_volume(self, asked: RestoreArguments) -> Observation:
        volume_id = asked.volume_id
        check_subject(asked.backup_id)
        async with self._locks[volume_id]:
            self._records.admit(volume_id, asked.epoch)
            job = f"restore {volume_id} in {asked.task_id}"
            with self._complaining():
                await self._stop_all(volume_id, but=job)
                seen = await self._jobs.observe(job)
                if seen is not None and not seen.is_running and not seen.failure:
                    # It stays until it is stopped: asked again, the same restore is done already.
                    return DONE
                progress = await self._progress(job, volume_id)
                if progress is not None:
                    return Observation(False, progress)
                order = Order(
                    kind="restore",
                    root=str(self.options.root),
                    container=asked.container,
                    backup_id=asked.backup_id,
                    way=await self._way(volume_id, asked.connection),
                )
                await self._start(job, volume_id, order)
                return Observation(False, "writing the volume")

    async def stop_restore(self, volume_id: str, epoch: int) -> None:
        async with self._locks[volume_id]:
            self._records.admit(volume_id, epoch)
            with self._complaining():
                await self._stop_all(volume_id)
                self._clean(volume_id)
            self._records.bury(volume_id, epoch)

    async def _stop_all(self, volume_id: str, *, but: str = "") -> None:
        """Ends the restores to a volume but one: what an earlier task has left must not write, nor count as done."""
        for job in await self._jobs.list_all():
            if job.name.startswith(f"restore {volume_id} ") and job.name != but:
                await self._jobs.cancel(job.name)

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def _progress(self, job: str, subject_id: str) -> str | None:
        """Returns how far a job is; None when there is none. Raises HostError, once, when it has failed."""
        seen = await self._jobs.observe(job)
        if seen is None:
            return None
        if seen.is_running:
            return (seen.output.strip().splitlines() or [""])[-1]
        await self._forget(job, subject_id)
        if seen.failure:
            raise HostError(seen.output.strip().rpartition(REFUSAL)[2] if REFUSAL in seen.output else seen.failure)
        return None

    async def _start(self, job: str, subject_id: str, order: Order) -> None:
        path = self._work(subject_id) / "order.json"
        path.write_text(json.dumps(asdict(order)))
        path.chmod(0o600)
        words = [sys.executable, "-I", "-c", START, str(ROOT), str(path)]
        await self._jobs.start(job, Command(words, LONGEST_SECONDS))

    async def _forget(self, job: str, subject_id: str) -> None:
        await self._jobs.clean(job)
        self._clean(subject_id)

    def _clean(self, subject_id: str) -> None:
        shutil.rmtree(self._work(subject_id), ignore_errors=True)

    def _work(self, subject_id: str) -> Path:
        check_subject(subject_id)
        return self.options.state / ".work" / subject_id

    async def _way(self, subject_id: str, connection: Connection) -> Way:
        """Returns how a job opens its disk. Raises HostError, OSError."""
        connected, work, account = await connectors.connect(connection), self._work(subject_id), qemu_account()
        work.mkdir(parents=True, exist_ok=True, mode=0o711)
        socket = work / "disk"
        socket.mkdir(exist_ok=True, mode=0o700)
        if account is not None:
            os.chown(socket, account.user_id, account.group_id)
        owner = None if account is None else (account.user_id, account.group_id)
        return Way(disk_words(connected, socket, account), str(socket), owner)

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Turns what the file system refuses into a HostError that names it."""
        try:
            yield
        except OSError as error:
            raise HostError(f"Backups in {self.options.root}: {error.strerror or error}.") from error
