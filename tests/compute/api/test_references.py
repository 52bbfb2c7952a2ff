"""What a caller names must be his to name: each part of a body that names a thing is tried with another project's.

`REFERENCES` says of each such part who may name what. A part of a body that is neither there nor in `PLAIN` fails the
test: whoever adds one says which it is.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from sqlalchemy import select

from kilonova.block_storage import volumes
from kilonova.compute.app import ROUTES
from kilonova.compute.tables import servers
from kilonova.kit.http.bounds import body_types

PLAIN = set(
    """
    name description adminPass meta user_data fixed_ip ip_address accessIPv4 accessIPv6 tags tag metadata key
    config_drive return_reservation_id OS-DCF:diskConfig personality hostname type locked_reason state length
    display_name display_description size
    source_type destination_type device no_device delete_on_termination device_name device_type disk_bus guest_format
    volume_type protocol policy policies max_server_per_host ip_protocol cidr public_key extra_specs
    preserve_ephemeral trusted_image_certificates
    status disabled_reason forced_down binary backup_type rotation quota_set quota_class_set fixed_address auto none
    block_migration disk_over_commit force onSharedStorage
    """.split()
)
"""Last parts of paths that name nothing: texts, numbers and words of their own."""
OF_OPERATORS = {
    "POST /v2.1/servers/{server_id}/action": {"os-migrateLive.host", "evacuate.host", "migrate.host"},
    "POST /v2.1/flavors": {"flavor.id", "flavor.os-flavor-access:is_public"},
    "POST /v2.1/flavors/{flavor_id}/action": {"addTenantAccess.tenant", "removeTenantAccess.tenant"},
    "POST /v2.1/os-aggregates": {"aggregate.availability_zone"},
    "POST /v2.1/os-aggregates/{aggregate_id}/images": {"cache[].id"},
    "PUT /v2.1/os-aggregates/{aggregate_id}": {"aggregate.availability_zone"},
    "POST /v2.1/os-aggregates/{aggregate_id}/action": {"add_host.host", "remove_host.host"},
    "PUT /v2.1/os-services/{service_id}": {"host"},
    "POST /v2.1/os-server-external-events": {"events[].server_uuid"},
    "POST /v2.1/os-placing-decisions": {
        "decision.flavorRef",
        "decision.imageRef",
        "decision.availability_zone",
        "decision.host",
        "decision.scheduler_hints",
        "decision.project_id",
        "decision.server_id",
    },
    "PUT /v2.1/flavors/{flavor_id}/os-extra_specs/{key}": {".*"},
}
"""Parts of bodies that only administrators and services may send: their rules keep everybody else away."""

MISSING = "11111111-2222-3333-4444-555555555555"
Foreign = Callable[[Any], Awaitable[Any]]


async def foreign_image(nova: Any) -> str:
    image_id: str = await nova.image(by="other", visibility="private")
    return image_id


async def foreign_flavor(nova: Any) -> str:
    await nova.flavor("secret", id="s", **{"os-flavor-access:is_public": False})
    return "s"


async def foreign_network(nova: Any) -> str:
    network: dict[str, str] = await nova.network(by="other")
    return network["id"]


async def foreign_port(nova: Any) -> str:
    """On a network of the caller's own, whose owner sees all ports there."""
    network = await nova.network()
    admin = await nova.networking("admin")
    new = {"network_id": network["id"], "project_id": (await nova.who("other")).project_id}
    port: dict[str, str] = nova.body_of(await admin.post("/v2.0/ports", json={"port": new}), 201)["port"]
    return port["id"]


async def foreign_volume(nova: Any) -> str:
    volume_id: str = await nova.volume(by="other")
    return volume_id


async def foreign_snapshot(nova: Any) -> str:
    theirs = await foreign_volume(nova)
    service = nova.identity.cloud.services["block_storage"]
    async with service.database.transaction() as tx:
        volume = await volumes.find(tx, theirs, None)
        await volumes.change(tx, volume, service.clock.now(), status="available", host="node1@file#file")
    storing = await nova.storing("other")
    made = nova.body_of(await storing.post("/v3/snapshots", json={"snapshot": {"volume_id": theirs}}), 202)
    snapshot_id: str = made["snapshot"]["id"]
    return snapshot_id


async def unknown_zone(_nova: Any) -> str:
    return "nowhere"


