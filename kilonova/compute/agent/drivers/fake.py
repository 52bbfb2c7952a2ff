"""A hypervisor in memory: the same protocol, the same refusals, no host; for tests and `kilonova up --fake`.

The rule: `FakeHost` is the metal and survives its driver, as a real host survives its agent; a second driver on the
same host finds what the first one left. Any number of hosts live in one process.
"""

import asyncio
import functools
import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from kilonova.compute.agent.devices import disks, interfaces, plugging
from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.hardware import read_hardware
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.driver import ConsoleNotOffered, OnEvent
from kilonova.compute.agent.drivers.epochs import Tombstones
from kilonova.compute.agent.drivers.errands import Errand, Errands
from kilonova.compute.agent.drivers.fake_consoles import ADDRESS, FakeConsoles
from kilonova.compute.agent.drivers.inventory import DRIVER_TRAITS
from kilonova.compute.agent.drivers.power import LONG_ACTIONS, PowerAction, plan_power
from kilonova.compute.agent.drivers.records import instance_directory
from kilonova.compute.agent.drivers.timeline import Timeline
from kilonova.compute.agent.spec import (
    Arrival,
    ConsoleAddress,
    ConsoleKind,
    DiskOffer,
    DiskUse,
    HostInventory,
    ImageSource,
    InterfaceUse,
    OfferedDisk,
    PowerState,
    ServerDiagnostics,
    ServerObservation,
    ServerSpec,
    SnapshotObservation,
    SnapshotSpec,
    SnapshotStage,
    SpecImage,
    Transfer,
    VolumeSource,
    WantedPower,
)
from kilonova.compute.scheduling.numa.guests import THREADED
from kilonova.compute.scheduling.numa.hosts import HostTopology
from kilonova.kit import connectors
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.disks.uploads import UploadImage
from kilonova.kit.host_commands import HostError

GIB = 1 << 30
DISK_DATA = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, GIB, 0, 0, 0, 0, 0, 0, 0).ljust(1 << 16, b"\0")
"""The data uploaded for a simulated server: an empty qcow2 disk of a GiB."""

STATES_AFTER: dict[PowerAction, PowerState] = {
    "start": "running",
    "start_paused": "paused",
    "resume": "running",
    "pause": "paused",
    "power_off": "stopped",
    "shut_down": "stopped",
    "save": "suspended",
    "reboot_soft": "running",
    "reboot_hard": "running",
}


@dataclass
class FakeServer:
    """What the host has of a server; without a domain as long as its image is being fetched."""

    spec: ServerSpec
    epoch: int
    reboots_done: int
    power: PowerState = "absent"
    console: str = ""
    boots: int = 0
    interrupts: int = 0
    passwords: dict[str, str] = field(default_factory=dict)
    """User of its guest → password that was set."""
    defined_disks: dict[str, PlannedDisk] = field(default_factory=dict)
    """Serial → disk that its guest is started with."""
    defined_interfaces: dict[str, PlannedInterface] = field(default_factory=dict)
    """Tap → interface that its guest is started with."""
    disks: dict[str, PlannedDisk] = field(default_factory=dict)
    """Serial → disk that its guest has; a suspended guest keeps them."""
    interfaces: dict[str, PlannedInterface] = field(default_factory=dict)
    """Tap → interface that its guest has."""
    connected: dict[str, VolumeSource] = field(default_factory=dict)
    """Serial → volume that the host is connected to for it."""
    rebuilds_done: int = 0
    copies: dict[str, SnapshotStage] = field(default_factory=dict)
    """Id of an image → how far the copy of the disk is that becomes it."""
    data: str | None = None
    """The data on its disks; None: it has none."""
    former_data: str | None = None
    """The data from before a resize, as long as they are kept."""
    needs_no_image: bool = False
    """Whether its disks came from another host, and hold all their data."""

    @property
    def has_guest(self) -> bool:
        return self.power in ("running", "paused")

    def start_guest(self) -> None:
        self.boots += 1
        self.console = f"Booting {self.spec.display_name}\n{self.spec.display_name} login: \n"
        if self.power != "suspended":
            self.disks = dict(self.defined_disks)
        self.interfaces = dict(self.defined_interfaces)

    def end_guest(self) -> None:
        if self.power != "suspended":
            self.disks = {}
        self.interfaces = {}


