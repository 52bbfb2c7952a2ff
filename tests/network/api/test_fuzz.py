"""Whatever is sent, the service answers with a sentence, never with a 500.

Every route of the table gets bodies made of its own fields, with values that fit, nearly fit, and do not fit at all, on
a database that holds one of everything; every list gets queries of the same kind.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kilonova.kit.agents import Liveness
from kilonova.kit.auth import RequestContext
from kilonova.kit.bus import InProcessBus
from kilonova.kit.testing import asgi_client
from kilonova.network.app import ROUTES, TAG_ROUTES, make_app
from kilonova.network.registry import Registry
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata

NOW = datetime.now(UTC)
ADMIN = RequestContext(
    user_id="u",
    user_name="u",
    user_domain_id="d",
    project_id="p",
    roles=frozenset({"admin", "member", "reader"}),
    issued_at=NOW,
    expires_at=NOW,
)
WRITES = [route for route in ROUTES + TAG_ROUTES if route.body is not None]
LISTS = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path]
SINGULAR = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "floatingips": "floating_ip",
    "security-groups": "group",
}


class Everybody:
    """Lets everybody in as administrator: who may do what is not the question here."""

    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        return ADMIN


@dataclass
class World:
    """The app on a database that is put back before each request."""

    loop: asyncio.Runner
    client: Any
    path: Path
    template: sqlite3.Connection
    ids: dict[str, str]

    def send(self, method: str, path: str, content: bytes = b"") -> Any:
        target = sqlite3.connect(self.path)
        self.template.backup(target)
        target.close()
        return self.loop.run(self.client.request(method, path, content=content))


@pytest.fixture(scope="module")
def world(migrated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("fuzz")
    with asyncio.Runner() as loop:
        bus = InProcessBus()
        service = NetworkService(migrated("network", metadata, directory), bus, Liveness(bus))
        client = asgi_client(make_app(service, Everybody()))
        client.headers["x-auth-token"] = "any"
        ids = loop.run(one_of_everything(service, client))
        template = sqlite3.connect(":memory:")
        with sqlite3.connect(directory / "network.db") as filled:
            filled.backup(template)
        filled.close()
        yield World(loop, client, directory / "network.db", template, ids)
        template.close()
        service.database.close()
        loop.run(bus.close())


async def one_of_everything(service: NetworkService, client: Any) -> dict[str, str]:
    ids: dict[str, str] = {}

    async def create(key: str, plural: str, fields: dict[str, Any]) -> None:
        response = await client.post(f"/v2.0/{plural}s", json={plural.replace("-", "_"): fields})
        assert response.status_code == 201, response.text
        if key:
            ids[key] = next(iter(response.json().values()))["id"]

    agent = {"binary": "neutron-linuxbridge-agent", "host": "node1"}
    await Registry(service).register({"info": agent})
    ids["agent"] = (await client.get("/v2.0/agents?agent_type=L3%20agent")).json()["agents"][0]["id"]
    flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    await create("outside", "network", {"router:external": True, "shared": True, **flat})
    await create("", "subnet", {"network_id": ids["outside"], "ip_version": 4, "cidr": "172.24.4.0/24"})
    await create("network", "network", {"name": "lan"})
    await create("subnet", "subnet", {"network_id": ids["network"], "ip_version": 4, "cidr": "10.0.0.0/24"})
    await create("", "subnet", {"network_id": ids["network"], "ip_version": 6, "cidr": "fd00::/64"})
    await create("group", "security-group", {"name": "web"})
    await create("rule", "security-group-rule", {"security_group_id": ids["group"], "direction": "ingress"})
    await create("port", "port", {"network_id": ids["network"], "device_owner": "compute:nova", "device_id": "s"})
    await create("router", "router", {"external_gateway_info": {"network_id": ids["outside"]}})
    interface = {"subnet_id": ids["subnet"]}
    await client.put(f"/v2.0/routers/{ids['router']}/add_router_interface", json=interface)
    fields = {"floating_network_id": ids["outside"], "port_id": ids["port"]}
    await create("floating_ip", "floatingip", fields)
    return ids


words = st.sampled_from([
    *("", "x", "a" * 256, "a" * 64, "\0", "é\u202e", "true", "-1", "0", "default", "any", "tcp", "icmp", "ipv6-icmp"),
    *("ingress", "egress", "IPv4", "ipv6", "slaac", "flat", "vxlan", "local", "provider", "normal", "compute:nova"),
    *("network:dhcp", "network:router_interface", "10.0.0.1", "10.0.0.77", "10.0.0.0/24", "10.7.0.5/24", "0.0.0.0/0"),
    *("fd00::1", "fd00::/64", "::/0", "fe80::1%eth0", "10.0.0.0/33", "fa:16:3e:00:00:01", "ff:ff:ff:ff:ff:ff", "node1"),
    *("web.openstacklocal.", "example.org.", "a..b", "nova", "172.24.4.9", "255.255.255.255/32", "p", "colour"),
])  # fmt: skip
numbers = st.sampled_from(
    [-1, 0, 1, 4, 6, 22, 80, 255, 256, 1450, 65535, 65536, 2**31, 2**32, 2**63, 2**64, 10**30, 1.5]
)
addresses = st.sampled_from(["10.0.0.1", "10.0.0.77", "10.0.0.79", "fd00::9", "172.24.4.9", "10.0.0.0/24", "x", ""])
LIKELY: dict[str, list[Any]] = {
    "direction": ["ingress", "egress"],
    "ethertype": ["IPv4", "IPv6", "ipv6", None],
    "protocol": ["tcp", "udp", "icmp", "ipv6-icmp", "any", None, 58, "132", 255, 256],
    "port_range_min": [None, 0, 1, 80, 443, 65535],
    "port_range_max": [None, 0, 1, 80, 443, 65535],
    "remote_ip_prefix": [None, "10.0.0.0/8", "10.0.0.5/8", "::/0", "fd00::/64", "10.0.0.1"],
    "cidr": ["10.9.0.0/24", "10.9.0.0/31", "10.9.0.0/32", "fd01::/64", "fd01::/127", "10.0.0.0/24", "0.0.0.0/0"],
    "gateway_ip": ["10.0.0.1", "10.9.0.1", "10.9.0.9", "fd01::1", None, "10.9.0.255", "fe80::1"],
    "mac_address": ["fa:16:3e:00:00:01", "FA-16-3E-00-00-02", "ff:ff:ff:ff:ff:ff"],
    "network_type": ["flat", "vxlan", "local", None],
    "physical_network": ["other", "provider", None],
    "segmentation_id": [None, 0, 5, 1 << 24],
    "mtu": [0, 68, 1400, 1500, 65535],
    "dns_domain": ["", "example.org.", "Example.ORG.", "x"],
    "dns_name": ["", "web", "web.openstacklocal.", "-"],
    "fixed_ip_address": ["10.0.0.2", "10.0.0.9", None],
    "floating_ip_address": ["172.24.4.9", "172.24.4.2", None],
    "host": ["node1", "nowhere", "", None],
    "availability_zone_hints": [[], ["nova"], ["mars"]],
    "service_types": [[], ["compute:nova"], ["pigeon"]],
    "device_owner": ["", "compute:nova", "network:dhcp", "network:router_interface"],
}
"""Field → what fits it, or nearly does."""
junk = st.recursive(
    st.none() | st.booleans() | numbers | words | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def struct_of(hint: Any) -> type[msgspec.Struct] | None:
    """The Struct somewhere in a type, if there is one."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next((found for each in get_args(hint) if (found := struct_of(each)) is not None), None)


