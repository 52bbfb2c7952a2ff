"""Two hosts to run the driver contract on: one in memory, one with a real libvirtd. Same questions, same answers."""

import asyncio
import hashlib
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import libvirt
import msgspec

from kilonova.compute.agent.driver import ComputeDriver
from kilonova.compute.agent.drivers.fake import FakeDriver, FakeHost
from kilonova.compute.agent.drivers.libvirt import LibvirtDriver
from kilonova.compute.agent.drivers.libvirtd import find_daemon, private_uri, sandbox_path, sandbox_processes
from kilonova.compute.agent.drivers.options import LibvirtOptions
from kilonova.compute.agent.drivers.records import read_record
from kilonova.compute.agent.spec import (
    DiskPlace,
    MetadataDocument,
    PowerState,
    ServerObservation,
    ServerSpec,
    SpecDisk,
    SpecFlavor,
    SpecImage,
    SpecPort,
    VolumeSource,
)
from kilonova.compute.servers.disks import local_disks
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors import FileConnection
from kilonova.kit.host_commands import HostError

MIB = 1 << 20
IMAGE_ID = "0b2b5d29-6f2f-4d1e-9f3f-d9f2d0c7a001"
TIMEOUT_SECONDS = 20.0


class Images:
    """The image service's part: what `fetch_image` delivers, and what `upload_image` brings."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.upload_failures: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def add(self, content: bytes, *, image_id: str = IMAGE_ID, disk_format: str = "raw", **changes: Any) -> SpecImage:
        self.contents[image_id] = content
        image = SpecImage(image_id, disk_format, len(content), hashlib.sha512(content).hexdigest())
        return msgspec.structs.replace(image, **changes)

    async def fetch(self, image_id: str) -> AsyncIterator[bytes]:
        self.fetched.append(image_id)
        content = self.contents[image_id]
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]
            await self.gate.wait()

    async def upload(self, image_id: str, read: Callable[[], AsyncIterator[bytes]], size_bytes: int) -> None:
        data = b"".join([chunk async for chunk in read()])
        assert len(data) == size_bytes
        await self.gate.wait()
        if self.upload_failures:
            raise HostError(self.upload_failures.pop(0))
        self.uploaded[image_id] = data


def make_spec(image: SpecImage | None, server_id: str | None = None, **changes: Any) -> ServerSpec:
    """A server with a port, and with the disks that its image, flavor and config drive make."""
    server_id = server_id or str(uuid.uuid4())
    spec = ServerSpec(
        id=server_id,
        instance_name=f"instance-{server_id[:8]}",
        display_name="web <1>",
        project_id="p1",
        user_id="u1",
        power="running",
        flavor=SpecFlavor("1", "m1.nano", 1, 32, 0),
        image=image,
        ports=(make_port(server_id),),
        metadata_document=make_document(server_id),
    )
    return change(spec, **changes)


def change(spec: ServerSpec, **changes: Any) -> ServerSpec:
    """The server with other properties, and the local disks that follow from them; its volumes stay."""
    changed = msgspec.structs.replace(spec, **changes)
    if "disks" in changes:
        return changed
    volumes = tuple(disk for disk in spec.disks if isinstance(disk.source, VolumeSource))
    local = local_disks(changed.flavor, changed.image, config_drive=changed.config_drive)
    return msgspec.structs.replace(changed, disks=local + volumes)


def make_port(of: str | None = None, **changes: Any) -> SpecPort:
    """A port; always the same one `of` a server."""
    port_id = str(uuid.uuid5(uuid.NAMESPACE_OID, of) if of else uuid.uuid4())
    tail = ":".join(port_id[start : start + 2] for start in (0, 2, 4))
    return msgspec.structs.replace(SpecPort(port_id, "n1", f"fa:16:3e:{tail}", 1450, f"tap{port_id[:11]}"), **changes)


def make_volume(path: Path, device: str = "sdb", *, bus: str = "scsi") -> SpecDisk:
    """A raw file of a MiB as a volume. On SCSI a guest loses it without having to help."""
    path.write_bytes(bytes(MIB))
    volume_id = str(uuid.uuid4())
    source = VolumeSource(volume_id, FileConnection(path=str(path), disk_format="raw"))
    return SpecDisk(volume_id, DiskPlace(device, bus, volume_id), source)


def make_document(server_id: str, **changes: Any) -> MetadataDocument:
    document = MetadataDocument(
        server_id=server_id,
        name="web",
        hostname="web.novalocal",
        project_id="p1",
        availability_zone="nova",
        launch_index=0,
        reservation_id="r-abcdefgh",
        instance_type="m1.nano",
        ami_id="ami-00000001",
        kernel_id=None,
        ramdisk_id=None,
        ec2_instance_id="i-0000002a",
        metadata={},
        public_keys={},
        user_data=None,
        security_groups=("default",),
        ports=(),
        random_seed=b"seed",
    )
    return msgspec.structs.replace(document, **changes)


class Rig(Protocol):
    """A host, the driver on it, and what a test may do behind the driver's back."""

    driver: ComputeDriver
    images: Images
    events: list[str]

    async def restart_agent(self) -> None: ...

    async def add_foreign_domain(self, domain_id: str, name: str) -> None: ...

    async def has_foreign_domain(self, domain_id: str) -> bool: ...

    async def boot_marker(self, server_id: str) -> int:
        """A number that is another one after each boot."""
        ...

    async def change_power(self, server_id: str, power: PowerState) -> None:
        """Something in the guest made it stop or crash."""
        ...

    def has_leftovers(self, server_id: str) -> bool: ...

    def connected(self, server_id: str) -> set[str]:
        """Serials of the volumes that the host is connected to for a server."""
        ...

    def make_guests_keep_devices(self) -> None:
        """From now on, guests do not let go of what is unplugged from a bus that needs their help."""
        ...

    async def close(self) -> None: ...


