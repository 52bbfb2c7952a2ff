"""Whatever a record is given has its effect, or is refused with what cannot be done."""

from typing import Any

import httpx
import pytest

PASSWORD = "a password for tests"
KINDS = ["user", "project", "domain", "group", "role", "service", "endpoint", "region"]


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


async def make(admin: httpx.AsyncClient, kind: str, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {} if kind == "region" else {"name": "thing"}
    if kind == "service":
        fields["type"] = "kind-of-thing"
    if kind == "endpoint":
        (service,) = (await admin.get("/v3/services?type=compute")).json()["services"]
        fields = {"service_id": service["id"], "interface": "admin", "url": "http://thing/"}
    response = await admin.post(f"/v3/{kind}s", json={kind: {**fields, **more}})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()[kind]
    return made


async def change(admin: httpx.AsyncClient, kind: str, record: dict[str, Any], **fields: Any) -> httpx.Response:
    return await admin.patch(f"/v3/{kind}s/{record['id']}", json={kind: fields})


async def refuse(admin: httpx.AsyncClient, kind: str, record: dict[str, Any], sentence: str, **fields: Any) -> None:
    refused = await change(admin, kind, record, **fields)
    assert refused.status_code in (400, 403), refused.text
    assert sentence in refused.json()["error"]["message"]
    assert (await admin.get(f"/v3/{kind}s/{record['id']}")).json()[kind] == record


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_shown_may_be_sent_back(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind)
    answer = await change(admin, kind, record, **record)
    assert answer.status_code == 200, answer.text
    assert answer.json()[kind] == record


@pytest.mark.parametrize("kind", KINDS)
async def test_attributes_without_a_meaning_are_kept(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind, colour="red", size={"large": [1, None]})
    assert (record["colour"], record["size"]) == ("red", {"large": [1, None]})
    changed = (await change(admin, kind, record, colour="blue", shape=None)).json()[kind]
    assert (changed["colour"], changed["size"], changed["shape"]) == ("blue", {"large": [1, None]}, None)
    assert (await admin.get(f"/v3/{kind}s/{record['id']}")).json()[kind] == changed


@pytest.mark.parametrize("kind", KINDS)
async def test_attributes_without_a_meaning_are_bounded(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind, **{f"a{number}": "x" for number in range(64)})
    await refuse(admin, kind, record, "64 additional attributes at most", one_more="x")
    await refuse(admin, kind, record, "16384 bytes at most", a0="x" * 16_384)
    refused = await admin.post(f"/v3/{kind}s", json={kind: {**record, "id": None, "b": "x"}})
    assert refused.status_code == 400
    assert "64 additional attributes at most" in refused.json()["error"]["message"]


@pytest.mark.parametrize("name", ["", "x" * 256])
async def test_attributes_have_names_of_a_length(admin: httpx.AsyncClient, name: str) -> None:
    record = await make(admin, "user")
    await refuse(admin, "user", record, "1 to 255 characters", **{name: "y"})


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "region"])
async def test_an_id_is_not_chosen(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind)
    refused = await admin.post(f"/v3/{kind}s", json={kind: {**record, "name": "other", "id": "mine"}})
    assert refused.status_code == 400
    assert f"The id of a new {kind} is given by this service" in refused.json()["error"]["message"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_is_not_changed(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind)
    await refuse(admin, kind, record, f"The id of a {kind} cannot be changed.", id="other")


@pytest.mark.parametrize("kind", ["user", "project", "group", "role"])
async def test_the_domain_of_a_record_stays(admin: httpx.AsyncClient, kind: str) -> None:
    branch = await make(admin, "domain")
    record = await make(admin, kind, name="another")
    await refuse(admin, kind, record, f"The domain of a {kind} cannot be changed.", domain_id=branch["id"])
    within = await make(admin, kind, name="inside", domain_id=branch["id"])
    assert within["domain_id"] == branch["id"]
    assert (await change(admin, kind, within, domain_id=branch["id"])).status_code == 200


@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        ("user", {"federated": [{"idp_id": "x", "protocols": []}]}, "Federated users cannot be made here yet"),
        ("user", {"password_expires_at": "2030-01-01T00:00:00Z"}, "Passwords do not expire here yet"),
        ("domain", {"tags": ["red"]}, "Domains cannot have tags here yet"),
        ("user", {"options": {"immutable": True}}, "unknown field `immutable`"),
        ("user", {"options": {"lock_password": "yes"}}, "Expected `bool | null`"),
        (
            "user",
            {"options": {"multi_factor_auth_rules": [["password", "totp"]]}},
            "methods totp cannot be asked for here yet",
        ),
        ("user", {"options": {"multi_factor_auth_rules": [[]]}}, "length >= 1"),
        ("user", {"options": {"multi_factor_auth_rules": [["password"]] * 33}}, "length <= 32"),
        ("project", {"options": {"lock_password": True}}, "unknown field `lock_password`"),
        ("project", {"options": None}, "Expected `object`"),
        ("role", {"options": {"immutable": 1}}, "Expected `bool | null`"),
        ("domain", {"options": {"mutable": True}}, "unknown field `mutable`"),
        ("project", {"is_domain": True}, "domain"),
    ],
)
async def test_what_is_not_done_is_refused(
    admin: httpx.AsyncClient, kind: str, fields: dict[str, Any], sentence: str
) -> None:
    record = await make(admin, kind)
    await refuse(admin, kind, record, sentence, **fields)
    new = await admin.post(f"/v3/{kind}s", json={kind: {"name": "new", **fields}})
    assert new.status_code == 400
    assert sentence in new.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["project", "domain", "group", "role", "service", "region"])
