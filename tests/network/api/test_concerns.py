"""A host is told of what concerns it and of nothing else, and what it has is always what it should look like."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kilonova.network import compilation, concerns, records
from kilonova.network import registry as registry_module
from kilonova.network.agent import agent as agent_module
from kilonova.network.registry import News
from kilonova.network.wanted import ConvergeReport, WantedState

HOSTS = ("node1", "node2", "node3")
STEPS = 30


class Tenant:
    """Makes, changes and deletes what a project may have, at random, and remembers what there is."""

    def __init__(self, net: Any, dice: random.Random) -> None:
        self.net, self.dice = net, dice
        self.there: dict[str, list[Any]] = {each: [] for each in ("networks", "ports", "groups", "routers", "floating")}

    async def step(self) -> str:
        """One thing that is done; returns its name."""
        deed = self.dice.choice(DEEDS)
        await deed(self)
        return deed.__name__

    def one(self, kind: str) -> Any:
        return self.dice.choice(self.there[kind]) if self.there[kind] else None

    async def put(self, path: str, body: Any) -> None:
        answer = await self.net.admin.put(f"/v2.0/{path}", json=body)
        assert answer.status_code in (200, 400, 404, 409), answer.text

    async def delete(self, kind: str, path: str) -> None:
        gone = self.one(kind)
        if gone is not None and (await self.net.admin.delete(f"/v2.0/{path}/{gone['id']}")).status_code == 204:
            self.there[kind].remove(gone)


async def make_network(tenant: Tenant) -> None:
    number = tenant.dice.randrange(200)
    network, subnet = await tenant.net.lan(cidr=f"10.{number}.0.0/24", enable_dhcp=tenant.dice.random() < 0.8)
    tenant.there["networks"].append({**network, "subnet": subnet})


async def make_port(tenant: Tenant) -> None:
    if (network := tenant.one("networks")) is None:
        return
    group = tenant.one("groups")
    binding = {"device_owner": "compute:nova", "device_id": "server", "binding:host_id": tenant.dice.choice(HOSTS)}
    fields = {"network_id": network["id"], "project_id": network["project_id"], **binding}
    if group is not None:
        fields["security_groups"] = [group["id"]]
    if tenant.dice.random() < 0.3:
        fields["allowed_address_pairs"] = [{"ip_address": f"192.0.2.{tenant.dice.randrange(250)}"}]
    tenant.there["ports"].append(await tenant.net.create("ports", fields, by="admin"))


async def change_port(tenant: Tenant) -> None:
    port, group = tenant.one("ports"), tenant.one("groups")
    if port is None:
        return
    changes: list[dict[str, Any]] = [
        {"admin_state_up": tenant.dice.random() < 0.5},
        {"binding:host_id": tenant.dice.choice((*HOSTS, ""))},
        {"security_groups": [group["id"]] if group else []},
        {"allowed_address_pairs": [{"ip_address": f"198.51.100.{tenant.dice.randrange(250)}"}]},
        {"fixed_ips": []},
        {"dns_name": tenant.dice.choice(("web", "db"))},
    ]
    await tenant.put(f"ports/{port['id']}", {"port": tenant.dice.choice(changes)})


async def change_network(tenant: Tenant) -> None:
    if (network := tenant.one("networks")) is None:
        return
    await tenant.put(f"networks/{network['id']}", {"network": {"mtu": tenant.dice.randrange(1300, 1450)}})


async def change_subnet(tenant: Tenant) -> None:
    if (network := tenant.one("networks")) is None:
        return
    changes: list[dict[str, Any]] = [
        {"enable_dhcp": tenant.dice.random() < 0.5},
        {"dns_nameservers": [f"203.0.113.{tenant.dice.randrange(250)}"]},
        {"host_routes": [{"destination": "192.0.2.0/24", "nexthop": network["subnet"]["gateway_ip"]}]},
    ]
    await tenant.put(f"subnets/{network['subnet']['id']}", {"subnet": tenant.dice.choice(changes)})


async def make_group(tenant: Tenant) -> None:
    group = await tenant.net.create("security-groups", {"name": "g"})
    tenant.there["groups"].append(group)


async def make_rule(tenant: Tenant) -> None:
    group, other = tenant.one("groups"), tenant.one("groups")
    if group is None:
        return
    port = tenant.dice.randrange(1, 60000)
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp", "port_range_min": port}
    remote = {"remote_group_id": other["id"]} if tenant.dice.random() < 0.5 else {}
    await tenant.net.create("security-group-rules", {**rule, "port_range_max": port, **remote})


async def make_router(tenant: Tenant) -> None:
    tenant.there["routers"].append(await tenant.net.create("routers", {}))


async def change_router(tenant: Tenant) -> None:
    if (router := tenant.one("routers")) is None:
        return
    outside = tenant.there["networks"][0]["outside"]
    network = tenant.one("networks")
    changes: list[tuple[str, dict[str, Any]]] = [
        (f"routers/{router['id']}", {"router": {"admin_state_up": tenant.dice.random() < 0.5}}),
        (f"routers/{router['id']}", {"router": {"external_gateway_info": {"network_id": outside}}}),
        (f"routers/{router['id']}/add_router_interface", {"subnet_id": network["subnet"]["id"]}),
        (f"routers/{router['id']}/add_router_interface", {"subnet_id": network["subnet"]["id"]}),
        (f"routers/{router['id']}/remove_router_interface", {"subnet_id": network["subnet"]["id"]}),
    ]
    await tenant.put(*tenant.dice.choice(changes))


async def make_floating_ip(tenant: Tenant) -> None:
    outside = tenant.there["networks"][0]["outside"]
    port = tenant.one("ports")
    fields = {"floating_network_id": outside, "port_id": port["id"] if port else None}
    answer = await tenant.net.admin.post("/v2.0/floatingips", json={"floatingip": fields})
    if answer.status_code == 201:
        tenant.there["floating"].append(answer.json()["floatingip"])


async def change_floating_ip(tenant: Tenant) -> None:
    floating, port = tenant.one("floating"), tenant.one("ports")
    if floating is not None:
        wanted = port["id"] if port and tenant.dice.random() < 0.5 else None
        await tenant.put(f"floatingips/{floating['id']}", {"floatingip": {"port_id": wanted}})


async def move_carried(tenant: Tenant) -> None:
    """A router, or a network's DHCP, from whoever has it to another host."""
    what, kind = tenant.dice.choice((("l3-routers", "routers"), ("dhcp-networks", "networks")))
    if (moved := tenant.one(kind)) is None:
        return
    agents = (await tenant.net.admin.get("/v2.0/agents")).json()["agents"]
    able = [each["id"] for each in agents if each["agent_type"].startswith(what[:2].upper())]
    for agent_id in able:
        await tenant.net.admin.delete(f"/v2.0/agents/{agent_id}/{what}/{moved['id']}")
    body = {"router_id" if kind == "routers" else "network_id": moved["id"]}
    given = await tenant.net.admin.post(f"/v2.0/agents/{tenant.dice.choice(able)}/{what}", json=body)
    assert given.status_code == 201, given.text


