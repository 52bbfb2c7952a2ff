"""Groups, who is in them, and the roles they give."""

from typing import Any

import httpx
import pytest


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


async def make(admin: httpx.AsyncClient, body_of: Any, name: str = "crew", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = body_of(await admin.post("/v3/groups", json={"group": {"name": name, **fields}}), 201)
    return dict(made["group"])


async def log_in(identity: Any, user_id: str, scope: dict[str, Any]) -> httpx.Response:
    who = {"methods": ["password"], "password": {"user": {"id": user_id, "password": "secret"}}}
    answer: httpx.Response = await identity.client.post(
        "/v3/auth/tokens", json={"auth": {"identity": who, "scope": scope}}
    )
    return answer


async def new_user(admin: httpx.AsyncClient, body_of: Any) -> str:
    user = {"name": "alice", "password": "secret"}
    return str(body_of(await admin.post("/v3/users", json={"user": user}), 201)["user"]["id"])


async def test_a_group_is_created_shown_listed_changed_and_deleted(admin: httpx.AsyncClient, body_of: Any) -> None:
    group = await make(admin, body_of, description="deck hands", colour="blue")
    assert (group["domain_id"], group["description"], group["colour"]) == ("default", "deck hands", "blue")
    url = f"/v3/groups/{group['id']}"
    assert group["links"]["self"].endswith(url)
    assert body_of(await admin.get(url))["group"] == group
    assert body_of(await admin.get("/v3/groups?name=crew&domain_id=default"))["groups"] == [group]
    assert body_of(await admin.get("/v3/groups?name=other"))["groups"] == []
    changed = body_of(await admin.patch(url, json={"group": {"name": "watch", "domain_id": "default"}}))["group"]
    assert changed == {**group, "name": "watch"}
    assert (await admin.delete(url)).status_code == 204
    for method in ("GET", "DELETE"):
        refused = body_of(await admin.request(method, url), 404)
        assert "Could not find group" in refused["error"]["message"]


async def test_a_group_that_cannot_be_is_refused(identity: Any, admin: httpx.AsyncClient, body_of: Any) -> None:
    group = await make(admin, body_of)
    for fields, status in (({"name": "crew"}, 409), ({"name": "x" * 65}, 400), ({"name": "x", "domain_id": "y"}, 404)):
        assert (await admin.post("/v3/groups", json={"group": fields})).status_code == status
    url = f"/v3/groups/{group['id']}"
    assert (await admin.patch(url, json={"group": {"domain_id": "other"}})).status_code == 400
    headers = {"x-auth-token": await identity.token("demo")}
    for method, path in (("GET", url), ("DELETE", url), ("GET", "/v3/groups"), ("GET", f"{url}/users")):
        assert (await identity.client.request(method, path, headers=headers)).status_code == 403


async def test_members_come_and_go(identity: Any, admin: httpx.AsyncClient, body_of: Any) -> None:
    group = await make(admin, body_of)
    user_id = body_of(await admin.get("/v3/users?name=demo"))["users"][0]["id"]
    members = f"/v3/groups/{group['id']}/users"
    url = f"{members}/{user_id}"
    assert (await admin.head(url)).status_code == (await admin.delete(url)).status_code == 404
    for _ in range(2):
        assert (await admin.put(url)).status_code == 204
    assert (await admin.head(url)).status_code == 204
    assert [each["name"] for each in body_of(await admin.get(members))["users"]] == ["demo"]
    headers = {"x-auth-token": await identity.token("demo")}
    own = await identity.client.get(f"/v3/users/{user_id}/groups", headers=headers)
    assert [each["name"] for each in body_of(own)["groups"]] == ["crew"]
    assert (await admin.delete(url)).status_code == 204
    assert body_of(await admin.get(members))["users"] == []
    assert (await admin.put(f"{members}/nobody")).status_code == 404


@pytest.mark.parametrize("kind", ["project", "domain", "system"])
async def test_a_member_has_the_roles_of_the_group(
    identity: Any, admin: httpx.AsyncClient, body_of: Any, kind: str
) -> None:
    group, user_id = await make(admin, body_of), await new_user(admin, body_of)
    project_id = await identity.project_id("demo")
    place, scope, shown = {
        "project": (f"projects/{project_id}", {"project": {"id": project_id}}, {"project": {"id": project_id}}),
        "domain": ("domains/default", {"domain": {"id": "default"}}, {"domain": {"id": "default"}}),
        "system": ("system", {"system": {"all": True}}, {"system": {"all": True}}),
    }[kind]
    role_id = body_of(await admin.get("/v3/roles?name=member"))["roles"][0]["id"]
    roles = f"/v3/{place}/groups/{group['id']}/roles"
    assert (await admin.head(f"{roles}/{role_id}")).status_code == 404
    assert (await admin.put(f"{roles}/{role_id}")).status_code == 204
    assert (await admin.head(f"{roles}/{role_id}")).status_code == 204
    assert [each["name"] for each in body_of(await admin.get(roles))["roles"]] == ["member"]
    assert (await log_in(identity, user_id, scope)).status_code == 401
    member = f"/v3/groups/{group['id']}/users/{user_id}"
    await admin.put(member)
    token = await log_in(identity, user_id, scope)
    assert [each["name"] for each in body_of(token, 201)["token"]["roles"]] == ["member", "reader"]
    headers = {"x-auth-token": token.headers["x-subject-token"]}
    reach = body_of(await identity.client.get(f"/v3/auth/{kind}{'' if kind == 'system' else 's'}", headers=headers))
    assert reach == {"system": [{"all": True}]} if kind == "system" else len(reach[f"{kind}s"]) == 1
    (direct,) = body_of(await admin.get(f"/v3/role_assignments?group.id={group['id']}"))["role_assignments"]
    assert (direct["group"], direct["scope"]) == ({"id": group["id"]}, shown)
    assert direct["links"]["assignment"].endswith(f"{roles}/{role_id}")
    await admin.delete(member)
    assert (await identity.client.get("/v3/auth/projects", headers=headers)).status_code == 401
    await admin.put(member)
    assert (await admin.delete(f"{roles}/{role_id}")).status_code == 204
    assert (await admin.delete(f"{roles}/{role_id}")).status_code == 404
    assert (await log_in(identity, user_id, scope)).status_code == 401


async def test_assignments_of_groups_are_listed_and_followed_to_their_members(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    group, user_id = await make(admin, body_of), await new_user(admin, body_of)
    project_id = await identity.project_id("demo")
    role_id = body_of(await admin.get("/v3/roles?name=member"))["roles"][0]["id"]
    await admin.put(f"/v3/projects/{project_id}/groups/{group['id']}/roles/{role_id}")
    await admin.put(f"/v3/groups/{group['id']}/users/{user_id}")

    async def listed(query: str) -> list[dict[str, Any]]:
        found = body_of(await admin.get(f"/v3/role_assignments?include_names&{query}"))["role_assignments"]
        return list(found)

    named = {each.get("user", each.get("group"))["name"] for each in await listed(f"scope.project.id={project_id}")}
    assert named == {"demo", "reader", "crew"}
    assert await listed(f"user.id={user_id}") == []
    effective = {each["role"]["name"]: each for each in await listed(f"user.id={user_id}&effective")}
    assert effective.keys() == {"member", "reader"}
    member = effective["member"]
    assert (member["user"]["name"], member["links"]["membership"].rpartition("/")[2]) == ("alice", user_id)
    (only,) = await listed(f"user.id={user_id}&role.id={role_id}&effective")
    assert only == member
    for query in (f"group.id={group['id']}&effective", f"group.id={group['id']}&user.id={user_id}"):
        assert (await admin.get(f"/v3/role_assignments?{query}")).status_code == 400


async def test_a_group_goes_with_its_domain_and_takes_its_roles_along(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    domain = body_of(await admin.post("/v3/domains", json={"domain": {"name": "branch", "enabled": False}}), 201)
    group = await make(admin, body_of, domain_id=domain["domain"]["id"])
    project_id = await identity.project_id("demo")
    role_id = body_of(await admin.get("/v3/roles?name=member"))["roles"][0]["id"]
    await admin.put(f"/v3/projects/{project_id}/groups/{group['id']}/roles/{role_id}")
    assert (await admin.delete(f"/v3/domains/{domain['domain']['id']}")).status_code == 204
    assert (await admin.get(f"/v3/groups/{group['id']}")).status_code == 404
    listed = body_of(await admin.get("/v3/role_assignments"))["role_assignments"]
    assert not [each for each in listed if "group" in each]