async def test_a_description_of_null_is_none(admin: httpx.AsyncClient, kind: str) -> None:
    record = await make(admin, kind, description="long")
    assert record["description"] == "long"
    changed = (await change(admin, kind, record, description=None)).json()[kind]
    assert not changed["description"]


# --- domains and projects --------------------------------------------------------------------------------------------


async def test_a_domain_may_have_its_id_chosen_once(admin: httpx.AsyncClient) -> None:
    domain = await make(admin, "domain", explicit_domain_id="branch-1")
    assert domain["id"] == "branch-1"
    assert "explicit_domain_id" not in domain
    again = {"domain": {"name": "other", "explicit_domain_id": "branch-1"}}
    assert (await admin.post("/v3/domains", json=again)).status_code == 409
    for wrong in ("", "a/b", "x" * 65, "x\n"):
        refused = {"domain": {"name": "other", "explicit_domain_id": wrong}}
        assert (await admin.post("/v3/domains", json=refused)).status_code == 400


async def test_a_project_lies_in_one_of_its_own_domain(admin: httpx.AsyncClient) -> None:
    branch = await make(admin, "domain")
    top = await make(admin, "project")
    body = {"project": {"name": "x", "domain_id": branch["id"], "parent_id": top["id"]}}
    refused = await admin.post("/v3/projects", json=body)
    assert refused.status_code == 400
    assert "is in another domain" in refused.json()["error"]["message"]


async def test_projects_lie_in_one_another_five_deep(admin: httpx.AsyncClient) -> None:
    parent = None
    for level in range(5):
        parent = (await make(admin, "project", name=f"level{level}", parent_id=parent))["id"]
    refused = await admin.post("/v3/projects", json={"project": {"name": "deeper", "parent_id": parent}})
    assert refused.status_code == 403
    assert "5 levels deep" in refused.json()["error"]["message"]


async def test_no_enabled_project_lies_in_a_disabled_one(admin: httpx.AsyncClient) -> None:
    top = await make(admin, "project")
    inner = await make(admin, "project", name="inner", parent_id=top["id"])
    await refuse(admin, "project", top, "which is enabled: disable that one first", enabled=False)
    assert (await change(admin, "project", inner, enabled=False)).status_code == 200
    assert (await change(admin, "project", top, enabled=False)).status_code == 200
    inner = (await admin.get(f"/v3/projects/{inner['id']}")).json()["project"]
    await refuse(admin, "project", inner, "which is disabled: enable that one first", enabled=True)
    new = await admin.post("/v3/projects", json={"project": {"name": "third", "parent_id": inner["id"]}})
    assert new.status_code == 403


# --- regions ---------------------------------------------------------------------------------------------------------