class Taps(Protocol):
    """Where a simulated host's taps are seen by others."""

    def show_taps(self, names: frozenset[str]) -> None: ...


@dataclass
class FakeHost:
    """The metal: what it has, and how it behaves from now on."""

    hostname: str
    host_ip: str = "127.0.0.1"
    vcpus: int = 16
    memory_mib: int = 64 << 10
    disk_gib: int = 1000
    topology: HostTopology | None = None
    """Its NUMA nodes; None: it tells none."""
    delay_seconds: float = 0.0
    """How long fetching an image, a shutdown, a suspend or a soft reboot takes."""
    servers: dict[str, FakeServer] = field(default_factory=dict)
    image_hashes: set[tuple[str, str]] = field(default_factory=set)
    """Images in its cache: id, and SHA-512 of the data."""
    foreign_domains: dict[str, str] = field(default_factory=dict)
    """UUID → name of domains which are not of this cloud."""
    failures: list[str] = field(default_factory=list)
    migration_failures: list[str] = field(default_factory=list)
    snapshot_failures: list[str] = field(default_factory=list)
    reachable: dict[str, "FakeHost"] = field(default_factory=dict)
    """Name → host that guests of this one can move to."""
    guests_keep_devices: bool = False
    """Its guests let go of nothing that is unplugged, like those without an operating system."""
    console_urls: dict[ConsoleKind, str] = field(
        default_factory=lambda: {
            "vnc": "http://127.0.0.1:6080/vnc_auto.html",
            "serial": "ws://127.0.0.1:6083/",
        }
    )
    """Kind of console that it offers → the proxy in front of it. SPICE is not simulated."""

    taps: Taps | None = None
    """None: nobody else looks for them."""

    @property
    def shared_cpus(self) -> int:
        """The number of processors that guests share."""
        return self.vcpus if self.topology is None else sum(len(node.shared) for node in self.topology.nodes)

    @property
    def threads(self) -> int:
        """The most threads that a core has."""
        cores = [core for node in self.topology.nodes for core in node.cores] if self.topology else []
        return max(map(len, cores), default=1)

    def show_taps(self) -> None:
        """Taps are there as long as their guests."""
        if self.taps is not None:
            names = (tap for server in self.servers.values() for tap in server.interfaces)
            self.taps.show_taps(frozenset(names))

    def fail_next_spawn(self, reason: str = "The fake host was told to fail.") -> None:
        """The next start of a server raises HostError with this reason; may be called several times."""
        self.failures.append(reason)


@dataclass(frozen=True)
class FakeVolumes:
    """The volumes of a simulated guest, for `devices.plugging`."""

    host: FakeHost
    server: FakeServer

    async def observe(self) -> Collection[str] | None:
        if not self.server.has_guest and self.server.power != "suspended":
            return None
        return disks.to_plug(self.server.disks.values()).keys()

    async def plug(self, name: str, device: PlannedDisk) -> None:
        if self.server.has_guest:
            self.server.disks[name] = device

    async def unplug(self, name: str) -> None:
        if self.server.has_guest and not self.host.guests_keep_devices:
            del self.server.disks[name]


@dataclass(frozen=True)
class FakeInterfaces:
    """The interfaces of a simulated guest, for `devices.plugging`."""

    host: FakeHost
    server: FakeServer

    async def observe(self) -> Collection[str] | None:
        return self.server.interfaces.keys() if self.server.has_guest else None

    async def plug(self, name: str, device: PlannedInterface) -> None:
        self.server.interfaces[name] = device
        self.host.show_taps()

    async def unplug(self, name: str) -> None:
        if not self.host.guests_keep_devices:
            del self.server.interfaces[name]
            self.host.show_taps()


