"""The compute API in process, on a real database, with the real services it asks beside it."""

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from kilonova.compute.agent.spec import HostInventory
from kilonova.compute.hosts.registry import Registry
from kilonova.compute.programs.build import BUILD
from kilonova.compute.servers import requests, servers
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import Flavor, Server, tasks
from kilonova.compute.transactions import CellTx, RegionTx
from tests.worlds import block_storage, compute, image, network, placement

VERSION = "openstack-api-version"
CONDUCTOR = ("nova-conductor", "controller", "3a0c4f9e-4f8b-4d3c-9d57-0a5d4f5fb0aa")


def empty_qcow2(virtual_size_bytes: int) -> bytes:
    """A version 2 header in a cluster of its own, and nothing behind it."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, virtual_size_bytes, 0, 0, 0, 0, 0, 0, 0)
    return header.ljust(1 << 16, b"\0")


@dataclass
class Caller:
    """What a row takes from the request that made it."""

    project_id: str
    user_id: str


@dataclass
class Door:
    """The clients of one service's app, each made when its user first comes."""

    identity: Any
    app: Any
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    async def __call__(self, user: str) -> httpx.AsyncClient:
        if user not in self.clients:
            self.clients[user] = await self.identity.client_for(self.app, user)
        return self.clients[user]

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()


