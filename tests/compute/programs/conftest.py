"""A cloud in process: real identity, placement, network and compute on real databases; only the metal is fake."""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kilonova.block_storage.agent.agent import VolumeAgent
from kilonova.block_storage.agent.drivers.fake import FakeBackend
from kilonova.block_storage.agent.drivers.fake import FakeDriver as FakeVolumeDriver
from kilonova.block_storage.agent.fake_uploads import FakeUploads
from kilonova.block_storage.programs import PROGRAMS as VOLUME_PROGRAMS
from kilonova.block_storage.registry import Registry as VolumeRegistry
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import attachments, volumes
from kilonova.block_storage.tables import tasks as volume_tasks
from kilonova.cli.parts import image_uploads
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.drivers.fake import DISK_DATA, FakeDriver, FakeHost
from kilonova.compute.agent.drivers.host_topology import make_topology, narrowed
from kilonova.compute.agent.drivers.options import HardwareOptions
from kilonova.compute.consoles import console_tokens
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.hosts.registry import Registry as ComputeRegistry
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.programs.build import BUILD
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.region import cells, mappings, moving
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.servers import leftovers, requests, servers
from kilonova.compute.servers.volumes import ServerVolume, as_kept
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping, Flavor, Server, takings, tasks
from kilonova.compute.tables import console_tokens as console_token_rows
from kilonova.compute.tables import metadata as compute_metadata
from kilonova.compute.topics import AGENT_BINARY
from kilonova.image.client import ImageClient
from kilonova.kit.bus import InProcessBus
from kilonova.kit.tasks import Runner, Task
from kilonova.kit.tasks.runner import LEASE
from kilonova.kit.testing import (
    CallPlan,
    Crashed,
    CrashPlan,
    FakeClock,
    Metal,
    MortalCaller,
    run_through,
    run_with_crash,
)
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.drivers.fake import FakeDriver as FakeNetworkDriver
from kilonova.network.events import EventSender
from kilonova.network.service import NetworkService
from kilonova.network.tables import bound_ports
from kilonova.placement.service import Placement
from kilonova.placement.tables import allocations, providers
from tests.compute.loads import check_loads
from tests.worlds import PATIENT_SECONDS, block_storage, compute, image, network, placement

TOPOLOGY = narrowed(
    make_topology(24, 64 << 10, nodes=2, threads=1),
    HardwareOptions(shared_cpus=(*range(8), *range(12, 20)), dedicated_cpus=(8, 9, 10, 11, 20, 21, 22, 23)),
)
"""Of every host: two nodes, each with eight processors that guests share and four that they can have for themselves."""


