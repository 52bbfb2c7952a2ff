"""Whatever is sent, every service answers with a sentence in its own format, never with a 500.

What is sent comes from the service's own OpenAPI document: every operation of every microversion's view of it, bodies
and queries made of what their schemas and names suggest, with values that fit, nearly fit, and do not fit at all.
"""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import Databases
from tests.fuzzing.values import Values
from tests.fuzzing.worlds import TABLES, World, one_of_everything

SERVICES = list(TABLES)
VERSIONS = {
    "compute": ["2.1", "2.104", *(f"2.{minor}" for minor in range(1, 105))],
    "placement": ["1.0", "1.39", *(f"1.{minor}" for minor in range(40))],
    "block-storage": ["3.0", "3.71", *(f"3.{minor}" for minor in range(72))],
}
PREFIXES = {"compute": "compute ", "placement": "placement ", "block-storage": "volume "}
EXAMPLES = int(os.environ.get("KILONOVA_FUZZ_EXAMPLES", "0"))
"""Another number than the usual one looks elsewhere each time it runs."""
FEW = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(scope="module")
def world(identity_template: Any, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_of_everything(identity_template, databases, tmp_path_factory.mktemp("fuzz")) as made:
        yield made


DOCUMENTS: dict[tuple[str, str], Any] = {}


def document(world: World, service: str, version: str) -> Any:
    if (service, version) not in DOCUMENTS:
        query = f"?version={version}" if version else ""
        response = world.send(service, "GET", f"/openapi.json{query}", b"", {})
        DOCUMENTS[service, version] = response.json()
    return DOCUMENTS[service, version]


def operations(shown: Any, *, with_body: bool) -> list[tuple[str, str, Any]]:
    return [
        (method.upper(), path, operation)
        for path, methods in shown["paths"].items()
        for method, operation in methods.items()
        if ("requestBody" in operation) is with_body
    ]


def draw_path(data: st.DataObject, path: str, ids: dict[str, str]) -> str:
    for name in (part[1:-1] for part in path.split("/") if part.startswith("{")):
        drawn = data.draw(st.sampled_from([ids.get(name, "x")] * 9 + ["nothing"]))
        path = path.replace(f"{{{name}}}", quote(drawn, safe=""))
    return path


def draw_version(data: st.DataObject, service: str) -> tuple[str, dict[str, str]]:
    if service not in VERSIONS:
        return "", {}
    version = data.draw(st.sampled_from(VERSIONS[service]))
    return version, {"openstack-api-version": f"{service} {version}"}


@pytest.mark.parametrize("service", SERVICES)
@FEW
@given(data=st.data())
def test_no_body_brings_a_service_down(world: World, service: str, data: st.DataObject) -> None:
    version, headers = draw_version(data, service)
    shown, ids = document(world, service, version), world.ids[service]
    method, template, operation = data.draw(st.sampled_from(operations(shown, with_body=True)))
    path = draw_path(data, template, ids)
    media_type, content = data.draw(st.sampled_from([*operation["requestBody"]["content"].items()]))
    body = data.draw(Values(shown["components"]["schemas"], ids).body(content["schema"]))
    encoded = json.dumps(body).encode()
    response = world.send(service, method, path, encoded, {**headers, "content-type": media_type})
    check(response, operation, f"{method} {path} {version} {body}")


@pytest.mark.parametrize("service", SERVICES)
@FEW
@given(data=st.data())
def test_no_query_brings_a_service_down(world: World, service: str, data: st.DataObject) -> None:
    version, headers = draw_version(data, service)
    shown, ids = document(world, service, version), world.ids[service]
    method, template, operation = data.draw(st.sampled_from(operations(shown, with_body=False)))
    path = draw_path(data, template, ids)
    values = Values({}, ids)
    names = [each["name"] for each in operation["parameters"] if each["in"] == "query"] or ["x"]
    chosen = data.draw(st.lists(st.sampled_from(names), max_size=4))
    query = [(name, data.draw(values.query(name))) for name in chosen]
    response = world.send(service, method, f"{path}?{urlencode(query)}", b"", headers)
    check(response, operation, f"{method} {path} {version} {query}")


def check(response: httpx.Response, operation: Any, sent: str) -> None:
    """An answer that the document tells of, or a refusal."""
    assert response.status_code < 500, f"{sent}\n{response.text}"
    assert response.status_code >= 400 or str(response.status_code) in operation["responses"], f"{sent}: {response}"
