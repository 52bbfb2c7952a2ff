"""A port's bindings as stories: one is ACTIVE, and other hosts may get ready for the port."""

from collections.abc import Callable
from typing import Any

import pytest

from kilonova.network import bindings, ports
from kilonova.network.errors import (
    InvalidInput,
    PortBindingAlreadyActive,
    PortBindingAlreadyExists,
    PortBindingError,
    PortBindingNotFound,
    RevisionNumberConstraintFailed,
)
from kilonova.network.tables import Port, PortBinding

GUEST = {"device_owner": "compute:nova", "device_id": "server"}


class Guest:
    """A guest's port, with agents on the two hosts it may be on."""

    def __init__(self, net: Any, body_of: Any) -> None:
        self.net, self.body_of = net, body_of
        self.agents: dict[str, Any] = {}
        self.network: Any = None
        self.id = ""

    async def begin(self) -> None:
        for host in ("node1", "node2"):
            self.agents[host] = (await self.net.agent(host))[0]
        self.network, _ = await self.net.lan(enable_dhcp=False)
        fields = {"network_id": self.network["id"], "project_id": self.network["project_id"], **GUEST}
        self.id = (await self.net.create("ports", {**fields, "binding:host_id": "node1"}, by="admin"))["id"]
        await self.look()

    async def look(self) -> None:
        for agent in self.agents.values():
            await agent.agent.pass_once()

    async def do(self, deed: Callable[..., Any], host: str, port: Port | None = None, **more: Any) -> Any:
        async with self.net.service.database.transaction() as tx:
            return await deed(tx, self.net.service, port or await ports.find(tx, self.id), host, **more)

    async def read(self) -> Port:
        async with self.net.service.database.reading() as tx:
            return await ports.find(tx, self.id)

    async def bindings(self) -> list[PortBinding]:
        async with self.net.service.database.reading() as tx:
            return await bindings.of_port(tx, self.id)

    async def shown(self) -> Any:
        return self.body_of(await self.net.admin.get(f"/v2.0/ports/{self.id}"))["port"]

    async def put(self, **fields: Any) -> None:
        changed = {name.replace("binding_", "binding:"): value for name, value in fields.items()}
        self.body_of(await self.net.admin.put(f"/v2.0/ports/{self.id}", json={"port": changed}))

    async def told(self, host: str) -> list[str]:
        return [each.id for each in (await self.net.told(host)).ports]


@pytest.fixture
async def guest(net: Any, body_of: Any) -> Guest:
    made = Guest(net, body_of)
    await made.begin()
    return made


async def test_a_new_port_has_one_binding(guest: Guest, net: Any) -> None:
    bridge = f"brq{guest.network['id'][:11]}"
    details = {"connectivity": "l2", "port_filter": True, "bridge_name": bridge}
    assert await guest.bindings() == [PortBinding(guest.id, "node1", "ACTIVE", "bridge", details, "normal", {})]
    made = await net.create("ports", {"network_id": guest.network["id"]})
    async with net.service.database.reading() as tx:
        assert await bindings.of_port(tx, made["id"]) == [
            PortBinding(made["id"], "", "ACTIVE", "unbound", {}, "normal", {})
        ]


async def test_a_host_with_an_inactive_binding_gets_ready(guest: Guest) -> None:
    assert await guest.told("node2") == []
    made = await guest.do(bindings.add, "node2", profile={"migrating_to": "node2"})
    assert (made.status, made.vif_type, made.profile) == ("INACTIVE", "bridge", {"migrating_to": "node2"})
    for host in ("node1", "node2"):
        told = await guest.net.told(host)
        assert [each.id for each in told.ports] == [guest.id]
        assert [each.id for each in told.networks] == [guest.network["id"]]
        assert [each.id for each in told.security_groups] == list(told.ports[0].security_group_ids) != []
    await guest.look()
    shown = await guest.shown()
    assert (shown["binding:host_id"], shown["binding:profile"], shown["status"]) == ("node1", {}, "ACTIVE")


async def test_what_an_inactive_host_says_is_not_the_port_s_status(guest: Guest) -> None:
    await guest.put(admin_state_up=False)
    await guest.look()
    await guest.do(bindings.add, "node2")
    del guest.agents["node1"]
    await guest.put(admin_state_up=True)
    await guest.look()
    assert (await guest.shown())["status"] == "DOWN"


async def test_both_hosts_hear_of_a_change_and_of_the_end(guest: Guest) -> None:
    await guest.do(bindings.add, "node2")
    await guest.put(allowed_address_pairs=[{"ip_address": "192.0.2.7"}])
    for host in ("node1", "node2"):
        (port,) = (await guest.net.told(host)).ports
        assert [each.ip_address for each in port.allowed_address_pairs] == ["192.0.2.7"]
    assert (await guest.net.admin.delete(f"/v2.0/ports/{guest.id}")).status_code == 204
    assert [await guest.told(host) for host in ("node1", "node2")] == [[], []]
    assert await guest.bindings() == []


