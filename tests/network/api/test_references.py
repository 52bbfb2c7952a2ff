"""Every field of a body that names a thing, with who may name it; and what comes of naming somebody else's.

`REFERENCES` is that table. A body type that gains a field which names something fails `test_the_table_is_complete`
until the table says who may name it. Each line is tried three times by a member of the project `other`: with a thing of
his own, which is taken; with one of the project `demo`; and with one that is nowhere. The last two are answered alike,
so that nobody learns what others have, and nothing of `demo` changes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from kilonova.network.app import ROUTES, TAG_ROUTES
from kilonova.network.tags import KINDS

NOWHERE = "12345678-1234-1234-1234-123456789abc"
Place = tuple[str, str, str]
"""Method, path, and the field: dots lead inside, `[]` to the entries of a list."""


class Reference(msgspec.Struct, frozen=True):
    who: str
    """Who may name what."""
    own: str | None = None
    """A thing of `world` that the member may name; None: there is none."""
    theirs: str = ""
    """A thing of demo's of that kind, or one that only administrators see."""
    refused: int = 404
    """With which status; 0: it is taken, and means nothing."""


def of(kind: str, own: str, who: str = "who sees it") -> Reference:
    return Reference(who, own, f"demo.{kind}")


def administrators(theirs: str = "demo.project") -> Reference:
    return Reference("administrators", None, theirs, 403)


PROJECT = Reference("one's own; administrators any", "other.project", "demo.project", 403)
NOT_SERVED = Reference("nobody: not served", None, "demo.network", 400)
DEVICE = Reference("anybody any text: a port that says so is nobody's device by that", "other.router", "demo.router", 0)

