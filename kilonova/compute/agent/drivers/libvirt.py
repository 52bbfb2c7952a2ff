"""The compute driver for libvirt and QEMU: converges one host to what it is told (see `driver.ComputeDriver`).

The rule: no step remembers that it was done; each looks whether its effect is there. The order in `ensure_server` is
the order in which a server comes into being, so a call that dies anywhere is finished by the next one.
"""

import asyncio
import functools
import os
import shutil
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import libvirt
import msgspec

from kilonova.compute.agent.devices import disks, interfaces, local_disks, plugging
from kilonova.compute.agent.devices.local_disks import GIB
from kilonova.compute.agent.driver import InspectImage, OnEvent
from kilonova.compute.agent.drivers import (
    console,
    console_addresses,
    domains,
    guest_agent,
    guest_devices,
    host_topology,
    image_cache,
    inventory,
    migration,
    serial_ports,
    snapshots,
    use,
    volume_secrets,
)
from kilonova.compute.agent.drivers.connection import Connection
from kilonova.compute.agent.drivers.disk_moves import DiskMoves
from kilonova.compute.agent.drivers.domain_xml import (
    DomainPlan,
    definition_digest,
    render_domain,
)
from kilonova.compute.agent.drivers.epochs import Tombstones
from kilonova.compute.agent.drivers.errands import Errand, Errands
from kilonova.compute.agent.drivers.libvirtd import connect_or_start, detect_virt_type
from kilonova.compute.agent.drivers.options import LibvirtOptions, VirtType
from kilonova.compute.agent.drivers.power import LONG_ACTIONS, PowerAction, plan_power
from kilonova.compute.agent.drivers.records import (
    ServerRecord,
    instance_directory,
    list_recorded,
    read_record,
    take_directory,
    write_record,
)
from kilonova.compute.agent.drivers.timeline import Timeline
from kilonova.compute.agent.spec import (
    Arrival,
    ConsoleAddress,
    ConsoleKind,
    HostInventory,
    ImageSource,
    ServerDiagnostics,
    ServerObservation,
    ServerSpec,
    SnapshotObservation,
    SnapshotSpec,
    SpecImage,
)
from kilonova.kit import connectors
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.disks.uploads import UploadImage
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)

POLL_SECONDS = 0.2
STOP_POLLS = 100
PRESS_AGAIN_SECONDS = 10.0
"""A guest that is still booting misses the power button, so it is pressed again."""


