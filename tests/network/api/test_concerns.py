"""A host is told of what concerns it and of nothing else, and what it has is always what it should look like."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kilonova.kit.errors import Fault
from kilonova.network import bindings, concerns, parts, ports, records
from kilonova.network import news as news_module
from kilonova.network.agent import agent as agent_module
from kilonova.network.agent.copy import Copy
from kilonova.network.news import News
from kilonova.network.registry import Registry
from kilonova.network.sections import telling
from kilonova.network.sections.facts import Facts
from kilonova.network.sections.interest import read_interest
from kilonova.network.sections.section import Asking
from kilonova.network.state import HostState, Touched

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
    answer = await tenant.net.admin.post("/v2.0/ports", json={"port": fields})
    # The external network has few addresses.
    assert answer.status_code in (201, 409), answer.text
    if answer.status_code == 201:
        tenant.there["ports"].append(answer.json()["port"])


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
        assert not await Copy(tenant.net.service.bus, host, parts.ALL).catch_up()
    await register(tenant.net, host, f"10.9.{tenant.dice.randrange(250)}.{HOSTS.index(host) + 1}")


async def bind_elsewhere(tenant: Tenant) -> None:
    """A host gets ready for a guest's port, gets it, or gives up."""
    if (made := tenant.one("ports")) is None:
        return
    deed = tenant.dice.choice((bindings.add, bindings.activate, bindings.activate, bindings.remove))
    with contextlib.suppress(Fault):
        async with tenant.net.service.database.transaction() as tx:
            await deed(tx, tenant.net.service, await ports.find(tx, made["id"]), tenant.dice.choice(HOSTS))


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
    *(make_port, make_port, make_port, change_port, change_port, bind_elsewhere, bind_elsewhere),
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


async def register(net: Any, host: str, address: str, **configurations: Any) -> None:
    told = {"tunneling_ip": address, "l2_population": True, "bridge_mappings": {"provider": "br"}, **configurations}
    info = {"binary": "neutron-linuxbridge-agent", "host": host, "configurations": told}
    await net.registry.register({"info": info})
    net.service.liveness.heard("neutron-linuxbridge-agent", host)


class Servers:
    """Two processes that serve agents of the same cloud; an ask goes to either."""

    def __init__(self, net: Any, dice: random.Random) -> None:
        self._dice = dice
        self._net = net
        self._servers = (net.registry, Registry(net.service))

    def start_again(self) -> None:
        self._servers = (Registry(self._net.service), Registry(self._net.service))

    async def call(self, _topic: str, method: str, payload: Any = None) -> Any:
        server = self._dice.choice(self._servers)
        answer = await getattr(server, method)(msgspec.msgpack.decode(msgspec.msgpack.encode(payload)))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))


