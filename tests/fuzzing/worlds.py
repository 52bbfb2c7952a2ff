"""A whole cloud in process, on databases that hold one of everything.

On SQLite they are put back before each request; on a server, whose databases cannot be, what one request did is there
when the next comes.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.types import ASGIApp

from kilonova.block_storage import messages
from kilonova.block_storage import tables as block_storage_tables
from kilonova.block_storage.agent.spec import PoolStats
from kilonova.block_storage.registry import Registry as VolumeRegistry
from kilonova.compute import tables as compute_tables
from kilonova.compute.agent.spec import HostInventory
from kilonova.compute.hosts.registry import Registry
from kilonova.compute.service import Region
from kilonova.identity import tables as identity_tables
from kilonova.image import tables as image_tables
from kilonova.kit.auth import RequestContext
from kilonova.kit.http.client import Answer, Credentials, ServiceSession
from kilonova.kit.testing import asgi_client
from kilonova.network import tables as network_tables
from kilonova.placement import tables as placement_tables
from tests.databases import Databases
from tests.frugality import ask
from tests.worlds import CloudInProcess, block_storage, cloud_in, compute, identity, image, network, placement

TABLES = {
    "identity": identity_tables.metadata,
    "image": image_tables.metadata,
    "placement": placement_tables.metadata,
    "network": network_tables.metadata,
    "compute": compute_tables.metadata,
    "block-storage": block_storage_tables.metadata,
}
NEIGHBOURS = {"compute": ("image", "placement", "network"), "block-storage": ("image",)}
DATABASES = {"block-storage": "block_storage"}
"""Service type → the name of its database, where that is another one."""
VERSIONS = {"openstack-api-version": "compute 2.91, placement 1.39, volume 3.71"}
"""The last compute version that generates key pairs."""
PASSWORD = "a password for tests"
PROVIDER, CONSUMER = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11", "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f12"


@dataclass(frozen=True)
class Everybody:
    """Lets everybody in as this administrator, unless the token names one of `callers`."""

    context: RequestContext
    callers: dict[str, RequestContext] = field(default_factory=dict)

    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        return self.callers.get(token, self.context)


@dataclass(repr=False)
class World:
    """The apps, and what there is: path variable → id of one such thing, for each service."""

    loop: asyncio.Runner
    clients: dict[str, httpx.AsyncClient]
    apps: Mapping[str, ASGIApp]
    directory: Path
    templates: dict[str, sqlite3.Connection]
    """Empty on a database server."""
    ids: dict[str, dict[str, str]]
    everybody: Everybody

    def send(self, service: str, method: str, path: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        self.restore(service)
        return self.loop.run(self.clients[service].request(method, path, content=content, headers=headers))

    def ask(self, service: str, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        """Sends a request without a body past the client."""
        token = self.clients[service].headers["x-auth-token"]
        return self.loop.run(ask(self.apps[service], target, {"x-auth-token": token, **headers}, method))

    def restore(self, service: str) -> None:
        """Puts the databases a request to this service may have changed back."""
        for name in (DATABASES.get(service, service), *NEIGHBOURS.get(service, ())) if self.templates else ():
            with sqlite3.connect(self.directory / f"{name}.db") as target:
                self.templates[name].backup(target)
            target.close()


@contextmanager
def one_of_everything(identity_template: Any, databases: Databases, directory: Path) -> Iterator[World]:
    with ExitStack() as stack:
        loop = stack.enter_context(asyncio.Runner())

        cloud = cloud_in(
            directory,
            databases,
            identity_template,
            make_session=lambda _user: maker.session,
            agent_timeout_seconds=0.01,
        )
        stack.callback(lambda: loop.run(cloud.close()))
        maker = Maker(cloud)
        loop.run(maker.fill())
        opened = cloud.databases
        is_sqlite = opened["identity"].url.get_backend_name() == "sqlite"
        templates = {name: sqlite3.connect(":memory:") for name in opened} if is_sqlite else {}
        for name, template in templates.items():
            stack.callback(template.close)
            with sqlite3.connect(directory / f"{name}.db") as filled:
                filled.backup(template)
            filled.close()
        yield World(loop, maker.clients, cloud.apps, directory, templates, maker.ids, maker.everybody)
        for client in maker.clients.values():
            loop.run(client.aclose())


class Maker:
    """Wires the services together and makes one of everything through their own APIs."""

    def __init__(self, cloud: CloudInProcess) -> None:
        self.cloud = cloud
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.ids: dict[str, dict[str, str]] = {name: {} for name in TABLES}

    async def fill(self) -> None:
        await self.cloud.add(identity.API)
        self.clients["identity"] = asgi_client(self.cloud.apps["identity"])
        self.session = ServiceSession(self.clients["identity"], Credentials("admin", PASSWORD, "admin"))
        token = await self.session.token()
        self.clients["identity"].headers["x-auth-token"] = token
        who = (await self.clients["identity"].get("/v3/auth/tokens", headers={"x-subject-token": token})).json()[
            "token"
        ]
        self.project_id, user_id = who["project"]["id"], who["user"]["id"]
        now = datetime.now(UTC)
        roles = frozenset({"admin", "manager", "member", "reader"})
        everybody = self.everybody = Everybody(
            RequestContext(
                user_id=user_id,
                user_name="admin",
                user_domain_id="default",
                project_id=self.project_id,
                roles=roles,
                issued_at=now,
                expires_at=now + timedelta(days=1),
            )
        )
        self.cloud.authenticator = everybody
        await self.cloud.add_all(image.API, placement.API, network.SERVER, compute.API, block_storage.API)
        for name in ("image", "placement", "network", "compute", "block-storage"):
            self.clients[name] = asgi_client(self.cloud.apps[name])
            self.clients[name].headers["x-auth-token"] = "any"
        service: Region = self.cloud.services["compute"]
        await self.fill_identity(user_id)
        await self.fill_image()
        await self.fill_placement()
        agent = {"info": {"binary": "neutron-linuxbridge-agent", "host": "node1"}}
        await self.cloud.services["network registry"].register(agent)
        await self.fill_network()
        await self.fill_compute(service, user_id)
        await self.fill_block_storage()

    async def made(self, service: str, path: str, body: Any, *, method: str = "POST") -> Any:
        """The body of the answer to a request that must succeed."""
        response = await self.clients[service].request(method, path, json=body, headers=VERSIONS)
        assert response.status_code < 300, f"{method} {path}: {response.text}"
        return response.json() if response.content else {}

    async def created(self, service: str, variable: str, path: str, body: Any) -> str:
        """The id of a thing that path variables called `variable` name."""
        answer = await self.made(service, path, body)
        one = answer if "id" in answer else next(iter(answer.values()))
        self.ids[service][variable] = str(one["id"])
        return self.ids[service][variable]

    async def fill_identity(self, user_id: str) -> None:
        for kind in ("domain", "project", "user", "role", "region"):
            fields = {} if kind == "region" else {"name": f"a {kind}"}
            await self.created("identity", f"{kind}_id", f"/v3/{kind}s", {kind: fields})
        service = {"service": {"type": "test", "name": "a service"}}
        service_id = await self.created("identity", "service_id", "/v3/services", service)
        endpoint = {"service_id": service_id, "interface": "public", "url": "http://127.0.0.1:1"}
        await self.created("identity", "endpoint_id", "/v3/endpoints", {"endpoint": endpoint})
        self.ids["identity"]["implied_role_id"] = self.ids["identity"]["role_id"]

    async def fill_image(self) -> None:
        fields = {"name": "an image", "disk_format": "raw", "container_format": "bare", "visibility": "shared"}
        image_id = await self.created("image", "image_id", "/v2/images", {**fields, "colour": "red"})
        await self.made("image", f"/v2/images/{image_id}/members", {"member": "p"})
        headers = {"content-type": "application/octet-stream"}
        response = await self.clients["image"].put(f"/v2/images/{image_id}/file", content=b"x" * 512, headers=headers)
        assert response.status_code == 204, response.text
        self.ids["image"] |= {"member_id": "p", "tag_value": "red", "name": "image"}

    async def fill_placement(self) -> None:
        await self.made("placement", "/resource_providers", {"name": "shelf", "uuid": PROVIDER})
        await self.made("placement", "/resource_classes/CUSTOM_GOLD", None, method="PUT")
        await self.made("placement", "/traits/CUSTOM_FAST", None, method="PUT")
        inventories = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}
        await self.made("placement", f"/resource_providers/{PROVIDER}/inventories", inventories, method="PUT")
        held = {
            "allocations": {PROVIDER: {"resources": {"VCPU": 1}}},
            "project_id": "p",
            "user_id": "u",
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
        }
        await self.made("placement", f"/allocations/{CONSUMER}", held, method="PUT")
        self.ids["placement"] = {
            "uuid": PROVIDER,
            "consumer_uuid": CONSUMER,
            "name": "CUSTOM_GOLD",
            "resource_class": "VCPU",
        }

    async def fill_network(self) -> None:
        ids = self.ids["network"]
        ids["agent_id"] = (await self.clients["network"].get("/v2.0/agents?agent_type=L3%20agent")).json()["agents"][0][
            "id"
        ]

        async def create(variable: str, plural: str, fields: dict[str, Any]) -> str:
            body = {plural[:-1].replace("-", "_"): fields}
            return await self.created("network", variable, f"/v2.0/{plural}", body)

        flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
        outside = await create("outside_id", "networks", {"router:external": True, "shared": True, **flat})
        await create("subnet_id", "subnets", {"network_id": outside, "ip_version": 4, "cidr": "172.24.4.0/24"})
        lan = await create("network_id", "networks", {"name": "lan"})
        await create("subnet_id", "subnets", {"network_id": lan, "ip_version": 6, "cidr": "fd00::/64"})
        subnet = await create("subnet_id", "subnets", {"network_id": lan, "ip_version": 4, "cidr": "10.0.0.0/24"})
        group = await create("group_id", "security-groups", {"name": "web"})
        await create("rule_id", "security-group-rules", {"security_group_id": group, "direction": "ingress"})
        await create("default_rule_id", "default-security-group-rules", {"direction": "ingress", "protocol": "tcp"})
        port = await create("port_id", "ports", {"network_id": lan, "device_owner": "compute:nova", "device_id": "s"})
        router = await create("router_id", "routers", {"external_gateway_info": {"network_id": outside}})
        await self.made("network", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet}, method="PUT")
        await create("floating_ip_id", "floatingips", {"floating_network_id": outside, "port_id": port})
        ids |= {"resource_id": lan, "project_id": self.project_id, "alias": "router", "tag": "red"}

    async def fill_compute(self, service: Region, user_id: str) -> None:
        inventory = HostInventory(
            hostname="node1",
            host_ip="10.0.0.31",
            hypervisor_type="QEMU",
            hypervisor_version=7_002_000,
            vcpus=4,
            memory_mib=8192,
            disk_gib=40,
            cpu_info={"arch": "x86_64"},
            supported_instances=(("x86_64", "qemu", "hvm"),),
        )
        info = {"binary": "nova-compute", "host": "node1", "availability_zone": ""}
        await Registry(service.here).register({"info": info, "details": msgspec.to_builtins(inventory)})
        ids = self.ids["compute"]
        flavor = {"name": "tiny", "ram": 64, "vcpus": 1, "disk": 1}
        flavor_id = await self.created("compute", "flavor_id", "/v2.1/flavors", {"flavor": flavor})
        await self.made("compute", f"/v2.1/flavors/{flavor_id}/os-extra_specs", {"extra_specs": {"colour": "red"}})
        await self.made("compute", "/v2.1/os-keypairs", {"keypair": {"name": "key", "type": "x509"}})
        group = {"server_group": {"name": "group", "policy": "affinity"}}
        await self.created("compute", "group_id", "/v2.1/os-server-groups", group)
        await self.created("compute", "aggregate_id", "/v2.1/os-aggregates", {"aggregate": {"name": "shelf"}})
        image_id = self.ids["image"]["image_id"]
        server = {"name": "web", "flavorRef": flavor_id, "imageRef": image_id, "networks": "none", "tags": ["red"]}
        server_id = await self.created("compute", "server_id", "/v2.1/servers", {"server": server})
        await self.activate(service)
        actions = await self.clients["compute"].get(f"/v2.1/servers/{server_id}/os-instance-actions", headers=VERSIONS)
        services = await self.clients["compute"].get("/v2.1/os-services", headers=VERSIONS)
        service_id = services.json()["services"][0]["id"]
        ids |= {
            "request_id": actions.json()["instanceActions"][0]["request_id"],
            "service_id": service_id,
            "hypervisor_id": service_id,
            "port_id": self.ids["network"]["port_id"],
            "key": "colour",
            "name": "key",
            "label": "lan",
            "tag": "red",
            "class_name": "default",
            "project_id": self.project_id,
            "user_id": user_id,
            "network_id": self.ids["network"]["network_id"],
        }

    async def fill_block_storage(self) -> None:
        service, ids = self.cloud.services["block_storage"], self.ids["block-storage"]
        pool = PoolStats(
            pool_name="file",
            volume_backend_name="file",
            storage_protocol="file",
            total_capacity_gb=10.0,
            free_capacity_gb=10.0,
        )
        details = {"host": "node1@file", "pools": [msgspec.to_builtins(pool)]}
        info = {"binary": "cinder-volume", "host": "node1@file", "availability_zone": ""}
        await VolumeRegistry(service).register({"info": info, "details": details})
        fields = {"name": "data", "size": 1, "metadata": {"colour": "red"}}
        volume_id = await self.created("block-storage", "volume_id", "/v3/volumes", {"volume": fields})
        volumes, tasks = block_storage_tables.volumes, block_storage_tables.tasks.tasks

        async def settle(table: Any) -> None:
            """Puts the things there are where the ends of their tasks would have put them: no task runs here."""
            async with service.database.transaction() as tx:
                await tx.execute(table.update().values(status="available"))
                await tx.execute(tasks.update().values(outcome="done", active_subject=None))

        await settle(volumes)
        snapshot = {"volume_id": volume_id, "metadata": {"colour": "red"}}
        await self.created("block-storage", "snapshot_id", "/v3/snapshots", {"snapshot": snapshot})
        await settle(block_storage_tables.snapshots)
        kind = {"name": "gold", "extra_specs": {"colour": "red"}, "os-volume-type-access:is_public": False}
        await self.created("block-storage", "type_id", "/v3/types", {"volume_type": kind})
        held = await self.made("block-storage", "/v3/volumes", {"volume": {"size": 1}})
        await settle(volumes)
        offered = await self.made("block-storage", "/v3/volumes", {"volume": {"size": 1}})
        await settle(volumes)
        transfer = {"volume_id": offered["volume"]["id"]}
        await self.created("block-storage", "transfer_id", "/v3/volume-transfers", {"transfer": transfer})
        await self.created("block-storage", "qos_specs_id", "/v3/qos-specs", {"qos_specs": {"name": "slow"}})
        backup = {"volume_id": volume_id, "metadata": {"colour": "red"}}
        await self.created("block-storage", "backup_id", "/v3/backups", {"backup": backup})
        await settle(volumes)
        await settle(block_storage_tables.backups)
        attachment = {"volume_uuid": held["volume"]["id"], "instance_uuid": CONSUMER}
        await self.created("block-storage", "attachment_id", "/v3/attachments", {"attachment": attachment})
        async with service.database.transaction() as tx:
            new = messages.NewMessage(
                project_id=self.project_id,
                request_id="req-1",
                event=("008", "012"),
                resource_type="VOLUME",
                resource_id=volume_id,
                text="The disk is on fire.",
            )
            await messages.write(tx, new, service.clock.now())
        listed = await self.clients["block-storage"].get("/v3/messages", headers=VERSIONS)
        ids |= {
            "message_id": listed.json()["messages"][0]["id"],
            "key": "colour",
            "project_id": self.project_id,
            "class_name": "default",
            "alias": "x",
            "volume_uuid": volume_id,
            "new_type": "gold",
            "host": "node1@file",
        }

    async def activate(self, service: Region) -> None:
        """Puts the one server where the end of its build would have put it: no task runs here."""
        servers, tasks = compute_tables.servers, compute_tables.tasks.tasks
        async with service.database.transaction() as tx:
            await tx.execute(servers.update().values(vm_state="active", power_state=1, host="node1"))
            await tx.execute(tasks.update().values(outcome="done", active_subject=None))
