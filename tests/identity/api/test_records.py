"""Users, projects, domains, roles, grants and the catalog's records, each as a story."""

from typing import Any

import httpx
import pytest

from kilonova.identity.app import ROUTES
from kilonova.kit.http.routes import Route


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


STORIES = [
    ("users", "user", {"name": "alice", "email": "a@example.org", "enabled": True}, {"name": "bob"}),
    ("projects", "project", {"name": "lab", "description": "a lab", "colour": "blue"}, {"description": "changed"}),
    ("domains", "domain", {"name": "branch", "description": "d", "enabled": False}, {"name": "twig"}),
    ("roles", "role", {"name": "auditor", "description": "looks"}, {"name": "inspector"}),
    ("services", "service", {"type": "dns", "name": "designate", "description": ""}, {"name": "names"}),
    ("regions", "region", {"id": "RegionTwo", "description": "second"}, {"description": "other"}),
]


@pytest.mark.parametrize(("plural", "singular", "new", "change"), STORIES)
async def test_a_record_is_created_shown_listed_changed_and_deleted(
    admin: httpx.AsyncClient, body_of: Any, plural: str, singular: str, new: dict[str, Any], change: dict[str, Any]
) -> None:
    created = body_of(await admin.post(f"/v3/{plural}", json={singular: new}), 201)[singular]
    assert {**created, **new} == created
    url = f"/v3/{plural}/{created['id']}"
    assert created["links"]["self"].endswith(url)
    assert body_of(await admin.get(url))[singular] == created
    assert created in body_of(await admin.get(f"/v3/{plural}"))[plural]
    changed = body_of(await admin.patch(url, json={singular: change}))[singular]
    assert changed == {**created, **change}
    assert (await admin.delete(url)).status_code == 204
    missing = await admin.get(url)
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == f"Could not find {singular}: {created['id']}."