async def register_anew(tenant: Tenant) -> None:
    """A host's agent tells of another underlay address, or is taken from the list and comes back."""
    host = tenant.dice.choice(HOSTS)
    if tenant.dice.random() < 0.3:
        for each in (await tenant.net.admin.get("/v2.0/agents")).json()["agents"]:
            if each["host"] == host:
                await tenant.net.admin.delete(f"/v2.0/agents/{each['id']}")
        answer = await tenant.net.registry.wanted({"host": host, "since": -1})
        assert answer == {"known": False, "wanted": None}
    await register(tenant.net, host, f"10.9.{tenant.dice.randrange(250)}.{HOSTS.index(host) + 1}")


async def delete_something(tenant: Tenant) -> None:
    plurals = {"ports": "ports", "groups": "security-groups", "routers": "routers", "floating": "floatingips"}
    kind = tenant.dice.choice(list(plurals))
    await tenant.delete(kind, plurals[kind])


async def begin(tenant: Tenant, outside: str) -> None:
    """Something of everything, connected: most of what follows then changes something that some host has."""
    for deed in (make_network, make_network, make_group, make_router):
        await deed(tenant)
    router = tenant.there["routers"][0]["id"]
    await tenant.put(f"routers/{router}", {"router": {"external_gateway_info": {"network_id": outside}}})
    for network in tenant.there["networks"][1:]:
        await tenant.put(f"routers/{router}/add_router_interface", {"subnet_id": network["subnet"]["id"]})
    for deed in (make_port, make_port, make_port, make_rule, make_floating_ip, make_floating_ip):
        await deed(tenant)