class LibvirtDriver:
    """Must be made on the running loop. `on_event` gets the id of a server whose domain changed state, and of one whose
    background work has ended; it is called on the loop.
    """

    def __init__(
        self,
        options: LibvirtOptions,
        fetch_image: FetchImage,
        inspect_image: InspectImage,
        on_event: OnEvent,
        upload_image: UploadImage,
    ) -> None:
        self._options = options
        self._upload_image = upload_image
        self._images = image_cache.ImageCache(
            options.instances_path / "_base",
            Jobs(options.state_dir / "jobs"),
            fetch_image,
            inspect_image,
            options.reserved_disk_bytes,
        )
        self._images.discard_downloads()
        self._disk_moves = DiskMoves(self._images.jobs, options)
        self._virt_type: VirtType = detect_virt_type() if options.virt_type == "auto" else options.virt_type
        self._errands = Errands(on_event)
        self._tombstones = Tombstones()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._picking_port = asyncio.Lock()
        self._timeline = Timeline()
        self._messages: dict[str, str] = {}
        self._connection = Connection(functools.partial(connect_or_start, options), on_event)

    # --- the wanted state ---------------------------------------------------------------------------------------------

    async def ensure_server(self, spec: ServerSpec, epoch: int) -> ServerObservation:
        """See `ComputeDriver`."""
        return await self._carried_out(spec, epoch, self._converge)

    async def ensure_migration(
        self, spec: ServerSpec, arrival: Arrival, epoch: int, *, hasten: bool = False
    ) -> ServerObservation:
        """See `ComputeDriver`."""
        return await self._carried_out(spec, epoch, functools.partial(self._migrate, arrival, hasten))

    async def _carried_out(
        self, spec: ServerSpec, epoch: int, work: Callable[[ServerRecord], Awaitable[ServerObservation]]
    ) -> ServerObservation:
        """Lets one caller after the other work on a server, unless its epoch is stale, and keeps why one has failed."""
        async with self._lock(spec.id):
            record = await self._admit(spec.id, epoch)
            try:
                await self._connection.call(domains.check_free, spec.id, spec.instance_name)
                seen = await work(await self._recorded(spec, epoch, record))
            except HostError as error:
                self._messages[spec.id] = error.reason
                raise
            self._messages.pop(spec.id, None)
            seen.message = ""
            seen.milestones = self._timeline.of(spec.id)
            return seen

    async def _recorded(self, spec: ServerSpec, epoch: int, before: ServerRecord | None) -> ServerRecord:
        reboots_done = before.reboots_done if before else spec.reboot_count
        rebuilds_done = before.rebuilds_done if before else spec.rebuild_count
        connected = (before.connected if before else {}) | disks.volumes_of(spec.disks)
        record = ServerRecord(epoch, reboots_done, spec, connected, rebuilds_done)
        await asyncio.to_thread(write_record, self._directory(spec.id), record)
        return record

    def _lock(self, server_id: str) -> asyncio.Lock:
        lock = self._locks.get(server_id)
        if lock is None:
            lock = self._locks[server_id] = asyncio.Lock()
        return lock

    def _directory(self, server_id: str) -> Path:
        return instance_directory(self._options.instances_path, server_id)

    async def _admit(self, server_id: str, epoch: int) -> ServerRecord | None:
        record = await asyncio.to_thread(read_record, self._directory(server_id))
        self._tombstones.admit(server_id, epoch, record.epoch if record else None)
        return record

    async def _converge(self, record: ServerRecord) -> ServerObservation:
        """Brings the host nearer to the spec."""
        spec, directory = record.spec, self._directory(record.spec.id)
        await self._remove_copies(spec.id)
        if spec.presence == "leaving":
            transfer = await self._connection.call(migration.transfer, spec.id)
            return await self._observation(spec.id, migration.describe(transfer) if transfer else "")
        if spec.presence in ("offering", "left"):
            return await self._hand_over(record)
        await self._disk_moves.withdraw(directory)
        if spec.disks_from is not None:
            return await self._observation(spec.id, await self._disk_moves.bring(spec, directory, spec.disks_from))
        settling = await self._settle_former_disks(record)
        if settling:
            return await self._observation(spec.id, settling)
        is_rebuild_due = spec.rebuild_count > record.rebuilds_done
        fetching = await self._ensure_images(spec, is_new=is_rebuild_due)
        if fetching:
            return await self._observation(spec.id, fetching.progress)
        if is_rebuild_due:
            record = await self._remove_disks(record)
        copying = await self._ensure_copies(spec)
        if copying:
            return await self._observation(spec.id, copying.progress)
        with self._timeline.measured(spec.id, "make_disks"):
            plan = await self._plan(spec)
        if spec.presence == "incoming":
            return await self._expected(plan)
        await self._ensure_definition(plan)
        kept = await self._ensure_plugged(record, plan)
        return await self._observation(spec.id, await self._ensure_power(spec, record) or plugging.describe(kept))

    async def _plan(self, spec: ServerSpec) -> DomainPlan:
        """Plans the server's domain. Its files are there and its volumes connected."""
        directory = self._directory(spec.id)
        planned_interfaces = interfaces.plan(spec)
        planned_disks = await disks.prepare(spec, directory, self._images.path_of, self._options.disks)
        if targets := disks.targets_of(planned_disks):
            await self._connection.call(volume_secrets.keep, targets)
        return DomainPlan(
            spec,
            self._virt_type,
            tuple(planned_disks),
            tuple(planned_interfaces.values()),
            directory / "console.log",
            self._options.machine_type,
            self._options.consoles,
            guest_cpu=self._options.guest_cpu,
            kernel=self._images.path_of(spec.kernel) if spec.kernel else None,
            ramdisk=self._images.path_of(spec.ramdisk) if spec.ramdisk else None,
            host=self._options.hardware,
        )

    async def _ensure_plugged(self, record: ServerRecord, plan: DomainPlan) -> tuple[str, ...]:
        """The devices that the guest has yet to let go of."""
        spec = plan.spec
        # Nothing is taken from a guest that was not connected for it.
        guest_disks = guest_devices.volumes(self._connection, plan, record.connected.keys())
        kept_disks = await plugging.converge(guest_disks, disks.to_plug(plan.disks), server_id=spec.id)
        guest_interfaces = guest_devices.interfaces(self._connection, spec)
        planned_interfaces = {each.tap: each for each in plan.interfaces}
        kept_taps = await plugging.converge(guest_interfaces, planned_interfaces, server_id=spec.id)
        await self._disconnect(record, kept_disks)
        return kept_disks + kept_taps

    async def _remove_disks(self, record: ServerRecord) -> ServerRecord:
        """Ends the guest and removes what it was made of, so that it is made anew; its volumes stay."""
        spec, directory = record.spec, self._directory(record.spec.id)
        log.info("the disks are made anew", server=spec.id)
        await self._errands.cancel(f"power {spec.id}")
        await self._connection.call(domains.remove, spec.id)
        await asyncio.to_thread(local_disks.remove, directory, keeps_ephemeral=spec.keeps_ephemeral)
        done = msgspec.structs.replace(record, rebuilds_done=spec.rebuild_count, reboots_done=spec.reboot_count)
        await asyncio.to_thread(write_record, directory, done)
        return done

    async def _ensure_images(self, spec: ServerSpec, *, is_new: bool) -> Errand | None:
        """The errand that fetches an image of the server; None when all are there. `is_new`: it has no disk of it."""
        for image, disk in disks.images_to_fetch(spec):
            self._timeline.begin(spec.id, "fetch_image")
            path = self._directory(spec.id) / (disk.name if disk else "disk")
            has_disk = not is_new and path.exists()
            if disk is not None and (disk.is_whole and spec.presence == "incoming"):
                continue
            if disk is not None and has_disk and (disk.is_whole or await asyncio.to_thread(self._is_alone, path)):
                continue
            fetching = self._images.ensure(image, self._errands, server_id=spec.id, has_disk=has_disk)
            if fetching is not None:
                return fetching
            self._timeline.end(spec.id, "fetch_image")
        return None

    def _is_alone(self, path: Path) -> bool:
        """Whether a server's disk needs no cached image under it."""
        kind = local_disks.read_info(path.with_name(disks.INFO)).get(path, self._options.disks.image_format)
        return local_disks.backing_of(path, kind) is None

    async def _ensure_copies(self, spec: ServerSpec) -> Errand | None:
        """The errand that copies an image to a disk of the server; None when no disk waits for one."""
        for path, source, kind in await asyncio.to_thread(self._copies, spec):
            name = f"copy {path}"
            self._errands.raise_failure(name, spec.id)
            image = self._images.path_of(source.image)

            async def work(
                _errand: Errand, path: Path = path, source: ImageSource = source, image: Path = image, kind: Any = kind
            ) -> None:
                await disks.make_copy(path, source, image, kind)

            return self._errands.start(name, "copy", f"copying image {source.image.id}", work, server_id=spec.id)
        return None

    def _copies(self, spec: ServerSpec) -> list[tuple[Path, ImageSource, DiskFormat]]:
        return list(disks.copies(spec, self._directory(spec.id), self._options.disks))

    async def _disconnect(self, record: ServerRecord, kept: Collection[str]) -> None:
        """Disconnects the volumes that the server should not have and its guest has not."""
        wanted = disks.volumes_of(record.spec.disks)
        surplus = {serial: each for serial, each in record.connected.items() if serial not in {*wanted, *kept}}
        if not surplus:
            return
        for volume in surplus.values():
            await self._disconnect_volume(volume.connection)
        left = {serial: each for serial, each in record.connected.items() if serial not in surplus}
        record = msgspec.structs.replace(record, connected=left)
        await asyncio.to_thread(write_record, self._directory(record.spec.id), record)

    async def _disconnect_volume(self, connection: connectors.Connection) -> None:
        await self._connection.call(volume_secrets.forget, connection)
        await connectors.disconnect(connection)

    async def _ensure_definition(self, plan: DomainPlan) -> None:
        if plan.consoles.serial is None:
            await self._define(plan)
            return
        # What is picked is free until it stands in a definition.
        async with self._picking_port:
            await self._define(await self._with_serial_port(plan))

    async def _with_serial_port(self, plan: DomainPlan) -> DomainPlan:
        if plan.consoles.serial is None:
            return plan
        port = await self._connection.call(serial_ports.pick, plan.spec.id, plan.consoles.serial)
        return replace(plan, serial_port=port)

    async def _define(self, plan: DomainPlan) -> None:
        spec, xml = plan.spec, render_domain(plan)
        facts = await self._connection.call(domains.observe, spec.id)
        if facts.definition != definition_digest(xml):
            log.info("defining the domain", server=spec.id, name=spec.instance_name)
            with self._timeline.measured(spec.id, "define_domain"):
                await self._connection.call(domains.define, xml)

    # --- a change of host or flavor -----------------------------------------------------------------------------------

    async def _hand_over(self, record: ServerRecord) -> ServerObservation:
        """Ends the guest; then serves its disks, or leaves them as they are."""
        spec, directory = record.spec, self._directory(record.spec.id)
        ending = await self._ensure_off(record)
        if ending:
            return await self._observation(spec.id, ending)
        if spec.presence == "left":
            await self._disk_moves.withdraw(directory)
            return await self._observation(spec.id, "")
        offer = await self._disk_moves.offer(spec, directory)
        seen = await self._observation(spec.id, "" if offer else "offering the disks")
        seen.offer = offer
        return seen

    async def _settle_former_disks(self, record: ServerRecord) -> str:
        """Keeps, puts back or removes the disks from before a resize, and enlarges those in use; returns progress."""
        spec, directory = record.spec, self._directory(record.spec.id)
        if spec.former_disks != "kept":
            await self._disk_moves.discard_copies(directory)
        if spec.former_disks == "gone":
            await self._disk_moves.discard_former(directory)
        if not self._disk_moves.is_settled(spec, directory):
            progress = await self._ensure_off(record) or await self._disk_moves.settle(spec, directory)
            if progress:
                return progress
        if spec.presence == "home" and not await self._connection.call(domains.is_held, spec.id):
            await self._disk_moves.enlarge(spec, directory)
        return ""

    async def _ensure_off(self, record: ServerRecord) -> str:
        """Ends the guest, if there is one; returns progress, empty once there is none."""
        facts = await self._connection.call(domains.observe, record.spec.id)
        if facts.power in ("absent", "stopped", "crashed"):
            await self._errands.cancel(f"power {record.spec.id}")
            return ""
        return await self._ensure_power(msgspec.structs.replace(record.spec, power="stopped"), record)

    # --- migration ----------------------------------------------------------------------------------------------------

    async def _expected(self, plan: DomainPlan) -> ServerObservation:
        """The answer of a host that a server comes to: ready, as long as it does not have the server yet."""
        seen = await self._observation(plan.spec.id, "")
        if seen.power == "absent":
            definition = render_domain(await self._with_serial_port(plan))
            seen.arrival = Arrival(migration.address_of(self._options), definition)
        return seen

    async def _migrate(self, arrival: Arrival, hasten: bool, record: ServerRecord) -> ServerObservation:
        spec, name = record.spec, f"migrate {record.spec.id}"
        under_way = self._errands.find_running(name)
        # One that was begun by an agent that has died goes on, and is not ours to wait for.
        transfer = await self._connection.call(migration.transfer, spec.id)
        if transfer is not None:
            if hasten:
                await self._connection.call(migration.hasten, spec.id, transfer, self._options.migrations)
            elif ended := await self._connection.call(migration.steer, spec.id, transfer, self._options.migrations):
                await self._errands.cancel(name)
                raise HostError(ended)
            progress = migration.describe(transfer)
        elif under_way is not None:
            # It may end while it is looked at: a guest that is then still seen must not be sent once more.
            progress = under_way.progress
        else:
            self._errands.raise_failure(name, spec.id)
            facts = await self._connection.call(domains.observe, spec.id)
            if facts.power == "absent":
                return await self._observation(spec.id, "")

            async def work(_errand: Errand) -> None:
                volumes, options = record.connected.keys(), self._options.migrations
                await self._connection.call(migration.migrate, spec.id, volumes, arrival, options)

            progress = self._errands.start(name, "migrate", "migrating", work, server_id=spec.id).progress
        seen = await self._observation(spec.id, progress)
        seen.transfer = transfer
        return seen

    async def stop_migration(self, server_id: str, epoch: int) -> ServerObservation:
        """See `ComputeDriver`."""
        async with self._lock(server_id):
            await self._admit(server_id, epoch)
            for _ in range(STOP_POLLS):
                if await self._connection.call(migration.transfer, server_id) is None:
                    break
                await self._connection.call(migration.stop, server_id)
                await asyncio.sleep(POLL_SECONDS)
            else:
                raise HostError(f"The migration of server {server_id} does not let itself be ended.")
            await self._errands.cancel(f"migrate {server_id}")
            return await self._observation(server_id, "")

    # --- snapshots ----------------------------------------------------------------------------------------------------

    async def ensure_snapshot(self, spec: SnapshotSpec, epoch: int) -> SnapshotObservation:
        """See `ComputeDriver`."""
        server_id, disk_format = spec.server_id, self._options.snapshot_format
        copy = snapshots.Copy(self._directory(server_id), spec.image_id, disk_format)
        async with self._lock(server_id):
            record = await self._admit(server_id, epoch)
            if record is None:
                if spec.stage == "absent":
                    return SnapshotObservation(disk_format)
                raise HostError(f"Server {server_id} has no disk on this host.")
            record = msgspec.structs.replace(record, epoch=epoch)
            await asyncio.to_thread(write_record, self._directory(server_id), record)
            if spec.quiesce != "no":
                await self._connection.call(snapshots.thaw, server_id)
            try:
                return SnapshotObservation(disk_format, await self._bring_copy(copy, spec, record.spec))
            except OSError as error:
                raise HostError(snapshots.complaint(copy, error)) from error

    async def _bring_copy(self, copy: snapshots.Copy, spec: SnapshotSpec, server: ServerSpec) -> str:
        """Begins a copy that is not under way; returns its progress, empty once it is as wanted."""
        if spec.stage == "absent":
            await self._remove_copies(server.id)
            return ""
        if copy.uploaded.exists():
            return ""
        copying = "" if copy.whole.exists() else await self._copy_disk(copy, spec, server)
        if copying or spec.stage == "copied":
            return copying
        self._errands.raise_failure(copy.errand, server.id)
        work = functools.partial(snapshots.upload, copy, self._upload_image)
        progress = f"uploading image {copy.image_id}"
        return self._errands.start(copy.errand, "upload", progress, work, server_id=server.id).progress

    async def _copy_disk(self, copy: snapshots.Copy, spec: SnapshotSpec, server: ServerSpec) -> str:
        progress = await self._connection.call(snapshots.backup_progress, server.id)
        if progress is not None:
            return progress
        job = await self._images.jobs.observe(copy.job)
        if job is not None and job.is_running:
            return "copying the disk"
        if copy.partial.exists():
            failure = job.failure if job else await self._connection.call(snapshots.backup_failure, server.id)
            await self._images.jobs.clean(copy.job)
            if failure == "":
                await asyncio.to_thread(copy.finish)
                return ""
            await asyncio.to_thread(copy.remove)
            if failure is not None:
                raise HostError(failure)
        image = server.image
        backing = self._images.path_of(image) if image is not None else None
        backing = backing if backing is not None and backing.exists() else None
        snapshots.check_room(copy, backing, self._options.reserved_disk_bytes)
        if not await self._connection.call(snapshots.begin_backup, server.id, copy, spec.quiesce):
            await snapshots.begin_job(self._images.jobs, copy, backing)
        return "copying the disk"

    async def _remove_copies(self, server_id: str) -> None:
        for copy in snapshots.find_all(self._directory(server_id), self._options.snapshot_format):
            await self._errands.cancel(copy.errand)
            await self._images.jobs.cancel(copy.job)
            await self._connection.call(snapshots.abort_backup, server_id)
            await asyncio.to_thread(copy.remove)

    # --- power --------------------------------------------------------------------------------------------------------

    async def _ensure_power(self, spec: ServerSpec, record: ServerRecord) -> str:
        name = f"power {spec.id}"
        self._errands.raise_failure(name, spec.id)
        facts = await self._connection.call(domains.observe, spec.id)
        is_reboot_due = spec.reboot_count > record.reboots_done
        action = plan_power(facts.power, spec.power, spec.reboot_type if is_reboot_due else None)
        running = self._errands.find_running(name)
        if running and running.kind == action:
            return running.progress
        await self._errands.cancel(name)
        if action in LONG_ACTIONS:
            work = functools.partial(self._wait_for_guest, action, spec)
            return self._errands.start(name, action, _describe(action), work, server_id=spec.id).progress
        if action == "reboot_hard":
            await self._connection.call(domains.act, spec.id, "power_off")
            action = "start"
        if is_reboot_due:
            # Between going off and coming on: death on either side neither loses the reboot nor repeats it.
            await self._record_reboot(spec)
        if action in ("start", "start_paused"):
            await self._start(spec, action)
        else:
            await self._connection.call(domains.act, spec.id, action)
        return ""

    async def _start(self, spec: ServerSpec, action: PowerAction) -> None:
        with self._timeline.measured(spec.id, "start_domain"):
            log.info("starting the domain", server=spec.id, name=spec.instance_name)
            await self._connection.call(domains.act, spec.id, action)

    async def _record_reboot(self, spec: ServerSpec) -> None:
        directory = self._directory(spec.id)
        record = await asyncio.to_thread(read_record, directory)
        if record:
            done = msgspec.structs.replace(record, reboots_done=spec.reboot_count)
            await asyncio.to_thread(write_record, directory, done)

    async def _wait_for_guest(self, action: PowerAction, spec: ServerSpec, errand: Errand) -> None:
        """The long actions: the guest is asked to go down, and cut off when it does not in time."""
        if action == "save":
            await self._connection.call(domains.act, spec.id, "save")
            return
        if not await self._goes_down(spec, self._patience_seconds(action, spec)):
            errand.progress = "cutting the guest off"
            log.info("the guest does not shut down and is cut off", server=spec.id)
            await self._connection.call(domains.act, spec.id, "power_off")
        if action == "reboot_soft":
            async with self._lock(spec.id):
                await self._record_reboot(spec)
                await self._start(spec, "start")

    def _patience_seconds(self, action: PowerAction, spec: ServerSpec) -> float:
        if action == "reboot_soft":
            return self._options.soft_reboot_timeout_seconds
        asked = spec.image.properties.get("os_shutdown_timeout", "") if spec.image else ""
        return float(asked) if asked.isdigit() else self._options.shutdown_timeout_seconds

    async def _goes_down(self, spec: ServerSpec, patience_seconds: float) -> bool:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + patience_seconds
        press_at = clock.time()
        while clock.time() < deadline:
            if clock.time() >= press_at:
                await self._connection.call(domains.press_power_button, spec.id)
                press_at = clock.time() + PRESS_AGAIN_SECONDS
            await asyncio.sleep(POLL_SECONDS)
            if not await self._connection.call(domains.is_active, spec.id):
                return True
        return False

    # --- what is there ------------------------------------------------------------------------------------------------

    async def observe_server(self, server_id: str) -> ServerObservation:
        """See `ComputeDriver`."""
        return await self._observation(server_id, "")

    async def _observation(self, server_id: str, progress: str) -> ServerObservation:
        record = await asyncio.to_thread(read_record, self._directory(server_id))
        facts = await self._connection.call(domains.observe, server_id)
        is_on_its_way = facts.is_arriving and record is not None and record.spec.presence == "incoming"
        return ServerObservation(
            server_id,
            "absent" if is_on_its_way else facts.power,
            record.epoch if record else 0,
            self._messages.get(server_id, ""),
            progress or self._errands.progress_of(server_id),
        )

    async def observe_all(self) -> list[ServerObservation]:
        """See `ComputeDriver`."""
        # Who tells what is here is told what to remove.
        await asyncio.to_thread(take_directory, self._options.instances_path, self._options.hostname)
        powers = await self._connection.call(domains.observe_all)
        recorded = await asyncio.to_thread(self._read_epochs)
        return [
            ServerObservation(
                server_id,
                powers.get(server_id, "absent"),
                recorded.get(server_id, 0),
                self._messages.get(server_id, ""),
                self._errands.progress_of(server_id),
            )
            for server_id in sorted(powers.keys() | recorded.keys())
        ]

    def _read_epochs(self) -> dict[str, int]:
        epochs = {}
        for server_id in list_recorded(self._options.instances_path):
            record = read_record(self._directory(server_id))
            epochs[server_id] = record.epoch if record else 0
        return epochs

    async def console_log(self, server_id: str, length_lines: int | None) -> str:
        """See `ComputeDriver`."""
        return await asyncio.to_thread(console.read_tail, self._directory(server_id) / "console.log", length_lines)

    async def console_address(self, server_id: str, kind: ConsoleKind) -> ConsoleAddress:
        """See `ComputeDriver`."""
        return await self._connection.call(console_addresses.find, server_id, kind, self._options.consoles)

    async def interrupt(self, server_id: str) -> None:
        """See `ComputeDriver`."""
        await self._connection.call(use.interrupt, server_id)

    async def set_admin_password(self, server_id: str, user: str, password: str) -> None:
        """See `ComputeDriver`."""
        await self._connection.call(guest_agent.set_password, server_id, user, password)

    async def diagnostics(self, server_id: str) -> ServerDiagnostics:
        """See `ComputeDriver`."""
        return await self._connection.call(use.read_diagnostics, server_id, self._virt_type)

    # --- release ------------------------------------------------------------------------------------------------------

    async def release_server(self, server_id: str, epoch: int) -> None:
        """See `ComputeDriver`."""
        directory = self._directory(server_id)
        async with self._lock(server_id):
            record = await self._admit(server_id, epoch)
            await self._errands.cancel(f"power {server_id}")
            await self._errands.cancel(f"copy image {server_id}")
            await self._remove_copies(server_id)
            await self._disk_moves.end(directory)
            self._errands.forget_server(server_id)
            await self._connection.call(domains.remove, server_id)
            for volume in record.connected.values() if record else ():
                await self._disconnect_volume(volume.connection)
            await asyncio.to_thread(_remove_directory, directory)
            self._messages.pop(server_id, None)
            self._timeline.forget(server_id)
            self._tombstones.bury(server_id, epoch)
            log.info("released", server=server_id)

    async def take_down(self) -> list[str]:
        """Ends our jobs, cuts off and undefines all our domains; disks stay, so that servers can be started again."""
        for job in await self._images.jobs.list_all():
            await self._images.jobs.cancel(job.name)
        taken = []
        for observation in await self.observe_all():
            await self._connection.call(domains.remove, observation.id)
            taken.append(observation.id)
        return taken

    # --- the host -----------------------------------------------------------------------------------------------------

    async def inventory(self) -> HostInventory:
        """See `ComputeDriver`."""
        options = self._options
        await asyncio.to_thread(take_directory, options.instances_path, options.hostname)
        total = await asyncio.to_thread(lambda: shutil.disk_usage(options.instances_path).total)
        return await self._connection.call(_read_inventory, options, self._virt_type, total)

    async def cache_images(self, images: Collection[SpecImage]) -> None:
        """See `ComputeDriver`."""
        for image in images:
            self._images.ensure(image, self._errands, server_id="")

    async def sweep_images(self, min_age_seconds: float = image_cache.DAY_SECONDS) -> list[Path]:
        """Removes cached images which no server of this host uses (`image_cache.ImageCache.sweep`)."""
        used = await asyncio.to_thread(self._used_images)
        return await self._images.sweep(used, min_age_seconds=min_age_seconds)

    def _used_images(self) -> list[SpecImage]:
        path = self._options.instances_path
        records = [read_record(path / server_id) for server_id in list_recorded(path)]
        used = [image for record in records if record for image in disks.images_of(record.spec)]
        # A record of the release before this one names its image alone.
        used += [record.spec.image for record in records if record and record.spec.image]
        return used

    async def close(self) -> None:
        """See `ComputeDriver`."""
        await self._errands.close()
        await self._connection.close()