class FakeDriver:
    """Implements `ComputeDriver` on a `FakeHost`. With `fetch_image` images are really fetched and verified, with
    `upload_image` what is made of servers is really uploaded.
    """

    def __init__(
        self,
        host: FakeHost,
        on_event: OnEvent,
        fetch_image: FetchImage | None = None,
        upload_image: UploadImage | None = None,
    ) -> None:
        self._host = host
        self._on_event = on_event
        self._fetch_image = fetch_image
        self._upload_image = upload_image
        self._errands = Errands(on_event)
        self._tombstones = Tombstones()
        self._consoles = FakeConsoles()
        self._timeline = Timeline()
        self._messages: dict[str, str] = {}

    async def ensure_server(self, spec: ServerSpec, epoch: int) -> ServerObservation:
        """See `ComputeDriver`."""
        return await self._carried_out(spec, epoch, self._converge)

    async def ensure_migration(
        self, spec: ServerSpec, arrival: Arrival, epoch: int, *, hasten: bool = False
    ) -> ServerObservation:
        """See `ComputeDriver`. A simulated guest writes nothing: there is nothing to hasten."""
        seen = await self._carried_out(spec, epoch, functools.partial(self._migrate, arrival))
        if seen.progress:
            memory_bytes = spec.flavor.memory_mib << 20
            seen.transfer = Transfer(memory_bytes, 0, memory_bytes)
        return seen

    async def stop_migration(self, server_id: str, epoch: int) -> ServerObservation:
        """See `ComputeDriver`."""
        self._admit(server_id, epoch)
        await self._errands.cancel(f"migrate {server_id}")
        return self._observation(server_id, "")

    async def _carried_out(
        self, spec: ServerSpec, epoch: int, work: Callable[[FakeServer], Awaitable[str]]
    ) -> ServerObservation:
        server = self._admit(spec.id, epoch)
        try:
            self._check_free(spec)
            if server is None:
                server = FakeServer(spec, epoch, spec.reboot_count, rebuilds_done=spec.rebuild_count)
                self._host.servers[spec.id] = server
            server.spec, server.epoch = spec, epoch
            progress = await work(server)
        except HostError as error:
            self._messages[spec.id] = error.reason
            raise
        self._messages.pop(spec.id, None)
        seen = self._observation(spec.id, progress)
        seen.milestones = self._timeline.of(spec.id)
        if spec.presence == "offering" and not progress:
            seen.offer = DiskOffer(self._host.hostname, 1, "", (OfferedDisk("disk", 0, 0),))
        if spec.presence == "incoming" and spec.disks_from is None and server.power == "absent" and not progress:
            seen.arrival = Arrival(self._host.hostname, spec.instance_name)
        return seen

    def _admit(self, server_id: str, epoch: int) -> FakeServer | None:
        instance_directory(Path("/"), server_id)  # refuses what is no server's id, as a real host does
        server = self._host.servers.get(server_id)
        self._tombstones.admit(server_id, epoch, server.epoch if server else None)
        return server

    async def _converge(self, server: FakeServer) -> str:
        spec = server.spec
        await self._remove_copies(server)
        if spec.presence == "leaving":
            return ""
        if spec.presence in ("offering", "left"):
            return await self._ensure_power(server, "stopped")
        if spec.disks_from is not None:
            return self._bring_disks(server, spec.disks_from)
        settling = await self._settle_former_disks(server)
        if settling:
            return settling
        is_rebuild_due = spec.rebuild_count > server.rebuilds_done
        for image, began in disks.images_to_fetch(spec):
            if began is not None and server.needs_no_image and not is_rebuild_due:
                continue
            self._timeline.begin(spec.id, "fetch_image")
            fetching = self._ensure_image(image, spec.id)
            if fetching:
                return fetching.progress
            self._timeline.end(spec.id, "fetch_image")
        for disk in spec.disks:
            if isinstance(disk.source, ImageSource):
                _check_size(disk.source)
        if is_rebuild_due:
            await self._errands.cancel(f"power {spec.id}")
            server.power = "stopped"
            server.end_guest()
            self._host.show_taps()
            self._consoles.end(spec.id)
            server.rebuilds_done, server.reboots_done = spec.rebuild_count, spec.reboot_count
            server.data, server.needs_no_image = "", False
        server.data = server.data or ""
        await self._define(server)
        if spec.presence == "incoming":
            return ""
        if server.power == "absent":
            server.power = "stopped"
        kept = await self._plug(server)
        return await self._ensure_power(server) or plugging.describe(kept)

    def _bring_disks(self, server: FakeServer, offer: DiskOffer) -> str:
        name = f"bring {server.spec.id}"
        self._errands.raise_failure(name, server.spec.id)
        if server.data is not None:
            return ""
        if not self._host.delay_seconds:
            self._copy_data(server, offer)
            return ""

        async def work(_errand: Errand) -> None:
            await asyncio.sleep(self._host.delay_seconds)
            self._copy_data(server, offer)

        return self._errands.start(name, "bring", "copying disk", work, server_id=server.spec.id).progress

    def _copy_data(self, server: FakeServer, offer: DiskOffer) -> None:
        if self._host.migration_failures:
            raise HostError(self._host.migration_failures.pop(0))
        source = self._host.reachable.get(offer.address)
        offered = source.servers.get(server.spec.id) if source else None
        if offered is None or offered.spec.presence != "offering" or offered.has_guest:
            raise HostError(f"The host {offer.address} offers no disks of server {server.spec.id}.")
        server.data, server.needs_no_image = offered.data, True

    async def _settle_former_disks(self, server: FakeServer) -> str:
        wanted = server.spec.former_disks
        if wanted == "gone":
            server.former_data = None
        if (server.former_data is not None) == (wanted == "kept"):
            return ""
        ending = await self._ensure_power(server, "stopped") if server.power != "absent" else ""
        if ending:
            return ending
        if wanted == "kept":
            server.former_data = server.data or ""
        else:
            server.data, server.former_data = server.former_data, None
        return ""

    async def _define(self, server: FakeServer) -> None:
        read_hardware(server.spec)  # refuses what no host can do
        server.defined_interfaces = interfaces.plan(server.spec)
        volumes = disks.volumes_of(server.spec.disks)
        server.connected |= volumes
        connected = {serial: await connectors.connect(each.connection) for serial, each in volumes.items()}
        planned = disks.plan(server.spec, Path("/") / server.spec.id, connected)
        server.defined_disks = {disk.place.serial: disk for disk in planned}

    async def _plug(self, server: FakeServer) -> tuple[str, ...]:
        """The devices that the guest has yet to let go of."""
        server_id, wanted = server.spec.id, disks.to_plug(server.defined_disks.values())
        kept_disks = await plugging.converge(FakeVolumes(self._host, server), wanted, server_id=server_id)
        taps = FakeInterfaces(self._host, server)
        kept_taps = await plugging.converge(taps, server.defined_interfaces, server_id=server_id)
        for serial in server.connected.keys() - wanted.keys() - set(kept_disks):
            await connectors.disconnect(server.connected.pop(serial).connection)
        return kept_disks + kept_taps

    async def _migrate(self, arrival: Arrival, server: FakeServer) -> str:
        name = f"migrate {server.spec.id}"
        self._errands.raise_failure(name, server.spec.id)
        if server.power == "absent":
            return ""
        if not self._host.delay_seconds:
            self._move(server, arrival)
            return ""

        async def work(_errand: Errand) -> None:
            await asyncio.sleep(self._host.delay_seconds)
            self._move(server, arrival)

        return self._errands.start(name, "migrate", "migrating", work, server_id=server.spec.id).progress

    def _move(self, server: FakeServer, arrival: Arrival) -> None:
        if self._host.migration_failures:
            raise HostError(self._host.migration_failures.pop(0))
        if not server.has_guest:
            raise HostError(f"Server {server.spec.id} has no guest on this host that could be migrated.")
        target = self._host.reachable.get(arrival.address)
        arrived = target.servers.get(server.spec.id) if target else None
        if target is None or arrived is None:
            raise HostError(f"The host {arrival.address} does not expect server {server.spec.id}.")
        arrived.disks, arrived.interfaces = dict(arrived.defined_disks), dict(arrived.defined_interfaces)
        arrived.power, arrived.boots, arrived.console = server.power, server.boots, server.console
        arrived.data = server.data
        target.show_taps()
        server.power = "absent"
        server.end_guest()
        self._host.show_taps()
        self._consoles.end(server.spec.id)
        self._tell(server.spec.id)

    async def ensure_snapshot(self, spec: SnapshotSpec, epoch: int) -> SnapshotObservation:
        """See `ComputeDriver`."""
        server = self._admit(spec.server_id, epoch)
        if server is None:
            if spec.stage == "absent":
                return SnapshotObservation("qcow2")
            raise HostError(f"Server {spec.server_id} has no disk on this host.")
        server.epoch = epoch
        return SnapshotObservation("qcow2", await self._bring_copy(server, spec))

    async def _bring_copy(self, server: FakeServer, spec: SnapshotSpec) -> str:
        if spec.stage == "absent":
            await self._remove_copies(server)
            return ""
        name, there = f"copy {server.spec.id} {spec.image_id}", server.copies.get(spec.image_id)
        self._errands.raise_failure(name, server.spec.id)
        if there in (spec.stage, "uploaded"):
            return ""
        stage: SnapshotStage = "copied" if there is None else "uploaded"

        async def work(_errand: Errand) -> None:
            await asyncio.sleep(self._host.delay_seconds)
            if self._host.snapshot_failures:
                raise HostError(self._host.snapshot_failures.pop(0))
            if stage == "uploaded" and self._upload_image is not None:
                await self._upload_image(spec.image_id, _read_disk, len(DISK_DATA))
            server.copies[spec.image_id] = stage

        progress = "copying the disk" if stage == "copied" else f"uploading image {spec.image_id}"
        return self._errands.start(name, "snapshot", progress, work, server_id=server.spec.id).progress

    async def _remove_copies(self, server: FakeServer) -> None:
        await self._errands.cancel_all(f"copy {server.spec.id} ")
        server.copies.clear()

    def _check_free(self, spec: ServerSpec) -> None:
        host = self._host
        if spec.id in host.foreign_domains:
            name = host.foreign_domains[spec.id]
            raise HostError(f"The domain {name} on this host has the UUID {spec.id} and is not of this cloud.")
        ours = {server_id: server.spec.instance_name for server_id, server in host.servers.items()}
        for domain_id, name in (host.foreign_domains | ours).items():
            if name == spec.instance_name and domain_id != spec.id:
                raise HostError(f"The domain name {name} is taken on this host by a domain {domain_id}.")

    def _ensure_image(self, image: SpecImage, server_id: str) -> Errand | None:
        name, key = f"image {image.id} {image.sha512}", (image.id, image.sha512)
        self._errands.raise_failure(name, server_id)
        if key in self._host.image_hashes:
            return None
        if not self._host.delay_seconds and self._fetch_image is None:
            self._host.image_hashes.add(key)
            return None

        async def work(errand: Errand) -> None:
            await asyncio.sleep(self._host.delay_seconds)
            if self._fetch_image:
                await _verify(image, self._fetch_image)
            self._host.image_hashes.add(key)

        return self._errands.start(name, "fetch", f"downloading image {image.id}", work, server_id=server_id)

    async def _ensure_power(self, server: FakeServer, wanted: WantedPower | None = None) -> str:
        """`wanted`: instead of what the specification says."""
        spec = server.spec if wanted is None else msgspec.structs.replace(server.spec, power=wanted)
        if wanted is not None and server.power in ("absent", "stopped", "crashed"):
            return ""
        name = f"power {spec.id}"
        self._errands.raise_failure(name, spec.id)
        is_reboot_due = spec.reboot_count > server.reboots_done
        action = plan_power(server.power, spec.power, spec.reboot_type if is_reboot_due else None)
        running = self._errands.find_running(name)
        if running and running.kind == action:
            return running.progress
        await self._errands.cancel(name)
        if action in LONG_ACTIONS and self._host.delay_seconds:

            async def work(_errand: Errand) -> None:
                await asyncio.sleep(self._host.delay_seconds)
                self._act(server, action)

            return self._errands.start(name, action, f"{action.replace('_', ' ')}", work, server_id=spec.id).progress
        self._act(server, action)
        return ""

    def _act(self, server: FakeServer, action: PowerAction) -> None:
        spec = server.spec
        if action in ("start", "start_paused", "reboot_hard", "reboot_soft"):
            if self._host.failures:
                raise HostError(self._host.failures.pop(0))
            self._timeline.end(spec.id, "start_domain")
            server.start_guest()
        if spec.power == "running":
            server.reboots_done = spec.reboot_count
        if action != "none":
            server.power = STATES_AFTER[action]
            if server.power in ("stopped", "suspended") or action in ("start", "reboot_hard", "reboot_soft"):
                self._consoles.end(spec.id)
            if not server.has_guest:
                server.end_guest()
            self._host.show_taps()
            self._tell(spec.id)

    async def observe_server(self, server_id: str) -> ServerObservation:
        """See `ComputeDriver`."""
        return self._observation(server_id, "")

    def _observation(self, server_id: str, progress: str) -> ServerObservation:
        server = self._host.servers.get(server_id)
        return ServerObservation(
            server_id,
            server.power if server else "absent",
            server.epoch if server else 0,
            self._messages.get(server_id, ""),
            progress or self._errands.progress_of(server_id),
        )

    async def observe_all(self) -> list[ServerObservation]:
        """See `ComputeDriver`."""
        return [self._observation(server_id, "") for server_id in sorted(self._host.servers)]

    async def release_server(self, server_id: str, epoch: int) -> None:
        """See `ComputeDriver`."""
        self._admit(server_id, epoch)
        await self._errands.cancel(f"power {server_id}")
        self._errands.forget_server(server_id)
        removed = self._host.servers.pop(server_id, None)
        if removed:
            await self._remove_copies(removed)
        self._host.show_taps()
        for volume in removed.connected.values() if removed else ():
            await connectors.disconnect(volume.connection)
        self._consoles.end(server_id)
        self._messages.pop(server_id, None)
        self._timeline.forget(server_id)
        self._tombstones.bury(server_id, epoch)
        if removed and removed.has_guest:
            self._tell(server_id)

    async def console_log(self, server_id: str, length_lines: int | None) -> str:
        """See `ComputeDriver`."""
        server = self._host.servers.get(server_id)
        lines = server.console.splitlines(keepends=True) if server else []
        return "".join(lines if length_lines is None else lines[max(0, len(lines) - length_lines) :])

    async def interrupt(self, server_id: str) -> None:
        """See `ComputeDriver`."""
        self._with_guest(server_id).interrupts += 1

    async def set_admin_password(self, server_id: str, user: str, password: str) -> None:
        """See `ComputeDriver`."""
        server = self._with_guest(server_id)
        if not read_hardware(server.spec).devices.has_guest_agent:
            raise HostError(
                "The guest has no channel to a QEMU guest agent: its image has to say hw_qemu_guest_agent=yes."
            )
        server.passwords[user] = password

    def _with_guest(self, server_id: str) -> FakeServer:
        server = self._host.servers.get(server_id)
        if server is None or not server.has_guest:
            raise HostError(f"Server {server_id} has no guest on this host.")
        return server

    async def diagnostics(self, server_id: str) -> ServerDiagnostics:
        """See `ComputeDriver`."""
        server = self._with_guest(server_id)
        flavor = server.spec.flavor
        return ServerDiagnostics(
            driver="fake",
            hypervisor="fake",
            power=server.power,
            cpu_times_ns=(0,) * flavor.vcpus,
            memory_kib=flavor.memory_mib << 10,
            memory_maximum_kib=flavor.memory_mib << 10,
            disks=tuple(DiskUse(each.place.device, 0, 0, 0, 0, 0) for each in server.disks.values()),
            interfaces=tuple(
                InterfaceUse(each.tap, each.mac_address, 0, 0, 0, 0, 0, 0, 0, 0) for each in server.interfaces.values()
            ),
        )

    async def console_address(self, server_id: str, kind: ConsoleKind) -> ConsoleAddress:
        """See `ComputeDriver`."""
        if kind == "spice" or kind not in self._host.console_urls:
            raise ConsoleNotOffered(f"its host offers no {kind} consoles (it is a simulated one)")
        server = self._host.servers.get(server_id)
        if server is None or not server.has_guest:
            raise HostError(f"Server {server_id} has no guest on this host.")
        port = await self._consoles.port(server_id, kind, server.spec.display_name)
        return ConsoleAddress(ADDRESS, port, self._host.console_urls[kind], str(server.boots))

    async def inventory(self) -> HostInventory:
        """See `ComputeDriver`."""
        host = self._host
        return HostInventory(
            hostname=host.hostname,
            host_ip=host.host_ip,
            hypervisor_type="fake",
            hypervisor_version=1000,
            vcpus=host.shared_cpus,
            memory_mib=host.memory_mib,
            disk_gib=host.disk_gib,
            cpu_info={
                "arch": "x86_64",
                "model": "fake",
                "vendor": "fake",
                "features": [],
                "topology": {"cells": 1, "sockets": 1, "cores": host.vcpus // host.threads, "threads": host.threads},
            },
            supported_instances=(("x86_64", "fake", "hvm"),),
            traits=(
                *DRIVER_TRAITS,
                "COMPUTE_STORAGE_BUS_VIRTIO",
                "HW_ARCH_X86_64",
                *([THREADED] if host.threads > 1 else []),
            ),
            topology=host.topology,
        )

    async def cache_images(self, images: Collection[SpecImage]) -> None:
        """See `ComputeDriver`."""
        for image in images:
            self._ensure_image(image, "")

    async def sweep_images(self) -> list[Path]:
        """See `ComputeDriver`: a simulated host keeps none."""
        return []

    async def close(self) -> None:
        """See `ComputeDriver`."""
        await self._errands.close()
        self._consoles.close()

    def change_power(self, server_id: str, power: PowerState) -> None:
        """Something happened inside the guest: it powered off (`stopped`) or died (`crashed`)."""
        server = self._host.servers[server_id]
        server.power = power
        server.end_guest()
        self._host.show_taps()
        self._consoles.end(server_id)
        self._tell(server_id)

    def _tell(self, server_id: str) -> None:
        # Later on the loop, as a real event comes: never while the call that caused it is under way.
        asyncio.get_running_loop().call_soon(self._on_event, server_id)


async def _read_disk() -> AsyncIterator[bytes]:
    yield DISK_DATA


def _check_size(source: ImageSource) -> None:
    image = source.image
    image_bytes = max(image.min_disk_gib * GIB, image.size_bytes if image.disk_format == "raw" else 0)
    size_bytes = source.size_gib * GIB
    if 0 < size_bytes < image_bytes:
        raise HostError(
            f"The image needs {image_bytes} bytes of root disk, "
            f"the flavor has {source.size_gib} GiB ({size_bytes} bytes)."
        )


async def _verify(image: SpecImage, fetch: FetchImage) -> None:
    digest = hashlib.sha512()
    received = 0
    async for chunk in fetch(image.id):
        received += len(chunk)
        await asyncio.to_thread(digest.update, chunk)
    if received != image.size_bytes:
        raise HostError(f"Image {image.id} has {received} bytes instead of the {image.size_bytes} it is said to have.")
    if digest.hexdigest() != image.sha512:
        raise HostError(f"Image {image.id} does not have the SHA-512 that the image service gives for it.")
