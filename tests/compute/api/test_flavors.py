"""Flavors: their fields, lists, extra specs and the projects private ones are for."""

from typing import Any

LARGE = {"name": "m1.large", "ram": 8192, "vcpus": 4, "disk": 80}


async def test_a_flavor_is_created_with_every_field_shown_and_deleted(nova: Any) -> None:
    new = {
        **LARGE,
        "id": "large 1",
        "swap": 1024,
        "OS-FLV-EXT-DATA:ephemeral": 10,
        "os-flavor-access:is_public": False,
        "rxtx_factor": 2.5,
        "description": "for builds",
    }
    made = await nova.call("POST", "/flavors", by="admin", version="2.101", json={"flavor": new})
    flavor = made["flavor"]
    links = flavor.pop("links")
    assert flavor == {**new, "OS-FLV-DISABLED:disabled": False, "extra_specs": {}}
    assert [each["rel"] for each in links] == ["self", "bookmark"]
    assert links[0]["href"] == "http://service.local/v2.1/flavors/large 1"
    shown = await nova.call("GET", "/flavors/large 1", by="admin", version="2.101")
    assert shown["flavor"] == {**flavor, "links": links}
    await nova.call("DELETE", "/flavors/large 1", 202, by="admin")
    sentence = await nova.refused("GET", "/flavors/large 1", 404, by="admin")
    assert sentence == "Flavor large 1 could not be found."
    await nova.refused("DELETE", "/flavors/large 1", 404, by="admin")


async def test_numbers_and_booleans_may_come_as_text(nova: Any) -> None:
    new = {"name": "m", "ram": "512", "vcpus": "1", "disk": "0", "swap": "64", "rxtx_factor": "1.5", "id": 42}
    new["os-flavor-access:is_public"] = "False"
    flavor = (await nova.call("POST", "/flavors", by="admin", version="2.1", json={"flavor": new}))["flavor"]
    assert (flavor["id"], flavor["ram"], flavor["vcpus"], flavor["disk"]) == ("42", 512, 1, 0)
    assert (flavor["swap"], flavor["rxtx_factor"], flavor["os-flavor-access:is_public"]) == (64, 1.5, False)


async def test_what_is_left_out_has_its_default(nova: Any) -> None:
    flavor = await nova.flavor("plain", id=None)
    assert len(flavor["id"]) == 36
    assert (flavor["swap"], flavor["OS-FLV-EXT-DATA:ephemeral"], flavor["os-flavor-access:is_public"]) == (0, 0, True)
    assert flavor["description"] is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "length >= 1"),
    ({"name": " padded"}, "matching regex"),
    ({"name": "x" * 256}, "length <= 255"),
    ({"name": None}, "name"),
    ({"ram": 0}, "`int` >= 1"),
    ({"ram": 2**31}, "<= 2147483647"),
    ({"ram": "much"}, "ram"),
    ({"vcpus": -1}, "`int` >= 1"),
    ({"disk": -1}, "`int` >= 0"),
    ({"swap": None}, "swap"),
    ({"id": ""}, "id"),
    ({"id": "no/slash"}, "id"),
    ({"rxtx_factor": 0}, "rxtx_factor"),
    ({"os-flavor-access:is_public": "perhaps"}, "perhaps"),
    ({"colour": "blue"}, "unknown field `colour`"),
    ({"description": "x" * 65536}, "description"),
]


async def test_a_flavor_that_cannot_be_meant_is_400(nova: Any) -> None:
    for change, sentence in REFUSED:
        new = {"flavor": {**LARGE, **change}}
        assert sentence in await nova.refused("POST", "/flavors", 400, by="admin", version="2.101", json=new), change


async def test_a_missing_field_is_named(nova: Any) -> None:
    sentence = await nova.refused("POST", "/flavors", 400, by="admin", json={"flavor": {"name": "x", "ram": 1}})
    assert "missing required field `vcpus`" in sentence