def _describe(action: PowerAction) -> str:
    return {"shut_down": "shutting the guest down", "save": "saving the guest", "reboot_soft": "rebooting the guest"}[
        action
    ]


def _remove_directory(directory: Path) -> None:
    """Removes an instance directory; one removed by half is still seen by `observe_all`, so it is released again."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(f"Cannot remove {directory}: {error.strerror}.") from error


def _read_inventory(connection: Any, options: LibvirtOptions, virt_type: VirtType, disk_bytes: int) -> HostInventory:
    capabilities = connection.getCapabilities()
    cpu_info = inventory.parse_cpu_info(capabilities)
    for_guests = connection.getDomainCapabilities(None, "x86_64", None, virt_type, 0)
    guest_cpu = inventory.host_model_xml(for_guests)
    expanded = connection.baselineHypervisorCPU(
        None, "x86_64", None, virt_type, [guest_cpu], libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
    )
    return HostInventory(
        hostname=options.hostname,
        host_ip=options.host_ip,
        hypervisor_type="QEMU",
        hypervisor_version=connection.getVersion(),
        vcpus=len(options.hardware.shared_cpus) or (0 if options.hardware.dedicated_cpus else os.cpu_count() or 1),
        memory_mib=connection.getInfo()[1],
        disk_gib=disk_bytes // GIB,
        cpu_info=cpu_info,
        supported_instances=inventory.parse_supported_instances(capabilities),
        traits=inventory.pick_traits(
            inventory.parse_cpu_traits(expanded)
            | inventory.parse_device_traits(for_guests)
            | inventory.parse_firmware_traits(for_guests, has_tpm_emulator=options.hardware.has_tpm_emulator),
            cpu_info,
        ),
        topology=host_topology.parse_topology(capabilities, options.hardware),
    )
