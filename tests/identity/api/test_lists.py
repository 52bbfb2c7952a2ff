"""Lists of identity: filtered, sorted, a page at a time, and never more than was asked for."""

from typing import Any

import httpx
import pytest

from kilonova.identity import records

KINDS = ["users", "projects", "groups", "domains", "roles", "services", "endpoints", "regions"]
NAMED = KINDS[:6]


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


async def make(admin: httpx.AsyncClient, kind: str, name: str) -> dict[str, Any]:
    singular = kind[:-1]
    fields: dict[str, Any] = {"name": name}
    if kind == "services":
        fields["type"] = f"type-of-{name}"
    elif kind == "regions":
        fields = {"id": name}
    elif kind == "endpoints":
        (service,) = (await admin.get("/v3/services", params={"type": "compute"})).json()["services"]
        fields = {
            "service_id": service["id"],
            "interface": "admin",
            "url": f"http://{name.lower()}/",
            "region_id": name,
        }
    response = await admin.post(f"/v3/{kind}", json={singular: fields})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()[singular]
    return made


async def listed(admin: httpx.AsyncClient, kind: str, **query: Any) -> list[dict[str, Any]]:
    response = await admin.get(f"/v3/{kind}", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()[kind]
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_pages_put_together_are_the_whole_list(admin: httpx.AsyncClient, kind: str) -> None:
    for number in range(5):
        await make(admin, kind, f"n{number}")
    whole = (await admin.get(f"/v3/{kind}")).json()
    assert whole["links"]["next"] is None
    for limit in (1, 2, len(whole[kind])):
        pages, url = [], f"/v3/{kind}?limit={limit}"
        while url:
            page = (await admin.get(url)).json()
            assert len(page[kind]) <= limit
            assert page["links"]["self"].endswith(url.removeprefix("http://service.local"))
            pages.append(page[kind])
            url = page["links"]["next"]
        assert [each for page in pages for each in page] == whole[kind]
        assert len(pages) == -(-len(whole[kind]) // limit)
    marker = whole[kind][1]["id"]
    assert await listed(admin, kind, marker=marker) == whole[kind][2:]
    assert (await admin.get(f"/v3/{kind}?limit=0")).json()[kind] == whole[kind]


@pytest.mark.parametrize("kind", NAMED)
async def test_lists_are_sorted_as_they_are_asked_to_be(admin: httpx.AsyncClient, kind: str) -> None:
    for name in ("b1", "c1", "a1"):
        await make(admin, kind, name)
    for direction, names in (("asc", ["a1", "b1", "c1"]), ("desc", ["c1", "b1", "a1"])):
        found = await listed(admin, kind, sort_key="name", sort_dir=direction, name__endswith="1")
        assert [each["name"] for each in found] == names
        page = (await admin.get(f"/v3/{kind}?sort_key=name&sort_dir={direction}&name__endswith=1&limit=2")).json()
        rest = (await admin.get(page["links"]["next"])).json()
        assert [each["name"] for each in page[kind] + rest[kind]] == names
    refused = await admin.get(f"/v3/{kind}?sort_key=password")
    assert refused.status_code == 400
    assert "possible keys are" in refused.json()["error"]["message"]


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize(
    ("comparison", "value", "names"),
    [
        ("contains", "eb", ["Web-1", "web-2"]),
        ("icontains", "EB-", ["Web-1", "web-2"]),
        ("startswith", "we", ["Web-1", "web-2"]),
        ("istartswith", "WEB-2", ["web-2"]),
        ("endswith", "-2", ["db-2", "web-2"]),
        ("iendswith", "B-2", ["db-2", "web-2"]),
        ("contains", "%", ["50%_/x"]),
        ("contains", "_", ["50%_/x"]),
        ("contains", "b_2", []),
        ("endswith", "_/x", ["50%_/x"]),
    ],
)
async def test_parts_of_names_are_found(
    admin: httpx.AsyncClient, kind: str, comparison: str, value: str, names: list[str]
) -> None:
    for name in ("Web-1", "web-2", "db-2", "50%_/x"):
        await make(admin, kind, name)
    found = [each["name"] for each in await listed(admin, kind, **{f"name__{comparison}": value})]
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query", ["email=x", "name__like=x", "name__=x", "colour__contains=x", "Limit=2", "fields=id"])
async def test_what_would_not_be_obeyed_is_refused(admin: httpx.AsyncClient, kind: str, query: str) -> None:
    response = await admin.get(f"/v3/{kind}?{query}")
    assert response.status_code == 400
    name = query.partition("=")[0]
    assert f"cannot be asked for {name!r}" in response.json()["error"]["message"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=-1", f"limit={'9' * 400}", "marker=nothing", "limit=1&limit=2", "sort_dir=up&sort_key=id"],
)
async def test_what_cannot_be_obeyed_is_refused(admin: httpx.AsyncClient, kind: str, query: str) -> None:
    assert (await admin.get(f"/v3/{kind}?{query}")).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
async def test_sort_keys_are_bounded(admin: httpx.AsyncClient, kind: str) -> None:
    assert (await admin.get(f"/v3/{kind}?" + "&".join(["sort_key=id"] * 16))).status_code == 200
    refused = await admin.get(f"/v3/{kind}?" + "&".join(["sort_key=id"] * 17))
    assert refused.status_code == 400
    assert "16 times" in refused.json()["error"]["message"]


async def test_users_that_cannot_be_here_are_not_listed(admin: httpx.AsyncClient) -> None:
    assert await listed(admin, "users")
    for query in ("idp_id=x", "protocol_id=x", "unique_id=x", "password_expires_at=lt:2030-01-01T00:00:00Z"):
        assert (await admin.get(f"/v3/users?{query}")).json()["users"] == []


async def test_filters_of_records_come_together(identity: Any, admin: httpx.AsyncClient) -> None:
    branch = await make(admin, "domains", "branch")
    for name, enabled in (("a", True), ("b", False)):
        body = {"user": {"name": name, "domain_id": branch["id"], "enabled": enabled}}
        assert (await admin.post("/v3/users", json=body)).status_code == 201
    assert [each["name"] for each in await listed(admin, "users", domain_id=branch["id"], enabled="true")] == ["a"]
    assert [each["name"] for each in await listed(admin, "users", domain_id=branch["id"], enabled="0")] == ["b"]
    assert await listed(admin, "users", domain_id=branch["id"], name="demo") == []
    services = await listed(admin, "services", type="compute")
    endpoints = await listed(admin, "endpoints", service_id=services[0]["id"], interface="public")
    assert len(endpoints) == 1
    assert await listed(admin, "endpoints", region="RegionOne", interface__startswith="pub", limit=1)


async def test_members_groups_and_projects_of_users_are_lists_too(identity: Any, admin: httpx.AsyncClient) -> None:
    group = await make(admin, "groups", "staff")
    users = [await make(admin, "users", f"user{number}") for number in range(3)]
    for each in users:
        assert (await admin.put(f"/v3/groups/{group['id']}/users/{each['id']}")).status_code == 204
    url = f"/v3/groups/{group['id']}/users"
    page = (await admin.get(f"{url}?limit=2&sort_key=name")).json()
    assert [each["name"] for each in page["users"]] == ["user0", "user1"]
    assert [each["name"] for each in (await admin.get(page["links"]["next"])).json()["users"]] == ["user2"]
    assert len((await admin.get(f"{url}?name__contains=2")).json()["users"]) == 1
    assert (await admin.get(f"{url}?colour=red")).status_code == 400
    groups = f"/v3/users/{users[0]['id']}/groups"
    assert [each["name"] for each in (await admin.get(f"{groups}?name=STAFF")).json()["groups"]] == ["staff"]
    assert (await admin.get(f"{groups}?name=other")).json()["groups"] == []
    demo = {"x-auth-token": await identity.token("demo")}
    for path in ("/v3/auth/projects", "/v3/auth/domains"):
        assert (await admin.get(f"{path}?name=nothing", headers=demo)).json()["links"]["next"] is None
        assert (await admin.get(f"{path}?colour=red", headers=demo)).status_code == 400
    reached = (await admin.get("/v3/auth/projects?name=DEMO&limit=1", headers=demo)).json()["projects"]
    assert [each["name"] for each in reached] == ["demo"]
    mine = await admin.get(f"/v3/users/{users[0]['id']}/projects?limit=1")
    assert mine.json()["projects"] == []


async def test_nobody_goes_on_from_a_project_that_is_not_in_his_list(identity: Any, admin: httpx.AsyncClient) -> None:
    theirs = await make(admin, "projects", "m")
    headers = {"x-auth-token": await identity.token("demo")}
    (mine,) = (await admin.get("/v3/auth/projects", headers=headers)).json()["projects"]
    for path in ("/v3/auth/projects", f"/v3/users/{(await listed(admin, 'users', name='demo'))[0]['id']}/projects"):
        url = f"{path}?sort_key=name&marker="
        refused = await admin.get(f"{url}{theirs['id']}", headers=headers)
        assert (refused.status_code, "nothing in this list" in refused.text) == (400, True)
        assert (await admin.get(f"{url}{mine['id']}", headers=headers)).json()["projects"] == []


async def test_projects_are_found_by_where_they_lie_page_by_page(admin: httpx.AsyncClient) -> None:
    top = await make(admin, "projects", "top")
    for number in range(3):
        body = {"project": {"name": f"inner{number}", "parent_id": top["id"], "tags": ["red", f"n{number}"]}}
        assert (await admin.post("/v3/projects", json=body)).status_code == 201
    page = (await admin.get(f"/v3/projects?parent_id={top['id']}&limit=2&tags=red")).json()
    rest = (await admin.get(page["links"]["next"])).json()
    assert sorted(each["name"] for each in page["projects"] + rest["projects"]) == ["inner0", "inner1", "inner2"]
    assert await listed(admin, "projects", is_domain="true") == []
    assert top["id"] in [each["id"] for each in await listed(admin, "projects", parent_id="default", is_domain="false")]
    assert (await admin.get("/v3/projects?tags=" + ",".join(f"t{n}" for n in range(51)))).status_code == 400


async def test_assignments_are_listed_for_a_project_and_all_that_lies_in_it(
    identity: Any, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_IDS", 1)
    (user,) = await listed(admin, "users", name="demo")
    (role,) = await listed(admin, "roles", name="reader")
    top = await make(admin, "projects", "top")
    places = [top["id"]]
    for number in range(2):
        body = {"project": {"name": f"inner{number}", "parent_id": top["id"]}}
        places.append((await admin.post("/v3/projects", json=body)).json()["project"]["id"])
    for place in places:
        await admin.put(f"/v3/projects/{place}/users/{user['id']}/roles/{role['id']}")
    url = f"/v3/role_assignments?scope.project.id={top['id']}"
    for more in ("", "&effective", "&include_names"):
        inside = (await admin.get(f"{url}&include_subtree=true{more}")).json()["role_assignments"]
        assert {each["scope"]["project"]["id"] for each in inside} == set(places)
        alone = (await admin.get(f"{url}&include_subtree=false{more}")).json()["role_assignments"]
        assert {each["scope"]["project"]["id"] for each in alone} == {top["id"]}
    assert (await admin.get(f"{url}&scope.OS-INHERIT:inherited_to=projects")).json()["role_assignments"] == []
    for query in ("include_subtree", "scope.project.id=x&scope.domain.id=y", "colour=red", "user.id=a&user.id=b"):
        assert (await admin.get(f"/v3/role_assignments?{query}")).status_code == 400


@pytest.mark.parametrize("text", ["1", "t", "True", "on", "Y", "yes", "0", "f", "false", "OFF", "n", "no"])
async def test_booleans_are_read_as_upstream_reads_them(admin: httpx.AsyncClient, text: str) -> None:
    wanted = text.lower() in ("1", "t", "true", "on", "y", "yes")
    body = {"user": {"name": "disabled", "enabled": False}}
    assert (await admin.post("/v3/users", json=body)).status_code == 201
    found = await listed(admin, "users", enabled=text)
    assert {each["enabled"] for each in found} == {wanted}


@pytest.mark.parametrize("query", ["users?enabled=maybe", "projects?is_domain=2", "role_assignments?effective=x"])
async def test_what_is_no_boolean_is_refused(admin: httpx.AsyncClient, query: str) -> None:
    refused = await admin.get(f"/v3/{query}")
    assert refused.status_code == 400
    assert "must be true or false" in refused.json()["error"]["message"]