async def foreign_group(nova: Any) -> str:
    other = await nova.networking("other")
    made = nova.body_of(await other.post("/v2.0/security-groups", json={"security_group": {"name": "theirs"}}), 201)
    group_id: str = made["security_group"]["id"]
    return group_id


async def foreign_keypair(nova: Any) -> str:
    new = {"keypair": {"name": "theirs", "type": "ssh"}}
    await nova.call("POST", "/os-keypairs", 201, by="other", version="2.91", json=new)
    return "theirs"


async def foreign_server_group(nova: Any) -> str:
    new = {"server_group": {"name": "theirs", "policy": "affinity"}}
    made = await nova.call("POST", "/os-server-groups", by="other", json=new)
    group_id: str = made["server_group"]["id"]
    return group_id


async def foreign_address(nova: Any) -> str:
    other = await nova.networking("other")
    new = {"network_id": await foreign_network(nova)}
    port = nova.body_of(await other.post("/v2.0/ports", json={"port": new}), 201)["port"]
    address: str = port["fixed_ips"][0]["ip_address"]
    return address


async def foreign_floating_ip(nova: Any) -> str:
    await nova.outside()
    made = await nova.call("POST", "/os-floating-ips", by="other", version="2.35", json={})
    address: str = made["floating_ip"]["ip"]
    return address


async def host(nova: Any) -> str:
    await nova.register_host("node9")
    return "node9"


async def hypervisor(nova: Any) -> str:
    return f"{await host(nova)}.example.org"


async def zone_and_host(nova: Any) -> str:
    return f"nova:{await host(nova)}"


async def other_user(nova: Any) -> str:
    user_id: str = (await nova.who("other")).user_id
    return user_id


VOLUMES = "/v2.1/servers/{server_id}/os-volume_attachments"
SERVERS, ACTION = "POST /v2.1/servers", "POST /v2.1/servers/{server_id}/action"
REFERENCES: dict[str, dict[str, Foreign]] = {
    SERVERS: {
        "server.imageRef": foreign_image,
        "server.block_device_mapping_v2[].uuid": foreign_image,
        "server.flavorRef": foreign_flavor,
        "server.networks[].uuid": foreign_network,
        "server.networks[].port": foreign_port,
        "server.security_groups[].name": foreign_group,
        "server.key_name": foreign_keypair,
        "server.availability_zone": zone_and_host,
        "server.host": host,
        "server.hypervisor_hostname": hypervisor,
        "os:scheduler_hints": foreign_server_group,
        "OS-SCH-HNT:scheduler_hints": foreign_server_group,
    },
    "PUT /v2.1/servers/{server_id}": {"server.pinned_availability_zone": zone_and_host},
    ACTION: {
        "rebuild.imageRef": foreign_image,
        "rescue.rescue_image_ref": foreign_image,
        "unshelve.host": host,
        "unshelve.availability_zone": zone_and_host,
        "rebuild.key_name": foreign_keypair,
        "resize.flavorRef": foreign_flavor,
        "removeFixedIp.address": foreign_address,
        "addSecurityGroup.name": foreign_group,
        "removeSecurityGroup.name": foreign_group,
        "addFixedIp.networkId": foreign_network,
        "addFloatingIp.address": foreign_floating_ip,
        "removeFloatingIp.address": foreign_floating_ip,
    },
    "POST /v2.1/servers/{server_id}/os-interface": {
        "interfaceAttachment.net_id": foreign_network,
        "interfaceAttachment.port_id": foreign_port,
    },
    f"POST {VOLUMES}": {"volumeAttachment.volumeId": foreign_volume},
    f"PUT {VOLUMES}/{{volume_id}}": {
        "volumeAttachment.volumeId": foreign_volume,
        "volumeAttachment.id": foreign_volume,
        "volumeAttachment.serverId": foreign_volume,
    },
    "POST /v2.1/os-volumes": {"volume.snapshot_id": foreign_snapshot, "volume.availability_zone": unknown_zone},
    "POST /v2.1/os-snapshots": {"snapshot.volume_id": foreign_volume},
    "POST /v2.1/os-floating-ips": {"pool": foreign_network},
    "POST /v2.1/os-keypairs": {"keypair.user_id": other_user},
    "POST /v2.1/os-security-group-rules": {
        "security_group_rule.parent_group_id": foreign_group,
        "security_group_rule.group_id": foreign_group,
    },
}


