"""Block storage on a database of its own, with identity and images in process beside it; only the disks are fake."""

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilonova.block_storage.agent.agent import VolumeAgent
from kilonova.block_storage.agent.backups.agent import BackupAgent
from kilonova.block_storage.agent.backups.fake import FakeBackups, FakeStore
from kilonova.block_storage.agent.drivers.fake import FakeBackend, FakeDriver, FakeVolume
from kilonova.block_storage.agent.fake_uploads import FakeUploads
from kilonova.block_storage.programs import PROGRAMS
from kilonova.block_storage.registry import Registry
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import tasks
from kilonova.cli.parts import image_uploads
from kilonova.kit.tasks import Runner, Task
from kilonova.kit.tasks.runner import LEASE
from kilonova.kit.testing import (
    CallPlan,
    Crashed,
    CrashPlan,
    FakeClock,
    MortalCaller,
    run_through,
    run_with_crash,
)
from tests import worlds

NEWEST = {"openstack-api-version": "volume 3.71"}


@dataclass
class World:
    """The service, its back ends, and clients that speak the newest version."""

    service: BlockStorage
    clock: FakeClock
    client: httpx.AsyncClient
    """A member of the project demo."""
    admin: httpx.AsyncClient
    other: httpx.AsyncClient
    """A member of another project."""
    reader: httpx.AsyncClient
    project_id: str
    image: httpx.AsyncClient
    backends: dict[str, FakeBackend] = field(default_factory=dict)
    agents: list[VolumeAgent] = field(default_factory=list)
    store: FakeStore = field(default_factory=FakeStore)

    def __post_init__(self) -> None:
        self.uploads = FakeUploads(functools.partial(image_uploads.upload, self.service.image))

    async def add_backend(self, host: str = "node1@fake", zone: str = "nova", **options: Any) -> FakeBackend:
        backend = self.backends[host] = FakeBackend(**options)
        agent = VolumeAgent(FakeDriver(backend), self.service.bus, self.uploads, host=host, zone=zone)
        await agent.agent.register()
        agent.agent.serve()
        self.agents.append(agent)
        return backend

    async def add_backup_service(self, host: str = "node1", zone: str = "nova") -> None:
        agent = BackupAgent(FakeBackups(self.store, self._volume_at), self.service.bus, host=host, zone=zone)
        await agent.agent.register()
        agent.agent.serve()

    def _volume_at(self, path: Path) -> FakeVolume | None:
        held = (backend.volumes.get(path.name.removeprefix("volume-")) for backend in self.backends.values())
        return next((each for each in held if each is not None), None)

    @property
    def backend(self) -> FakeBackend:
        return self.backends["node1@fake"]

    def silence(self, host: str = "node1@fake") -> Any:
        """The agent of a back end stops answering; returns what it served."""
        bus: Any = self.service.bus
        return bus._servers.pop(f"cinder-volume.{host}")

    def silence_backups(self, host: str = "node1") -> Any:
        """A cinder-backup stops answering; returns what it served."""
        bus: Any = self.service.bus
        return bus._servers.pop(f"cinder-backup.{host}")

    def make_runner(self, plan: CrashPlan | None = None) -> Runner[BlockStorage]:
        probe = {"probe": plan} if plan is not None else {}
        return Runner(self.service.database, tasks, PROGRAMS, self.service, clock=self.clock, **probe)

    async def run(self) -> None:
        await run_through(self.make_runner(), self.clock)

    async def run_with_crash(self, plan: CrashPlan) -> None:
        await run_with_crash(self.make_runner, self.clock, plan)

    async def run_with_lost_answer(self, plan: CallPlan) -> None:
        """Runs until the planned call, then goes on with a runner made afresh."""
        service: Any = self.service
        callers = service.agents, service.backup_agents
        service.agents, service.backup_agents = (MortalCaller(each, plan) for each in callers)
        try:
            await self.run()
            return
        except Crashed:
            pass
        finally:
            service.agents, service.backup_agents = callers
        self.clock.advance(LEASE.total_seconds() + 1)
        await self.run()

    async def tasks_of(self, subject_id: str) -> list[Task]:
        async with self.service.database.reading() as tx:
            return await tasks.of_subject(tx, subject_id)

    async def make(self, by: httpx.AsyncClient | None = None, **fields: Any) -> dict[str, Any]:
        """A volume that is made, later than those before it."""
        self.clock.advance(1)
        response = await (by or self.client).post("/v3/volumes", json={"volume": {"size": 1, **fields}})
        assert response.status_code == 202, response.text
        await self.run()
        return await self.shown(response.json()["volume"]["id"])

    async def make_snapshot(self, volume_id: str, **fields: Any) -> dict[str, Any]:
        response = await self.client.post("/v3/snapshots", json={"snapshot": {"volume_id": volume_id, **fields}})
        assert response.status_code == 202, response.text
        await self.run()
        snapshot_id = response.json()["snapshot"]["id"]
        shown: dict[str, Any] = (await self.admin.get(f"/v3/snapshots/{snapshot_id}")).json()["snapshot"]
        return shown

    async def make_backup(self, volume_id: str, by: httpx.AsyncClient | None = None, **fields: Any) -> dict[str, Any]:
        """A backup that is made, later than those before it."""
        self.clock.advance(1)
        body = {"backup": {"volume_id": volume_id, **fields}}
        response = await (by or self.client).post("/v3/backups", json=body)
        assert response.status_code == 202, response.text
        await self.run()
        return await self.shown_backup(response.json()["backup"]["id"])

    async def shown_backup(self, backup_id: str) -> dict[str, Any]:
        response = await self.admin.get(f"/v3/backups/{backup_id}")
        shown: dict[str, Any] = response.json().get("backup", {})
        return shown

    async def shown(self, volume_id: str) -> dict[str, Any]:
        response = await self.admin.get(f"/v3/volumes/{volume_id}")
        shown: dict[str, Any] = response.json().get("volume", {})
        return shown

    async def act(self, volume_id: str, action: str, body: Any = None, by: httpx.AsyncClient | None = None) -> Any:
        return await (by or self.client).post(f"/v3/volumes/{volume_id}/action", json={action: body})

    async def messages(self) -> list[str]:
        found = (await self.client.get("/v3/messages")).json()["messages"]
        return [each["user_message"] for each in found]


@pytest.fixture
async def bare(identity: Any) -> AsyncIterator[World]:
    """Without a back end."""
    clock = FakeClock(datetime.now(UTC))
    identity.cloud.clock = clock
    await identity.cloud.add_all(worlds.image.API, worlds.block_storage.API)
    app = identity.cloud.apps["block-storage"]
    clients = {}
    for who in ("demo", "admin", "other", "reader"):
        clients[who] = await identity.client_for(app, who)
        clients[who].headers.update(NEWEST)
    image = await identity.client_for(identity.cloud.apps["image"], "demo")
    service: BlockStorage = identity.cloud.services["block_storage"]
    Registry(service).serve()
    yield World(
        service=service,
        clock=clock,
        client=clients["demo"],
        admin=clients["admin"],
        other=clients["other"],
        reader=clients["reader"],
        project_id=await identity.project_id("demo"),
        image=image,
    )
    for each in (*clients.values(), image):
        await each.aclose()


@pytest.fixture
async def world(bare: World) -> World:
    await bare.add_backend()
    await bare.add_backup_service()
    return bare
