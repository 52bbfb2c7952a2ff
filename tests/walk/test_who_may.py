"""Who gets through which route: every guarded route of every service, asked by a dozen callers.

`who_may.txt` holds the answer, one line a route. A route that is new, or that lets somebody else through than before,
changes it: `KILONOVA_WRITE=1` writes it anew, and the difference is for a person to read.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from kilonova.kit.auth import RequestContext
from tests.conftest import PASSWORD
from tests.databases import Databases
from tests.fuzzing.worlds import World, one_of_everything

TABLE = Path(__file__).with_name("who_may.txt")
NEWEST = {"openstack-api-version": "compute 2.104, placement 1.39, volume 3.71"}
SERVICES = ("identity", "image", "placement", "network", "compute", "block-storage")
IMPLIED = {"admin": ("manager", "member", "reader"), "manager": ("member", "reader"), "member": ("reader",)}
OUR_ROLES = ("admin", "manager", "member", "reader", "guest")
OTHER = "0123456789abcdef0123456789abcdef"
IDENTITY_CALLERS = {"member": ("demo", "demo"), "reader": ("reader", "demo"), "other-member": ("other", "other")}
"""Caller → (user, project) that identity has."""
OWN = {"compute POST /v2.1/os-keypairs"}
"""What belongs to a user, whatever roles he has."""
OF_SCHEMAS = (
    *("Invalid input", "Malformed request body", "Additional properties are not allowed", "A JSON body is required"),
    *("The body needs either", "Invalid disk_format", "Invalid container_format"),
)
"""The words of the edge, which reads a body by its type before any handler runs."""
READ_BY_POST = {"block-storage POST /v3/volumes/{volume_id}/action os-show_image_metadata"}
"""Actions that change nothing."""


@dataclass(frozen=True)
class Asked:
    service: str
    method: str
    path: str
    action: str
    body: bytes | None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.service, self.method, self.path, self.action)))


@pytest.fixture(scope="module")
def world(identity_template: Any, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_of_everything(identity_template, databases, tmp_path_factory.mktemp("walk")) as made:
        yield made


def callers_of(world: World) -> dict[str, RequestContext]:
    admin = world.everybody.context

    def caller(**changes: Any) -> RequestContext:
        role = changes.pop("role", None)
        roles = frozenset(filter(None, (role, *IMPLIED.get(role, ()))))
        fields = {"user_id": "f" * 32, "user_name": "somebody", "roles": roles, "project_id": None, **changes}
        return msgspec.structs.replace(admin, **fields)

    return {
        **{role: caller(role=role, project_id=admin.project_id) for role in OUR_ROLES},
        "nobody": caller(),
        **{f"other-{role}": caller(role=role, project_id=OTHER) for role in ("manager", "member", "reader")},
        "domain-member": caller(role="member", domain_id="default"),
        "system-reader": caller(role="reader", system_scope="all"),
    }


def smallest(schema: Any, schemas: Any, ids: dict[str, str], name: str = "") -> Any:
    """The least JSON that fits a schema, naming things that are there."""
    if "$ref" in schema:
        return smallest(schemas[schema["$ref"].rpartition("/")[2]], schemas, ids, name)
    if "default" in schema:
        return schema["default"]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return smallest(schema[several][0], schemas, ids, name)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {key: smallest(properties[key], schemas, ids, key) for key in schema.get("required", ())}
        case "array":
            return [smallest(schema.get("items", {}), schemas, ids, name)] * schema.get("minItems", 0)
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case "string":
            return ids.get(name, next(iter(ids.values())) if name.endswith("id") else "x")
        case _:
            return None


def choices(schema: Any, schemas: Any, ids: dict[str, str], name: str = "") -> Iterator[Any]:
    """Small JSON that fits a schema: each alternative of each part comes once, and so does each field that may be left
    out."""
    if "$ref" in schema:
        yield from choices(schemas[schema["$ref"].rpartition("/")[2]], schemas, ids, name)
        return
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        for each in several:
            yield from choices(each, schemas, ids, name)
        return
    least = smallest(schema, schemas, ids, name)
    yield least
    if schema.get("type") == "object":
        for key, inner in schema.get("properties", {}).items():
            for value in choices(inner, schemas, ids, key):
                yield {**least, key: value}
    elif schema.get("type") == "string" and least != "x":
        yield "x"


def questions(world: World, service: str) -> Iterator[Asked]:
    """Every guarded operation with a body that fits; each action of an action route is one."""
    shown = world.loop.run(world.clients[service].get("/openapi.json")).json()
    schemas, ids, better = shown["components"]["schemas"], world.ids[service], better_bodies(world)
    for path, methods in sorted(shown["paths"].items()):
        for method, operation in sorted(methods.items()):
            if operation.get("security") == []:
                continue
            content = next(iter(operation.get("requestBody", {}).get("content", {}).values()), None)
            actions = operation["x-policy-rule"] if isinstance(operation["x-policy-rule"], dict) else None
            if content is None:
                yield Asked(service, method.upper(), path, "", None)
            elif actions is None:
                least = smallest(content["schema"], schemas, ids)
                body = better.get((service, method.upper(), path), least)
                yield Asked(service, method.upper(), path, "", json.dumps(body).encode())
            else:
                for each in content["schema"]["oneOf"]:
                    body = smallest(each, schemas, ids)
                    yield Asked(service, method.upper(), path, next(iter(body)), json.dumps(body).encode())


def better_bodies(world: World) -> dict[tuple[str, str, str], Any]:
    """Where the least body that fits the schema is refused for what it lacks: one that is not."""
    network, compute, identity, placement = (
        world.ids[name] for name in ("network", "compute", "identity", "placement")
    )
    group, lan, outside = network["group_id"], network["network_id"], network["outside_id"]
    held = {
        "allocations": {placement["uuid"]: {"resources": {"VCPU": 1}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
    }
    endpoint = {"service_id": identity["service_id"], "interface": "admin", "url": "http://127.0.0.1:1"}
    subnet = {"network_id": lan, "ip_version": 4, "cidr": "10.77.0.0/24"}
    image_id = world.ids["image"]["image_id"]
    server = {"name": "x", "flavorRef": compute["flavor_id"], "imageRef": image_id, "networks": "none"}
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmZ7eQwWzYkvBPcKfIfpnx0mzGHvPZqWDXDGCdQKsUZ"
    interface = {"subnet_id": network["subnet_id"]}
    return {
        ("identity", "POST", "/v3/endpoints"): {"endpoint": endpoint},
        ("placement", "POST", "/allocations"): {placement["consumer_uuid"]: held | {"consumer_generation": 1}},
        ("placement", "PUT", "/allocations/{consumer_uuid}"): held | {"consumer_generation": 1},
        ("network", "POST", "/v2.0/networks"): {"network": {"name": "x"}},
        ("network", "POST", "/v2.0/subnets"): {"subnet": subnet},
        ("network", "POST", "/v2.0/ports"): {"port": {"network_id": lan}},
        ("network", "POST", "/v2.0/routers"): {"router": {"name": "x"}},
        ("network", "POST", "/v2.0/floatingips"): {"floatingip": {"floating_network_id": outside}},
        ("network", "POST", "/v2.0/security-groups"): {"security_group": {"name": "x"}},
        ("network", "POST", "/v2.0/security-group-rules"): {
            "security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "tcp"}
        },
        ("network", "POST", "/v2.0/default-security-group-rules"): {
            "default_security_group_rule": {"direction": "ingress", "protocol": "udp"}
        },
        ("network", "PUT", "/v2.0/routers/{router_id}/add_router_interface"): interface,
        ("network", "PUT", "/v2.0/routers/{router_id}/remove_router_interface"): interface,
        ("compute", "POST", "/v2.1/servers"): {"server": server},
        ("compute", "POST", "/v2.1/os-keypairs"): {"keypair": {"name": "x", "public_key": key}},
        ("compute", "PUT", "/v2.1/flavors/{flavor_id}/os-extra_specs/{key}"): {compute["key"]: "blue"},
        ("compute", "PUT", "/v2.1/os-aggregates/{aggregate_id}"): {"aggregate": {"name": "x"}},
        ("compute", "PUT", "/v2.1/os-services/{service_id}"): {"status": "disabled"},
        ("compute", "PUT", "/v2.1/servers/{server_id}/metadata/{key}"): {"meta": {compute["key"]: "blue"}},
        ("block-storage", "POST", "/v3/volumes"): {"volume": {"size": 1}},
        ("block-storage", "PUT", "/v3/volumes/{volume_id}"): {"volume": {"name": "x"}},
        ("block-storage", "PUT", "/v3/volumes/{volume_id}/metadata/{key}"): {"meta": {"colour": "blue"}},
        ("block-storage", "PUT", "/v3/snapshots/{snapshot_id}"): {"snapshot": {"name": "x"}},
        ("block-storage", "PUT", "/v3/snapshots/{snapshot_id}/metadata/{key}"): {"meta": {"colour": "blue"}},
        ("block-storage", "PUT", "/v3/types/{type_id}/extra_specs/{key}"): {"colour": "blue"},
        ("block-storage", "PUT", "/v3/os-services/disable-log-reason"): {
            "host": "node1@file",
            "disabled_reason": "new disks",
        },
        ("compute", "POST", "/v2.1/servers/{server_id}/remote-consoles"): {
            "remote_console": {"protocol": "vnc", "type": "novnc"}
        },
    }


def ask(world: World, asked: Asked, token: str | None) -> httpx.Response:
    path = asked.path
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, quote(world.ids[asked.service].get(part[1:-1], "x"), safe=""))
    media_type = (
        "application/openstack-images-v2.1-json-patch"
        if asked.method == "PATCH" and asked.service == "image"
        else "application/json"
    )
    headers = {**NEWEST, "content-type": media_type, "x-auth-token": token or ""}
    client = world.clients[asked.service]
    if asked.path == "/v3/auth/tokens":
        headers["x-subject-token"] = str(world.clients["identity"].headers["x-auth-token"])
    response = world.loop.run(client.request(asked.method, path, content=asked.body, headers=headers))
    if response.status_code < 400 and asked.method not in ("GET", "HEAD"):
        world.restore(asked.service)
    return response


def identity_tokens(world: World) -> dict[str, str]:
    tokens = {}
    for caller, (user, project) in IDENTITY_CALLERS.items():
        domain = {"id": "default"}
        who = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": PASSWORD}}}
        body = {"auth": {"identity": who, "scope": {"project": {"name": project, "domain": domain}}}}
        answer = world.loop.run(world.clients["identity"].post("/v3/auth/tokens", json=body))
        assert answer.status_code == 201, answer.text
        tokens[caller] = answer.headers["x-subject-token"]
    tokens["admin"] = str(world.clients["identity"].headers["x-auth-token"])
    return tokens


@pytest.fixture(scope="module")
def outcomes(world: World) -> dict[tuple[str, str], int]:
    """(question, caller) → status."""
    world.everybody.callers.update(callers_of(world))
    found = {}
    for service in SERVICES:
        tokens = identity_tokens(world) if service == "identity" else {name: name for name in callers_of(world)}
        for asked in questions(world, service):
            for caller, token in tokens.items():
                found[str(asked), caller] = ask(world, asked, token).status_code
            found[str(asked), "stranger"] = ask(world, asked, None).status_code
    return found


def every_question(world: World, service: str) -> Iterator[Asked]:
    """Every guarded operation with each body that `choices` makes, and with each query parameter alone."""
    shown = world.loop.run(world.clients[service].get("/openapi.json")).json()
    for path, methods in sorted(shown["paths"].items()):
        for method, operation in sorted(methods.items()):
            if operation.get("security") == []:
                continue
            for each in operation["parameters"]:
                if each["in"] == "query":
                    yield Asked(service, method.upper(), f"{path}?{each['name']}=%2C", "", None)
            content = next(iter(operation.get("requestBody", {}).get("content", {}).values()), None)
            for body in (
                choices(content["schema"], shown["components"]["schemas"], world.ids[service]) if content else ()
            ):
                yield Asked(service, method.upper(), path, "", json.dumps(body).encode())


@pytest.mark.parametrize("service", SERVICES)
def test_whoever_may_not_hears_so_before_what_is_wrong_with_his_request(world: World, service: str) -> None:
    world.everybody.callers.update(callers_of(world))
    wrong = []
    for asked in every_question(world, service):
        if str(replace(asked, body=None)) in OWN:
            continue
        response = ask(world, asked, "guest")
        if response.status_code != 400 or any(words in response.text for words in OF_SCHEMAS):
            continue
        plain = replace(asked, path=asked.path.partition("?")[0])
        if asked.method != "GET" or ask(world, plain, "guest").status_code in (403, 404):
            wrong.append(f"{asked} {asked.body!r}: {response.text}")
    assert not wrong, "\n".join(wrong)


def test_nobody_gets_through_without_a_token(outcomes: dict[tuple[str, str], int]) -> None:
    assert {key for key, status in outcomes.items() if key[1] == "stranger" and status != 401} == set()


def test_no_answer_is_an_error_of_the_servers(outcomes: dict[tuple[str, str], int]) -> None:
    assert {key for key, status in outcomes.items() if status == 500} == set()


def test_who_only_reads_changes_nothing(outcomes: dict[tuple[str, str], int]) -> None:
    readers = ("reader", "guest", "nobody", "other-reader", "system-reader")
    changed = {
        key
        for key, status in outcomes.items()
        if key[1] in readers and status < 300 and key[0].split()[1] not in ("GET", "HEAD")
    }
    assert {route for route, _caller in changed} <= OWN | READ_BY_POST


def test_the_table_says_who_gets_through(outcomes: dict[tuple[str, str], int]) -> None:
    by_route: dict[str, dict[str, int]] = {}
    for (route, caller), status in outcomes.items():
        if caller != "stranger":
            by_route.setdefault(route, {})[caller] = status
    lines = [f"{route}: {_line(statuses)}" for route, statuses in by_route.items()]
    text = "\n".join(lines) + "\n"
    if os.environ.get("KILONOVA_WRITE"):
        TABLE.write_text(text)
    assert text == TABLE.read_text(), (
        "who may do what has changed: KILONOVA_WRITE=1 writes the table; read the difference"
    )


def _line(statuses: dict[str, int]) -> str:
    """Callers by what they got: past the rules, refused for the body, by the rules, or as if it were not there."""
    kinds: dict[str, list[str]] = {"may": [], "400": [], "403": [], "404": []}
    for caller, status in statuses.items():
        kinds[str(status) if str(status) in kinds else "may"].append(caller)
    return "; ".join(f"{kind} {' '.join(names)}" for kind, names in kinds.items() if names)
