"""Server groups: made, shown, joined by servers, deleted."""

from typing import Any

MISSING = "0b6c9f0e-0000-4000-8000-000000000000"
URL = "/os-server-groups"


async def make(nova: Any, policy: str = "anti-affinity", **fields: Any) -> Any:
    new = {"name": "apart", "policy": policy, **fields}
    return (await nova.call("POST", URL, json={"server_group": new}))["server_group"]


async def test_a_group_is_made_shown_listed_and_deleted(nova: Any) -> None:
    who = await nova.who("demo")
    group = await make(nova, rules={"max_server_per_host": "2"})
    assert group == {
        "id": group["id"],
        "name": "apart",
        "project_id": who.project_id,
        "user_id": who.user_id,
        "policy": "anti-affinity",
        "rules": {"max_server_per_host": 2},
        "members": [],
    }
    second = await make(nova, "soft-affinity")
    assert second["rules"] == {}
    member = await nova.insert_server(group_id=group["id"])
    group["members"] = [member.id]
    assert await nova.call("GET", f"{URL}/{group['id']}") == {"server_group": group}
    assert (await nova.call("GET", URL))["server_groups"] == [group, second]
    assert (await nova.call("GET", f"{URL}?limit=1&offset=1"))["server_groups"] == [second]
    assert (await nova.call("GET", f"/servers/{member.id}"))["server"]["server_groups"] == [group["id"]]
    await nova.call("DELETE", f"{URL}/{group['id']}", 204)
    await nova.refused("GET", f"{URL}/{group['id']}", 404)
    assert (await nova.call("GET", f"/servers/{member.id}"))["server"]["server_groups"] == []


async def test_a_version_shows_groups_as_it_knows_them(nova: Any) -> None:
    group = await make(nova)
    for version, keys in (
        ("2.12", {"policies", "metadata"}),
        ("2.13", {"policies", "metadata", "project_id", "user_id"}),
        ("2.63", {"policies", "metadata", "project_id", "user_id"}),
        ("2.64", {"policy", "rules", "project_id", "user_id"}),
    ):
        shown = (await nova.call("GET", f"{URL}/{group['id']}", version=version))["server_group"]
        assert set(shown) == {"id", "name", "members", *keys}, version
        (listed,) = (await nova.call("GET", URL, version=version))["server_groups"]
        assert set(listed) == set(shown)
    old = {"server_group": {"name": "old", "policies": ["affinity"]}}
    made = (await nova.call("POST", URL, version="2.63", json=old))["server_group"]
    assert (made["policies"], made["metadata"]) == (["affinity"], {})


REFUSED: list[tuple[Any, ...]] = [
    ("latest", {"name": "x"}),
    ("latest", {"name": "", "policy": "affinity"}),
    ("latest", {"name": "x", "policy": "together"}),
    ("latest", {"name": "x", "policies": ["affinity"]}),
    ("latest", {"name": "x", "policy": "affinity", "rules": {"max_server_per_host": 2}}),
    ("latest", {"name": "x", "policy": "anti-affinity", "rules": {"max_server_per_host": 0}}),
    ("latest", {"name": "x", "policy": "anti-affinity", "rules": {"min_server_per_host": 1}}),
    ("2.63", {"name": "x", "policy": "affinity"}),
    ("2.63", {"name": "x", "policies": []}),
    ("2.63", {"name": "x", "policies": ["affinity", "anti-affinity"]}),
    ("2.14", {"name": "x", "policies": ["soft-affinity"]}),
]


async def test_a_group_that_cannot_be_meant_is_400(nova: Any) -> None:
    for version, fields in REFUSED:
        await nova.refused("POST", URL, 400, version=version, json={"server_group": fields})


async def test_groups_are_their_projects(nova: Any) -> None:
    group = await make(nova)
    url = f"{URL}/{group['id']}"
    await nova.call("GET", url, by="reader")
    await nova.refused("DELETE", url, 403, by="reader")
    await nova.refused("POST", URL, 403, by="reader", json={"server_group": {"name": "x", "policy": "affinity"}})
    for method in ("GET", "DELETE"):
        told = await nova.refused(method, url, 404, by="other")
        assert told == f"Instance group {group['id']} could not be found."
    assert (await nova.call("GET", f"{URL}?all_projects=1", by="other"))["server_groups"] == []
    assert (await nova.call("GET", URL, by="admin"))["server_groups"] == []
    assert len((await nova.call("GET", f"{URL}?all_projects=true", by="admin"))["server_groups"]) == 1


async def test_a_server_joins_the_group_its_hint_names(nova: Any) -> None:
    await nova.flavor(id="1")
    group = await make(nova)
    theirs = (await nova.call("POST", URL, by="other", json={"server_group": {"name": "x", "policy": "affinity"}}))[
        "server_group"
    ]
    server = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none"}

    def body(group_id: str) -> Any:
        return {"server": server, "os:scheduler_hints": {"group": group_id}}

    made = (await nova.call("POST", "/servers", 202, json=body(group["id"])))["server"]
    assert (await nova.call("GET", f"{URL}/{group['id']}"))["server_group"]["members"] == [made["id"]]
    for group_id in (MISSING, theirs["id"]):
        told = await nova.refused("POST", "/servers", 400, json=body(group_id))
        assert told == f"Instance group {group_id} could not be found."
    assert "UUID" in await nova.refused("POST", "/servers", 400, json=body("apart"))