@dataclass
class ComputeInProcess:
    """The service, the doors to it and its neighbours, and ways to put rows where a story begins."""

    service: Region
    identity: Any
    body_of: Any
    api: Door
    networking: Door
    imaging: Door
    storing: Door
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, status: int = 200, *, by: str = "demo", version: str = "latest", json: Any = None
    ) -> Any:
        """One request; the decoded body of an answer that must have `status`."""
        headers = {VERSION: f"compute {version}"}
        response = await (await self.api(by)).request(method, f"/v2.1{path}", json=json, headers=headers)
        return self.body_of(response, status)

    async def refused(self, method: str, path: str, status: int, **call: Any) -> str:
        """The sentence of a refusal."""
        body = await self.call(method, path, status, **call)
        ((_kind, fault),) = body.items()
        assert fault["code"] == status
        return str(fault["message"])

    async def flavor(self, name: str = "m1.tiny", **fields: Any) -> dict[str, Any]:
        new = {"name": name, "ram": 512, "vcpus": 1, "disk": 1, **fields}
        made = await self.call("POST", "/flavors", by="admin", json={"flavor": new})
        flavor: dict[str, Any] = made["flavor"]
        return flavor

    async def image(self, by: str = "admin", *, virtual_gib: int = 1, upload: bool = True, **fields: Any) -> str:
        """The id of an image that everybody may use, with data unless told otherwise."""
        new = {"name": "cirros", "disk_format": "qcow2", "container_format": "bare", "visibility": "public", **fields}
        imaging = await self.imaging(by)
        image_id: str = self.body_of(await imaging.post("/v2/images", json=new), 201)["id"]
        if upload:
            headers = {"content-type": "application/octet-stream"}
            data = empty_qcow2(virtual_gib << 30)
            self.body_of(await imaging.put(f"/v2/images/{image_id}/file", content=data, headers=headers), 204)
        return image_id

    async def network(self, by: str = "demo", **fields: Any) -> dict[str, Any]:
        """A network with one subnet."""
        networking = await self.networking(by)
        response = await networking.post("/v2.0/networks", json={"network": {"name": "lan", **fields}})
        network: dict[str, Any] = self.body_of(response, 201)["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
        self.body_of(await networking.post("/v2.0/subnets", json={"subnet": subnet}), 201)
        return network

    async def outside(self, name: str = "public") -> str:
        """The id of an external network, where floating addresses come from."""
        fields = {"provider:network_type": "flat", "provider:physical_network": name}
        subnet = {"ip_version": 4, "cidr": "172.24.4.0/24"}
        networking = await self.networking("admin")
        new = {"network": {"name": name, "router:external": True, **fields}}
        network_id: str = self.body_of(await networking.post("/v2.0/networks", json=new), 201)["network"]["id"]
        made = await networking.post("/v2.0/subnets", json={"subnet": {**subnet, "network_id": network_id}})
        self.body_of(made, 201)
        return network_id

    async def volume(self, by: str = "demo", **fields: Any) -> str:
        """The id of a volume, which nobody makes: it stays `creating`."""
        made = await (await self.storing(by)).post("/v3/volumes", json={"volume": {"size": 1, **fields}})
        volume_id: str = self.body_of(made, 202)["volume"]["id"]
        return volume_id

    async def who(self, name: str) -> Caller:
        if name not in self.ids:
            headers = {"x-auth-token": await self.identity.token("admin")}
            users = (await self.identity.client.get(f"/v3/users?name={name}", headers=headers)).json()["users"]
            project = "admin" if name == "admin" else "demo" if name == "reader" else name
            self.ids[name] = (await self.identity.project_id(project), users[0]["id"])
        return Caller(*self.ids[name])

    async def insert_server(self, owner: str = "demo", *, building: bool = False, **values: Any) -> Server:
        """A server's row: ACTIVE on node1 unless `values` say otherwise; each is a second younger than the last."""
        now = self.service.clock.now() - timedelta(hours=1) + timedelta(seconds=len(await self._all()))
        flavor = Flavor("1", "m1.tiny", None, 1, 512, 1, 0, 0, "1.0", True, {"hw:cpu_policy": "shared"}, [])
        image = {
            "id": "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11",
            "disk_format": "qcow2",
            "size_bytes": 1000,
            "sha512": "0" * 128,
            "min_disk_gib": 0,
            "properties": {"hw_disk_bus": "virtio"},
        }
        wanted = requests.WantedServers(
            name="web",
            hostname=None,
            description=None,
            count=1,
            flavor=flavor,
            image=image,
            keypair=None,
            networks=[],
            security_group_names=[],
            user_data=None,
            config_drive=False,
            metadata={},
            tags=[],
            requested_zone=None,
            requested_host=None,
            scheduler_hints={},
            disk_config="MANUAL",
            access_ip_v4="",
            access_ip_v6="",
        )
        (server,) = requests.make_servers(wanted, await self.who(owner), now)  # type: ignore[arg-type]
        if not building:
            values = {"vm_state": "active", "power_state": 1, "host": "node1", "launched_at": now, **values}
        server = msgspec.structs.replace(server, **values)
        who = await self.who(owner)
        new = BUILD.new_task(server.id, request_id="req-build", user_id=who.user_id, project_id=who.project_id)
        async with self.service.database.transaction() as tx:
            inserted = await servers.insert(RegionTx(tx), CellTx(tx), server, new, now)
            if not building:
                task = await tasks.active(tx, server.id)
                assert task is not None
                await tasks.leave_step(tx, task, now, "done", "running on node1")
                await tasks.compare_and_set(tx, task, finished_at=now, outcome="done", active_subject=None)
        return inserted

    async def _all(self) -> list[Server]:
        async with self.service.database.reading() as tx:
            return await tx.all(Server, servers.servers.select())

    async def server(self, server_id: str) -> Server:
        async with self.service.database.reading() as tx:
            return await servers.find(tx, server_id)

    async def register_host(self, host: str = "node1", zone: str = "", cell: Cell | None = None, **values: Any) -> None:
        """Registers a compute host, in the cell on the API database unless another is given."""
        inventory = HostInventory(
            **{
                "hostname": f"{host}.example.org",
                "host_ip": "10.0.0.31",
                "hypervisor_type": "QEMU",
                "hypervisor_version": 7_002_000,
                "vcpus": 4,
                "memory_mib": 8192,
                "disk_gib": 40,
                "cpu_info": {"arch": "x86_64", "model": "qemu64"},
                "supported_instances": (("x86_64", "qemu", "hvm"),),
                **values,
            }
        )
        info = {"binary": "nova-compute", "host": host, "availability_zone": zone}
        await Registry(cell or self.service.here).register({"info": info, "details": msgspec.to_builtins(inventory)})


@pytest.fixture
async def nova(identity: Any, body_of: Any) -> AsyncIterator[ComputeInProcess]:
    cloud = identity.cloud
    cloud.agent_timeout_seconds = 1.0
    await cloud.add_all(placement.API, network.SERVER, image.API, block_storage.API, compute.API)
    service: Region = cloud.services["compute"]
    service.control_services = (CONDUCTOR,)
    doors = [Door(identity, cloud.apps[each]) for each in ("compute", "network", "image", "block-storage")]
    yield ComputeInProcess(service, identity, body_of, *doors)
    for door in doors:
        await door.close()