@pytest.mark.parametrize(("plural", "singular", "new", "_change"), STORIES)
async def test_only_administrators_write_records(
    identity: Any, plural: str, singular: str, new: dict[str, Any], _change: Any
) -> None:
    headers = {"x-auth-token": await identity.token("demo")}
    response = await identity.client.post(f"/v3/{plural}", json={singular: new}, headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["title"] == "Forbidden"


@pytest.mark.parametrize(("plural", "singular", "new", "_change"), STORIES[:4])
async def test_a_taken_name_is_409_on_create_and_on_change(
    admin: httpx.AsyncClient, body_of: Any, plural: str, singular: str, new: dict[str, Any], _change: Any
) -> None:
    body_of(await admin.post(f"/v3/{plural}", json={singular: new}), 201)
    body_of(await admin.post(f"/v3/{plural}", json={singular: new}), 409)
    second = body_of(await admin.post(f"/v3/{plural}", json={singular: {**new, "name": "second"}}), 201)[singular]
    body_of(await admin.patch(f"/v3/{plural}/{second['id']}", json={singular: {"name": new["name"]}}), 409)


@pytest.mark.parametrize(
    ("plural", "body", "sentence"),
    [
        ("users", {}, "missing required field `user`"),
        ("users", {"user": {"name": ""}}, "length >= 1"),
        ("users", {"user": {"name": "x", "enabled": "yes"}}, "Expected `bool`"),
        ("projects", {"project": {"name": "x", "domain_id": "nowhere"}}, "Could not find domain: nowhere"),
        ("projects", {"project": {"name": "x" * 65}}, "length <= 64"),
        ("projects", {"project": {"name": "x", "is_domain": True}}, "/v3/domains"),
        ("endpoints", {"endpoint": {"service_id": "no", "interface": "public", "url": "http://x"}}, "find service: no"),
        ("endpoints", {"endpoint": {"service_id": "no", "interface": "secret", "url": "http://x"}}, "Invalid enum"),
        ("endpoints", {"endpoint": {"service_id": "no", "interface": "public", "url": "x"}}, "matching regex"),
    ],
)
async def test_bad_input_is_400_with_the_reason(
    admin: httpx.AsyncClient, plural: str, body: Any, sentence: str
) -> None:
    response = await admin.post(f"/v3/{plural}", json=body)
    assert response.status_code == 400
    assert sentence in response.json()["error"]["message"]


FIRST = [route for route in ROUTES if route.rule_first]


@pytest.mark.parametrize("route", FIRST, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"user": 5}', b'{"region": {"id": 5}}', b"x" * 200_000])
async def test_who_may_not_is_told_so_whatever_the_body_is(
    identity: Any, admin: httpx.AsyncClient, route: Route, body: bytes
) -> None:
    path = route.path.format_map({"service_id": "x", "endpoint_id": "x", "region_id": "x"})
    member = {"x-auth-token": await identity.token("demo")}
    refused = await admin.request(route.method, path, content=body, headers=member)
    assert refused.status_code == 403
    assert route.rule in refused.json()["error"]["message"]
    assert (await admin.request(route.method, path, content=body)).status_code in (400, 413)


def test_every_record_that_is_made_has_its_rule_come_first() -> None:
    made = {route.path for route in ROUTES if route.method == "POST" and route.rule.startswith("identity:create_")}
    refused = {"/v3/credentials", "/v3/users/{user_id}/application_credentials"}
    assert {route.path for route in FIRST if route.method == "POST"} == made - refused


async def test_an_endpoint_joins_the_catalog_and_its_region_is_made(admin: httpx.AsyncClient, body_of: Any) -> None:
    service = body_of(await admin.post("/v3/services", json={"service": {"type": "dns", "name": "designate"}}), 201)
    new = {
        "service_id": service["service"]["id"],
        "interface": "public",
        "url": "http://dns.local/$(tenant_id)s",
        "region": "RegionNine",
    }
    endpoint = body_of(await admin.post("/v3/endpoints", json={"endpoint": new}), 201)["endpoint"]
    assert endpoint["region_id"] == "RegionNine"
    assert body_of(await admin.get("/v3/regions/RegionNine"))["region"]["id"] == "RegionNine"
    assert (await admin.delete("/v3/regions/RegionNine")).status_code == 400
    catalog = body_of(await admin.get("/v3/auth/catalog"))["catalog"]
    (dns,) = [entry for entry in catalog if entry["type"] == "dns"]
    assert "$" not in dns["endpoints"][0]["url"]
    changed = await admin.patch(f"/v3/endpoints/{endpoint['id']}", json={"endpoint": {"enabled": False}})
    assert body_of(changed)["endpoint"]["enabled"] is False
    catalog = body_of(await admin.get("/v3/auth/catalog"))["catalog"]
    assert [entry["endpoints"] for entry in catalog if entry["type"] == "dns"] == [[]]
    assert (await admin.delete(f"/v3/endpoints/{endpoint['id']}")).status_code == 204


async def test_a_grant_gives_access_and_its_withdrawal_ends_it(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    user = body_of(await admin.post("/v3/users", json={"user": {"name": "alice", "password": "secret"}}), 201)["user"]
    project_id = await identity.project_id("demo")
    role = body_of(await admin.get("/v3/roles?name=manager"))["roles"][0]
    url = f"/v3/projects/{project_id}/users/{user['id']}/roles/{role['id']}"
    assert (await admin.head(url)).status_code == 404
    assert (await admin.put(url)).status_code == 204
    assert (await admin.put(url)).status_code == 204
    assert (await admin.head(url)).status_code == 204
    listed = body_of(await admin.get(f"/v3/projects/{project_id}/users/{user['id']}/roles"))["roles"]
    assert [each["name"] for each in listed] == ["manager"]
    login = {"user": {"id": user["id"], "password": "secret"}}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": login},
            "scope": {"project": {"id": project_id}},
        }
    }
    token = await identity.client.post("/v3/auth/tokens", json=body)
    assert [each["name"] for each in body_of(token, 201)["token"]["roles"]] == ["manager", "member", "reader"]
    assert (await admin.delete(url)).status_code == 204
    assert (await admin.delete(url)).status_code == 404
    headers = {"x-auth-token": token.headers["x-subject-token"]}
    assert (await identity.client.get("/v3/auth/projects", headers=headers)).status_code == 401