REFERENCES: Mapping[Place, Reference] = {
    ("POST", "/v2.0/networks", "network.project_id"): PROJECT,
    ("POST", "/v2.0/networks", "network.tenant_id"): PROJECT,
    ("POST", "/v2.0/subnets", "subnet.network_id"): of("network", "other.network", "the network's owner"),
    ("POST", "/v2.0/subnets", "subnet.project_id"): PROJECT,
    ("POST", "/v2.0/subnets", "subnet.tenant_id"): PROJECT,
    ("POST", "/v2.0/subnets", "subnet.subnetpool_id"): NOT_SERVED,
    ("POST", "/v2.0/subnets", "subnet.segment_id"): NOT_SERVED,
    ("POST", "/v2.0/ports", "port.network_id"): of("network", "other.network", "its owner; anybody if it is shared"),
    ("POST", "/v2.0/ports", "port.fixed_ips[].subnet_id"): of("subnet", "other.subnet"),
    ("POST", "/v2.0/ports", "port.security_groups[]"): of("group", "other.group", "its owner"),
    ("POST", "/v2.0/ports", "port.device_id"): DEVICE,
    ("POST", "/v2.0/ports", "port.binding:host_id"): administrators("agent"),
    ("POST", "/v2.0/ports", "port.project_id"): PROJECT,
    ("POST", "/v2.0/ports", "port.tenant_id"): PROJECT,
    ("PUT", "/v2.0/ports/{port_id}", "port.fixed_ips[].subnet_id"): of("subnet", "other.subnet"),
    ("PUT", "/v2.0/ports/{port_id}", "port.security_groups[]"): of("group", "other.group", "its owner"),
    ("PUT", "/v2.0/ports/{port_id}", "port.device_id"): DEVICE,
    ("PUT", "/v2.0/ports/{port_id}", "port.binding:host_id"): administrators("agent"),
    ("POST", "/v2.0/security-groups", "security_group.project_id"): PROJECT,
    ("POST", "/v2.0/security-groups", "security_group.tenant_id"): PROJECT,
    ("POST", "/v2.0/security-group-rules", "security_group_rule.security_group_id"): of(
        "group", "other.group", "its owner"
    ),
    ("POST", "/v2.0/security-group-rules", "security_group_rule.remote_group_id"): of("group", "other.group"),
    ("POST", "/v2.0/security-group-rules", "security_group_rule.project_id"): PROJECT,
    ("POST", "/v2.0/security-group-rules", "security_group_rule.tenant_id"): PROJECT,
    ("POST", "/v2.0/default-security-group-rules", "default_security_group_rule.remote_group_id"): administrators(
        "demo.group"
    ),
    ("POST", "/v2.0/routers", "router.external_gateway_info.network_id"): of("network", "outside"),
    ("POST", "/v2.0/routers", "router.external_gateway_info.external_fixed_ips[].subnet_id"): administrators(
        "demo.subnet"
    ),
    ("POST", "/v2.0/routers", "router.flavor_id"): NOT_SERVED,
    ("POST", "/v2.0/routers", "router.project_id"): PROJECT,
    ("POST", "/v2.0/routers", "router.tenant_id"): PROJECT,
    ("PUT", "/v2.0/routers/{router_id}", "router.external_gateway_info.network_id"): of("network", "outside"),
    ("PUT", "/v2.0/routers/{router_id}", "router.external_gateway_info.external_fixed_ips[].subnet_id"): (
        administrators("demo.subnet")
    ),
    ("PUT", "/v2.0/routers/{router_id}/add_router_interface", "subnet_id"): of(
        "subnet", "other.spare_subnet", "its owner"
    ),
    ("PUT", "/v2.0/routers/{router_id}/add_router_interface", "port_id"): of("port", "other.spare_port", "its owner"),
    ("PUT", "/v2.0/routers/{router_id}/remove_router_interface", "subnet_id"): of(
        "subnet", "other.subnet", "the router's owner, of those it is connected to"
    ),
    ("PUT", "/v2.0/routers/{router_id}/remove_router_interface", "port_id"): of(
        "interface", "other.interface", "the router's owner, of those it has"
    ),
    ("POST", "/v2.0/floatingips", "floatingip.floating_network_id"): of("network", "outside"),
    ("POST", "/v2.0/floatingips", "floatingip.port_id"): of("port", "other.port", "its owner"),
    ("POST", "/v2.0/floatingips", "floatingip.subnet_id"): of("subnet", "outside_subnet"),
    ("POST", "/v2.0/floatingips", "floatingip.project_id"): PROJECT,
    ("POST", "/v2.0/floatingips", "floatingip.tenant_id"): PROJECT,
    ("PUT", "/v2.0/floatingips/{floating_ip_id}", "floatingip.port_id"): of("port", "other.port", "its owner"),
    ("POST", "/v2.0/agents/{agent_id}/dhcp-networks", "network_id"): administrators("demo.network"),
    ("POST", "/v2.0/agents/{agent_id}/l3-routers", "router_id"): administrators("demo.router"),
    ("PUT", "/v2.0/quotas/{project_id}", "quota.project_id"): administrators(),
    ("PUT", "/v2.0/quotas/{project_id}", "quota.tenant_id"): administrators(),
}
NOTHING_TO_NAME = {
    ("POST", "/v2.0/security-group-rules", "security_group_rule.remote_address_group_id"),
    ("POST", "/v2.0/default-security-group-rules", "default_security_group_rule.remote_address_group_id"),
}
"""Fields that take nothing but null."""
NUMBERS = {
    ("POST", "/v2.0/networks", "network.segments[].provider:segmentation_id"),
    ("POST", "/v2.0/networks", "network.provider:segmentation_id"),
    ("PUT", "/v2.0/networks/{network_id}", "network.provider:segmentation_id"),
}
"""Of a segment, which administrators give: there is no thing behind them."""
FREE = {
    ("POST", "/v2.0/ports", "port.binding:profile"),
    ("PUT", "/v2.0/ports/{port_id}", "port.binding:profile"),
    ("POST", "/v2.0/ports/{port_id}/bindings", "binding.profile"),
}
"""Parts that may hold anything, and are for administrators: what they name is between these and the hypervisor."""

