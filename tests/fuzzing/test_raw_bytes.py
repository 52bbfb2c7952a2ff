"""Bytes that no JSON library writes: in bodies, queries, paths and headers, of every operation of every service.

A body that nearly fits gets one of its leaves replaced by something outrageous, so that it comes past the schema to
whoever reads that leaf; queries and headers get each outrageous value in turn.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.databases import Databases
from tests.fuzzing.test_fuzz import FEW, SERVICES, check, document, draw_path, draw_version, operations
from tests.fuzzing.values import Values
from tests.fuzzing.worlds import World, one_of_everything

PLACE = "\u0001here\u0001"
LEAVES = [
    b'"\xff"',
    b'"\xc3\x28 \xed\xa0\x80"',
    b'"\\ud800"',
    b'"\\u0000"',
    b"9" * 400,
    b"9" * 5000,
    b'"' + b"9" * 5000 + b'"',
    '"٣٣٣"'.encode(),
    b"-1e400",
    b"1E308",
    b"NaN",
    b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b"[" + b"1," * 3000 + b"1]",
    b'"0000-00-00T00:00:00Z"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59-23:59"',
    b'"' + b"a" * 70_000 + b'"',
    '"é\u202e\U0010ffff"'.encode(),
]
TEXTS = [
    b"%FF",
    b"%C3%28",
    b"9" * 400,
    b"9" * 5000,
    b"%D9%A3%D9%A3",
    b"%C2%B2",
    b"-1",
    b"1e999",
    b"0000-00-00T00:00:00Z",
    b"0001-01-01T00:00:00%2B23:59",
    b"9999-12-31T23:59:59-23:59",
    b"gte:0001-01-01T00:00:00%2B23:59",
    b"in:" + b"," * 2000,
    b"VCPU:" + b"9" * 400,
    b"(" * 500,
    b"(a*)*b" * 50,
    b"%5B%3A%3A%5D",
    b"%F0%9F%92%A9",
]
HEADERS = [
    "x-auth-token",
    "x-service-token",
    "x-subject-token",
    "openstack-api-version",
    "x-openstack-nova-api-version",
    "x-openstack-request-id",
    "content-type",
    "content-length",
    "accept",
    "range",
    "host",
    "if-match",
    "x-forwarded-for",
    "x-forwarded-proto",
    "traceparent",
    "x-image-meta-store",
    "x-openstack-image-size",
]
HEADER_VALUES = [
    "é".encode(),
    "é".encode("latin-1"),
    b"\xff\xfe",
    b"9" * 5000,
    b"compute 2." + b"9" * 5000,
    b"placement 1." + b"9" * 5000,
    b"compute 2.\xb2, placement 1.\xb2",
    b"bytes=" + b"9" * 5000 + b"-",
    b"bytes=-" + b"9" * 30,
    b"bytes=5-1",
    b"revision_number=" + b"9" * 5000,
    b"bytes=" + b"0-1," * 2000,
    b"",
    b",;=\"'",
]


@pytest.fixture(scope="module")
def world(identity_template: Any, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_of_everything(identity_template, databases, tmp_path_factory.mktemp("raw")) as made:
        yield made


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a body that holds nothing itself."""
    if isinstance(value, dict) and value:
        return [each for key, inner in value.items() for each in leaves(inner, (*path, key))]
    if isinstance(value, list) and value:
        return [each for key, inner in enumerate(value) for each in leaves(inner, (*path, key))]
    return [path]


def with_leaf(body: Any, path: tuple[Any, ...], leaf: bytes) -> bytes:
    """The body's JSON with what is at `path` replaced by raw bytes."""
    if not path:
        return leaf
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = PLACE
    return json.dumps(body).encode().replace(json.dumps(PLACE).encode(), leaf)


@pytest.mark.parametrize("service", SERVICES)
@FEW
@given(data=st.data())
def test_no_leaf_of_a_body_brings_a_service_down(world: World, service: str, data: st.DataObject) -> None:
    version, headers = draw_version(data, service)
    shown, ids = document(world, service, version), world.ids[service]
    method, template, operation = data.draw(st.sampled_from(operations(shown, with_body=True)))
    path = draw_path(data, template, ids)
    media_type, content = data.draw(st.sampled_from([*operation["requestBody"]["content"].items()]))
    body = data.draw(Values(shown["components"]["schemas"], ids).of("", content["schema"]))
    place = data.draw(st.sampled_from(leaves(body)))
    raw = with_leaf(json.loads(json.dumps(body)), place, data.draw(st.sampled_from(LEAVES)))
    response = world.send(service, method, path, raw, {**headers, "content-type": media_type})
    check(response, operation, f"{method} {path} {version} {raw[:300]!r}")


def send(world: World, service: str, method: str, path: str, headers: Any = None) -> httpx.Response:
    return world.loop.run(world.clients[service].request(method, path, headers=headers))


@pytest.mark.parametrize("service", SERVICES)
def test_no_text_of_a_query_brings_a_service_down(world: World, service: str) -> None:
    failed = []
    for method, template, operation in operations(document(world, service, ""), with_body=False):
        if method not in ("GET", "HEAD"):
            continue
        path = template
        for name, value in world.ids[service].items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
        for name in names or ["x"]:
            for text in TEXTS:
                query = f"{name}={text.decode()}"
                answer = world.ask(service, method, f"{path}?{query}", NEWEST)
                if answer.status >= 500:
                    failed.append(f"{method} {path}?{query[:80]}: {answer.status}")
    assert not failed, "\n".join(failed)


NEWEST = {"openstack-api-version": "compute 2.104, placement 1.39, volume 3.71"}


@pytest.mark.parametrize("service", SERVICES)
def test_no_text_of_a_path_brings_a_service_down(world: World, service: str) -> None:
    failed = []
    for method, template, _operation in operations(document(world, service, ""), with_body=False):
        if "{" not in template or method not in ("GET", "HEAD", "DELETE"):
            continue
        parts = template.split("/")
        for place in [index for index, part in enumerate(parts) if part.startswith("{")]:
            for text in TEXTS:
                path = "/".join(
                    text.decode()[:3000]
                    if index == place
                    else world.ids[service].get(part[1:-1], "x")
                    if part[:1] == "{"
                    else part
                    for index, part in enumerate(parts)
                )
                # Only what cannot be there is named, so nothing is deleted.
                answer = world.ask(service, method, path, NEWEST)
                if answer.status >= 500:
                    failed.append(f"{method} {path[:120]}: {answer.status}")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("header", HEADERS)
def test_no_bytes_of_a_header_bring_a_service_down(world: World, service: str, header: str) -> None:
    failed = []
    paths = {
        "identity": ["/v3", "/v3/users", "/v3/auth/tokens"],
        "image": ["/versions", "/v2/images", f"/v2/images/{world.ids['image']['image_id']}/file"],
        "placement": ["/", "/resource_providers"],
        "network": ["/", "/v2.0/networks", f"/v2.0/networks/{world.ids['network']['network_id']}"],
        "compute": ["/", "/v2.1/servers/detail"],
        "block-storage": ["/", "/v3/volumes/detail"],
    }[service]
    for path in paths:
        for value in HEADER_VALUES:
            response = send(world, service, "GET", path, [(header.encode(), value)])
            if response.status_code >= 500:
                failed.append(f"GET {path} {header}: {value[:60]!r}: {response.status_code}")
    assert not failed, "\n".join(failed)
