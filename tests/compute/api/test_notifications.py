"""What listeners are told of flavors, key pairs, server groups, aggregates and the services of hosts."""

import json
from typing import Any

import pytest

from kilonova.compute.notifications.notifier import Notifier

ADMIN = {"by": "admin"}


class Heard:
    def __init__(self, nova: Any) -> None:
        self.sent: list[Any] = []
        self.notifier = Notifier(self, host="controller")
        self.notifier.region = nova.service
        self.notifier.follow(nova.service.database)

    async def publish(self, topic: str, body: bytes) -> None:
        assert topic == "versioned_notifications.info"
        self.sent.append(json.loads(json.loads(body)["oslo.message"]))

    async def close(self) -> None:
        pass

    async def take(self) -> list[Any]:
        await self.notifier.drain()
        taken, self.sent = self.sent, []
        return taken

    async def one(self, event_type: str) -> Any:
        """The data of the only message, which tells of that."""
        (message,) = await self.take()
        assert message["event_type"] == event_type
        return message["payload"]["nova_object.data"]

    async def both(self, event_type: str) -> Any:
        """The data of the last of two messages, which tell of a start and an end."""
        start, end = await self.take()
        assert [start["event_type"], end["event_type"]] == [f"{event_type}.start", f"{event_type}.end"]
        assert start["payload"] == end["payload"]
        return end["payload"]["nova_object.data"]


@pytest.fixture
def heard(nova: Any) -> Heard:
    return Heard(nova)


async def test_flavors(nova: Any, heard: Heard) -> None:
    flavor = await nova.flavor("m1.small", swap=64)
    created = await heard.one("flavor.create")
    assert (created["flavorid"], created["memory_mb"], created["swap"]) == (flavor["id"], 512, 64)
    specs = {"extra_specs": {"hw:cpu_policy": "shared"}}
    await nova.call("POST", f"/flavors/{flavor['id']}/os-extra_specs", json=specs, **ADMIN)
    assert (await heard.one("flavor.update"))["extra_specs"] == specs["extra_specs"]
    await nova.call("DELETE", f"/flavors/{flavor['id']}", 202, **ADMIN)
    assert (await heard.one("flavor.delete"))["name"] == "m1.small"


async def test_what_was_refused_is_not_told(nova: Any, heard: Heard) -> None:
    await nova.flavor("m1.small", id="7")
    await heard.take()
    new = {"flavor": {"name": "m1.small", "ram": 512, "vcpus": 1, "disk": 1}}
    await nova.refused("POST", "/flavors", 409, json=new, **ADMIN)
    assert await heard.take() == []


async def test_key_pairs(nova: Any, heard: Heard) -> None:
    made = await nova.call("POST", "/os-keypairs", 201, version="2.91", json={"keypair": {"name": "made"}})
    created = await heard.both("keypair.create")
    assert (created["name"], created["fingerprint"]) == ("made", made["keypair"]["fingerprint"])
    brought = {"name": "brought", "type": "ssh", "public_key": made["keypair"]["public_key"]}
    await nova.call("POST", "/os-keypairs", 201, json={"keypair": brought})
    assert (await heard.both("keypair.import"))["name"] == "brought"
    await nova.call("DELETE", "/os-keypairs/made", 204)
    assert (await heard.both("keypair.delete"))["public_key"] == made["keypair"]["public_key"]


async def test_server_groups(nova: Any, heard: Heard) -> None:
    new = {"name": "apart", "policy": "anti-affinity", "rules": {"max_server_per_host": 3}}
    group = (await nova.call("POST", "/os-server-groups", json={"server_group": new}))["server_group"]
    created = await heard.one("server_group.create")
    assert (created["uuid"], created["policies"]) == (group["id"], ["anti-affinity"])
    assert created["rules"] == {"max_server_per_host": "3"}
    await nova.call("DELETE", f"/os-server-groups/{group['id']}", 204)
    assert (await heard.one("server_group.delete"))["uuid"] == group["id"]


async def test_servers_that_join_a_group(nova: Any, heard: Heard) -> None:
    await nova.register_host()
    new = {"name": "apart", "policy": "anti-affinity"}
    group = (await nova.call("POST", "/os-server-groups", json={"server_group": new}))["server_group"]
    await nova.flavor(id="1")
    server = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none"}
    grouped = {"server": server, "os:scheduler_hints": {"group": group["id"]}}
    await heard.take()
    made = []
    for _ in range(2):
        made.append((await nova.call("POST", "/servers", 202, json=grouped))["server"]["id"])
        (joined,) = [each for each in await heard.take() if each["event_type"] == "server_group.add_member"]
        told = joined["payload"]["nova_object.data"]
        assert (told["uuid"], told["members"]) == (group["id"], made)
    await nova.call("POST", "/servers", 202, json={"server": server})
    assert "server_group.add_member" not in [each["event_type"] for each in await heard.take()]


async def test_aggregates(nova: Any, heard: Heard) -> None:
    await nova.register_host()
    await heard.take()
    made = await nova.call("POST", "/os-aggregates", json={"aggregate": {"name": "fast"}}, **ADMIN)
    url = f"/os-aggregates/{made['aggregate']['id']}"
    assert (await heard.both("aggregate.create"))["uuid"] == made["aggregate"]["uuid"]
    await nova.call("POST", f"{url}/action", json={"add_host": {"host": "node1"}}, **ADMIN)
    assert (await heard.both("aggregate.add_host"))["hosts"] == ["node1"]
    await nova.call("POST", f"{url}/action", json={"set_metadata": {"metadata": {"ssd": "true"}}}, **ADMIN)
    assert (await heard.both("aggregate.update_metadata"))["metadata"] == {"ssd": "true"}
    await nova.call("PUT", url, json={"aggregate": {"name": "faster"}}, **ADMIN)
    assert (await heard.both("aggregate.update_prop"))["name"] == "faster"
    await nova.call("POST", f"{url}/action", json={"remove_host": {"host": "node1"}}, **ADMIN)
    assert (await heard.both("aggregate.remove_host"))["hosts"] == []
    await nova.call("DELETE", url, **ADMIN)
    assert (await heard.both("aggregate.delete"))["name"] == "faster"


async def test_services(nova: Any, heard: Heard) -> None:
    await nova.register_host()
    (created,) = await heard.take()
    assert (created["event_type"], created["publisher_id"]) == ("service.create", "nova-compute:node1")
    await nova.register_host()
    assert await heard.take() == []
    services = (await nova.call("GET", "/os-services?binary=nova-compute", **ADMIN))["services"]
    url = f"/os-services/{services[0]['id']}"
    await nova.call("PUT", url, json={"status": "disabled", "disabled_reason": "repairs"}, **ADMIN)
    updated = await heard.one("service.update")
    assert (updated["disabled"], updated["disabled_reason"]) == (True, "repairs")
    await nova.call("DELETE", url, 204, **ADMIN)
    assert (await heard.take())[-1]["event_type"] == "service.delete"