async def test_role_assignments_are_listed_with_names_and_effects(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    project_id = await identity.project_id("demo")
    url = f"/v3/role_assignments?scope.project.id={project_id}&include_names"
    direct = body_of(await admin.get(url))["role_assignments"]
    assert {(each["user"]["name"], each["role"]["name"]) for each in direct} == {
        ("demo", "member"),
        ("reader", "reader"),
    }
    assert direct[0]["scope"]["project"]["name"] == "demo"
    effective = body_of(await admin.get(url + "&effective"))["role_assignments"]
    assert ("demo", "reader") in {(each["user"]["name"], each["role"]["name"]) for each in effective}
    system = body_of(await admin.get("/v3/role_assignments?scope.system=all&include_names"))["role_assignments"]
    assert [each["user"]["name"] for each in system] == ["admin"]


async def test_implied_roles_form_the_chain_and_can_be_changed(admin: httpx.AsyncClient, body_of: Any) -> None:
    rules = body_of(await admin.get("/v3/role_inferences"))["role_inferences"]
    chain = {rule["prior_role"]["name"]: [each["name"] for each in rule["implies"]] for rule in rules}
    assert chain == {"admin": ["manager"], "manager": ["member"], "member": ["reader"]}
    ids = {role["name"]: role["id"] for role in body_of(await admin.get("/v3/roles"))["roles"]}
    url = f"/v3/roles/{ids['reader']}/implies/{ids['service']}"
    body_of(await admin.put(url), 201)
    assert (await admin.head(url)).status_code == 204
    implied = body_of(await admin.get(f"/v3/roles/{ids['reader']}/implies"))["role_inference"]["implies"]
    assert [each["name"] for each in implied] == ["service"]
    assert (await admin.delete(url)).status_code == 204
    assert (await admin.head(url)).status_code == 404


async def test_a_domain_is_deleted_once_it_is_disabled_and_takes_its_users_and_projects_with_it(
    admin: httpx.AsyncClient, body_of: Any
) -> None:
    domain = body_of(await admin.post("/v3/domains", json={"domain": {"name": "branch"}}), 201)["domain"]
    url, kept = f"/v3/domains/{domain['id']}", {"options": {"immutable": True}}
    made = []
    for plural, new in (("users", {"name": "x"}), ("projects", {"name": "top"}), ("projects", {"name": "leaf"})):
        singular = plural[:-1]
        new |= {"domain_id": domain["id"], **({"parent_id": made[-1]} if new["name"] == "leaf" else {})}
        made.append(body_of(await admin.post(f"/v3/{plural}", json={singular: new}), 201)[singular]["id"])
    assert (await admin.delete(url)).status_code == 403
    await admin.patch(url, json={"domain": {"enabled": False}})
    leaf = f"/v3/projects/{made[2]}"
    await admin.patch(leaf, json={"project": kept})
    assert "immutable" in body_of(await admin.delete(url), 403)["error"]["message"]
    await admin.patch(leaf, json={"project": {"options": {"immutable": None}}})
    assert (await admin.delete(url)).status_code == 204
    for gone in (url, f"/v3/users/{made[0]}", f"/v3/projects/{made[1]}", leaf):
        assert (await admin.get(gone)).status_code == 404


async def test_a_region_is_made_under_the_id_in_its_path(admin: httpx.AsyncClient, body_of: Any) -> None:
    url, body = "/v3/regions/RegionSeven", {"region": {"description": "seventh"}}
    made = body_of(await admin.put(url, json=body), 201)["region"]
    assert (made["id"], made["description"]) == ("RegionSeven", "seventh")
    assert body_of(await admin.get(url))["region"] == made
    body_of(await admin.put(url, json=body), 409)
    assert "RegionSix" in body_of(await admin.put(url, json={"region": {"id": "RegionSix"}}), 400)["error"]["message"]


async def test_a_password_is_changed_by_whoever_knows_the_old_one(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    user = body_of(await admin.post("/v3/users", json={"user": {"name": "alice", "password": "secret"}}), 201)["user"]
    url = f"/v3/users/{user['id']}/password"

    async def change(old: str, new: str, url: str = url) -> int:
        body = {"user": {"original_password": old, "password": new}}
        return int((await identity.client.post(url, json=body)).status_code)

    assert await change("wrong", "better") == 401
    assert await change("secret", "better", "/v3/users/nobody/password") == 401
    assert await change("secret", "better") == 204
    assert await change("secret", "best") == 401
    body_of(await admin.patch(f"/v3/users/{user['id']}", json={"user": {"enabled": False}}))
    assert await change("better", "best") == 401


async def test_projects_have_tags(identity: Any, admin: httpx.AsyncClient, body_of: Any) -> None:
    project = body_of(await admin.post("/v3/projects", json={"project": {"name": "tagged"}}), 201)["project"]
    url = f"/v3/projects/{project['id']}/tags"
    assert body_of(await admin.put(url, json={"tags": ["a", "b"]}))["tags"] == ["a", "b"]
    added = await admin.put(f"{url}/c")
    assert (added.status_code, added.headers["location"].endswith(f"{url}/c")) == (201, True)
    assert (await admin.put(f"{url}/c")).status_code == 201
    assert (await admin.get(f"{url}/c")).status_code == (await admin.head(f"{url}/b")).status_code == 204
    assert (await admin.delete(f"{url}/a")).status_code == 204
    assert body_of(await admin.get(url))["tags"] == ["b", "c"]
    assert [each["id"] for each in body_of(await admin.get("/v3/projects?tags=b,c"))["projects"]] == [project["id"]]
    for method in ("GET", "DELETE"):
        assert (await admin.request(method, f"{url}/a")).status_code == 404
    for tags in (["a", "a"], ["a,b"], [""], ["x" * 256], [str(number) for number in range(81)]):
        assert (await admin.put(url, json={"tags": tags})).status_code == 400
    assert (await admin.put(f"{url}/a,b")).status_code == 400
    body_of(await admin.put(url, json={"tags": [str(number) for number in range(80)]}))
    assert "80 tags" in body_of(await admin.put(f"{url}/more"), 400)["error"]["message"]
    headers = {"x-auth-token": await identity.token("demo")}
    assert (await identity.client.put(f"{url}/x", headers=headers)).status_code == 403
    assert (await admin.delete(url)).status_code == 204
    assert body_of(await admin.get(url))["tags"] == []


async def test_a_disabled_user_loses_his_token(identity: Any, admin: httpx.AsyncClient, body_of: Any) -> None:
    token = await identity.token("demo")
    user = body_of(await admin.get("/v3/users?name=demo"))["users"][0]
    body_of(await admin.patch(f"/v3/users/{user['id']}", json={"user": {"enabled": False}}))
    assert (await identity.client.get("/v3/auth/projects", headers={"x-auth-token": token})).status_code == 401


async def test_people_see_themselves_and_not_each_other(identity: Any, admin: httpx.AsyncClient, body_of: Any) -> None:
    ids = {user["name"]: user["id"] for user in body_of(await admin.get("/v3/users"))["users"]}
    headers = {"x-auth-token": await identity.token("demo")}
    assert body_of(await identity.client.get(f"/v3/users/{ids['demo']}", headers=headers))["user"]["name"] == "demo"
    for unseen in (ids["other"], "no-such-user"):
        assert (await identity.client.get(f"/v3/users/{unseen}", headers=headers)).status_code == 403
    mine = body_of(await identity.client.get(f"/v3/users/{ids['demo']}/projects", headers=headers))
    assert [each["name"] for each in mine["projects"]] == ["demo"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tags=red", {"one", "both"}),
        ("tags=red,blue", {"both"}),
        ("tags-any=red,blue", {"one", "two", "both"}),
        ("not-tags=red,blue", {"one", "two"}),
        ("not-tags-any=red,blue", set()),
        ("tags-any=red,blue&not-tags=red", {"two"}),
    ],
)
async def test_projects_are_found_by_their_tags(
    admin: httpx.AsyncClient, body_of: Any, query: str, expected: set[str]
) -> None:
    for name, tags in (("one", ["red"]), ("two", ["blue"]), ("both", ["red", "blue"])):
        body_of(await admin.post("/v3/projects", json={"project": {"name": name, "tags": tags}}), 201)
    found = {each["name"] for each in body_of(await admin.get(f"/v3/projects?{query}"))["projects"]}
    assert found - {"admin", "service", "demo", "other"} == expected


async def test_a_project_with_projects_in_it_is_not_deleted(admin: httpx.AsyncClient, body_of: Any) -> None:
    parent = body_of(await admin.post("/v3/projects", json={"project": {"name": "parent"}}), 201)["project"]
    new = {"project": {"name": "child", "parent_id": parent["id"]}}
    child = body_of(await admin.post("/v3/projects", json=new), 201)["project"]
    assert child["parent_id"] == parent["id"]
    listed = body_of(await admin.get(f"/v3/projects?parent_id={parent['id']}"))["projects"]
    assert [each["id"] for each in listed] == [child["id"]]
    assert "1 projects" in body_of(await admin.delete(f"/v3/projects/{parent['id']}"), 403)["error"]["message"]
    for each in (child, parent):
        assert (await admin.delete(f"/v3/projects/{each['id']}")).status_code == 204


async def test_a_single_implied_role_is_shown_and_checked(admin: httpx.AsyncClient, body_of: Any) -> None:
    ids = {each["name"]: each["id"] for each in body_of(await admin.get("/v3/roles"))["roles"]}
    url = f"/v3/roles/{ids['member']}/implies/{ids['reader']}"
    shown = body_of(await admin.get(url))["role_inference"]
    assert (shown["prior_role"]["name"], shown["implies"]["name"]) == ("member", "reader")
    assert (await admin.head(url)).status_code == 204
    reverse = f"/v3/roles/{ids['reader']}/implies/{ids['member']}"
    assert (await admin.head(reverse)).status_code == 404
    assert (await admin.delete(reverse)).status_code == 404


async def test_domains_and_the_system_in_reach_are_those_with_a_role(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    user_id = body_of(await admin.get("/v3/users?name=demo"))["users"][0]["id"]
    role_id = body_of(await admin.get("/v3/roles?name=reader"))["roles"][0]["id"]
    assert (await admin.put(f"/v3/domains/default/users/{user_id}/roles/{role_id}")).status_code == 204
    headers = {"x-auth-token": await identity.token("demo")}
    found = body_of(await identity.client.get("/v3/auth/domains", headers=headers))["domains"]
    assert [each["name"] for each in found] == ["Default"]
    assert body_of(await identity.client.get("/v3/auth/system", headers=headers)) == {"system": []}
    named = body_of(await admin.get("/v3/role_assignments?scope.domain.id=default&include_names"))["role_assignments"]
    assert named[0]["scope"]["domain"] == {"id": "default", "name": "Default"}


async def test_a_project_is_shown_with_what_it_lies_in_and_what_lies_in_it(
    admin: httpx.AsyncClient, body_of: Any
) -> None:
    ids: list[str] = []
    for name in ("top", "middle", "bottom"):
        new = {"name": name, "parent_id": ids[-1] if ids else None}
        ids.append(body_of(await admin.post("/v3/projects", json={"project": new}), 201)["project"]["id"])
    top, middle, bottom = ids
    url = f"/v3/projects/{middle}"
    shown = body_of(await admin.get(f"{url}?parents_as_ids&subtree_as_ids=True"))["project"]
    assert shown["parents"] == {top: {"default": None}}
    assert shown["subtree"] == {bottom: None}
    shown = body_of(await admin.get(f"{url}?parents_as_list&subtree_as_list"))["project"]
    assert [each["project"]["name"] for each in shown["parents"]] == ["top"]
    assert [each["project"]["name"] for each in shown["subtree"]] == ["bottom"]
    assert body_of(await admin.get(f"/v3/projects/{bottom}?subtree_as_ids"))["project"]["subtree"] is None
    assert not {"parents", "subtree"} & set(body_of(await admin.get(url))["project"])
    body_of(await admin.get(f"{url}?parents_as_ids&parents_as_list"), 400)


@pytest.mark.parametrize(("plural", "singular"), [("projects", "project"), ("domains", "domain"), ("roles", "role")])
async def test_what_is_immutable_is_neither_changed_nor_deleted(
    admin: httpx.AsyncClient, body_of: Any, plural: str, singular: str
) -> None:
    new = {"name": "rock", "enabled": False, "options": {"immutable": True}}
    created = body_of(await admin.post(f"/v3/{plural}", json={singular: new}), 201)[singular]
    assert created["options"] == {"immutable": True}
    url = f"/v3/{plural}/{created['id']}"
    for change in ({"name": "sand"}, {"colour": "grey"}, {"name": "sand", "options": {"immutable": False}}):
        assert "immutable" in body_of(await admin.patch(url, json={singular: change}), 403)["error"]["message"]
    body_of(await admin.delete(url), 403)
    freed = body_of(await admin.patch(url, json={singular: {"options": {"immutable": None}}}))[singular]
    assert freed["options"] == {}
    assert body_of(await admin.patch(url, json={singular: {"name": "sand"}}))[singular]["name"] == "sand"
    assert (await admin.delete(url)).status_code == 204


async def test_options_are_an_object_and_change_one_by_one(admin: httpx.AsyncClient, body_of: Any) -> None:
    body_of(await admin.post("/v3/users", json={"user": {"name": "eve", "options": "none"}}), 400)
    new = {"name": "eve", "options": {"lock_password": True, "ignore_password_expiry": True}}
    user = body_of(await admin.post("/v3/users", json={"user": new}), 201)["user"]
    change = {"options": {"lock_password": None, "ignore_lockout_failure_attempts": True}}
    changed = body_of(await admin.patch(f"/v3/users/{user['id']}", json={"user": change}))["user"]
    assert changed["options"] == {"ignore_password_expiry": True, "ignore_lockout_failure_attempts": True}


async def test_a_role_named_user_is_a_member_s(admin: httpx.AsyncClient, body_of: Any) -> None:
    user = body_of(await admin.post("/v3/roles", json={"role": {"name": "user"}}), 201)["role"]
    implied = body_of(await admin.get(f"/v3/roles/{user['id']}/implies"))["role_inference"]["implies"]
    assert [each["name"] for each in implied] == ["member"]
    assert (await admin.delete(f"/v3/roles/{user['id']}/implies/{implied[0]['id']}")).status_code == 204
    assert (await admin.delete(f"/v3/roles/{user['id']}")).status_code == 204


async def test_a_role_of_a_domain_is_named_with_its_domain_in_assignments(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    new = {"name": "warden", "domain_id": "default"}
    role = body_of(await admin.post("/v3/roles", json={"role": new}), 201)["role"]
    user_id = body_of(await admin.get("/v3/users?name=demo"))["users"][0]["id"]
    assert (await admin.put(f"/v3/domains/default/users/{user_id}/roles/{role['id']}")).status_code == 204
    url = f"/v3/role_assignments?role.id={role['id']}&include_names"
    (assignment,) = body_of(await admin.get(url))["role_assignments"]
    assert assignment["role"]["domain"] == {"id": "default", "name": "Default"}


async def test_a_domain_s_own_role_counts_for_what_it_implies(
    identity: Any, admin: httpx.AsyncClient, body_of: Any
) -> None:
    own = {"role": {"name": "helper", "domain_id": "default"}}
    helper = body_of(await admin.post("/v3/roles", json=own), 201)["role"]["id"]
    member = body_of(await admin.get("/v3/roles?name=member"))["roles"][0]["id"]
    refused = body_of(await admin.put(f"/v3/roles/{member}/implies/{helper}"), 403)
    assert "a domain's own" in refused["error"]["message"]
    body_of(await admin.put(f"/v3/roles/{helper}/implies/{member}"), 201)
    project_id = await identity.project_id("demo")
    user = body_of(await admin.post("/v3/users", json={"user": {"name": "alice", "password": "secret"}}), 201)["user"]
    await admin.put(f"/v3/projects/{project_id}/users/{user['id']}/roles/{helper}")
    url = f"/v3/role_assignments?include_names&user.id={user['id']}"
    direct = body_of(await admin.get(url))["role_assignments"]
    effective = body_of(await admin.get(f"{url}&effective"))["role_assignments"]
    assert [each["role"]["name"] for each in direct] == ["helper"]
    assert {each["role"]["name"] for each in effective} == {"member", "reader"}
    login = {"methods": ["password"], "password": {"user": {"id": user["id"], "password": "secret"}}}
    body = {"auth": {"identity": login, "scope": {"project": {"id": project_id}}}}
    token = body_of(await identity.client.post("/v3/auth/tokens", json=body), 201)["token"]
    assert {each["name"] for each in token["roles"]} == {"member", "reader"}