BODIES: Mapping[tuple[str, str], Any] = {
    ("POST", "/v2.0/networks"): {"network": {}},
    ("PUT", "/v2.0/networks/{network_id}"): {"network": {"name": "x"}},
    ("POST", "/v2.0/subnets"): {"subnet": {"network_id": "other.network", "ip_version": 4, "cidr": "10.99.0.0/24"}},
    ("POST", "/v2.0/ports"): {"port": {"network_id": "other.network"}},
    ("PUT", "/v2.0/ports/{port_id}"): {"port": {"name": "x"}},
    ("POST", "/v2.0/security-groups"): {"security_group": {"name": "x"}},
    ("POST", "/v2.0/security-group-rules"): {
        "security_group_rule": {"security_group_id": "other.group", "direction": "ingress", "protocol": "tcp"}
    },
    ("POST", "/v2.0/default-security-group-rules"): {
        "default_security_group_rule": {"direction": "ingress", "protocol": "tcp"}
    },
    ("POST", "/v2.0/routers"): {"router": {"external_gateway_info": {"network_id": "outside"}}},
    ("PUT", "/v2.0/routers/{router_id}"): {"router": {"external_gateway_info": {"network_id": "outside"}}},
    ("POST", "/v2.0/floatingips"): {"floatingip": {"floating_network_id": "outside"}},
    ("PUT", "/v2.0/floatingips/{floating_ip_id}"): {"floatingip": {"description": "x"}},
    ("PUT", "/v2.0/quotas/{project_id}"): {"quota": {}},
}
"""What a request holds beside the field that is tried."""
PATHS = {
    "network_id": "other.network", "port_id": "other.port", "router_id": "other.router", "agent_id": "agent",
    "floating_ip_id": "other.floating", "project_id": "other.project",
}  # fmt: skip