async def test_regions_lie_in_regions_that_there_are_and_not_in_a_circle(admin: httpx.AsyncClient) -> None:
    outer = await make(admin, "region", id="outer")
    inner = await make(admin, "region", id="inner", parent_region_id="outer")
    for record, parent in ((outer, "inner"), (outer, "outer")):
        await refuse(admin, "region", record, "cannot lie in it as well", parent_region_id=parent)
    assert (await change(admin, "region", inner, parent_region_id="nowhere")).status_code == 404
    assert (await change(admin, "region", inner, parent_region_id=None)).json()["region"]["parent_region_id"] is None


async def test_a_region_goes_with_those_in_it_unless_endpoints_are_there(admin: httpx.AsyncClient) -> None:
    await make(admin, "region", id="outer")
    await make(admin, "region", id="inner", parent_region_id="outer")
    endpoint = await make(admin, "endpoint", region_id="inner")
    refused = await admin.delete("/v3/regions/outer")
    assert refused.status_code == 400
    assert "Region inner still has endpoints" in refused.json()["error"]["message"]
    await admin.delete(f"/v3/endpoints/{endpoint['id']}")
    assert (await admin.delete("/v3/regions/outer")).status_code == 204
    assert (await admin.get("/v3/regions/inner")).status_code == 404


# --- users -----------------------------------------------------------------------------------------------------------


async def log_in(admin: httpx.AsyncClient, user: dict[str, Any], methods: list[str], **more: Any) -> httpx.Response:
    part = {"methods": methods, "password": {"user": {"id": user["id"], "password": PASSWORD}}, **more}
    return await admin.post("/v3/auth/tokens", json={"auth": {"identity": part}})


async def test_the_factors_a_user_has_to_log_in_with_are_asked_for(admin: httpx.AsyncClient) -> None:
    user = await make(admin, "user", password=PASSWORD)
    first = await log_in(admin, user, ["password"])
    token = {"token": {"id": first.headers["x-subject-token"]}}
    rules: dict[str, Any] = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "token"]]}
    assert (await change(admin, "user", user, options=rules)).json()["user"]["options"] == rules
    assert (await log_in(admin, user, ["password"])).status_code == 401
    assert (await log_in(admin, user, ["password", "token"], **token)).status_code == 201
    # A token that was got with a password has that factor.
    assert (await log_in(admin, user, ["token"], **token)).status_code == 201
    other = {"multi_factor_auth_rules": [["token", "password"], ["password"]]}
    assert (await change(admin, "user", user, options=other)).status_code == 200
    assert (await log_in(admin, user, ["password"])).status_code == 201
    assert (await change(admin, "user", user, options=rules)).status_code == 200
    assert (await change(admin, "user", user, options={"multi_factor_auth_enabled": False})).status_code == 200
    assert (await log_in(admin, user, ["password"])).status_code == 201


async def test_a_locked_password_is_changed_by_administrators_only(admin: httpx.AsyncClient) -> None:
    user = await make(admin, "user", password=PASSWORD, options={"lock_password": True})
    own = {"user": {"password": "other", "original_password": PASSWORD}}
    refused = await admin.post(f"/v3/users/{user['id']}/password", json=own)
    assert refused.status_code == 400
    assert "an administrator has to change it" in refused.json()["error"]["message"]
    wrong = {"user": {"password": "other", "original_password": "wrong"}}
    assert (await admin.post(f"/v3/users/{user['id']}/password", json=wrong)).status_code == 401
    assert (await log_in(admin, user, ["password"])).status_code == 201
    assert (await change(admin, "user", user, password="another")).status_code == 200


# --- the catalog -----------------------------------------------------------------------------------------------------


async def test_what_is_disabled_is_not_in_the_catalog(admin: httpx.AsyncClient) -> None:
    async def catalog() -> dict[str, list[str]]:
        shown = (await admin.get("/v3/auth/catalog")).json()["catalog"]
        return {entry["type"]: sorted(each["interface"] for each in entry["endpoints"]) for entry in shown}

    (service,) = (await admin.get("/v3/services?type=compute")).json()["services"]
    (endpoint,) = (await admin.get(f"/v3/endpoints?service_id={service['id']}&interface=admin")).json()["endpoints"]
    assert (await catalog())["compute"] == ["admin", "internal", "public"]
    assert (await change(admin, "endpoint", endpoint, enabled=False)).status_code == 200
    assert (await catalog())["compute"] == ["internal", "public"]
    assert (await change(admin, "service", service, enabled=False)).status_code == 200
    assert "compute" not in await catalog()
