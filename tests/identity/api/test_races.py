"""Of eight who take what one can have, one has it; what all can have, all get, and nothing of it is lost.

Routes and references come from their tables: a new one is raced as well, or the test says that it is not.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import product
from typing import Any

import httpx
import pytest

from kilonova.identity.app import ROUTES
from kilonova.identity.directory import sql
from kilonova.kit.http.routes import Route
from tests.conftest import PASSWORD
from tests.identity.api.test_references import REFERENCES
from tests.identity.worlds import (
    BODIES,
    administrator,
    body_with,
    everything,
    make,
    something_of_everything,
    with_ids,
)
from tests.references import NOWHERE, Place

AT_ONCE = 8
Entry = tuple[str, str, Any]
"""Method, URL, body."""


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    return await administrator(identity)


@pytest.fixture
async def world(admin: httpx.AsyncClient) -> dict[str, str]:
    return await something_of_everything(admin)


async def race(admin: httpx.AsyncClient, entries: list[Entry]) -> list[httpx.Response]:
    assert len(entries) == AT_ONCE
    return await asyncio.gather(*(admin.request(method, url, json=body) for method, url, body in entries))


def spellings(name: str) -> list[str]:
    """Eight that are one name to people."""
    found = map("".join, product(*((each.lower(), each.upper()) for each in name)))
    return list(found)[:AT_ONCE]


# --- one wins --------------------------------------------------------------------------------------------------------

NAMED = ("user", "project", "domain", "group", "role")


@pytest.mark.parametrize("kind", NAMED)
async def test_a_new_name_is_taken_once_however_it_is_spelled(admin: httpx.AsyncClient, kind: str) -> None:
    entries = [("POST", f"/v3/{kind}s", {kind: {"name": each}}) for each in spellings("lab")]
    answers = await race(admin, entries)
    assert Counter(each.status_code for each in answers) == {201: 1, 409: AT_ONCE - 1}
    lost = [each.json()["error"]["message"] for each in answers if each.status_code == 409]
    assert all("Duplicate entry found with name" in each for each in lost)
    assert len((await admin.get(f"/v3/{kind}s?name=lab")).json()[f"{kind}s"]) == 1


@pytest.mark.parametrize("kind", NAMED)
async def test_a_name_is_given_to_one_of_eight_records(admin: httpx.AsyncClient, kind: str) -> None:
    ids = [await make(admin, kind, name=f"n{number}") for number in range(AT_ONCE)]
    entries = [
        ("PATCH", f"/v3/{kind}s/{each}", {kind: {"name": name}})
        for each, name in zip(ids, spellings("lab"), strict=True)
    ]
    answers = await race(admin, entries)
    assert Counter(each.status_code for each in answers) == {200: 1, 409: AT_ONCE - 1}
    assert len((await admin.get(f"/v3/{kind}s?name=lab")).json()[f"{kind}s"]) == 1


async def a_domain_s_id(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    bodies = [{"domain": {"name": f"d{number}", "explicit_domain_id": "chosen"}} for number in range(AT_ONCE)]
    return [("POST", "/v3/domains", each) for each in bodies]


async def a_region_s_id(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    return [("POST", "/v3/regions", {"region": {"id": "West"}})] * AT_ONCE


async def a_region_in_a_path(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    return [("PUT", "/v3/regions/West", {"region": {}})] * AT_ONCE


async def the_old_password(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    user_id = await make(admin, "user", name="ada", password=PASSWORD)
    passwords = [{"original_password": PASSWORD, "password": f"new {number}"} for number in range(AT_ONCE)]
    return [("POST", f"/v3/users/{user_id}/password", {"user": each}) for each in passwords]


async def the_last_tag(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    url = f"/v3/projects/{world['project']}/tags"
    assert (await admin.put(url, json={"tags": [f"t{number}" for number in range(79)]})).status_code == 200
    return [("PUT", f"{url}/more{number}", None) for number in range(AT_ONCE)]


async def the_way_up_to_each_other(admin: httpx.AsyncClient, world: Mapping[str, str]) -> list[Entry]:
    ids = [await make(admin, "region", id=f"r{number}") for number in range(2)]
    pairs = [(ids[0], ids[1]), (ids[1], ids[0])] * (AT_ONCE // 2)
    return [("PATCH", f"/v3/regions/{own}", {"region": {"parent_region_id": above}}) for own, above in pairs]


RACES: Mapping[Callable[[httpx.AsyncClient, Mapping[str, str]], Awaitable[list[Entry]]], tuple[int, int, int, str]] = {
    a_domain_s_id: (1, 201, 409, "Duplicate entry"),
    a_region_s_id: (1, 201, 409, "Duplicate entry"),
    a_region_in_a_path: (1, 201, 409, "Duplicate entry"),
    the_old_password: (1, 204, 401, "requires authentication"),
    the_last_tag: (1, 201, 400, "80 tags at most"),
    the_way_up_to_each_other: (4, 200, 400, "cannot lie in it as well"),
}
"""What is taken, how many have it and what they hear, and what the others do."""


@pytest.mark.parametrize("prepare", RACES, ids=lambda prepare: prepare.__name__)
async def test_of_eight_at_once_one_wins(admin: httpx.AsyncClient, world: dict[str, str], prepare: Any) -> None:
    answers = await race(admin, await prepare(admin, world))
    winners, won, lost, sentence = RACES[prepare]
    assert Counter(each.status_code for each in answers) == {won: winners, lost: AT_ONCE - winners}
    assert all(sentence in each.text for each in answers if each.status_code == lost)


async def test_the_password_that_was_accepted_is_the_one_that_works(
    admin: httpx.AsyncClient, world: dict[str, str]
) -> None:
    entries = await the_old_password(admin, world)
    answers = await race(admin, entries)
    for (_, url, body), answer in zip(entries, answers, strict=True):
        user = {"id": url.split("/")[3], "password": body["user"]["password"]}
        log_in = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        status = (await admin.post("/v3/auth/tokens", json=log_in)).status_code
        assert status == (201 if answer.status_code == 204 else 401)


async def test_a_password_that_is_changed_while_it_is_compared_gives_no_token(
    admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = await make(admin, "user", name="ada", password=PASSWORD)
    compare = sql.verify_password

    async def slowly(password: str, password_hash: str | None) -> bool:
        matches = await compare(password, password_hash)
        body = {"user": {"password": "better"}}
        assert (await admin.patch(f"/v3/users/{user_id}", json=body)).status_code == 200
        return matches

    def log_in(password: str) -> Any:
        user = {"id": user_id, "password": password}
        return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}

    monkeypatch.setattr(sql, "verify_password", slowly)
    assert (await admin.post("/v3/auth/tokens", json=log_in(PASSWORD))).status_code == 401
    monkeypatch.undo()
    assert (await admin.post("/v3/auth/tokens", json=log_in("better"))).status_code == 201


# --- all get the same ------------------------------------------------------------------------------------------------

NEVER_THERE = ("credential_id", "application_credential_id", "access_rule_id")
"""Of things that nobody can make here yet."""
WITHOUT_BODY = [route for route in ROUTES if route.method == "PUT" and route.body is None]


def url_of(route: Route, world: Mapping[str, str]) -> str:
    """Of what is granted, tagged or deleted: a role of all domains, a domain that is disabled, a project with nothing
    in it."""
    values = {
        "user_id": world["user"], "group_id": world["group"], "project_id": world["project"],
        "domain_id": world["branch"], "role_id": world["free role"], "implied_role_id": world["implied role"],
        "tag": "red", "service_id": world["service"], "endpoint_id": world["endpoint"], "region_id": world["village"],
        **dict.fromkeys(NEVER_THERE, NOWHERE),
    }  # fmt: skip
    return route.path.format(**values)


@pytest.fixture
async def free(admin: httpx.AsyncClient, world: dict[str, str]) -> dict[str, str]:
    """The world with a domain that may go, and roles that belong to none."""
    assert (await admin.patch(f"/v3/domains/{world['branch']}", json={"domain": {"enabled": False}})).status_code == 200
    roles = {name: await make(admin, "role", name=name) for name in ("free role", "implied role")}
    return {**world, **roles}


@pytest.mark.parametrize("route", WITHOUT_BODY, ids=lambda route: route.path)
async def test_what_is_so_after_one_is_so_after_eight(
    identity: Any, admin: httpx.AsyncClient, free: dict[str, str], route: Route
) -> None:
    url = url_of(route, free)
    answers = await race(admin, [("PUT", url, None)] * AT_ONCE)
    assert {(each.status_code, each.text) for each in answers} == {(route.status, answers[0].text)}
    after = await everything(identity)
    assert (await admin.put(url)).status_code == route.status
    assert await everything(identity) == after


DELETING = [route for route in ROUTES if route.method == "DELETE" and "{" in route.path]
ALL_HEAR_204 = {"/v3/projects/{project_id}/tags"}
"""What is empty may be emptied."""


@pytest.mark.parametrize("route", DELETING, ids=lambda route: route.path)
async def test_of_eight_who_delete_one_thing_one_has_deleted_it(
    admin: httpx.AsyncClient, free: dict[str, str], route: Route
) -> None:
    url = url_of(route, free)
    if any(each.path == route.path for each in WITHOUT_BODY):
        assert (await admin.put(url)).status_code in (201, 204)
    answers = await race(admin, [("DELETE", url, None)] * AT_ONCE)
    heard = Counter(each.status_code for each in answers)
    if any(f"{{{variable}}}" in route.path for variable in NEVER_THERE):
        assert heard == {404: AT_ONCE}
    else:
        assert heard == ({204: AT_ONCE} if route.path in ALL_HEAR_204 else {204: 1, 404: AT_ONCE - 1})


async def test_a_token_is_revoked_by_whoever_is_first(admin: httpx.AsyncClient) -> None:
    user = {"name": "demo", "domain": {"id": "default"}, "password": PASSWORD}
    log_in = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    headers = {"x-subject-token": (await admin.post("/v3/auth/tokens", json=log_in)).headers["x-subject-token"]}
    answers = await asyncio.gather(*(admin.delete("/v3/auth/tokens", headers=headers) for _ in range(AT_ONCE)))
    assert {each.status_code for each in answers} <= {204, 404}
    assert 204 in {each.status_code for each in answers}
    assert (await admin.get("/v3/auth/tokens", headers=headers)).status_code == 404


async def test_of_what_all_can_have_nothing_is_lost(admin: httpx.AsyncClient, world: dict[str, str]) -> None:
    url = f"/v3/projects/{world['project']}"
    answers = await asyncio.gather(
        *(admin.put(f"{url}/tags/t{number}") for number in range(AT_ONCE)),
        *(admin.patch(url, json={"project": {f"attribute{number}": "x"}}) for number in range(AT_ONCE)),
        *(admin.patch(url, json={"project": {"description": f"d{number}"}}) for number in range(AT_ONCE)),
    )
    assert {each.status_code for each in answers} == {200, 201}
    project = (await admin.get(url)).json()["project"]
    assert len(project["tags"]) == AT_ONCE
    assert all(project[f"attribute{number}"] == "x" for number in range(AT_ONCE))
    assert project["description"].startswith("d")


# --- what goes while it is named -------------------------------------------------------------------------------------

POINTERS = [
    ("users", "domain_id", "domains"), ("groups", "domain_id", "domains"), ("projects", "domain_id", "domains"),
    ("projects", "parent_id", "projects"), ("roles", "domain_id", "domains"), ("endpoints", "service_id", "services"),
    ("endpoints", "region_id", "regions"), ("regions", "parent_region_id", "regions"),
    ("group_members", "group_id", "groups"), ("group_members", "user_id", "users"),
    ("assignments", "user_id", "users"), ("assignments", "role_id", "roles"),
    ("group_assignments", "group_id", "groups"), ("group_assignments", "role_id", "roles"),
    ("implied_roles", "prior_role_id", "roles"), ("implied_roles", "implied_role_id", "roles"),
]  # fmt: skip
"""Table, column → the table whose ids it holds."""


async def dangling(identity: Any) -> list[str]:
    """What names something that is gone."""
    tables = identity.identity.database.metadata.tables
    found = []
    async with identity.identity.database.reading() as tx:
        ids = {name: {each for (each,) in await tx.tuples(tables[name].select().with_only_columns(tables[name].c.id))}
               for name in {target for _, _, target in POINTERS}}  # fmt: skip
        for name, column, target in POINTERS:
            values = await tx.tuples(tables[name].select().with_only_columns(tables[name].c[column]))
            found += [f"{name}.{column}: {each}" for (each,) in values if each and each not in ids[target]]
        for name in ("assignments", "group_assignments"):
            columns = tables[name].c.target_kind, tables[name].c.target_id
            found += [
                f"{name}: {kind} {target_id}"
                for kind, target_id in await tx.tuples(tables[name].select().with_only_columns(*columns))
                if kind != "system" and target_id not in ids[f"{kind}s"]
            ]
    return found


COLLECTIONS = {
    "branch": "domains", "project": "projects", "service": "services", "region": "regions", "user": "users",
    "group": "groups", "free role": "roles", "implied role": "roles", "village": "regions",
}  # fmt: skip
NAMED_AND_GOING = [
    place for place, reference in REFERENCES.items() if place[0] == "POST" and reference.own in COLLECTIONS
]


async def named_while_it_goes(admin: httpx.AsyncClient, entries: list[Entry], going: str, before: int) -> None:
    """So many of the requests are on their way when the thing is deleted, the others come then."""
    requests = [admin.request(method, url, json=body) for method, url, body in entries]
    answers = await asyncio.gather(*requests[:before], admin.delete(going), *requests[before:])
    assert {each.status_code for each in answers} <= {201, 204, 400, 403, 404, 409}, [each.text for each in answers]


def numbered(body: Any, number: int) -> Any:
    """With a name of its own."""
    ((kind, fields),) = body.items()
    return {kind: {**fields, "name": f"new{number}"}} if "name" in fields else body


@pytest.mark.parametrize("before", [0, AT_ONCE // 2])
@pytest.mark.parametrize("place", NAMED_AND_GOING, ids=" ".join)
async def test_what_goes_while_new_records_name_it_leaves_no_name_behind(
    identity: Any, admin: httpx.AsyncClient, free: dict[str, str], place: Place, before: int
) -> None:
    method, path, part = place
    thing = free[REFERENCES[place].own]
    bodies = [body_with(with_ids(BODIES.get(place[:2], {}), free), part, thing) for _ in range(AT_ONCE)]
    entries = [(method, path, numbered(body, number)) for number, body in enumerate(bodies)]
    await named_while_it_goes(admin, entries, f"/v3/{COLLECTIONS[REFERENCES[place].own]}/{thing}", before)
    assert await dangling(identity) == []


GRANTED_AND_GOING = [
    (route, variable)
    for route in WITHOUT_BODY
    for variable in ("user_id", "group_id", "project_id", "domain_id", "role_id", "implied_role_id")
    if f"{{{variable}}}" in route.path
]
THINGS = {
    "user_id": "user", "group_id": "group", "project_id": "project", "domain_id": "branch", "role_id": "free role",
    "implied_role_id": "implied role",
}  # fmt: skip


@pytest.mark.parametrize("before", [0, AT_ONCE // 2])
@pytest.mark.parametrize(
    ("route", "variable"), GRANTED_AND_GOING, ids=lambda each: each if isinstance(each, str) else each.path
)
async def test_what_goes_while_it_is_granted_leaves_no_grant_behind(
    identity: Any, admin: httpx.AsyncClient, free: dict[str, str], route: Route, variable: str, before: int
) -> None:
    name = THINGS[variable]
    going = f"/v3/{COLLECTIONS[name]}/{free[name]}"
    await named_while_it_goes(admin, [("PUT", url_of(route, free), None)] * AT_ONCE, going, before)
    assert (await admin.get(going)).status_code == 404
    assert await dangling(identity) == []