async def test_a_taken_name_or_id_is_409_and_says_which(nova: Any) -> None:
    await nova.flavor("one", id="1")
    again = {"flavor": {**LARGE, "name": "one", "id": "2"}}
    assert "name one already exists" in await nova.refused("POST", "/flavors", 409, by="admin", json=again)
    again = {"flavor": {**LARGE, "name": "two", "id": "1"}}
    assert "ID 1 already exists" in await nova.refused("POST", "/flavors", 409, by="admin", json=again)


async def test_descriptions_came_with_2_55_and_are_the_only_thing_that_changes(nova: Any) -> None:
    await nova.flavor("m", id="1", description="before")
    assert "description" not in (await nova.call("GET", "/flavors/1", version="2.54"))["flavor"]
    assert "description" not in (await nova.call("GET", "/flavors", version="2.54"))["flavors"][0]
    assert (await nova.call("GET", "/flavors", version="2.55"))["flavors"][0]["description"] == "before"
    body = {"flavor": {"description": "after"}}
    changed = await nova.call("PUT", "/flavors/1", by="admin", version="2.55", json=body)
    assert changed["flavor"]["description"] == "after"
    await nova.refused("PUT", "/flavors/1", 404, by="admin", version="2.54", json=body)
    more = {"flavor": {"description": "x", "ram": 1}}
    assert "ram" in await nova.refused("PUT", "/flavors/1", 400, by="admin", json=more)
    new = {"flavor": {**LARGE, "description": "x"}}
    sentence = await nova.refused("POST", "/flavors", 400, by="admin", version="2.54", json=new)
    assert "'description' was unexpected" in sentence


async def test_rxtx_factor_is_gone_from_2_102_on(nova: Any) -> None:
    new = {"flavor": {**LARGE, "rxtx_factor": 1.0}}
    assert "'rxtx_factor'" in await nova.refused("POST", "/flavors", 400, by="admin", version="2.102", json=new)
    flavor = await nova.flavor()
    assert not {"rxtx_factor", "OS-FLV-DISABLED:disabled"} & set(flavor)


async def test_no_swap_is_an_empty_text_before_2_75(nova: Any) -> None:
    await nova.flavor(id="1")
    assert (await nova.call("GET", "/flavors/1", version="2.74"))["flavor"]["swap"] == ""
    assert (await nova.call("GET", "/flavors/detail", version="2.74"))["flavors"][0]["swap"] == ""
    assert (await nova.call("GET", "/flavors/1", version="2.75"))["flavor"]["swap"] == 0


async def test_extra_specs_are_shown_from_2_61_on(nova: Any) -> None:
    await nova.flavor(id="1")
    assert "extra_specs" not in (await nova.call("GET", "/flavors/1", version="2.60"))["flavor"]
    assert (await nova.call("GET", "/flavors/1", version="2.61"))["flavor"]["extra_specs"] == {}


async def three(nova: Any) -> None:
    await nova.flavor("small", id="c", ram=512, disk=1, vcpus=2)
    await nova.flavor("medium", id="a", ram=2048, disk=20, vcpus=1)
    await nova.flavor("large", id="b", ram=8192, disk=80, vcpus=4)


async def names(nova: Any, query: str, **call: Any) -> list[str]:
    return [each["name"] for each in (await nova.call("GET", f"/flavors{query}", **call))["flavors"]]


LISTED: dict[str, list[str]] = {
    "": ["medium", "large", "small"],
    "?minRam=2048": ["medium", "large"],
    "?minDisk=21": ["large"],
    "?minRam=1024&minDisk=21": ["large"],
    "?sort_key=memory_mb&sort_dir=desc": ["large", "medium", "small"],
    "?sort_key=vcpus": ["medium", "small", "large"],
    "?sort_key=name&sort_dir=asc": ["large", "medium", "small"],
    "?limit=2": ["medium", "large"],
    "?limit=2&marker=a": ["large", "small"],
    "?marker=c": [],
    "?limit=0": ["medium", "large", "small"],
    "?name=large": ["large"],
    "/detail?minRam=8192": ["large"],
}


