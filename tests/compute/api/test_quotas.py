"""Quotas, limits and usage: what a project may have, has, and had."""

from datetime import timedelta
from typing import Any

import pytest

from kilonova.compute.servers import servers, usage

SHOWN = {
    "cores": 20,
    "instances": 10,
    "key_pairs": 100,
    "metadata_items": 128,
    "ram": 51200,
    "server_group_members": 10,
    "server_groups": 10,
}
FILES = {"injected_files": 5, "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255}
NETWORKS = dict.fromkeys(("fixed_ips", "floating_ips", "security_groups", "security_group_rules"), -1)


async def set_quota(nova: Any, **limits: Any) -> Any:
    project_id = (await nova.who("demo")).project_id
    changed = await nova.call("PUT", f"/os-quota-sets/{project_id}", by="admin", json={"quota_set": limits})
    return changed["quota_set"]


async def test_quotas_are_upstreams_until_changed_and_after_a_reset(nova: Any) -> None:
    project_id = (await nova.who("demo")).project_id
    url = f"/os-quota-sets/{project_id}"
    assert (await nova.call("GET", url))["quota_set"] == {"id": project_id, **SHOWN}
    assert await set_quota(nova, cores=4, instances="-1", ram=1024, force=True) == {
        **SHOWN,
        "cores": 4,
        "instances": -1,
        "ram": 1024,
    }
    assert (await nova.call("GET", url))["quota_set"]["cores"] == 4
    defaults = (await nova.call("GET", f"{url}/defaults"))["quota_set"]
    assert defaults == {"id": project_id, **SHOWN}
    other = f"/os-quota-sets/{(await nova.who('other')).project_id}"
    assert (await nova.call("GET", other, by="other"))["quota_set"]["cores"] == 20
    await nova.call("DELETE", url, 202, by="admin")
    assert (await nova.call("GET", url))["quota_set"] == {"id": project_id, **SHOWN}


async def test_a_version_names_the_quotas_of_its_time(nova: Any) -> None:
    url = f"/os-quota-sets/{(await nova.who('demo')).project_id}"
    for version, more in (("2.57", {}), ("2.56", FILES), ("2.36", FILES), ("2.35", FILES | NETWORKS)):
        shown = (await nova.call("GET", url, version=version))["quota_set"]
        del shown["id"]
        assert shown == SHOWN | more, version
    body = {"quota_set": {"injected_files": 7}}
    await nova.refused("PUT", url, 400, by="admin", json=body)
    changed = await nova.call("PUT", url, by="admin", version="2.56", json=body)
    assert changed["quota_set"]["injected_files"] == 7


async def test_the_default_class_is_what_projects_without_their_own_have(nova: Any) -> None:
    url = "/os-quota-class-sets/default"
    assert (await nova.call("GET", url, by="admin"))["quota_class_set"] == {"id": "default", **SHOWN}
    changed = await nova.call("PUT", url, by="admin", json={"quota_class_set": {"cores": 2}})
    assert changed["quota_class_set"] == {**SHOWN, "cores": 2}
    project_id = (await nova.who("demo")).project_id
    assert (await nova.call("GET", f"/os-quota-sets/{project_id}"))["quota_set"]["cores"] == 2
    old = (await nova.call("GET", url, by="admin", version="2.49"))["quota_class_set"]
    assert not {"server_groups", "server_group_members"} & set(old)
    await nova.refused("GET", url, 403)
    await nova.refused("PUT", url, 403, json={"quota_class_set": {"cores": 2}})
    await nova.refused("PUT", url, 400, by="admin", json={"quota_class_set": {"bananas": 2}})


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"cores": -2}, "Invalid input for cores"),
        ({"cores": "many"}, "Invalid input for cores"),
        ({"cores": True}, "Invalid input for cores"),
        ({"cores": None}, "Invalid input for cores"),
        ({"cores": 1 << 31}, "Invalid input for cores"),
        ({"bananas": 1}, "bananas"),
        ({"cores": 1, "force": "perhaps"}, "force"),
        (
            {"instances": 1},
            "Quota limit 1 for instances must be greater than or equal to already used and reserved 2.",
        ),
    ],
)
async def test_limits_that_cannot_be_meant_are_400(nova: Any, limits: Any, sentence: str) -> None:
    for _ in range(2):
        await nova.insert_server()
    url = f"/os-quota-sets/{(await nova.who('demo')).project_id}"
    assert sentence in await nova.refused("PUT", url, 400, by="admin", json={"quota_set": limits})
    assert (await nova.call("GET", url))["quota_set"]["instances"] == 10


