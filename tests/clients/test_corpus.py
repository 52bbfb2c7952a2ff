"""Requests of clients of 2014 to today, as `make clients --record` wrote them down, still get an answer.

Each line of the corpus succeeded against a running cloud. Here it is sent to a cloud that holds one of everything:
what it names may be another thing, or busy, but its path exists, and its body is understood.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests.databases import Databases
from tests.fuzzing.test_fuzz import SERVICES, document
from tests.fuzzing.worlds import World, one_of_everything

CORPUS = Path(__file__).with_name("corpus.jsonl")
UNKNOWN_PATH = "The resource could not be found."
NOT_UNDERSTOOD = re.compile(
    r"Invalid input(?! for operation)|Malformed|no such action|not allowed \(|unknown field|Unrecognized", re.IGNORECASE
)


@pytest.fixture(scope="module")
def world(identity_template: Any, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_of_everything(identity_template, databases, tmp_path_factory.mktemp("corpus")) as made:
        yield made


def recorded(service: str) -> list[dict[str, Any]]:
    lines = CORPUS.read_text().splitlines() if CORPUS.exists() else []
    return [asked for asked in map(json.loads, lines) if asked["service"] == service]


def with_ids(world: World, service: str, path: str) -> str:
    """The path with each `{uuid}` replaced by the thing of this world that its route has there."""
    templates = document(world, service, "")["paths"]
    parts = path.strip("/").split("/")
    for template in sorted(templates, key=lambda each: each.count("{")):
        wanted = template.strip("/").split("/")
        if len(wanted) == len(parts) and all(
            name.startswith("{") or unquote(part).removesuffix(".json") == name
            for name, part in zip(wanted, parts, strict=True)
        ):
            ids = world.ids[service]
            return "/" + "/".join(
                part.replace("{uuid}", quote(str(ids.get(name[1:-1], "x")), safe="")) if "{uuid}" in part else part
                for name, part in zip(wanted, parts, strict=True)
            )
    return path.replace("{uuid}", "5f5a7b0e-6a7c-4b0e-9d66-1b1f4b2f3c11")


def body_with_ids(value: Any, ids: dict[str, str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: body_with_ids(inner, ids, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [body_with_ids(inner, ids, name) for inner in value]
    if isinstance(value, str) and "{uuid}" in value:
        return value.replace("{uuid}", ids.get(name, "5f5a7b0e-6a7c-4b0e-9d66-1b1f4b2f3c11"))
    return value


def test_there_is_a_corpus_of_each_service() -> None:
    assert {service for service in SERVICES if service != "placement" and recorded(service)} >= {
        "identity",
        "image",
        "network",
        "compute",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_what_clients_ask_is_understood(world: World, service: str) -> None:
    failed = []
    for asked in recorded(service):
        path = with_ids(world, service, asked["path"]).replace("{uuid}", "x")
        query = asked["query"].replace("{uuid}", "5f5a7b0e-6a7c-4b0e-9d66-1b1f4b2f3c11")
        url = f"http://service.local{path}" + (f"?{query}" if query else "")
        body = b"" if asked["body"] is None else json.dumps(body_with_ids(asked["body"], world.ids[service])).encode()
        response = world.send(service, asked["method"], url, body, asked["headers"])
        text = response.text
        is_lost = response.status_code == 404 and UNKNOWN_PATH in text
        is_garbled = response.status_code in (405, 406, 415, 500) or (
            response.status_code == 400 and NOT_UNDERSTOOD.search(text) is not None
        )
        if is_lost or is_garbled:
            told = f"{response.status_code} {text[:200]}"
            failed.append(f"{asked['client']}: {asked['method']} {path}?{query} {body[:200]!r}: {told}")
    assert not failed, "\n".join(failed)