async def test_flavors_are_filtered_sorted_and_paged(nova: Any) -> None:
    await three(nova)
    assert {query: await names(nova, query) for query in LISTED} == LISTED


async def test_a_page_links_to_the_next_one(nova: Any) -> None:
    await three(nova)
    first = await nova.call("GET", "/flavors?limit=2&minRam=1")
    (link,) = first["flavors_links"]
    assert link["rel"] == "next"
    second = await nova.call("GET", link["href"].partition("/v2.1")[2])
    assert [each["name"] for each in second["flavors"]] == ["small"]
    assert "flavors_links" not in second


REFUSED_QUERIES = [
    ("minRam=much", "minRam"),
    ("minDisk=-1", "minDisk"),
    ("limit=-1", "limit"),
    ("limit=x", "limit"),
    ("marker=nowhere", "marker [nowhere] not found"),
    ("sort_key=shoe_size", "Cannot sort by 'shoe_size'"),
    ("sort_key=name&sort_dir=up", "asc or desc"),
    ("colour=blue", "colour"),
]


async def test_a_query_that_cannot_be_meant_is_400(nova: Any) -> None:
    for query, sentence in REFUSED_QUERIES:
        assert sentence in await nova.refused("GET", f"/flavors?{query}", 400), query


async def test_unknown_parameters_are_ignored_before_2_75_and_names_before_2_102(nova: Any) -> None:
    await three(nova)
    assert len(await names(nova, "?colour=blue", version="2.74")) == 3
    assert len(await names(nova, "?name=large", version="2.74")) == 3
    assert "name" in await nova.refused("GET", "/flavors?name=large", 400, version="2.101")


async def test_a_private_flavor_is_seen_by_those_it_is_for(nova: Any) -> None:
    await nova.flavor("everybody", id="1")
    await nova.flavor("some", id="2", **{"os-flavor-access:is_public": False})
    assert await names(nova, "") == ["everybody"]
    assert await names(nova, "?is_public=None") == ["everybody"]
    assert await names(nova, "", by="admin") == ["everybody"]
    assert await names(nova, "?is_public=None", by="admin") == ["everybody", "some"]
    assert await names(nova, "?is_public=false", by="admin") == ["some"]
    assert "is_public" in await nova.refused("GET", "/flavors?is_public=x", 400, by="admin")
    await nova.refused("GET", "/flavors/2", 404)
    demo = (await nova.who("demo")).project_id
    grant = {"addTenantAccess": {"tenant": demo}}
    added = await nova.call("POST", "/flavors/2/action", by="admin", json=grant)
    assert added == {"flavor_access": [{"flavor_id": "2", "tenant_id": demo}]}
    assert "already exists" in await nova.refused("POST", "/flavors/2/action", 409, by="admin", json=grant)
    assert await names(nova, "") == ["everybody", "some"]
    assert await names(nova, "", by="other") == ["everybody"]
    assert await nova.call("GET", "/flavors/2/os-flavor-access", by="admin") == added
    withdraw = {"removeTenantAccess": {"tenant": demo}}
    assert await nova.call("POST", "/flavors/2/action", by="admin", json=withdraw) == {"flavor_access": []}
    await nova.refused("POST", "/flavors/2/action", 404, by="admin", json=withdraw)
    assert await names(nova, "") == ["everybody"]


async def test_nobody_goes_on_from_a_flavor_that_he_does_not_see(nova: Any) -> None:
    await nova.flavor("secret", id="s", ram=1000, **{"os-flavor-access:is_public": False})
    for name, ram in (("small", 999), ("large", 1001)):
        await nova.flavor(name, id=name, ram=ram)
    url = "/flavors?sort_key=memory_mb&marker=s"
    assert await nova.refused("GET", url, 400) == "marker [s] not found"
    assert [each["id"] for each in (await nova.call("GET", f"{url}&is_public=None", by="admin"))["flavors"]] == [
        "large"
    ]


