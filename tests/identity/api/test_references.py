"""Every part of a body that names a thing, with who may name it; and what comes of naming something else.

`REFERENCES` is that table. Each text of each body is in it or in `PLAIN`: whoever adds one says which it is. But for
logging in, identity's bodies are administrators': each line is tried by a member, who hears the same whether the thing
is there or not, and by an administrator with a thing that may be named, with one of a wrong kind or another domain, and
with one that is nowhere. What is refused changes nothing.
"""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest

from kilonova.identity.app import ROUTES
from tests.conftest import PASSWORD
from tests.identity.worlds import (
    BODIES,
    PATHS,
    administrator,
    body_with,
    everything,
    make,
    something_of_everything,
    with_ids,
)
from tests.references import NOWHERE, Place, places_of


class Reference(msgspec.Struct, frozen=True):
    who: str
    """Who may name what."""
    own: str
    """A thing of `world` that an administrator may name there."""
    wrong: Mapping[str, int]
    """Things of `world` that he may not → the status he hears."""
    nowhere: int
    """What he hears of a thing that does not exist; 0: it is taken."""


def domain_of_new(nowhere: int = 404) -> Reference:
    wrong = dict.fromkeys(("project", "user", "role"), nowhere)
    return Reference("administrators any domain", "branch", wrong, nowhere)


def stays(kind: str, status: int = 400) -> Reference:
    own, other = ("branch", "default") if kind == "domain" else ("inner.parent", "project")
    wrong = {other: status, "user": status}
    return Reference(f"nobody another one: a record stays in its {kind}", own, wrong, status)


DEFAULT_PROJECT = Reference(
    "administrators any text that looks like an id: a token gets its scope by it where its user has a role; never "
    "a domain",
    "project",
    {"branch": 400, "default": 400},
    0,
)
SERVICE = Reference("administrators any service", "service", {"project": 400, "endpoint": 400}, 400)
REGION_OF_ENDPOINT = Reference("administrators any: a region that does not exist is made", "region", {}, 0)
PARENT_REGION = Reference("administrators any region", "region", {"project": 404, "service": 404}, 404)
PARENT_OF_CHANGED_REGION = Reference(
    "administrators any region that does not lie in it", "region", {"north": 400, "village": 400, "project": 404}, 404
)
NEW_REGION = Reference("administrators what no region is called", "a name", {"region": 409}, 0)
PATH_S_REGION = Reference("administrators what the path says", "its path", {"region": 400}, 400)

REFERENCES: Mapping[Place, Reference] = {
    ("POST", "/v3/users", "user.domain_id"): domain_of_new(),
    ("POST", "/v3/users", "user.default_project_id"): DEFAULT_PROJECT,
    ("PATCH", "/v3/users/{user_id}", "user.domain_id"): stays("domain"),
    ("PATCH", "/v3/users/{user_id}", "user.default_project_id"): DEFAULT_PROJECT,
    ("POST", "/v3/groups", "group.domain_id"): domain_of_new(),
    ("PATCH", "/v3/groups/{group_id}", "group.domain_id"): stays("domain"),
    ("POST", "/v3/projects", "project.domain_id"): domain_of_new(400),
    ("POST", "/v3/projects", "project.parent_id"): Reference(
        "administrators any project of its domain, or that domain", "project", {"inner": 400, "user": 404}, 404
    ),
    ("PATCH", "/v3/projects/{project_id}", "project.domain_id"): stays("domain"),
    ("PATCH", "/v3/projects/{project_id}", "project.parent_id"): stays("parent", 403),
    ("POST", "/v3/domains", "domain.explicit_domain_id"): Reference(
        "administrators what is the id of no domain or project", "a name", {"branch": 409, "project": 409}, 0
    ),
    ("POST", "/v3/roles", "role.domain_id"): domain_of_new(),
    ("PATCH", "/v3/roles/{role_id}", "role.domain_id"): stays("domain"),
    ("POST", "/v3/endpoints", "endpoint.service_id"): SERVICE,
    ("POST", "/v3/endpoints", "endpoint.region_id"): REGION_OF_ENDPOINT,
    ("POST", "/v3/endpoints", "endpoint.region"): REGION_OF_ENDPOINT,
    ("PATCH", "/v3/endpoints/{endpoint_id}", "endpoint.service_id"): SERVICE,
    ("PATCH", "/v3/endpoints/{endpoint_id}", "endpoint.region_id"): REGION_OF_ENDPOINT,
    ("PATCH", "/v3/endpoints/{endpoint_id}", "endpoint.region"): REGION_OF_ENDPOINT,
    ("POST", "/v3/regions", "region.id"): NEW_REGION,
    ("POST", "/v3/regions", "region.parent_region_id"): PARENT_REGION,
    ("PUT", "/v3/regions/{region_id}", "region.id"): PATH_S_REGION,
    ("PUT", "/v3/regions/{region_id}", "region.parent_region_id"): PARENT_REGION,
    ("PATCH", "/v3/regions/{region_id}", "region.parent_region_id"): PARENT_OF_CHANGED_REGION,
}