async def test_both_hosts_know_a_port_that_moves_until_it_is_on_one_again(guest: Guest) -> None:
    async def moving() -> list[bool]:
        copies = [agent._copy.state.document() for agent in guest.agents.values()]
        return [port.is_moving for copy in copies for port in copy.ports]

    await guest.look()
    assert await moving() == [False]
    await guest.do(bindings.add, "node2")
    await guest.look()
    assert await moving() == [True, True]
    await guest.do(bindings.activate, "node2")
    await guest.look()
    assert await moving() == [True, True]
    await guest.do(bindings.remove, "node1")
    await guest.look()
    assert await moving() == [False]


async def test_activating_turns_the_bindings_round_until_the_new_host_says_that_it_is_up(guest: Guest) -> None:
    await guest.do(bindings.add, "node2")
    await guest.look()
    await guest.do(bindings.activate, "node2")
    assert [(each.host, each.status) for each in await guest.bindings()] == [("node2", "ACTIVE"), ("node1", "INACTIVE")]
    shown = await guest.shown()
    assert (shown["binding:host_id"], shown["binding:vif_type"], shown["status"]) == ("node2", "bridge", "DOWN")
    await guest.agents["node1"].agent.pass_once()
    assert (await guest.shown())["status"] == "DOWN"
    await guest.agents["node2"].agent.pass_once()
    assert (await guest.shown())["status"] == "ACTIVE"
    await guest.do(bindings.remove, "node1")
    assert [await guest.told(host) for host in ("node1", "node2")] == [[], [guest.id]]


async def test_removing_an_inactive_binding_leaves_the_port_where_it_is(guest: Guest) -> None:
    await guest.do(bindings.add, "node2")
    await guest.do(bindings.remove, "node2")
    assert [await guest.told(host) for host in ("node1", "node2")] == [[guest.id], []]
    assert (await guest.net.told("node2")).networks == ()
    assert (await guest.shown())["status"] == "ACTIVE"


async def test_who_has_read_other_bindings_activates_none(guest: Guest) -> None:
    await guest.net.agent("node3")
    for host in ("node2", "node3"):
        await guest.do(bindings.add, host)
    stale = await guest.read()
    await guest.do(bindings.activate, "node2")
    for deed, host in ((bindings.activate, "node3"), (bindings.remove, "node3")):
        with pytest.raises(RevisionNumberConstraintFailed):
            await guest.do(deed, host, stale)
    found = {each.host: each.status for each in await guest.bindings()}
    assert found == {"node1": "INACTIVE", "node2": "ACTIVE", "node3": "INACTIVE"}


async def test_bindings_that_cannot_be_are_refused(guest: Guest, net: Any) -> None:
    await guest.do(bindings.add, "node2")
    for deed, host, fault in (
        (bindings.add, "node1", PortBindingAlreadyExists),
        (bindings.add, "node2", PortBindingAlreadyExists),
        (bindings.add, "nowhere", PortBindingError),
        (bindings.activate, "node1", PortBindingAlreadyActive),
        (bindings.activate, "nowhere", PortBindingNotFound),
        (bindings.remove, "node1", PortBindingAlreadyActive),
        (bindings.remove, "nowhere", PortBindingNotFound),
    ):
        before = await guest.bindings(), await guest.read()
        with pytest.raises(fault):
            await guest.do(deed, host)
        assert (await guest.bindings(), await guest.read()) == before
    guest.id = (await net.create("ports", {"network_id": guest.network["id"]}))["id"]
    with pytest.raises(InvalidInput, match="can have no other binding"):
        await guest.do(bindings.add, "node2")


@pytest.mark.parametrize(("host", "left"), [("node2", ["node2", "node3"]), ("node4", ["node4", "node2", "node3"])])
async def test_a_port_that_is_given_another_host_is_bound_there_once(guest: Guest, host: str, left: list[str]) -> None:
    await guest.net.agent("node3")
    for each in ("node2", "node3"):
        await guest.do(bindings.add, each)
    await guest.put(binding_host_id=host)
    assert [each.host for each in await guest.bindings()] == left
    assert (await guest.shown())["binding:host_id"] == host
    assert await guest.told("node1") == []


async def test_a_port_that_leaves_its_host_is_waited_for_nowhere(guest: Guest) -> None:
    await guest.do(bindings.add, "node2")
    await guest.put(device_id="")
    assert [(each.host, each.vif_type) for each in await guest.bindings()] == [("", "unbound")]
    assert [await guest.told(host) for host in ("node1", "node2")] == [[], []]


