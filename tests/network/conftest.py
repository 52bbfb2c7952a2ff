"""The network service in process, for its API's stories."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from kilonova.kit.testing import asgi_client
from kilonova.network import parts
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.copy import Copy
from kilonova.network.agent.drivers.fake import FakeDriver
from kilonova.network.client import NetworkClient
from kilonova.network.registry import Registry
from kilonova.network.service import NetworkService
from kilonova.network.wanted import WantedState
from tests.worlds import network


@dataclass
class Networking:
    identity: Any
    app: Any
    service: NetworkService
    registry: Registry
    admin: Any
    demo: Any
    other: Any
    reader: Any
    body_of: Any

    async def create(self, plural: str, fields: dict[str, Any], *, by: str = "demo", status: int = 201) -> Any:
        """POSTs a resource as `by` and returns it (or the error when `status` says so)."""
        singular = plural[:-1].replace("-", "_")
        response = await getattr(self, by).post(f"/v2.0/{plural}", json={singular: fields})
        body = self.body_of(response, status)
        return body[singular] if status == 201 else body["NeutronError"]

    def client(self, service_user: str = "nova") -> NetworkClient:
        """The service as another service calls it."""
        return NetworkClient(self.identity.remote("network", self.app, service_user))

    async def lan(self, cidr: str = "10.0.0.0/24", **fields: Any) -> tuple[Any, Any]:
        """A network of demo with one subnet."""
        network = await self.create("networks", {"name": "lan"})
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": cidr, **fields}
        return network, await self.create("subnets", subnet)

    async def outside(self) -> tuple[Any, Any]:
        """An external network of the administrator's, with one subnet."""
        fields = {
            "name": "provider",
            "shared": True,
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "provider",
        }
        network = await self.create("networks", fields, by="admin")
        subnet = {
            "network_id": network["id"],
            "ip_version": 4,
            "cidr": "172.24.4.0/24",
            "gateway_ip": "172.24.4.1",
            "enable_dhcp": False,
            "allocation_pools": [{"start": "172.24.4.10", "end": "172.24.4.20"}],
        }
        return network, await self.create("subnets", subnet, by="admin")

    async def told(self, host: str = "node1") -> WantedState:
        """Everything that a host is told."""
        copy = Copy(self.service.bus, host, parts.ALL)
        assert await copy.catch_up(), f"{host} is not registered"
        return copy.state.document()

    async def agent(self, host: str = "node1") -> tuple[NetworkAgent, FakeDriver]:
        """A registered agent on a simulated host; `agent.agent.pass_once()` is one pass."""
        driver = FakeDriver()
        agent = NetworkAgent(
            driver, self.service.bus, host=host, configurations={"bridge_mappings": {"provider": "br"}}
        )
        await agent.agent.register()
        return agent, driver


@pytest.fixture(scope="session")
def tokens() -> dict[str, str]:
    """User → token. Every test's identity service is a copy of one, keys included, so what one issued all accept."""
    return {}


@pytest.fixture
async def net(identity: Any, body_of: Any, tokens: dict[str, str]) -> AsyncIterator[Networking]:
    await identity.cloud.add(network.SERVER)
    service, app = identity.cloud.services["network"], identity.cloud.apps["network"]
    # Events are told to nobody, unless a test says to whom.
    service.compute = None
    clients = {}
    for user in ("admin", "demo", "other", "reader"):
        if user not in tokens:
            tokens[user] = await identity.token(user)
        clients[user] = asgi_client(app)
        clients[user].headers["x-auth-token"] = tokens[user]
    yield Networking(identity, app, service, identity.cloud.services["network registry"], body_of=body_of, **clients)