async def test_a_public_flavor_has_no_list_of_projects(nova: Any) -> None:
    await nova.flavor(id="1")
    assert "public" in await nova.refused("GET", "/flavors/1/os-flavor-access", 404, by="admin")
    grant = {"addTenantAccess": {"tenant": "p"}}
    assert "public flavor" in await nova.refused("POST", "/flavors/1/action", 409, by="admin", json=grant)
    await nova.refused("POST", "/flavors/1/action", 400, by="admin", json={"explode": {}})


async def test_extra_specs_are_added_shown_changed_and_deleted(nova: Any) -> None:
    await nova.flavor(id="1")
    url = "/flavors/1/os-extra_specs"
    specs = {"hw:cpu_policy": "dedicated", "quota:disk_read_iops_sec": 5}
    assert await nova.call("POST", url, by="admin", json={"extra_specs": specs}) == {"extra_specs": specs}
    kept = {"hw:cpu_policy": "dedicated", "quota:disk_read_iops_sec": "5"}
    assert await nova.call("GET", url) == {"extra_specs": kept}
    changed = {"hw:cpu_policy": "shared"}
    assert await nova.call("PUT", f"{url}/hw:cpu_policy", by="admin", json=changed) == changed
    assert await nova.call("GET", f"{url}/hw:cpu_policy") == changed
    assert (await nova.call("GET", "/flavors/1"))["flavor"]["extra_specs"] == {**kept, **changed}
    await nova.call("DELETE", f"{url}/hw:cpu_policy", by="admin")
    for method in ("GET", "DELETE"):
        sentence = await nova.refused(method, f"{url}/hw:cpu_policy", 404, by="admin")
        assert sentence == "Flavor 1 has no extra specs with key hw:cpu_policy."
    mismatch = await nova.refused("PUT", f"{url}/hw:cpu_policy", 400, by="admin", json={"other": "x"})
    assert "mismatch" in mismatch
    for bad in ({"k/y": "x"}, {"key": "x" * 256}, {"key": ["list"]}):
        await nova.refused("POST", url, 400, by="admin", json={"extra_specs": bad})


async def test_only_administrators_write_flavors(nova: Any) -> None:
    await nova.flavor(id="1")
    new = {"flavor": LARGE}
    assert "os-flavor-manage:create" in await nova.refused("POST", "/flavors", 403, json=new)
    await nova.refused("DELETE", "/flavors/1", 403)
    await nova.refused("PUT", "/flavors/1", 403, json={"flavor": {"description": None}})
    await nova.refused("POST", "/flavors/1/os-extra_specs", 403, json={"extra_specs": {"a": "b"}})
    await nova.refused("POST", "/flavors/1/action", 403, json={"addTenantAccess": {"tenant": "x"}})
    await nova.refused("GET", "/flavors/1/os-flavor-access", 403)


async def test_extra_specs_of_known_namespaces_are_checked_from_2_86_on(nova: Any) -> None:
    flavor = await nova.flavor()
    url = f"/flavors/{flavor['id']}/os-extra_specs"
    wrong = {"extra_specs": {"hw:cpu_policy": "pinned", "mine:anything": "goes"}}
    told = await nova.refused("POST", url, 400, by="admin", json=wrong)
    assert "hw:cpu_policy" in told
    assert "one of dedicated, shared, mixed" in told
    await nova.refused("PUT", f"{url}/hw:numa_nodes", 400, by="admin", json={"hw:numa_nodes": "none"})
    assert await nova.call("GET", url) == {"extra_specs": {}}
    await nova.call("POST", url, by="admin", version="2.85", json=wrong)
    await nova.call("PUT", f"{url}/hw:cpu_policy", by="admin", json={"hw:cpu_policy": "shared"})
    kept = (await nova.call("GET", url))["extra_specs"]
    assert kept == {"hw:cpu_policy": "shared", "mine:anything": "goes"}