async def test_a_list_has_a_port_once_and_by_its_active_host(guest: Guest, body_of: Any) -> None:
    await guest.do(bindings.add, "node2")
    other = await guest.net.create("ports", {"network_id": guest.network["id"], "binding:host_id": "a"}, by="admin")
    for query, ids in (
        ("", [guest.id, other["id"]]),
        ("?binding:host_id=node1", [guest.id]),
        ("?binding:host_id=node2", []),
        ("?sort_key=binding:host_id", [other["id"], guest.id]),
        ("?binding:vnic_type=normal", [guest.id, other["id"]]),
        (f"?sort_key=binding:host_id&marker={other['id']}", [guest.id]),
    ):
        assert [each["id"] for each in body_of(await guest.net.admin.get(f"/v2.0/ports{query}"))["ports"]] == ids


async def test_ports_are_bound_again_when_their_host_s_agents_are_others(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    bound = {"network_id": outside["id"], "binding:host_id": "node1", **GUEST}
    port = await net.create("ports", bound, by="admin")

    async def shown() -> tuple[str, str | None]:
        now = body_of(await net.admin.get(f"/v2.0/ports/{port['id']}"))["port"]
        return now["binding:vif_type"], now["binding:vif_details"].get("bridge_name")

    assert await shown() == ("binding_failed", None)
    await net.agent("node1")
    assert await shown() == ("bridge", "br")
    info = {"binary": "neutron-linuxbridge-agent", "host": "node1", "configurations": {"bridge_mappings": {}}}
    await net.registry.register({"info": info})
    assert await shown() == ("bridge", f"brq{outside['id'][:11]}")
    for each in body_of(await net.admin.get("/v2.0/agents"))["agents"]:
        if each["agent_type"] == "Linux bridge agent":
            body_of(await net.admin.delete(f"/v2.0/agents/{each['id']}"), 204)
    assert await shown() == ("binding_failed", None)


async def test_administrators_add_activate_and_delete_bindings(guest: Guest, net: Any, body_of: Any) -> None:
    url = f"/v2.0/ports/{guest.id}/bindings"
    assert [each["host"] for each in body_of(await net.admin.get(url))["bindings"]] == ["node1"]
    made = await net.admin.post(url, json={"binding": {"host": "node2", "profile": {"migrating_to": "node2"}}})
    assert made.status_code == 201
    binding = made.json()["binding"]
    assert (binding["host"], binding["status"], binding["vif_type"]) == ("node2", "INACTIVE", "bridge")
    assert binding["profile"] == {"migrating_to": "node2"}

    activated = await net.admin.put(f"{url}/node2/activate")
    assert activated.status_code == 200
    assert activated.json()["binding"]["status"] == "ACTIVE"
    assert (await guest.shown())["binding:host_id"] == "node2"
    assert (await net.admin.delete(f"{url}/node1")).status_code == 204
    listed = body_of(await net.admin.get(url))["bindings"]
    assert [(each["host"], each["status"]) for each in listed] == [("node2", "ACTIVE")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("POST", "", {"host": "node1"}, 409, "already exists"),
        ("POST", "", {"host": "nowhere"}, 409, "no network agent"),
        ("POST", "", {"host": ""}, 400, "host"),
        ("POST", "", {"host": "x" * 256}, 400, "host"),
        ("POST", "", {"host": "node2", "vnic_type": "direct"}, 400, "vnic_type"),
        ("POST", "", {"host": "node2", "profile": []}, 400, "profile"),
        ("POST", "", {"host": "node2", "colour": "red"}, 400, "colour"),
        ("PUT", "/node1/activate", None, 409, "already active"),
        ("PUT", "/nowhere/activate", None, 404, "nowhere"),
        ("DELETE", "/node1", None, 409, "already active"),
        ("DELETE", "/nowhere", None, 404, "nowhere"),
    ],
)
async def test_what_is_refused_by_the_api_changes_nothing(
    guest: Guest, net: Any, method: str, path: str, body: Any, status: int, told: str
) -> None:
    before = await guest.bindings()
    sent = {"json": {"binding": body}} if body is not None else {}
    answer = await net.admin.request(method, f"/v2.0/ports/{guest.id}/bindings{path}", **sent)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["NeutronError"]["message"]
    assert await guest.bindings() == before


async def test_bindings_are_for_administrators(guest: Guest, net: Any) -> None:
    url = f"/v2.0/ports/{guest.id}/bindings"
    assert (await net.demo.get(url)).status_code == 403
    assert (await net.other.get(url)).status_code == 404
    assert (await net.demo.post(url, json={"binding": {"host": "node2"}})).status_code == 403