async def test_only_administrators_change_quotas_and_see_those_of_others(nova: Any) -> None:
    url = f"/os-quota-sets/{(await nova.who('demo')).project_id}"
    await nova.call("GET", url, by="reader")
    for path in (url, f"{url}/detail"):
        await nova.refused("GET", path, 403, by="other")
    await nova.refused("PUT", url, 403, json={"quota_set": {"cores": 100}})
    await nova.refused("DELETE", url, 403)
    by_user = f"{url}?user_id={(await nova.who('demo')).user_id}"
    await nova.refused("PUT", by_user, 403, json={"quota_set": {"cores": 1}})
    await nova.refused("DELETE", by_user, 403)


async def test_details_and_limits_show_what_is_used(nova: Any) -> None:
    await nova.insert_server()
    await nova.insert_server("other")
    await nova.call("POST", "/os-server-groups", json={"server_group": {"name": "g", "policy": "affinity"}})
    project_id = (await nova.who("demo")).project_id
    detail = (await nova.call("GET", f"/os-quota-sets/{project_id}/detail"))["quota_set"]
    assert detail["ram"] == {"in_use": 512, "limit": 51200, "reserved": 0}
    assert {name: each["in_use"] for name, each in detail.items() if name != "id" and each["in_use"]} == {
        "instances": 1,
        "cores": 1,
        "ram": 512,
        "server_groups": 1,
    }
    absolute = (await nova.call("GET", "/limits"))["limits"]["absolute"]
    assert absolute == {
        "maxTotalInstances": 10,
        "maxTotalCores": 20,
        "maxTotalRAMSize": 51200,
        "maxServerMeta": 128,
        "maxTotalKeypairs": 100,
        "maxServerGroups": 10,
        "maxServerGroupMembers": 10,
        "totalInstancesUsed": 1,
        "totalCoresUsed": 1,
        "totalRAMUsed": 512,
        "totalServerGroupsUsed": 1,
    }
    old = (await nova.call("GET", "/limits", version="2.1"))["limits"]
    assert {"maxPersonality", "maxImageMeta", "maxSecurityGroups", "totalFloatingIpsUsed"} <= set(old["absolute"])
    assert old["rate"] == []
    theirs = await nova.call("GET", f"/limits?tenant_id={project_id}", by="admin")
    assert theirs["limits"]["absolute"] == absolute
    await nova.refused("GET", f"/limits?tenant_id={project_id}", 403, by="other")


async def create(nova: Any, status: int = 202, **fields: Any) -> Any:
    new = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none", **fields}
    body = await nova.call("POST", "/servers", status, json={"server": new})
    return body.get("forbidden", {}).get("message") or body


async def test_a_server_too_many_is_refused_and_counts_for_nothing(nova: Any) -> None:
    await nova.flavor(id="1", vcpus=2)
    await nova.insert_server()
    await set_quota(nova, instances=2)
    told = await create(nova, 403, min_count=2)
    assert told == "Quota exceeded for instances: Requested 2, but already used 1 of 2 instances"
    await set_quota(nova, instances=1, cores=2, ram=600)
    told = await create(nova, 403)
    assert told == (
        "Quota exceeded for cores, instances, ram: Requested 2, 1, 512, but already used 1, 1, 512 "
        "of 2, 1, 600 cores, instances, ram"
    )
    assert (await nova.call("GET", "/limits"))["limits"]["absolute"]["totalInstancesUsed"] == 1
    await set_quota(nova, instances=-1, cores=-1, ram=-1)
    await create(nova)