DEEDS: list[Callable[[Tenant], Awaitable[None]]] = [
    *(make_network, make_group, make_router),
    *(make_port, make_port, make_port, change_port, change_port),
    *(change_network, change_subnet, make_rule, make_rule),
    *(
        change_router,
        change_router,
        make_floating_ip,
        change_floating_ip,
        delete_something,
        move_carried,
        register_anew,
    ),
]


async def register(net: Any, host: str, address: str) -> None:
    told = {"tunneling_ip": address, "l2_population": True, "bridge_mappings": {"provider": "br"}}
    info = {"binary": "neutron-linuxbridge-agent", "host": host, "configurations": told}
    await net.registry.register({"info": info})
    net.service.liveness.heard("neutron-linuxbridge-agent", host)


async def look(net: Any, documents: dict[str, WantedState]) -> int:
    """Every host asks as its agent would; returns how many were told something."""
    told = 0
    for host in HOSTS:
        since = documents[host].revision if host in documents else -1
        answer = await net.registry.wanted({"host": host, "since": since})
        if answer["wanted"] is not None:
            documents[host] = msgspec.convert(answer["wanted"], WantedState)
            told += 1
    return told


async def compiled(net: Any, host: str) -> WantedState:
    async with net.service.database.reading() as tx:
        revision = await records.current_revision(tx)
        around = await compilation.surroundings(tx, revision, net.service.dns_domain)
        return await compilation.wanted_state(tx, host, around)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_changes_each_host_has_been_told(net: Any, seed: int) -> None:
    tenant, documents = Tenant(net, random.Random(seed)), dict[str, WantedState]()
    for number, host in enumerate(HOSTS, 1):
        await register(net, host, f"10.9.0.{number}")
    outside, subnet = await net.outside()
    tenant.there["networks"].append({**outside, "subnet": subnet, "outside": outside["id"]})
    await begin(tenant, outside["id"])
    for _ in range(STEPS):
        deed = await tenant.step()
        # What is taken by one host while it asks concerns the others the next time.
        await look(net, documents)
        await look(net, documents)
        for host in HOSTS:
            fresh = await compiled(net, host)
            assert msgspec.structs.replace(documents[host], revision=fresh.revision) == fresh, f"{deed}, {host}"
        assert await look(net, documents) == 0, f"somebody is told of nothing new after {deed}"


async def test_a_port_elsewhere_is_told_to_hosts_of_its_network_only(net: Any) -> None:
    for number, host in enumerate(HOSTS, 1):
        await register(net, host, f"10.9.0.{number}")
    documents: dict[str, WantedState] = {}
    mine, _ = await net.lan(enable_dhcp=False)
    other, _ = await net.lan(cidr="10.1.0.0/24", enable_dhcp=False)
    binding = {"device_owner": "compute:nova", "device_id": "server", "security_groups": []}
    await net.create("ports", {"network_id": mine["id"], "binding:host_id": "node1", **binding}, by="admin")
    await net.create("ports", {"network_id": other["id"], "binding:host_id": "node2", **binding}, by="admin")
    await look(net, documents)
    before = dict(documents)
    await net.create("ports", {"network_id": mine["id"], "binding:host_id": "node3", **binding}, by="admin")
    await look(net, documents)
    assert [host for host in HOSTS if documents[host] is not before[host]] == ["node1", "node3"]