LOG_IN = ("POST", "/v3/auth/tokens")
LOG_IN_REFERENCES: Mapping[str, tuple[str, str, str]] = {
    "auth.identity.password.user.id": ("who knows the password", "demo", "eve"),
    "auth.identity.password.user.name": ("who knows the password", "demo.name", "eve.name"),
    "auth.identity.password.user.domain.id": ("who has a user there", "default", "branch"),
    "auth.identity.password.user.domain.name": ("who has a user there", "default.name", "branch.name"),
    "auth.identity.token.id": ("who holds it, while it lasts", "token", "revoked token"),
    "auth.scope.project.id": ("who has a role on it", "demo.project", "project"),
    "auth.scope.project.name": ("who has a role on it", "demo.project.name", "project.name"),
    "auth.scope.project.domain.id": ("who has a role on the project there", "default", "branch"),
    "auth.scope.project.domain.name": ("who has a role on the project there", "default.name", "branch.name"),
    "auth.scope.domain.id": ("who has a role on it", "default", "branch"),
    "auth.scope.domain.name": ("who has a role on it", "default.name", "branch.name"),
}
"""Part → (who may name what, a thing of demo's, one that is not for demo)."""

PLAIN = {
    *(f"{kind}.name" for kind in "user group project domain role service".split()),
    *(f"{kind}.description" for kind in "group project domain role service region".split()),
    "user.password", "user.original_password", "user.options.multi_factor_auth_rules[][]", "project.tags[]", "tags[]",
    "service.type", "endpoint.url",
    "auth.identity.methods[]", "auth.identity.password.user.password", "auth.scope.unscoped",
}  # fmt: skip
"""Texts of their own: names of what the body makes or changes, passwords, words. Additional attributes, which every
record may have, mean nothing."""


KINDS = ("user", "group", "project", "domain", "role", "service", "endpoint", "region")
NOT_READ = {*(f"{kind}.links" for kind in KINDS), "domain.tags", "user.federated", "user.password_expires_at"}
"""What clients were shown and send back, and what is refused unless it is empty."""
OWN_IDS = {
    (method, f"/v3/{kind}s" + ("" if method == "POST" else f"/{{{kind}_id}}"), f"{kind}.id")
    for kind in KINDS
    for method in ("POST", "PATCH")
    if (kind, method) != ("region", "POST")
}
"""A record's own id, which nobody gives it or changes: `test_effects` tries that."""
NOT_SERVED = {("POST", "/v3/credentials", ""), ("POST", "/v3/users/{user_id}/application_credentials", "")}
"""Bodies that may hold anything and are always refused."""


def test_the_table_is_complete() -> None:
    named = REFERENCES.keys() | {(*LOG_IN, part) for part in LOG_IN_REFERENCES}
    found = places_of(ROUTES)
    assert found >= NOT_SERVED
    found = found - NOT_SERVED
    assert {place for place in found if place[2] not in PLAIN | NOT_READ} == named | OWN_IDS
    assert {part for _, _, part in found} >= PLAIN | NOT_READ


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    return await administrator(identity)


@pytest.fixture
async def world(admin: httpx.AsyncClient) -> dict[str, str]:
    return await something_of_everything(admin)


@pytest.mark.parametrize("place", REFERENCES, ids=" ".join)
async def test_nobody_names_what_is_not_for_him(
    identity: Any, admin: httpx.AsyncClient, world: dict[str, str], place: Place
) -> None:
    method, path, part = place
    reference = REFERENCES[place]
    paths = PATHS if method == "PATCH" else {"region_id": "its path"}
    url = path.format_map({name: world[thing] for name, thing in paths.items()})

    async def attempt(value: str, token: str | None = None) -> httpx.Response:
        body = body_with(with_ids(BODIES.get(place[:2], {}), world), part, value)
        headers = {"x-auth-token": token} if token else {}
        return await admin.request(method, url, json=body, headers=headers)

    before = await everything(identity)
    for who in ("demo", "reader"):
        token = await identity.token(who)
        heard = [await attempt(value, token) for value in (world[reference.own], NOWHERE)]
        assert [each.status_code for each in heard] == [403, 403]
        assert heard[0].text == heard[1].text, "what is refused says whether it is there"
    refused = [(world[name], status) for name, status in reference.wrong.items()]
    refused += [(NOWHERE, reference.nowhere)] if reference.nowhere else []
    for value, status in refused:
        answer = await attempt(value)
        assert answer.status_code == status, f"{value}: {answer.text}"
    assert await everything(identity) == before
    taken = await attempt(world[reference.own])
    assert taken.status_code in (200, 201), taken.text


@pytest.mark.parametrize("place", [each for each in REFERENCES if not REFERENCES[each].nowhere], ids=" ".join)
async def test_what_need_not_exist_is_kept_as_it_was_named(
    admin: httpx.AsyncClient, world: dict[str, str], place: Place
) -> None:
    method, path, part = place
    url = path.format_map({name: world[thing] for name, thing in PATHS.items()})
    body = body_with(with_ids(BODIES.get(place[:2], {}), world), part, NOWHERE)
    answer = await admin.request(method, url, json=body)
    assert answer.status_code in (200, 201), answer.text
    kind, _, name = part.partition(".")
    shown = answer.json()[kind]
    assert shown["id" if name == "explicit_domain_id" else name] == NOWHERE