@dataclass
class World:
    """The cloud and what it stands on."""

    compute: Region
    network: NetworkService
    placement: Placement
    block_storage: BlockStorage
    clock: FakeClock
    client: Any
    """Of the compute API, as the user demo."""
    admin_client: Any
    network_client: Any
    volume_client: Any
    image_client: ImageClient
    """The image service's client, as the user nova."""
    hosts: dict[str, FakeHost]
    drivers: list[FakeDriver]
    network_drivers: dict[str, FakeNetworkDriver]
    devices: Metal
    agents: list[Any]
    sender: EventSender
    project_id: str
    user_id: str
    network_id: str = ""
    runners: list[Runner[Cell]] = field(default_factory=list)
    cells: dict[str, Cell] = field(default_factory=dict)
    """Id → cell on a database of its own."""
    silent: list[Any] = field(default_factory=list)
    _unserved: dict[str, Any] = field(default_factory=dict)
    uploaded_image: str = ""
    always_looks: bool = False
    """Network agents take a pass at every tick: one that failed is not the last, as every few seconds there is one."""
    _seen: tuple[int, int] = (-1, 0)
    """How many writes to network's database, and changes of taps, there had been at the last tick."""

    def members(self) -> list[Cell]:
        """The cell on each database."""
        return [self.compute.here, *self.cells.values()]

    async def tick(self) -> None:
        """What agents do between two turns of the runner; those of the network, when there is something new."""
        errands = [each for driver in self.drivers for each in driver._errands._errands.values()]
        uploads = [each.task for each in errands if each.is_running and each.kind == "snapshot"]
        if uploads:
            # They take their own time, which the clock of the others does not wait for.
            await asyncio.wait(uploads)
        for cell in self.cells.values():
            await moving.settle_arrivals(self.compute, cell)
            await leftovers.sweep_takings(cell)
        seen = self.network.database.writes, sum(each.changes for each in self.devices.values())
        for agent in self.agents:
            if agent.info.binary == AGENT_BINARY or self.always_looks or seen != self._seen:
                await agent.pass_once()
        self._seen = seen
        await self.sender.send_batch()

    def make_runner(self, plan: CrashPlan | None = None, member: Cell | None = None) -> Runner[Cell]:
        probe = {"probe": plan} if plan is not None else {}
        member = member or self.compute.here
        runner = Runner(member.database, tasks, PROGRAMS, member, clock=self.clock, **probe)
        self.runners.append(runner)
        return runner

    async def run(self) -> None:
        if self.cells:
            await self._run_everywhere(None)
        else:
            await run_through(self.make_runner(), self.clock, tick=self.tick)

    async def run_with_crash(self, plan: CrashPlan) -> None:
        if not self.cells:
            await run_with_crash(self.make_runner, self.clock, plan, tick=self.tick)
            return
        try:
            await self._run_everywhere(plan)
        except Crashed:
            self.clock.advance(LEASE.total_seconds() + 1)
            await self._run_everywhere(None)

    async def _run_everywhere(self, plan: CrashPlan | None) -> None:
        """`run_through` with a runner for each database."""
        runners = [self.make_runner(plan, member) for member in self.members()]
        for _ in range(1000):
            await self.tick()
            for runner in runners:
                task = await runner.claim_one()
                if task is not None:
                    await runner.run_task(task)
                    break
            else:
                wakes = []
                for runner in runners:
                    async with runner.database.reading() as tx:
                        wakes.append(await runner.tables.next_wake(tx))
                known = [each for each in wakes if each is not None]
                if not known:
                    return
                seconds = (min(known) - self.clock.now()).total_seconds()
                # A copy that nobody wakes is not waited for.
                self.clock.advance(min(max(seconds, 0) + 0.001, LEASE.total_seconds() + 1))
        raise AssertionError("tasks are still running after 1000 turns")

    async def run_with_lost_answer(self, plan: CallPlan) -> None:
        """Runs until the planned call, then goes on with a runner made afresh."""
        with self._mortal(plan), contextlib.suppress(Crashed):
            await self.run()
            return
        self.clock.advance(LEASE.total_seconds() + 1)
        await self.run()

    @contextlib.contextmanager
    def _mortal(self, plan: CallPlan) -> Iterator[None]:
        """What steps call is counted while this lasts."""
        callers = [
            *(
                (self.compute, name, getattr(self.compute, name))
                for name in ("placement", "network", "image", "volume")
            ),
            *((cell, "agents", cell.agents) for cell in self.members()),
        ]
        for member, name, caller in callers:
            setattr(member, name, MortalCaller(caller, plan, READS))
        try:
            yield
        finally:
            for member, name, caller in callers:
                setattr(member, name, caller)

    def silence(self, *hosts: str) -> None:
        """The compute agents of these hosts, or of all, stop answering; what runs there goes on."""
        agents = [agent for agent in self.agents if agent.info.binary == AGENT_BINARY]
        self.silent = [agent for agent in agents if not hosts or agent.info.host in hosts]
        self.agents = [agent for agent in self.agents if agent not in self.silent]
        bus: Any = self.compute.bus
        topics = [f"{AGENT_BINARY}.{each.info.host}" for each in self.silent]
        self._unserved = {topic: bus._servers.pop(topic) for topic in topics}

    def end_silence(self) -> None:
        for topic, methods in self._unserved.items():
            self.compute.bus.serve(topic, methods)
        self.agents += self.silent
        self.silent, self._unserved = [], {}

    async def insert_server(self, **changes: Any) -> Server:
        """A server as POST /servers leaves it: the row and its build task, committed.

        `boots_from_volume`: its root is a volume that nobody has.
        """
        root = await self.free_volume() if changes.pop("boots_from_volume", False) else ""
        memory_mib = changes.pop("memory_mib", 512)
        vcpus, specs = changes.pop("vcpus", 1), changes.pop("extra_specs", {})
        flavor = Flavor("1", "m1.tiny", None, vcpus, memory_mib, 1, 0, 0, "1.0", True, specs, [])
        image = {
            "id": "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11",
            "disk_format": "qcow2",
            "size_bytes": 1000,
            "sha512": "0" * 128,
            "min_disk_gib": 0,
            "properties": changes.pop("image_properties", {}),
        }
        wanted = requests.WantedServers(
            name="web",
            hostname=None,
            description=None,
            count=1,
            flavor=flavor,
            image=image,
            keypair=None,
            networks=changes.pop("networks", [{"network_id": self.network_id}]),
            security_group_names=[],
            user_data=None,
            config_drive=False,
            metadata={},
            tags=[],
            requested_zone=changes.pop("requested_zone", None),
            requested_host=changes.pop("requested_host", None),
            scheduler_hints=changes.pop("scheduler_hints", {}),
            group_id=changes.pop("group_id", None),
            disk_config="MANUAL",
            access_ip_v4="",
            access_ip_v6="",
        )
        assert not changes
        (server,) = requests.make_servers(wanted, _Caller(self.project_id, self.user_id), self.clock.now())  # type: ignore[arg-type]
        if root:
            held = ServerVolume(
                id=root, owner_id=self.project_id, bdm_id=str(uuid.uuid4()), device="vda", bus="virtio", boot_index=0
            )
            server.volumes = as_kept([held])
        async with self.compute.transaction() as tx:
            return await servers.insert(tx, self.compute.local(tx), server, BUILD.new_task(server.id), self.clock.now())

    async def destroy(self, server_id: str) -> None:
        """While somebody may open its console."""
        async with self.compute.database.transaction() as tx:
            with contextlib.suppress(ServerNotFound):
                await console_tokens.create(tx, server_id, "vnc", self.clock.now(), 600)
        async with cells.writing(self.compute, server_id) as (_cell, tx):
            await tasks.supersede(tx, DESTROY.new_task(server_id), self.clock.now())

    async def server(self, server_id: str) -> Server:
        async with cells.reading(self.compute, server_id) as (_cell, tx):
            return await servers.find(tx, server_id)

    async def tasks_of(self, server_id: str) -> list[Task]:
        async with cells.reading(self.compute, server_id) as (_cell, tx):
            return await tasks.of_subject(tx, server_id)

    async def leftovers(self) -> dict[str, Any]:
        """Everything outside compute's rows that belongs to some server."""
        found = select(bound_ports.c.device_id, bound_ports.c.host).where(
            bound_ports.c.device_owner.not_like("network:%")
        )
        async with self.network.database.reading() as tx:
            guests = await tx.tuples(found)
        ids = []
        for member in self.members():
            async with member.database.reading() as tx:
                ids += [row[0] for row in await tx.tuples(select(servers.servers.c.id))]
        async with self.compute.database.reading() as tx:
            openable = await tx.tuples(select(console_token_rows.c.server_id))
        return {
            "console_tokens": sorted(row[0] for row in openable),
            "ports": sorted(guests),
            "domains": sorted((host, each) for host, metal in self.hosts.items() for each in metal.servers),
            "allocations": await self.allocations(),
            "takings": await self.takings(),
            "attachments": await self.attachments(),
            "servers": sorted(ids),
            "taps": sorted(
                (host, port.device_id)
                for host, each in self.network_drivers.items()
                for port in each.state.ports.values()
            ),
        }

    async def free_volume(self) -> str:
        """The id of a volume that nobody has: one from before, or a new one."""
        free = [volume_id for volume_id, status in (await self.volumes()).items() if status == "available"]
        return free[0] if free else await self.make_volume()

    async def make_volume(self, **fields: Any) -> str:
        """The id of a new volume."""
        made = await self.volume_client.post("/v3/volumes", json={"volume": {"size": 1, **fields}})
        assert made.status_code == 202, made.text
        await self.run_block_storage()
        return str(made.json()["volume"]["id"])

    async def run_block_storage(self) -> None:
        service = self.block_storage
        runner = Runner(service.database, volume_tasks, VOLUME_PROGRAMS, service, clock=self.clock)
        await run_through(runner, self.clock)

    async def volumes(self) -> dict[str, str]:
        """Volume id → status."""
        async with self.block_storage.database.reading() as tx:
            return dict(await tx.tuples(select(volumes.c.id, volumes.c.status)))

    async def attachments(self) -> list[tuple[str, str]]:
        """(status, server) of each."""
        async with self.block_storage.database.reading() as tx:
            return sorted(await tx.tuples(select(attachments.c.status, attachments.c.server_id)))

    async def images(self) -> list[Any]:
        """Those made of servers, the oldest first."""
        found = await self.image_client.list_images(sort="created_at:asc,name:asc")
        return [each for each in found if each.id != self.uploaded_image]

    async def upload_image(self) -> str:
        """The id of an image that everybody may use; the same one each time."""
        if not self.uploaded_image:
            fields = {"name": "cirros", "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
            token = await self.image_client._remote._session.token()
            made = await self.image_client.create(fields, token)

            async def read() -> AsyncIterator[bytes]:
                yield DISK_DATA

            await self.image_client.upload(made.id, read, len(DISK_DATA))
            self.uploaded_image = made.id
        return self.uploaded_image

    async def check_loads(self) -> None:
        """The loads of hosts that are kept are those that a recount finds, in each database."""
        for member in self.members():
            await check_loads(member.database, member.hosts)

    async def takings(self) -> list[tuple[str, str]]:
        """(host, server) of everything that is taken of NUMA nodes."""
        found = []
        for member in self.members():
            async with member.database.reading() as tx:
                found += await tx.tuples(select(takings.c.host, takings.c.server_id))
        return sorted((host, server_id) for host, server_id in found)

    async def allocations(self) -> list[tuple[str, str]]:
        """(provider's name, consumer) of every allocation."""
        held = select(providers.c.name, allocations.c.consumer_id).distinct()
        held = held.where(providers.c.id == allocations.c.provider_id)
        async with self.placement.database.reading() as tx:
            return sorted((name, consumer) for name, consumer in await tx.tuples(held))


NOTHING_LEFT: dict[str, list[Any]] = {
    "console_tokens": [],
    "ports": [],
    "domains": [],
    "allocations": [],
    "takings": [],
    "attachments": [],
    "servers": [],
    "taps": [],
}
"""Of `leftovers`."""

READS = frozenset(
    "allocation_candidates rooms show show_port list_ports list_networks list_subnets list_floating_ips list_images"
    " attachments_of".split()
)
"""Calls of steps that change nothing: dying after one is dying after what was changed before it."""


@dataclass
class _Caller:
    project_id: str
    user_id: str


@pytest.fixture
async def world(identity: Any, migrated: Any, tmp_path: Path) -> AsyncIterator[World]:
    async for made in make_world(identity, migrated, tmp_path, host_count=1):
        yield made


@pytest.fixture
async def two_hosts(identity: Any, migrated: Any, tmp_path: Path) -> AsyncIterator[World]:
    async for made in make_world(identity, migrated, tmp_path, host_count=2):
        yield made


@pytest.fixture
async def two_cells(identity: Any, migrated: Any, tmp_path: Path) -> AsyncIterator[World]:
    """A host in each; and cell0 apart."""
    async for made in make_world(identity, migrated, tmp_path, host_count=2, cell_count=2):
        yield made


async def make_cells(region: Region, migrated: Any, tmp_path: Path, count: int) -> dict[str, Cell]:
    """Cells with a database and a bus of their own, and cell0."""
    made: dict[str, Cell] = {}

    async def connect(mapping: CellMapping) -> Cell:
        return made[mapping.id]

    region.cells.connect = connect
    async with region.transaction() as tx:
        for number in range(count + 1):
            cell_id = str(uuid.UUID(int=number))
            directory = tmp_path / f"cell{number}"
            directory.mkdir()
            database = migrated("compute", compute_metadata, directory)
            made[cell_id] = region.cell_on(cell_id, database, InProcessBus())
            url = database.url.render_as_string(hide_password=False)
            now = region.clock.now()
            await mappings.insert_cell(tx, CellMapping(cell_id, f"cell{number}", f"bus{number}", url, False, now))
    return made


async def make_world(
    identity: Any, migrated: Any, tmp_path: Path, host_count: int, cell_count: int = 0
) -> AsyncIterator[World]:
    cloud, bus, clock = identity.cloud, identity.bus, FakeClock()
    cloud.clock, cloud.leeway_seconds = clock, PATIENT_SECONDS
    await cloud.add_all(placement.API, network.SERVER, image.API, block_storage.API, compute.API)
    service: Region = cloud.services["compute"]
    networking: NetworkService = cloud.services["network"]
    made_cells = await make_cells(service, migrated, tmp_path, cell_count) if cell_count else {}
    with_hosts = [each for cell_id, each in made_cells.items() if cell_id != CELL0_ID] or [service.here]
    for each in with_hosts:
        ComputeRegistry(each).serve()
    devices = Metal()
    names = [f"node{1 + each}" for each in range(host_count)]
    metals = {name: FakeHost(name, vcpus=24, taps=devices[name], topology=TOPOLOGY) for name in names}
    for metal in metals.values():
        metal.reachable = metals
    network_drivers = {name: FakeNetworkDriver(metal=devices[name]) for name in metals}
    keeping: BlockStorage = cloud.services["block_storage"]
    VolumeRegistry(keeping).serve()
    volume_driver = FakeVolumeDriver(FakeBackend(directory=tmp_path / "volumes"))
    uploads = FakeUploads(functools.partial(image_uploads.upload, keeping.image))
    volume_agent = VolumeAgent(volume_driver, bus, uploads, host="node1@fake", zone="nova")
    await volume_agent.agent.register()
    agents, stops, drivers = [], [volume_agent.agent.serve()], []
    for number, (name, metal) in enumerate(metals.items()):
        its_bus = with_hosts[number % len(with_hosts)].bus
        driver = FakeDriver(metal, lambda _id: None, upload_image=service.image.upload)
        drivers.append(driver)
        compute_agent = ComputeAgent(driver, its_bus, host=name)
        network_agent = NetworkAgent(network_drivers[name], bus, host=name, configurations={})
        stops.append(devices[name].watch(network_agent.on_tap))
        for agent in (compute_agent.agent, network_agent.agent):
            stops.append(agent.serve())
            await agent.register()
            agents.append(agent)
    context = await identity.verifier("nova").authenticate(await identity.token("demo"), None)
    made = World(
        compute=service,
        network=networking,
        placement=cloud.services["placement"],
        block_storage=keeping,
        clock=clock,
        client=await identity.client_for(cloud.apps["compute"]),
        admin_client=await identity.client_for(cloud.apps["compute"], "admin"),
        network_client=await identity.client_for(cloud.apps["network"]),
        volume_client=await identity.client_for(cloud.apps["block-storage"]),
        image_client=service.image,
        hosts=metals,
        drivers=drivers,
        network_drivers=network_drivers,
        devices=devices,
        agents=agents,
        sender=EventSender(networking),
        project_id=context.project_id,
        user_id=context.user_id,
        cells=made_cells,
    )
    response = await made.network_client.post("/v2.0/networks", json={"network": {"name": "lan"}})
    made.network_id = response.json()["network"]["id"]
    subnet = {"network_id": made.network_id, "ip_version": 4, "cidr": "10.0.0.0/24"}
    assert (await made.network_client.post("/v2.0/subnets", json={"subnet": subnet})).status_code == 201
    yield made
    await made.check_loads()
    for stop in stops:
        stop()
    for each in made_cells.values():
        await each.database.close()