async def test_as_many_as_the_quota_allows_are_made_when_fewer_will_do(nova: Any) -> None:
    await nova.flavor(id="1")
    await set_quota(nova, cores=3)
    told = await create(nova, 403, min_count=4, max_count=5)
    assert told == "Quota exceeded for cores: Requested 4, but already used 0 of 3 cores"
    await create(nova, min_count=2, max_count=5)
    found = (await nova.call("GET", "/servers?sort_key=display_name&sort_dir=asc"))["servers"]
    assert [each["name"] for each in found] == ["web-1", "web-2", "web-3"]
    assert "Requested 1, but already used 3 of 3 cores" in await create(nova, 403)


async def test_metadata_key_pairs_and_groups_are_limited_too(nova: Any) -> None:
    await nova.flavor(id="1")
    await set_quota(nova, metadata_items=1, server_groups=1, server_group_members=1)
    told = await create(nova, 403, metadata={"a": "", "b": ""})
    assert told == "Maximum number of metadata items exceeds 1"
    new = {"server_group": {"name": "g", "policy": "soft-affinity"}}
    group_id = (await nova.call("POST", "/os-server-groups", json=new))["server_group"]["id"]
    told = await nova.refused("POST", "/os-server-groups", 403, json=new)
    assert told == "Quota exceeded, too many server groups."
    server = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none", "max_count": 2}
    grouped = {"server": server, "os:scheduler_hints": {"group": group_id}}
    assert await nova.refused("POST", "/servers", 403, json=grouped) == "Quota exceeded, too many servers in group"
    await nova.call("PUT", "/os-quota-class-sets/default", by="admin", json={"quota_class_set": {"key_pairs": 1}})
    keys = [{"keypair": {"name": name, "type": "ssh"}} for name in "ab"]
    await nova.call("POST", "/os-keypairs", 201, version="2.91", json=keys[0])
    told = await nova.refused("POST", "/os-keypairs", 403, version="2.91", json=keys[1])
    assert told == "Quota exceeded, too many key pairs."


@pytest.mark.parametrize("at_once", [1, 2, 500])
async def test_usage_counts_hours_of_servers_that_are_and_were(nova: Any, monkeypatch: Any, at_once: int) -> None:
    monkeypatch.setattr(usage, "READ_AT_ONCE", at_once)
    now = nova.service.clock.now()
    mine = await nova.insert_server(launched_at=now - timedelta(hours=2))
    gone = await nova.insert_server(launched_at=now - timedelta(hours=5))
    await nova.insert_server("other", launched_at=now - timedelta(days=9))
    await nova.insert_server(building=True)
    async with nova.service.database.transaction() as tx:
        await servers.forget(tx, await servers.find(tx, gone.id), now - timedelta(hours=3))
    begin, far = now - timedelta(hours=4), now + timedelta(days=400)
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%S.%f") for moment in (begin, far))
    url, period = "/os-simple-tenant-usage", f"start={start}&end={end}"
    shown = (await nova.call("GET", f"{url}/{mine.project_id}?{period}"))["tenant_usage"]
    assert (shown["total_hours"], shown["total_vcpus_usage"]) == (
        pytest.approx(3, rel=1e-3),
        pytest.approx(3, rel=1e-3),
    )
    assert (shown["total_memory_mb_usage"], shown["total_local_gb_usage"]) == (
        pytest.approx(3 * 512, rel=1e-3),
        pytest.approx(3, rel=1e-3),
    )
    used = {each["instance_id"]: each for each in shown["server_usages"]}
    assert {server_id: (round(each["hours"], 3), each["state"]) for server_id, each in used.items()} == {
        mine.id: (2, "active"),
        gone.id: (1, "terminated"),
    }
    assert (used[gone.id]["uptime"], used[mine.id]["ended_at"]) == (7200, None)
    everyone = (await nova.call("GET", f"{url}?{period}", by="admin"))["tenant_usages"]
    assert sorted(round(each["total_hours"]) for each in everyone) == [3, 4]
    assert all("server_usages" not in each for each in everyone)
    detailed = (await nova.call("GET", f"{url}?{period}&detailed=1", by="admin"))["tenant_usages"]
    assert sorted(len(each["server_usages"]) for each in detailed) == [1, 2]
    assert (await nova.call("GET", f"{url}/{mine.project_id}"))["tenant_usage"]["total_hours"] == 0