# --- logging in ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def people(identity: Any, admin: httpx.AsyncClient, world: dict[str, str]) -> dict[str, str]:
    """Name → what demo may name, and what is there but not for demo: eve has another password."""
    (demo,) = (await admin.get("/v3/users?name=demo")).json()["users"]
    await make(admin, "user", name="eve", domain_id="default", password="another password")
    (eve,) = (await admin.get("/v3/users?name=eve")).json()["users"]
    (member,) = (await admin.get("/v3/roles?name=member")).json()["roles"]
    grant = f"/v3/domains/default/users/{demo['id']}/roles/{member['id']}"
    assert (await admin.put(grant)).status_code == 204
    log_in = {"auth": {"identity": {"methods": ["password"], "password": demo_s_password({"id": demo["id"]})}}}
    ended, token = [(await admin.post("/v3/auth/tokens", json=log_in)).headers["x-subject-token"] for _ in range(2)]
    assert (await admin.delete("/v3/auth/tokens", headers={"x-subject-token": ended})).status_code == 204
    return {
        **world,
        "demo": demo["id"], "demo.name": "demo", "eve": eve["id"], "eve.name": "eve",
        "demo.project": await identity.project_id("demo"), "demo.project.name": "demo", "project.name": "outside",
        "default.name": "Default", "branch.name": "branch", "token": token, "revoked token": ended,
    }  # fmt: skip


def demo_s_password(user: Any) -> Any:
    return {"user": {**user, "password": PASSWORD}}


def log_in_with(part: str, value: str, people: Mapping[str, str]) -> Any:
    """A log-in of demo's that names something at one part."""
    names_user = part.startswith("auth.identity.password.user.")
    user: dict[str, Any] = {"id": people["demo"]}
    if names_user and not part.endswith("user.id"):
        user = {"name": "demo"} | ({} if ".domain." in part else {"domain": {"id": "default"}})
    methods = "token" if ".token." in part else "password"
    identity = {"methods": [methods]} | ({} if methods == "token" else {"password": demo_s_password(user)})
    auth: dict[str, Any] = {"identity": identity}
    if part.startswith("auth.scope.project") and not part.endswith("project.id"):
        auth["scope"] = {"project": {"name": "demo"} | ({} if ".domain." in part else {"domain": {"id": "default"}})}
    return body_with({"auth": auth}, part, value)


@pytest.mark.parametrize("part", LOG_IN_REFERENCES)
async def test_a_log_in_names_only_what_is_for_him_who_logs_in(
    admin: httpx.AsyncClient, people: dict[str, str], part: str
) -> None:
    _who, own, theirs = LOG_IN_REFERENCES[part]

    async def attempt(value: str) -> httpx.Response:
        return await admin.post("/v3/auth/tokens", json=log_in_with(part, value, people), headers={"x-auth-token": ""})

    heard = [await attempt(value) for value in (people[theirs], NOWHERE)]
    assert [each.status_code for each in heard] == [401, 401], [each.text for each in heard]
    assert heard[0].text == heard[1].text, "what is refused says whether it is there"
    assert (await attempt(people[own])).status_code == 201


# --- what becomes of names whose thing goes --------------------------------------------------------------------------


async def test_a_project_that_goes_is_nobodys_default_any_longer(
    identity: Any, admin: httpx.AsyncClient, world: dict[str, str]
) -> None:
    user_id = await make(admin, "user", name="ada", default_project_id=world["project"])
    other_id = await make(admin, "user", name="bob", default_project_id=world["inner"])
    assert (await admin.delete(f"/v3/projects/{world['project']}")).status_code == 204
    shown = [(await admin.get(f"/v3/users/{each}")).json()["user"] for each in (user_id, other_id)]
    assert [each.get("default_project_id") for each in shown] == [None, world["inner"]]
    assert (await admin.patch(f"/v3/domains/{world['branch']}", json={"domain": {"enabled": False}})).status_code == 200
    assert (await admin.delete(f"/v3/domains/{world['branch']}")).status_code == 204
    assert (await admin.get(f"/v3/users/{other_id}")).json()["user"].get("default_project_id") is None


async def test_a_domain_takes_its_roles_with_it(identity: Any, admin: httpx.AsyncClient, world: dict[str, str]) -> None:
    branch = f"/v3/domains/{world['branch']}"
    role = f"/v3/roles/{world['role']}"
    assert (await admin.patch(branch, json={"domain": {"enabled": False}})).status_code == 200
    assert (await admin.patch(role, json={"role": {"options": {"immutable": True}}})).status_code == 200
    before = await everything(identity)
    assert (await admin.delete(branch)).status_code == 403
    assert await everything(identity) == before
    assert (await admin.patch(role, json={"role": {"options": {"immutable": None}}})).status_code == 200
    assert (await admin.delete(branch)).status_code == 204
    assert (await admin.get(role)).status_code == 404