def texts(info: inspect.Type, path: str = "") -> Iterator[str]:
    """The path of each part of a body that is a text, and of hints, which hold any."""
    match info:
        case inspect.Metadata(type=inner):
            yield from texts(inner, path)
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from texts(field.type, f"{path}.{field.encode_name}".lstrip("."))
        case inspect.UnionType(types=types):
            for each in types:
                yield from texts(each, path)
        case inspect.ListType(item_type=item):
            yield from texts(item, f"{path}[]")
        case inspect.DictType() if path.endswith("hints"):
            yield path
        case inspect.DictType(value_type=value):
            yield from texts(value, f"{path}.*")
        case inspect.StrType():
            yield path
        case _:
            pass


def parts() -> set[tuple[str, str]]:
    """What is said of servers is said of their old name too."""
    return {
        (f"{route.method} {route.path.replace('/os-volumes_boot', '/servers')}", path)
        for route in ROUTES
        for name, body_type in body_types(route)
        if body_type is not Any
        for path in texts(inspect.type_info(body_type), name)
    }


def is_plain(path: str) -> bool:
    last = path.removesuffix(".*").removesuffix("[]").removesuffix(".*").rpartition(".")[2].removesuffix("[]")
    return last in PLAIN


def test_each_part_of_a_body_is_known_to_name_something_or_nothing() -> None:
    named = {(route, path) for table in (REFERENCES, OF_OPERATORS) for route, each in table.items() for path in each}
    unknown = {(route, path) for route, path in parts() - named if not is_plain(path)}
    assert unknown == set()
    assert named <= parts()


@pytest.fixture
async def ready(nova: Any) -> Any:
    await nova.flavor(id="1")
    await nova.register_host()
    nova.base = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none"}
    nova.mine = await nova.insert_server()
    nova.group = (
        await nova.call(
            "POST",
            "/os-security-groups",
            version="2.35",
            json={"security_group": {"name": "mine", "description": "x"}},
        )
    )["security_group"]["id"]
    return nova


BODIES: dict[str, Callable[[Any], Any]] = {
    "POST /v2.1/os-volumes": lambda _ready: {"volume": {"size": 1}},
    SERVERS: lambda ready: {"server": {**ready.base}},
    "PUT /v2.1/servers/{server_id}": lambda _ready: {"server": {}},
    "rebuild.key_name": lambda ready: {"rebuild": {"imageRef": ready.base["imageRef"]}},
    "POST /v2.1/os-keypairs": lambda _ready: {"keypair": {"name": "key", "public_key": "ssh-ed25519 AAAA"}},
    "POST /v2.1/os-security-group-rules": lambda ready: {
        "security_group_rule": {"parent_group_id": ready.group, "ip_protocol": "tcp", "from_port": 1, "to_port": 2}
    },
}
BESIDE: dict[str, Any] = {
    "server.block_device_mapping_v2[].uuid": {
        "source_type": "image",
        "destination_type": "local",
        "boot_index": 0,
    },
}
"""Part → what else stands in the same entry of its list."""
VERSIONS = {
    "POST /v2.1/os-volumes": "2.35",
    "POST /v2.1/os-snapshots": "2.35",
    "POST /v2.1/os-security-group-rules": "2.35",
    "POST /v2.1/os-floating-ips": "2.35",
    "addFixedIp.networkId": "2.43",
    "removeFixedIp.address": "2.43",
    "addFloatingIp.address": "2.43",
    "removeFloatingIp.address": "2.43",
}


def with_part(body: Any, path: str, value: Any) -> Any:
    """The body with a value at the path: `server.networks[].uuid`."""
    if path.endswith("hints"):
        return {**body, path: {"group": value}}
    *way, last = path.split(".")
    place = body
    for name in way:
        key = name.removesuffix("[]")
        if name.endswith("[]"):
            place[key] = [dict(BESIDE.get(path, {}))]
            place = place[key][0]
        else:
            place = place.setdefault(key, {})
    place[last] = value
    if path == "server.block_device_mapping_v2[].uuid":
        del body["server"]["imageRef"]
    return body


CASES = [(route, path) for route, table in REFERENCES.items() for path in table]


@pytest.mark.parametrize(("route", "path"), CASES)
async def test_what_is_another_projects_is_refused_and_nothing_is_made(ready: Any, route: str, path: str) -> None:
    value = await REFERENCES[route][path](ready)
    body = with_part((BODIES.get(path) or BODIES.get(route, lambda _ready: {}))(ready), path, value)
    method, _, template = route.partition(" ")
    url = template.removeprefix("/v2.1").format(server_id=ready.mine.id, volume_id=MISSING)
    before = await everything(ready)
    version = VERSIONS.get(path) or VERSIONS.get(route) or "latest"
    headers = {"openstack-api-version": f"compute {version}"}
    response = await (await ready.api("demo")).request(method, f"/v2.1{url}", json=body, headers=headers)
    assert response.status_code in (400, 403, 404, 409), response.text
    assert await everything(ready) == before