@dataclass
class FakeRig:
    host: FakeHost
    images: Images = field(default_factory=Images)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driver = FakeDriver(self.host, self.events.append, self.images.fetch, self.images.upload)

    async def restart_agent(self) -> None:
        await self.driver.close()
        self.driver = FakeDriver(self.host, self.events.append, self.images.fetch, self.images.upload)

    async def add_foreign_domain(self, domain_id: str, name: str) -> None:
        self.host.foreign_domains[domain_id] = name

    async def has_foreign_domain(self, domain_id: str) -> bool:
        return domain_id in self.host.foreign_domains

    async def boot_marker(self, server_id: str) -> int:
        return self.host.servers[server_id].boots

    async def change_power(self, server_id: str, power: PowerState) -> None:
        self.driver.change_power(server_id, power)

    def has_leftovers(self, server_id: str) -> bool:
        return server_id in self.host.servers

    def connected(self, server_id: str) -> set[str]:
        return set(self.host.servers[server_id].connected)

    def make_guests_keep_devices(self) -> None:
        self.host.guests_keep_devices = True

    async def close(self) -> None:
        await self.driver.close()


FOREIGN_XML = """
<domain type='qemu'><name>{name}</name><uuid>{domain_id}</uuid><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>
"""


class LibvirtRig:
    def __init__(self, options: LibvirtOptions) -> None:
        self.options = replace(options, shutdown_timeout_seconds=0.3, soft_reboot_timeout_seconds=0.3)
        self.images = Images()
        self.events: list[str] = []
        self._make_driver()

    def _make_driver(self) -> None:
        def inspect(path: Path, disk_format: str) -> int | None:
            return None

        self.driver = LibvirtDriver(self.options, self.images.fetch, inspect, self.events.append, self.images.upload)

    @property
    def sandbox(self) -> Path:
        return sandbox_path(self.options.state_dir)

    async def restart_agent(self) -> None:
        await self.driver.close()
        self._make_driver()

    def virsh(self, *arguments: str) -> str:
        command = ["virsh", "--quiet", "--connect", private_uri(self.sandbox), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    async def add_foreign_domain(self, domain_id: str, name: str) -> None:
        await self.driver.observe_all()  # starts libvirtd

        def define() -> None:
            connection = libvirt.open(private_uri(self.sandbox))
            connection.defineXML(FOREIGN_XML.format(name=name, domain_id=domain_id))
            connection.close()

        await asyncio.to_thread(define)

    async def has_foreign_domain(self, domain_id: str) -> bool:
        return domain_id in self.virsh("list", "--all", "--uuid").split()

    async def boot_marker(self, server_id: str) -> int:
        return int(self.virsh("domid", server_id))

    def qemu_process(self, server_id: str) -> int:
        for process_id, command in sandbox_processes(self.sandbox).items():
            if command.startswith("qemu") and server_id in Path(f"/proc/{process_id}/cmdline").read_text():
                return process_id
        raise AssertionError(f"no QEMU runs server {server_id}")

    async def change_power(self, server_id: str, power: PowerState) -> None:
        if power == "crashed":
            os.kill(self.qemu_process(server_id), 9)
        else:
            self.virsh("qemu-monitor-command", server_id, "--hmp", "quit")

    def kill_libvirtd(self) -> None:
        os.kill(find_daemon(self.sandbox, "libvirtd"), 9)

    def has_leftovers(self, server_id: str) -> bool:
        return (self.options.instances_path / server_id).exists() or server_id in self.virsh("list", "--all", "--uuid")

    def connected(self, server_id: str) -> set[str]:
        record = read_record(self.options.instances_path / server_id)
        return set(record.connected) if record else set()

    def make_guests_keep_devices(self) -> None:
        """They have no operating system, so they do not help with anything."""

    async def close(self) -> None:
        for server_id in self.virsh("list", "--all", "--uuid").split() if self.sandbox.exists() else ():
            if server_id in self.virsh("list", "--uuid").split():
                self.virsh("destroy", server_id)
            self.virsh("undefine", server_id, "--managed-save", "--nvram", "--tpm")
        jobs = Jobs(self.options.state_dir / "jobs")
        for job in await jobs.list_all():
            await jobs.cancel(job.name)
        await self.driver.close()


async def settle(rig: Rig, spec: ServerSpec, epoch: int = 1) -> ServerObservation:
    """Asks until nothing is going on any more."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (seen := await rig.driver.ensure_server(spec, epoch)).progress:
            await asyncio.sleep(0.02)
    return seen


async def wait_for_power(rig: Rig, server_id: str, power: PowerState) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (await rig.driver.observe_server(server_id)).power != power:
            await asyncio.sleep(0.02)


async def wait_for_event(rig: Rig, server_id: str) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while server_id not in rig.events:
            await asyncio.sleep(0.01)
