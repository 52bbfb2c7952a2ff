"""Tokens: authentication, validation, scopes, revocation."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.fernet import Fernet, MultiFernet

from kilonova.kit.errors import Unauthorized

PASSWORD = "a password for tests"


def by_password(name: str = "demo", password: str = PASSWORD, scope: Any = None, domain: str = "default") -> Any:
    user = {"name": name, "domain": {"id": domain}, "password": password}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


DEMO = {"project": {"name": "demo", "domain": {"name": "Default"}}}


async def authenticate(client: httpx.AsyncClient, body: Any, status: int = 201) -> httpx.Response:
    response = await client.post("/v3/auth/tokens", json=body)
    assert response.status_code == status, response.text
    return response


async def test_a_password_gives_a_token_with_project_roles_and_catalog(identity: Any) -> None:
    response = await authenticate(identity.client, by_password(scope=DEMO))
    token = response.json()["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "demo"
    assert token["project"]["name"] == "demo"
    assert token["project"]["domain"] == {"id": "default", "name": "Default"}
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    objects = next(entry for entry in token["catalog"] if entry["type"] == "object-store")
    assert {each["interface"] for each in objects["endpoints"]} == {"public", "internal", "admin"}
    assert objects["endpoints"][0]["url"].endswith(f"AUTH_{token['project']['id']}")
    assert len(response.headers["x-subject-token"]) < 255


async def test_without_a_scope_the_token_has_none(identity: Any) -> None:
    token = (await authenticate(identity.client, by_password())).json()["token"]
    assert "project" not in token
    assert "roles" not in token
    assert "catalog" not in token


async def test_an_unscoped_token_is_exchanged_for_a_scoped_one(identity: Any) -> None:
    first = await authenticate(identity.client, by_password())
    token_id = first.headers["x-subject-token"]
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": token_id}}, "scope": DEMO}}
    second = (await authenticate(identity.client, body)).json()["token"]
    assert second["project"]["name"] == "demo"
    assert second["methods"] == ["password", "token"]
    assert second["audit_ids"][1] == first.json()["token"]["audit_ids"][0]
    assert second["expires_at"] <= first.json()["token"]["expires_at"]


async def test_a_default_project_is_the_scope_when_none_is_asked_for(identity: Any) -> None:
    admin = {"x-auth-token": await identity.token("admin")}
    project_id = await identity.project_id("demo")
    users = (await identity.client.get("/v3/users?name=demo", headers=admin)).json()["users"]
    url = f"/v3/users/{users[0]['id']}"
    await identity.client.patch(url, json={"user": {"default_project_id": project_id}}, headers=admin)
    assert (await authenticate(identity.client, by_password())).json()["token"]["project"]["name"] == "demo"
    assert "project" not in (await authenticate(identity.client, by_password(scope="unscoped"))).json()["token"]
    await identity.client.patch(url, json={"user": {"default_project_id": "gone"}}, headers=admin)
    assert "project" not in (await authenticate(identity.client, by_password())).json()["token"]


@pytest.mark.parametrize(
    "body",
    [
        by_password(password="wrong"),
        by_password(name="nobody"),
        by_password(domain="nowhere"),
        by_password(scope={"project": {"name": "other", "domain": {"id": "default"}}}),
        by_password(scope={"project": {"id": "no such project"}}),
        by_password(scope={"domain": {"id": "default"}}),
        by_password(scope={"system": {"all": True}}),
        {"auth": {"identity": {"methods": ["token"], "token": {"id": "gAAAAABforged"}}}},
        {"auth": {"identity": {"methods": ["totp"]}}},
    ],
)
async def test_every_refused_authentication_reads_the_same(identity: Any, body: Any) -> None:
    response = await authenticate(identity.client, body, 401)
    message = "The request you have made requires authentication."
    assert response.json() == {"error": {"code": 401, "title": "Unauthorized", "message": message}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "missing required field `auth`"),
        ({"auth": {}}, "missing required field `identity`"),
        ({"auth": {"identity": {"methods": []}}}, "identity.methods"),
        ({"auth": {"identity": {"methods": ["password"]}}}, "identity.password is required"),
        ({"auth": {"identity": {"methods": "password"}}}, "Expected `array`"),
        (by_password(scope={"project": {"id": "a"}, "domain": {"id": "b"}}), "exactly one of"),
    ],
)
async def test_a_body_that_cannot_be_meant_is_400(identity: Any, body: Any, sentence: str) -> None:
    response = await authenticate(identity.client, body, 400)
    assert sentence in response.json()["error"]["message"]


async def test_an_administrator_validates_another_users_token(identity: Any) -> None:
    headers = {"x-auth-token": await identity.token("admin"), "x-subject-token": await identity.token("demo")}
    response = await identity.client.get("/v3/auth/tokens", headers=headers)
    assert response.json()["token"]["user"]["name"] == "demo"
    assert response.headers["x-subject-token"] == headers["x-subject-token"]
    assert (await identity.client.head("/v3/auth/tokens", headers=headers)).status_code == 200
    headers["x-subject-token"] = "gAAAAAnonsense"
    assert (await identity.client.get("/v3/auth/tokens", headers=headers)).status_code == 404


async def test_a_user_validates_his_own_token_but_nobody_elses(identity: Any) -> None:
    own = await identity.token("demo")
    headers = {"x-auth-token": own, "x-subject-token": own}
    assert (await identity.client.get("/v3/auth/tokens", headers=headers)).status_code == 200
    headers["x-subject-token"] = await identity.token("other")
    assert (await identity.client.get("/v3/auth/tokens", headers=headers)).status_code == 403


async def test_a_revoked_token_is_refused_here_and_at_other_services_at_once(identity: Any) -> None:
    token = await identity.token("demo")
    verifier = identity.verifier("nova")
    context = await verifier.authenticate(token, None)
    assert (context.user_name, context.roles) == ("demo", {"member", "reader"})
    headers = {"x-auth-token": token, "x-subject-token": token}
    assert (await identity.client.delete("/v3/auth/tokens", headers=headers)).status_code == 204
    assert (await identity.client.get("/v3/auth/projects", headers=headers)).status_code == 401
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthorized):
        await verifier.authenticate(token, None)


async def test_a_changed_password_ends_the_users_tokens(identity: Any) -> None:
    response = await authenticate(identity.client, by_password(scope=DEMO))
    token, user_id = response.headers["x-subject-token"], response.json()["token"]["user"]["id"]
    change = {"user": {"password": "new one", "original_password": "wrong"}}
    url = f"/v3/users/{user_id}/password"
    assert (await identity.client.post(url, json=change, headers={"x-auth-token": token})).status_code == 401
    change["user"]["original_password"] = PASSWORD
    assert (await identity.client.post(url, json=change, headers={"x-auth-token": token})).status_code == 204
    assert (await identity.client.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401
    await authenticate(identity.client, by_password(password="new one"))


async def test_an_expired_token_is_refused(identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await identity.token("demo")
    clock = identity.identity.clock
    later = clock.now() + timedelta(seconds=identity.identity.token_seconds + 1)
    monkeypatch.setattr(type(clock), "now", lambda _self: later)
    assert (await identity.client.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401


async def test_tokens_of_another_clouds_keys_are_refused(identity: Any) -> None:
    token = await identity.token("demo")
    identity.identity.keys = MultiFernet([Fernet(Fernet.generate_key())])
    assert (await identity.client.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401


async def test_the_caller_sees_his_projects_and_catalog(identity: Any) -> None:
    headers = {"x-auth-token": await identity.token("demo")}
    projects = (await identity.client.get("/v3/auth/projects", headers=headers)).json()["projects"]
    assert [each["name"] for each in projects] == ["demo"]
    catalog = (await identity.client.get("/v3/auth/catalog", headers=headers)).json()["catalog"]
    assert {"identity", "compute", "object-store"} == {entry["type"] for entry in catalog}


async def test_the_version_documents_need_no_token(identity: Any) -> None:
    response = await identity.client.get("/")
    assert response.status_code == 300
    assert response.json()["versions"]["values"][0]["id"].startswith("v3")
    assert (await identity.client.get("/v3/")).json()["version"]["links"][0]["href"] == "http://service.local/v3/"


def sealed(identity: Any, carried: list[Any]) -> str:
    token: bytes = identity.identity.keys.encrypt(msgspec.msgpack.encode(carried))
    return token.decode().rstrip("=")


async def test_a_token_of_the_releases_before_forms_had_types_is_good_until_it_expires(identity: Any) -> None:
    issued = (await authenticate(identity.client, by_password(scope=DEMO))).json()["token"]
    now = datetime.now(UTC)
    carried = [
        1,
        b"x" + bytes.fromhex(issued["user"]["id"]),
        ["password"],
        "project",
        b"x" + bytes.fromhex(issued["project"]["id"]),
        round((now + timedelta(minutes=5)).timestamp() * 1_000_000),
        round(now.timestamp() * 1_000_000),
        ["q1Rk3Xc3QdGBB0y0RzK3fA"],
    ]
    headers = {"X-Auth-Token": await identity.token("admin", "admin")}

    async def shown(token: str) -> httpx.Response:
        answer: httpx.Response = await identity.client.get(
            "/v3/auth/tokens", headers={**headers, "X-Subject-Token": token}
        )
        return answer

    former = (await shown(sealed(identity, carried))).json()["token"]
    assert (former["user"], former["project"], former["roles"]) == (
        issued["user"],
        issued["project"],
        issued["roles"],
    )
    assert former["audit_ids"] == carried[-1]
    expired = [*carried[:5], round(now.timestamp() * 1_000_000), *carried[6:]]
    for other in ([2, *carried[1:]], ["1", *carried[1:]], carried[1:], expired, carried[:4], []):
        assert (await shown(sealed(identity, other))).status_code == 404, other