async def everything(ready: Any) -> Any:
    """What compute and the network service have for everybody."""
    async with ready.service.database.reading() as tx:
        rows = sorted(map(repr, await tx.tuples(select(servers))))
    network = ready.service.network
    ports, groups = await network.list_ports(), await network.list_security_groups()
    return rows, msgspec.to_builtins(ports), msgspec.to_builtins(groups)


@pytest.mark.parametrize("hint", ["same_host", "different_host"])
async def test_a_hint_that_names_another_projects_server_tells_nothing_of_it(ready: Any, hint: str) -> None:
    """It counts as one that is not there: what is wanted of the host does not know where that is."""
    from kilonova.compute.programs import placing

    theirs = await ready.insert_server("other", host="node1")
    body = {"server": ready.base, "os:scheduler_hints": {hint: [theirs.id]}}
    made = (await ready.call("POST", "/servers", 202, json=body))["server"]
    view = await placing.look(ready.service.here, made["id"], ())
    assert view.wanted.hosts_of_servers == {}


async def test_nobody_chooses_an_address_on_anothers_shared_network(ready: Any) -> None:
    network = await ready.network(by="admin", shared=True)
    for address in ("10.0.0.1", "10.0.0.9"):
        server = {**ready.base, "networks": [{"uuid": network["id"], "fixed_ip": address}]}
        told = await ready.refused("POST", "/servers", 403, json={"server": server})
        assert "not allowed to choose an address" in told
        wanted = {"net_id": network["id"], "fixed_ips": [{"ip_address": address}]}
        url = f"/servers/{ready.mine.id}/os-interface"
        await ready.refused("POST", url, 403, json={"interfaceAttachment": wanted})
    assert await ready.service.network.list_ports(network_id=network["id"], device_owner="compute:nova") == []
    anywhere = {**ready.base, "networks": [{"uuid": network["id"]}]}
    await ready.call("POST", "/servers", 202, json={"server": anywhere})
    await ready.call("POST", "/servers", 202, by="admin", json={"server": server})


async def test_a_port_that_others_point_at_a_server_is_not_the_servers(ready: Any) -> None:
    server = ready.mine
    network = await ready.network(by="other")
    theirs = await ready.networking("other")
    new = {"network_id": network["id"], "device_id": server.id, "device_owner": "compute:nova"}
    port = ready.body_of(await theirs.post("/v2.0/ports", json={"port": new}), 201)["port"]
    url = f"/servers/{server.id}"
    assert await ready.call("GET", f"{url}/os-interface") == {"interfaceAttachments": []}
    await ready.refused("GET", f"{url}/os-interface/{port['id']}", 404)
    await ready.refused("DELETE", f"{url}/os-interface/{port['id']}", 404)
    assert (await ready.call("GET", f"{url}/os-security-groups"))["security_groups"] == []
    told = await ready.refused("POST", f"{url}/action", 400, json={"addSecurityGroup": {"name": "mine"}})
    assert "no port with port security" in told
    for action in (
        {"removeSecurityGroup": {"name": "default"}},
        {"addFixedIp": {"networkId": network["id"]}},
        {"removeFixedIp": {"address": port["fixed_ips"][0]["ip_address"]}},
    ):
        version = "latest" if "removeSecurityGroup" in action else "2.43"
        status = 404 if version == "latest" else 400
        await ready.refused("POST", f"{url}/action", status, version=version, json=action)
    now = ready.body_of(await theirs.get(f"/v2.0/ports/{port['id']}"))["port"]
    assert now == port


async def test_a_port_of_another_project_is_not_usable_by_an_administrator_either(ready: Any) -> None:
    network = await ready.network()
    mine = await ready.networking("demo")
    port = ready.body_of(await mine.post("/v2.0/ports", json={"port": {"network_id": network["id"]}}), 201)["port"]
    server = {**ready.base, "networks": [{"port": port["id"]}]}
    told = await ready.refused("POST", "/servers", 400, by="admin", json={"server": server})
    assert "belongs to another project" in told