def choices_of(hint: Any) -> list[Any]:
    """What a Literal somewhere in a type allows."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for each in get_args(hint) for choice in choices_of(each)]


def ids_for(name: str, ids: dict[str, str]) -> st.SearchStrategy[str]:
    """Mostly what the field's name asks for."""
    kinds = [kind for kind in ids if kind.split("_")[0] in name]
    fitting = [ids[kind] for kind in kinds] * 4
    return st.sampled_from([*fitting, *ids.values(), "nothing"])


def values(name: str, hint: Any, ids: dict[str, str]) -> st.SearchStrategy[Any]:
    """What a field may be sent: mostly what its name and type suggest."""
    struct, shown = struct_of(hint), str(hint)
    if struct is not None:
        inner = bodies(struct, ids)
        return st.lists(inner, min_size=1, max_size=2) if "list" in shown else inner
    if name in LIKELY:
        return st.sampled_from(LIKELY[name])
    if choices_of(hint):
        return st.sampled_from(choices_of(hint))
    text = ids_for(name, ids) if name.endswith("_id") or "group" in name else words
    if "list[dict" in shown:
        ranges = st.fixed_dictionaries({"start": addresses, "end": addresses})
        routes = st.fixed_dictionaries({"destination": words, "nexthop": addresses})
        fixed = st.fixed_dictionaries(
            {}, optional={"ip_address": addresses, "subnet_id": ids_for("subnet", ids), "mac_address": words}
        )
        options = st.fixed_dictionaries({"opt_name": words}, optional={"opt_value": words, "ip_version": numbers})
        likely = {"allocation_pools": ranges, "extra_dhcp_opts": options}
        entry = likely.get(name, routes if "routes" in name else fixed)
        return st.lists(entry, max_size=3)
    if "list" in shown:
        return st.lists(addresses if "nameservers" in name else text, max_size=3)
    if "dict" in shown:
        return st.dictionaries(words, junk, max_size=2)
    if "bool" in shown:
        return st.booleans()
    return numbers if "int" in shown and "str" not in shown else text


