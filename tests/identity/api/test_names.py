"""Names are kept as they were given, and are one whatever their case."""

import asyncio
from typing import Any

import httpx
import pytest

PASSWORD = "a password for tests"
KINDS = ["user", "project", "domain", "group", "role"]


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


@pytest.mark.parametrize(
    ("user", "project", "domain"),
    [("demo", "demo", "default"), ("DEMO", "Demo", "DEFAULT"), ("Demo", "dEMO", "Default")],
)
async def test_one_logs_in_by_any_spelling(identity: Any, user: str, project: str, domain: str) -> None:
    where = {"name": domain}
    body = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": user, "domain": where, "password": PASSWORD}},
            },
            "scope": {"project": {"name": project, "domain": where}},
        }
    }
    response = await identity.client.post("/v3/auth/tokens", json=body)
    assert response.status_code == 201, response.text
    token = response.json()["token"]
    assert (token["user"]["name"], token["project"]["name"]) == ("demo", "demo")
    assert token["user"]["domain"]["name"] == "Default"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_is_taken_in_every_case_and_kept_as_it_was_given(
    admin: httpx.AsyncClient, body_of: Any, kind: str
) -> None:
    url = f"/v3/{kind}s"
    made = body_of(await admin.post(url, json={kind: {"name": "Straße"}}), 201)[kind]
    assert made["name"] == "Straße"
    refused = await admin.post(url, json={kind: {"name": "STRASSE"}})
    assert refused.status_code == 409
    assert "STRASSE" in refused.json()["error"]["message"]
    other = body_of(await admin.post(url, json={kind: {"name": "Weg"}}), 201)[kind]
    assert (await admin.patch(f"{url}/{other['id']}", json={kind: {"name": "strasse"}})).status_code == 409
    for spelling in ("Straße", "strasse", "STRASSE"):
        found = body_of(await admin.get(url, params={"name": spelling}))[f"{kind}s"]
        assert [each["name"] for each in found] == ["Straße"]
    # Its own name it may spell otherwise.
    respelt = body_of(await admin.patch(f"{url}/{made['id']}", json={kind: {"name": "STRASSE"}}))[kind]
    assert respelt["name"] == "STRASSE"
    body_of(await admin.patch(f"{url}/{made['id']}", json={kind: {"name": "Gasse"}}))
    body_of(await admin.patch(f"{url}/{other['id']}", json={kind: {"name": "strasse"}}))


@pytest.mark.parametrize("kind", KINDS)
async def test_of_eight_spellings_at_once_one_is_made(admin: httpx.AsyncClient, kind: str) -> None:
    spellings = ["racer", "Racer", "RACER", "rACER", "RaCeR", "raceR", "RAcer", "racER"]
    answers = await asyncio.gather(*(admin.post(f"/v3/{kind}s", json={kind: {"name": each}}) for each in spellings))
    assert sorted(each.status_code for each in answers) == [201] + 7 * [409]


@pytest.mark.parametrize("kind", KINDS)
async def test_of_eight_renamed_at_once_one_gets_the_name(admin: httpx.AsyncClient, kind: str) -> None:
    made = [await admin.post(f"/v3/{kind}s", json={kind: {"name": f"racer{number}"}}) for number in range(8)]
    urls = [f"/v3/{kind}s/{each.json()[kind]['id']}" for each in made]
    answers = await asyncio.gather(*(admin.patch(url, json={kind: {"name": "Racer"}}) for url in urls))
    assert sorted(each.status_code for each in answers) == [200] + 7 * [409]


async def test_a_role_gives_what_its_name_says_whatever_its_case(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    """As clouds have it that were made long ago: there the roles are Member and Admin."""
    (role,) = body_of(await admin.get("/v3/roles?name=ADMIN"))["roles"]
    body_of(await admin.patch(f"/v3/roles/{role['id']}", json={"role": {"name": "Admin"}}))
    body_of(await admin.get("/v3/users"))
    context = await identity.verifier("nova").authenticate(await identity.token("admin"), None)
    assert context.is_admin