async def test_a_port_that_moves_is_told_to_the_host_it_leaves_and_the_one_it_comes_to(net: Any, body_of: Any) -> None:
    for number, host in enumerate(HOSTS, 1):
        await register(net, host, f"10.9.0.{number}")
    documents: dict[str, WantedState] = {}
    network, _ = await net.lan(enable_dhcp=False)
    fields = {"network_id": network["id"], "binding:host_id": "node1", "security_groups": []}
    port = await net.create("ports", fields, by="admin")
    await look(net, documents)
    body_of(await net.admin.put(f"/v2.0/ports/{port['id']}", json={"port": {"binding:host_id": "node3"}}))
    await look(net, documents)
    assert [len(documents[host].ports) for host in HOSTS] == [0, 0, 1]


async def test_a_floating_ip_that_is_deleted_is_told_to_the_routers_host(net: Any, body_of: Any) -> None:
    await register(net, "node1", "10.9.0.1")
    (network, subnet), (outside, _) = await net.lan(), await net.outside()
    router = await net.create("routers", {"external_gateway_info": {"network_id": outside["id"]}})
    body_of(await net.demo.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]}))
    port = await net.create("ports", {"network_id": network["id"]})
    fields = {"floating_network_id": outside["id"], "port_id": port["id"]}
    floating = await net.create("floatingips", fields)
    answer = await net.registry.wanted({"host": "node1", "since": -1})
    document = msgspec.convert(answer["wanted"], WantedState)
    assert len(document.routers[0].floating_ips) == 1
    body_of(await net.demo.delete(f"/v2.0/floatingips/{floating['id']}"), 204)
    answer = await net.registry.wanted({"host": "node1", "since": document.revision})
    assert answer["wanted"]["routers"][0]["floating_ips"] == ()


async def test_who_has_not_looked_for_long_is_told_everything(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "CHANGES_KEPT", 2)
    news, late = News(), News()
    async with net.service.database.reading() as tx:
        start = await late.read(tx)
        assert await news.read(tx) == start
    for number in range(6):
        async with net.service.database.transaction() as tx:
            await records.raise_revision(tx, f"host:{number}", "everything")
        async with net.service.database.reading() as tx:
            await news.read(tx)
    assert news.since(start + 4) == {"host:4", "host:5", "everything"}
    assert news.is_long()
    async with net.service.database.transaction() as tx:
        await records.forget_changes(tx, news.forget())
    assert news.since(start) is None
    assert news.since(start + 4) == {"host:4", "host:5", "everything"}
    async with net.service.database.reading() as tx:
        await late.read(tx)
    assert late.since(start) is None, "what was forgotten meanwhile is not taken for nothing"


async def test_an_agent_looks_at_once_at_its_own_and_soon_at_what_many_hear(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "SOON_SECONDS", 0.05)
    network, _ = await net.lan(enable_dhcp=False)
    agent, driver = await net.agent()
    converge, seen = driver.converge, []

    async def counted(wanted: WantedState) -> ConvergeReport:
        seen.append(wanted)
        report: ConvergeReport = await converge(wanted)
        return report

    monkeypatch.setattr(driver, "converge", counted)
    binding = {"device_owner": "compute:nova", "device_id": "server"}
    await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1", **binding}, by="admin")
    work = asyncio.create_task(agent.run())
    try:
        await until(lambda: len(driver.wanted.ports) == 1)
        await asyncio.sleep(0.1)
        passes = len(seen)
        await net.service.bus.publish("network.agents.wake", {"concerned": [concerns.host("node2")]})
        await asyncio.sleep(0.1)
        assert len(seen) == passes
        for _ in range(3):
            await net.service.bus.publish("network.agents.wake", {"concerned": [concerns.ports_of(network["id"])]})
        await until(lambda: len(seen) > passes)
        await asyncio.sleep(0.1)
        assert len(seen) == passes + 1, "three changes of the like are looked at together"
        await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1", **binding}, by="admin")
        await until(lambda: len(driver.wanted.ports) == 2)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)