@st.composite
def bodies(draw: st.DrawFn, struct: type[msgspec.Struct], ids: dict[str, str]) -> dict[str, Any]:
    """An object with the fields the struct needs and a few others; one in five has junk in one of them."""
    hints = get_type_hints(struct)
    fields = msgspec.structs.fields(struct)
    # A body on the whole holds one thing, or a list of them.
    is_whole = any(struct_of(hint) for hint in hints.values()) and not any(each.required for each in fields)
    least, most = (1, 1) if is_whole else (0, 4)
    few = draw(st.lists(st.sampled_from(fields), min_size=least, max_size=most, unique_by=lambda each: each.name))
    body = {
        each.encode_name: draw(values(each.name, hints[each.name], ids))
        for each in fields
        if each.required or each in few
    }
    if body and draw(st.integers(0, 4)) == 0:
        body[draw(st.sampled_from(sorted(body)) | words)] = draw(junk)
    return body


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[*HealthCheck], derandomize=True)
@given(data=st.data())
def test_no_body_brings_the_service_down(world: World, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(WRITES))
    path = route.path
    for name in (part[1:-1] for part in route.path.split("/") if part.startswith("{")):
        kind = name.removesuffix("_id")
        if kind == "resource":
            kind = SINGULAR[route.path.split("/")[2]]
        drawn = data.draw(st.sampled_from([world.ids.get(kind, "p")] * 9 + ["nothing"]))
        path = path.replace(f"{{{name}}}", quote(drawn, safe=""))
    body = data.draw(st.one_of(*[bodies(route.body, world.ids)] * 6, junk))
    response = world.send(route.method, path, msgspec.json.encode(body))
    assert response.status_code < 500 or response.status_code == 503, f"{route.method} {path} {body}\n{response.text}"


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[*HealthCheck], derandomize=True)
@given(data=st.data())
def test_no_query_brings_the_service_down(world: World, data: st.DataObject) -> None:
    names = st.sampled_from([
        *("id", "name", "tags", "not-tags-any", "fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"),
        *("changed_since", "mtu", "shared", "status", "fixed_ips", "security_groups", "network_id", "ip_version"),
        *("gateway_ip", "provider:segmentation_id", "port_range_min", "belongs_to_default_sg", "revision_number"),
        *("alive", "router:external"),
    ])  # fmt: skip
    known = st.sampled_from([*world.ids.values(), "ip_address=10.0.0.2", "ip_address_substr=%", "id", "asc", "desc"])
    text = known | words | numbers.map(str)
    path = data.draw(st.sampled_from(LISTS))
    query = data.draw(st.lists(st.tuples(names, text), max_size=4))
    response = world.send("GET", f"{path}?{urlencode(query)}")
    assert response.status_code < 500, f"{path} {query}\n{response.text}"