async def compiled(net: Any, host: str) -> HostState:
    """What a host should look like, told at one stroke by a server that remembers nothing."""
    news, state = News(), HostState(host)
    facts = Facts(news, net.service.dns_domain)
    async with net.service.database.reading() as tx:
        revision = await news.read(tx)
        asking = Asking(tx, revision, host, facts, await facts.agents(tx, revision))
        interest = await read_interest(tx, host, asking.agents, net.service.mechanisms.sections)
        told = await telling.tell_everything(asking, revision, interest)
        state.apply(told.delta, Touched())
        while not told.is_all:
            at = (revision, revision)
            told = await telling.tell_changes(asking, news, at, state.owners(), interest, told.pending)
            state.apply(told.delta, Touched())
    return state


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_changes_each_host_has_been_told(net: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    if seed % 2:
        # Whoever sleeps has missed too much, and whatever is told is told in pieces.
        monkeypatch.setattr(news_module, "CHANGES_KEPT", 8)
        monkeypatch.setattr(news_module, "FORGOTTEN_AT_ONCE", dice.randrange(1, 8))
        monkeypatch.setattr(telling, "MOST_OBJECTS", 3)
        monkeypatch.setattr(telling, "MOST_REVISIONS", 2)
    tenant, servers = Tenant(net, dice), Servers(net, dice)
    for number, host in enumerate(HOSTS, 1):
        await register(net, host, f"10.9.0.{number}")
    copies = {host: Copy(servers, host, parts.ALL) for host in HOSTS}  # type: ignore[arg-type]
    outside, subnet = await net.outside()
    tenant.there["networks"].append({**outside, "subnet": subnet, "outside": outside["id"]})
    await begin(tenant, outside["id"])
    deeds = []
    for number in range(STEPS):
        deeds.append(await tenant.step())
        awake = HOSTS if number == STEPS - 1 else [host for host in HOSTS if dice.random() < 0.5]
        for host in awake:
            if dice.random() < 0.05:
                copies[host] = Copy(servers, host, parts.ALL)  # type: ignore[arg-type]
            # What is taken by one host while it asks concerns the others the next time.
            await copies[host].catch_up()
        for host in awake:
            await copies[host].catch_up()
            assert copies[host].state.sections == (await compiled(net, host)).sections, f"{deeds}, {host}"
            copies[host].was_seen()
            await copies[host].catch_up()
            assert not copies[host].touched, f"{host} is told of nothing new after {deeds}"


async def copies_of(net: Any, **configurations: Any) -> dict[str, Copy]:
    """Each host's copy, up to date."""
    for number, host in enumerate(HOSTS, 1):
        await register(net, host, f"10.9.0.{number}", **configurations)
    return {host: Copy(net.service.bus, host, parts.ALL) for host in HOSTS}


async def touched(copies: dict[str, Copy]) -> dict[str, set[tuple[str, str]]]:
    """Host → (section, id) of what it is told now."""
    found = {}
    for host, copy in copies.items():
        assert await copy.catch_up()
        found[host] = {(name, object_id) for name, _, object_id in copy.touched.before}
        copy.was_seen()
    return found


GUEST = {"device_owner": "compute:nova", "device_id": "server", "security_groups": []}


async def test_a_port_elsewhere_is_told_to_hosts_of_its_network_only(net: Any) -> None:
    copies = await copies_of(net)
    mine, _ = await net.lan(enable_dhcp=False)
    other, _ = await net.lan(cidr="10.1.0.0/24", enable_dhcp=False)
    await net.create("ports", {"network_id": mine["id"], "binding:host_id": "node1", **GUEST}, by="admin")
    await net.create("ports", {"network_id": other["id"], "binding:host_id": "node2", **GUEST}, by="admin")
    await touched(copies)
    port = await net.create("ports", {"network_id": mine["id"], "binding:host_id": "node3", **GUEST}, by="admin")
    told = await touched(copies)
    assert told["node1"] == {("stations", port["id"]), ("peers", "node3")}
    assert told["node2"] == set()
    assert ("ports", port["id"]) in told["node3"]


async def test_one_more_port_is_told_as_itself_however_many_there_are(net: Any) -> None:
    """To the host that serves its addresses, to one with a port of its group, and to the host it comes to."""
    copies = await copies_of(net, l2_population=False)
    network, _ = await net.lan()
    group = await net.create("security-groups", {"name": "all"})
    fields = {
        "network_id": network["id"],
        "project_id": network["project_id"],
        **GUEST,
        "security_groups": [group["id"]],
    }
    rule = {"security_group_id": group["id"], "direction": "ingress", "remote_group_id": group["id"]}
    await net.create("security-group-rules", rule)
    told: list[dict[str, int]] = []
    for _ in range(3):
        for _ in range(5):
            for host in HOSTS:
                await net.create("ports", {**fields, "binding:host_id": host}, by="admin")
        await touched(copies)
        await touched(copies)
        await net.create("ports", {**fields, "binding:host_id": "node3"}, by="admin")
        told.append({host: len(found) for host, found in (await touched(copies)).items()})
    assert told[0] == told[1] == told[2]
    # A member; a lease where they are given; where it is, the port itself.
    assert sorted(told[0].values()) in ([1, 2, 2], [1, 1, 3]) and told[0]["node3"] in (2, 3)


async def test_a_host_that_comes_to_a_network_is_told_its_contents_once(net: Any) -> None:
    copies = await copies_of(net)
    network, _ = await net.lan(enable_dhcp=False)
    fields = {"network_id": network["id"], **GUEST}
    there = [await net.create("ports", {**fields, "binding:host_id": "node1"}, by="admin") for _ in range(3)]
    await touched(copies)
    port = await net.create("ports", {**fields, "binding:host_id": "node2"}, by="admin")
    told = (await touched(copies))["node2"]
    assert {each for name, each in told if name == "stations"} == {each["id"] for each in (*there, port)}
    assert (await net.admin.delete(f"/v2.0/ports/{port['id']}")).status_code == 204
    await touched(copies)
    assert copies["node2"].state.owners()["stations"] == []
    assert copies["node2"].state.document().networks == ()


async def test_a_server_that_starts_again_tells_what_has_changed_and_not_everything(net: Any) -> None:
    network, _ = await net.lan(enable_dhcp=False)
    await register(net, "node1", "10.9.0.1")
    fields = {"network_id": network["id"], "binding:host_id": "node1", **GUEST}
    await net.create("ports", fields, by="admin")
    servers = Servers(net, random.Random(0))
    copy = Copy(servers, "node1", parts.ALL)  # type: ignore[arg-type]
    assert await copy.catch_up()
    copy.was_seen()
    port = await net.create("ports", fields, by="admin")
    servers.start_again()
    assert await copy.catch_up()
    assert not copy.is_new
    assert {object_id for name, _, object_id in copy.touched.before if name != "peers"} == {port["id"]}


async def test_a_port_that_moves_is_told_to_the_host_it_leaves_and_the_one_it_comes_to(net: Any, body_of: Any) -> None:
    copies = await copies_of(net)
    network, _ = await net.lan(enable_dhcp=False)
    fields = {"network_id": network["id"], "binding:host_id": "node1", "security_groups": []}
    port = await net.create("ports", fields, by="admin")
    await touched(copies)
    body_of(await net.admin.put(f"/v2.0/ports/{port['id']}", json={"port": {"binding:host_id": "node3"}}))
    await touched(copies)
    assert [list(copies[host].state.ports) for host in HOSTS] == [[], [], [port["id"]]]


async def test_a_floating_ip_that_is_deleted_is_told_to_the_routers_host(net: Any, body_of: Any) -> None:
    await register(net, "node1", "10.9.0.1")
    (network, subnet), (outside, _) = await net.lan(), await net.outside()
    router = await net.create("routers", {"external_gateway_info": {"network_id": outside["id"]}})
    body_of(await net.demo.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]}))
    port = await net.create("ports", {"network_id": network["id"]})
    fields = {"floating_network_id": outside["id"], "port_id": port["id"]}
    floating = await net.create("floatingips", fields)
    copies = {"node1": Copy(net.service.bus, "node1", parts.ALL)}
    await touched(copies)
    assert len(copies["node1"].state.document().routers[0].floating_ips) == 1
    body_of(await net.demo.delete(f"/v2.0/floatingips/{floating['id']}"), 204)
    assert (await touched(copies))["node1"] == {("floating_ips", floating["id"])}
    assert copies["node1"].state.document().routers[0].floating_ips == ()