async def test_usage_comes_in_pages_of_servers_from_2_40_on(nova: Any) -> None:
    for _ in range(3):
        server = await nova.insert_server()
    url = f"/os-simple-tenant-usage/{server.project_id}"
    seen: list[str] = []
    path: str | None = f"{url}?limit=2"
    while path is not None:
        page = await nova.call("GET", path)
        seen += [each["instance_id"] for each in page["tenant_usage"].get("server_usages", [])]
        links = page.get("tenant_usage_links")
        path = links[0]["href"].partition("/v2.1")[2] if links else None
    assert (len(seen), len(set(seen))) == (3, 3)
    assert "not found" in await nova.refused("GET", f"{url}?marker=nobody", 400)
    for query in ("start=yesterday", "start=2026-01-02&end=2026-01-01"):
        await nova.refused("GET", f"{url}?{query}", 400)
    await nova.refused("GET", url, 403, by="other")
    await nova.refused("GET", "/os-simple-tenant-usage", 403)


async def test_a_user_has_limits_within_his_projects(nova: Any) -> None:
    who = await nova.who("demo")
    url = f"/os-quota-sets/{who.project_id}"
    mine = f"{url}?user_id={who.user_id}"
    assert (await nova.call("GET", mine))["quota_set"]["cores"] == 20
    changed = await nova.call("PUT", mine, by="admin", json={"quota_set": {"cores": 2, "instances": 1}})
    assert (changed["quota_set"]["cores"], changed["quota_set"]["ram"]) == (2, 51200)
    assert (await nova.call("GET", mine))["quota_set"]["instances"] == 1
    for other in (url, f"{url}?user_id=somebody"):
        assert (await nova.call("GET", other))["quota_set"]["instances"] == 10
    await nova.insert_server()
    detail = (await nova.call("GET", f"{url}/detail?user_id={who.user_id}"))["quota_set"]
    assert detail["instances"] == {"in_use": 1, "limit": 1, "reserved": 0}
    nobodys = (await nova.call("GET", f"{url}/detail?user_id=somebody"))["quota_set"]
    assert nobodys["instances"] == {"in_use": 0, "limit": 10, "reserved": 0}
    await nova.flavor(id="1")
    new = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none"}
    told = await nova.refused("POST", "/servers", 403, json={"server": new})
    assert told == "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances"
    await nova.call("DELETE", mine, 202, by="admin")
    assert (await nova.call("GET", mine))["quota_set"]["instances"] == 10
    await nova.call("POST", "/servers", 202, json={"server": new})


async def test_the_limits_of_users_go_with_their_projects(nova: Any) -> None:
    who = await nova.who("demo")
    url = f"/os-quota-sets/{who.project_id}"
    mine = f"{url}?user_id={who.user_id}"
    await nova.call("PUT", mine, by="admin", json={"quota_set": {"cores": 2}})
    await nova.call("DELETE", url, 202, by="admin")
    assert (await nova.call("GET", mine))["quota_set"]["cores"] == 20


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"cores": 21}, "Quota limit 21 for cores must be less than or equal to 20."),
        ({"cores": -1}, "Quota limit -1 for cores must be less than or equal to 20."),
        ({"instances": 0}, "already used and reserved 1"),
        ({"key_pairs": 1}, "key_pairs is not counted by user"),
        ({"server_groups": 1}, "server_groups is not counted by user"),
    ],
)
async def test_limits_of_a_user_that_cannot_be_meant_are_400(nova: Any, limits: Any, sentence: str) -> None:
    await nova.insert_server()
    who = await nova.who("demo")
    mine = f"/os-quota-sets/{who.project_id}?user_id={who.user_id}"
    assert sentence in await nova.refused("PUT", mine, 400, by="admin", json={"quota_set": limits})
    too_long = f"/os-quota-sets/{who.project_id}?user_id={'x' * 65}"
    await nova.refused("GET", too_long, 400)