def leaves(info: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    """(field, type) of every value a body may hold; a dictionary's values are one."""
    match info:
        case inspect.Metadata(type=inner):
            yield from leaves(inner, path)
        case inspect.UnionType(types=types):
            for each in types:
                yield from leaves(each, path)
        case inspect.ListType(item_type=item):
            yield from leaves(item, f"{path}[]")
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from leaves(field.type, f"{path}.{field.encode_name}".lstrip("."))
        case _:
            yield path, info


def fields_of_bodies() -> Iterator[tuple[Place, inspect.Type]]:
    """Every field of every body; those of resources created in bulk stand for one of them."""
    for route in (*ROUTES, *TAG_ROUTES):
        if route.body is not None:
            for path, info in leaves(inspect.type_info(route.body), ""):
                yield (route.method, route.path, re.sub(r"^(\w+)s\[\]", r"\1", path)), info


def names_a_thing(field: str, info: inspect.Type) -> bool:
    name = field.rpartition(".")[2].removesuffix("[]")
    kinds = {*KINDS.values(), *(each.replace("-", "_") for each in KINDS)}
    if isinstance(info, inspect.NoneType):
        return False
    return name.endswith(("_id", "_ids", "_uuid")) or (name in kinds and isinstance(info, inspect.StrType))


def test_the_table_is_complete() -> None:
    found = {place for place, info in fields_of_bodies() if names_a_thing(place[2], info)}
    assert found == REFERENCES.keys() | NUMBERS
    free = (inspect.DictType, inspect.AnyType, inspect.RawType)
    assert {place for place, info in fields_of_bodies() if isinstance(info, free)} == FREE
    nothing = {place for place, info in fields_of_bodies() if isinstance(info, inspect.NoneType)}
    assert {each for each in nothing if each[2].endswith("_id")} - found == NOTHING_TO_NAME


@pytest.fixture
async def world(net: Any, body_of: Any) -> dict[str, str]:
    """Name → id of what the projects `demo` and `other` have, alike, and of what both see."""
    outside, outside_subnet = await net.outside()
    agent, _ = await net.agent()
    agents = body_of(await net.admin.get("/v2.0/agents?agent_type=L3 agent"))["agents"]
    found = {"outside": outside["id"], "outside_subnet": outside_subnet["id"], "agent": agents[0]["id"]}
    for who in ("demo", "other"):
        made = await project(net, body_of, who, outside["id"])
        found |= {f"{who}.{name}": wanted for name, wanted in made.items()}
    for _ in range(2):
        await agent.agent.pass_once()
    return found


async def project(net: Any, body_of: Any, who: str, outside_id: str) -> dict[str, str]:
    async def create(plural: str, **fields: Any) -> str:
        return str((await net.create(plural, fields, by=who))["id"])

    made = {"project": await net.identity.project_id(who), "group": await create("security-groups", name="web")}
    made["network"], made["spare_network"], third = [await create("networks") for _ in range(3)]
    for number, (name, network_id) in enumerate(
        (("subnet", made["network"]), ("spare_subnet", made["spare_network"]), ("third_subnet", third))
    ):
        made[name] = await create("subnets", network_id=network_id, ip_version=4, cidr=f"10.{number}.0.0/24")
    made["port"] = await create("ports", network_id=made["network"], security_groups=[made["group"]])
    made["spare_port"] = await create("ports", network_id=third)
    made["router"] = await create("routers", external_gateway_info={"network_id": outside_id})
    url = f"/v2.0/routers/{made['router']}/add_router_interface"
    made["interface"] = body_of(await getattr(net, who).put(url, json={"subnet_id": made["subnet"]}))["port_id"]
    made["floating"] = await create("floatingips", floating_network_id=outside_id)
    return made


def with_ids(value: Any, world: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: with_ids(each, world) for name, each in value.items()}
    return world.get(value, value) if isinstance(value, str) else value


def body_with(place: Place, value: str, world: Mapping[str, str], *, in_bulk: bool) -> Any:
    """A request's body that names `value` at its place."""
    body = with_ids(BODIES.get(place[:2], {}), world)
    part, *steps = [body], *place[2].split(".")
    holder = part[0]
    for step in steps[:-1]:
        name = step.removesuffix("[]")
        inner: Any = holder.setdefault(name, [{}] if step.endswith("[]") else {})
        holder = inner[0] if isinstance(inner, list) else inner
    last = steps[-1]
    holder[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
    if in_bulk:
        ((name, fields),) = body.items()
        return {f"{name}s": [fields]}
    return body


async def everything_of_demo(net: Any, body_of: Any, world: Mapping[str, str]) -> Any:
    """What demo has, as demo sees it, and what its router's host is told."""
    found = {}
    for collection in (*KINDS, "security-group-rules"):
        (found[collection],) = body_of(
            await net.demo.get(f"/v2.0/{collection}?project_id={world['demo.project']}")
        ).values()
    routers = [each for each in (await net.told("node1")).routers if each.id == world["demo.router"]]
    return found, routers


ATTEMPTS = [
    pytest.param(place, in_bulk, id=f"{place[0]} {place[1]} {place[2]}{' in bulk' if in_bulk else ''}")
    for place in REFERENCES
    for in_bulk in ((False, True) if place[0] == "POST" and "agents" not in place[1] else (False,))
]


@pytest.mark.parametrize(("place", "in_bulk"), ATTEMPTS)
async def test_nobody_names_what_is_not_for_him(
    net: Any, body_of: Any, world: dict[str, str], place: Place, in_bulk: bool
) -> None:
    method, path, _ = place
    reference = REFERENCES[place]
    url = path.format_map({name: world[thing] for name, thing in PATHS.items()})

    async def attempt(value: str) -> Any:
        return await net.other.request(method, url, json=body_with(place, value, world, in_bulk=in_bulk))

    before = await everything_of_demo(net, body_of, world)
    answers = []
    for value in (world[reference.theirs], NOWHERE):
        answer = await attempt(value)
        assert answer.status_code == (reference.refused or (201 if method == "POST" else 200)), answer.text
        answers.append(answer.text.replace(value, "…"))
    if reference.refused:
        assert answers[0] == answers[1], "what is refused says whether it is there"
    assert await everything_of_demo(net, body_of, world) == before
    if reference.own is not None:
        taken = await attempt(world[reference.own])
        assert taken.status_code in (200, 201), taken.text