async def test_who_has_not_looked_for_long_is_told_everything(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_module, "CHANGES_KEPT", 2)
    monkeypatch.setattr(news_module, "FORGOTTEN_AT_ONCE", 2)
    news, late = News(), News()
    async with net.service.database.reading() as tx:
        start = await late.read(tx)
        assert await news.read(tx) == start
    for number in range(6):
        async with net.service.database.transaction() as tx:
            await records.raise_revision(tx, concerns.Concern("name", str(number)), "other")
        async with net.service.database.reading() as tx:
            await news.read(tx)
    assert news.objects("name", start + 4, start + 6) == {"4", "5"}
    assert news.objects("other", start + 5, start + 6) == {concerns.ALL}
    assert news.is_long()
    async with net.service.database.transaction() as tx:
        await records.forget_changes(tx, news.forget())
    assert (news.knows(start), news.knows(start + 4)) == (False, True)
    assert news.objects("name", start + 4, start + 6) == {"4", "5"}
    assert not news.is_long()
    assert news.changed_at("name", "5") == start + 6
    assert news.changed_at("name", "0") == news.changed_at("never", "0") == start + 4
    assert news.has_changed_wholly("other", start + 5)
    async with net.service.database.reading() as tx:
        await late.read(tx)
    assert not late.knows(start), "what was forgotten meanwhile is not taken for nothing"


async def test_an_agent_looks_at_once_at_its_own_and_soon_at_what_many_hear(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "SOON_SECONDS", 0.05)
    network, _ = await net.lan(enable_dhcp=False)
    agent, driver = await net.agent()
    call, seen = net.service.bus.call, []

    async def counted(topic: str, method: str, payload: Any = None, **more: Any) -> Any:
        if method == "changes":
            seen.append(payload)
        return await call(topic, method, payload, **more)

    monkeypatch.setattr(net.service.bus, "call", counted)
    binding = {"device_owner": "compute:nova", "device_id": "server"}
    await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1", **binding}, by="admin")
    work = asyncio.create_task(agent.run())
    try:
        await until(lambda: len(driver.state.ports) == 1)
        await asyncio.sleep(0.1)
        passes = len(seen)
        await net.service.bus.publish("network.agents.wake", {"concerned": [concerns.host("node2")]})
        await asyncio.sleep(0.1)
        assert len(seen) == passes
        for _ in range(3):
            await net.service.bus.publish("network.agents.wake", {"concerned": [concerns.peers_of(network["id"])]})
        await until(lambda: len(seen) > passes)
        await asyncio.sleep(0.1)
        assert len(seen) == passes + 1, "three changes of the like are looked at together"
        await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1", **binding}, by="admin")
        await until(lambda: len(driver.state.ports) == 2)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_a_server_that_answers_slowly_is_asked_less_often(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "SOON_SECONDS", 0.01)
    answer_seconds = 0.02
    network, _ = await net.lan(enable_dhcp=False)
    agent, driver = await net.agent()
    call, seen = net.service.bus.call, []

    async def slow(topic: str, method: str, payload: Any = None, **more: Any) -> Any:
        if method == "changes":
            seen.append(asyncio.get_running_loop().time())
            await asyncio.sleep(answer_seconds)
        return await call(topic, method, payload, **more)

    monkeypatch.setattr(net.service.bus, "call", slow)
    await net.create("ports", {"network_id": network["id"], "binding:host_id": "node1", **GUEST}, by="admin")
    work = asyncio.create_task(agent.run())
    try:
        await until(lambda: len(driver.state.ports) == 1)
        await asyncio.sleep(2 * answer_seconds)
        passes, asked_at = len(seen), asyncio.get_running_loop().time()
        await net.service.bus.publish("network.agents.wake", {"concerned": [concerns.peers_of(network["id"])]})
        await until(lambda: len(seen) > passes)
        assert seen[passes] - asked_at >= agent_module.REST_FOR_SERVER * answer_seconds
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)
