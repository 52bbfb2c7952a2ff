"""Errors of the image API in the format their reader asks for: the sentence reaches people through every client."""

import json
from typing import Any

import httpx
import pytest

from kilonova.kit.http.formats import prefers_json

MISSING = "/v2/images/7d2c0b8f-6d2c-4a1d-9a2e-000000000000"
SENTENCE = "Image 7d2c0b8f-6d2c-4a1d-9a2e-000000000000 was not found."


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, text/plain, */*", True),
        ("text/html;q=0.5, application/json", True),
        ("application/*", True),
        ("*/*;q=0.1, application/json;q=0.2", True),
        ("*/*", False),
        ("", False),
        ("text/html", False),
        ("text/html, application/json", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json;q=0", False),
        ("application/json;q=nonsense", False),
        ("application/xml", False),
        (", ;q=,;;", False),
    ],
)
def test_json_is_for_who_asks_for_it_first(accept: str, is_json: bool) -> None:
    assert prefers_json(accept) is is_json


async def test_json_for_who_asks_for_json(client: httpx.AsyncClient) -> None:
    response = await client.get(MISSING, headers={"accept": "application/json"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    shown = response.json()
    assert shown == {
        "message": SENTENCE,
        "code": "404 Not Found",
        "title": "Not Found",
        "error": {"message": SENTENCE, "code": 404, "title": "Not Found"},
    }
    assert as_openstacksdk_0_reads(shown) == as_openstacksdk_4_reads(shown) == SENTENCE
    assert shown["error"]["message"] == SENTENCE, "as keystoneauth reads it"


async def test_a_page_for_who_asks_for_anything(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"accept": "*/*"}):
        response = await client.get(MISSING, headers=headers)
        assert response.headers["content-type"].startswith("text/html")
        assert SENTENCE in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/v2/images", 405), ("GET", "/nothing", 404), ("POST", "/v2/images", 400), ("PATCH", MISSING, 415)],
)
async def test_refusals_of_the_edge_are_json_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, content=b"{", headers={"accept": "application/json"})
    assert response.status_code == status
    assert response.json()["message"]


async def test_a_stranger_is_refused_in_json_too(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, None) as stranger:
        response = await stranger.get("/v2/images", headers={"accept": "application/json"})
    assert response.json()["title"] == "Unauthorized"


def as_openstacksdk_0_reads(shown: Any) -> str:
    """Releases to 0.60: the messages of the objects in the body."""
    return "\n".join(each["message"] for each in shown.values() if isinstance(each, dict) and each.get("message"))


def as_openstacksdk_4_reads(shown: Any) -> str:
    """Later ones: texts may hold JSON, and the body's own message counts when no object in it has one."""

    def message_of(part: Any) -> str | None:
        if isinstance(part, dict):
            return part.get("message")
        try:
            return str(json.loads(part)["faultstring"]) if isinstance(part, str) else None
        except ValueError:
            return None

    found = [message for message in map(message_of, shown.values()) if message]
    return "\n".join(found) or str(message_of(shown))
