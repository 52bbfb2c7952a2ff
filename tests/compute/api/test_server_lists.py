"""Lists of servers: filters, sorting, pages, and whose servers are in them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kilonova.compute.programs.power import POWER
from kilonova.compute.region import mappings
from kilonova.compute.servers import deleted_servers, server_lists, servers
from kilonova.compute.tables import Server, tasks

PORT = {"id": "p1", "network_name": "lan", "mac_address": "fa:16:3e:00:00:01", "preserve": False}


def port(*fixed: str, floating: tuple[str, ...] = ()) -> dict[str, Any]:
    return {**PORT, "fixed_ips": list(fixed), "floating_ips": list(floating)}


async def some(nova: Any) -> dict[str, Server]:
    """Four servers of demo's in different states, oldest first, and one of other's."""
    flavor = {"id": "2", "name": "m1.large", "vcpus": 4, "memory_mib": 8192, "root_gib": 8}
    large = {**flavor, "ephemeral_gib": 0, "swap_mib": 0, "extra_specs": {}}
    image = {"id": "9a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11", "properties": {}}
    rows = [
        await nova.insert_server(name="alpha", tags=["a", "b"], ports=[port("10.0.0.5", floating=("172.24.4.9",))]),
        await nova.insert_server(name="beta", vm_state="stopped", power_state=4, tags=["a"], flavor=large),
        await nova.insert_server(name="gamma-1", building=True, hostname="gamma", key_name="mine"),
        await nova.insert_server(
            name="gamma-2", vm_state="error", fault=None, image=image, locked=True, ports=[port("2001:db8::7")]
        ),
        await nova.insert_server("other", name="foreign", host="node2", ports=[port("10.0.0.6")]),
    ]
    return {row.name: row for row in rows}


async def names(nova: Any, query: str = "", path: str = "/servers", **call: Any) -> list[str]:
    return [each["name"] for each in (await nova.call("GET", f"{path}?{query}", **call))["servers"]]


async def test_a_project_sees_its_own_servers_the_newest_first(nova: Any) -> None:
    await some(nova)
    assert await names(nova) == ["gamma-2", "gamma-1", "beta", "alpha"]
    assert await names(nova, path="/servers/detail") == ["gamma-2", "gamma-1", "beta", "alpha"]
    assert await names(nova, by="reader") == ["gamma-2", "gamma-1", "beta", "alpha"]
    assert await names(nova, by="other") == ["foreign"]
    assert await names(nova, by="admin") == []


async def test_the_short_list_holds_ids_names_and_links_only(nova: Any) -> None:
    rows = await some(nova)
    first = (await nova.call("GET", "/servers?limit=1"))["servers"][0]
    assert set(first) == {"id", "name", "links"}
    assert first["links"][0]["href"] == f"http://service.local/v2.1/servers/{rows['gamma-2'].id}"


async def test_every_project_is_for_administrators(nova: Any) -> None:
    rows = await some(nova)
    assert len(await names(nova, "all_tenants=1", by="admin")) == 5
    assert len(await names(nova, "all_tenants", by="admin")) == 5
    assert await names(nova, "all_tenants=0", by="admin") == []
    for path in ("/servers", "/servers/detail"):
        assert "get_all_tenants" in await nova.refused("GET", f"{path}?all_tenants=1", 403)
    assert "all_tenants" in await nova.refused("GET", "/servers?all_tenants=some", 400, by="admin")
    project = rows["foreign"].project_id
    for name in ("project_id", "tenant_id"):
        assert await names(nova, f"all_tenants=1&{name}={project}", by="admin") == ["foreign"]
        assert await names(nova, f"{name}={project}", by="admin") == []
        assert len(await names(nova, f"{name}={project}")) == 4


FILTERED: dict[str, list[str]] = {
    "name=gamma": ["gamma-2", "gamma-1"],
    "name=^gamma-.*$": ["gamma-2", "gamma-1"],
    "name=-[0-9]$": ["gamma-2", "gamma-1"],
    "name=a_pha": [],
    "name=GAMMA": ["gamma-2", "gamma-1"],
    "name=^GAMMA-[12]": ["gamma-2", "gamma-1"],
    "name=^(alpha|beta)$": ["beta", "alpha"],
    "name=.*a.*m.*m.*": ["gamma-2", "gamma-1"],
    "hostname=^(?:GAMMA)$": ["gamma-1"],
    "ip=10.(0|9).0.5": ["alpha"],
    "name=foreign": [],
    "status=ACTIVE": ["alpha"],
    "status=active": ["alpha"],
    "status=SHUTOFF": ["beta"],
    "status=BUILD": ["gamma-1"],
    "status=ERROR": ["gamma-2"],
    "status=ERROR&status=SHUTOFF": ["gamma-2", "beta"],
    "status=PAUSED": [],
    "status=REBOOT": [],
    "flavor=2": ["beta"],
    "flavor=http://service.local/flavors/2": ["beta"],
    "flavor=9": [],
    "image=9a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11": ["gamma-2"],
    "image=nowhere": [],
    "ip=10.0.0.5": ["alpha"],
    "ip=10.0.0": ["alpha"],
    "ip=172": ["alpha"],
    "ip=10.0.0.[6-9]": [],
    "ip=fa:16": [],
    "ip=2001": [],
    "ip6=2001:db8": ["gamma-2"],
    "tags=a": ["beta", "alpha"],
    "tags=a,b": ["alpha"],
    "tags-any=b,c": ["alpha"],
    "not-tags=a,b": ["gamma-2", "gamma-1", "beta"],
    "not-tags-any=a,b": ["gamma-2", "gamma-1"],
    "tags=%25": [],
    "locked=true": ["gamma-2"],
    "locked=False": ["gamma-1", "beta", "alpha"],
    "hostname=^gamma$": ["gamma-1"],
    "key_name=mine": ["gamma-1"],
    "vm_state=stopped": ["beta"],
    "power_state=4": ["beta"],
    "task_state=scheduling": ["gamma-1"],
    "task_state=deleting": [],
    "config_drive=true": [],
    "progress=0&vm_state=stopped": ["beta"],
    "progress=50": [],
    "name=gamma&status=ERROR": ["gamma-2"],
}


async def test_filters_narrow_the_list(nova: Any) -> None:
    await some(nova)
    assert {query: await names(nova, query) for query in FILTERED} == FILTERED


async def test_a_rebooting_server_is_found_by_its_status(nova: Any) -> None:
    rows = await some(nova)
    now = nova.service.clock.now()
    async with nova.service.database.transaction() as tx:
        await tasks.start(tx, POWER["reboot"].new_task(rows["alpha"].id), now)
    assert await names(nova, "status=REBOOT") == ["alpha"]
    assert await names(nova, "status=HARD_REBOOT") == []
    assert await names(nova, "status=ACTIVE") == ["alpha"]
    assert await names(nova, "task_state=rebooting") == ["alpha"]


async def test_a_user_may_filter_by_his_own_fields_and_the_rest_is_ignored(nova: Any) -> None:
    rows = await some(nova)
    everything = ["gamma-2", "gamma-1", "beta", "alpha"]
    assert await names(nova, "host=node9") == everything
    assert await names(nova, "uuid=x") == everything
    assert await names(nova, "vm_state=stopped", version="2.82") == everything
    assert await names(nova, "hostname=gamma", version="2.89") == everything
    assert await names(nova, "locked=true", version="2.72") == everything
    assert await names(nova, "tags=b", version="2.25") == everything
    assert await names(nova, "ip6=2001", version="2.4") == everything
    assert await names(nova, "all_tenants=1&host=node2", by="admin") == ["foreign"]
    assert await names(nova, f"all_tenants=1&uuid={rows['beta'].id}", by="admin") == ["beta"]
    assert await names(nova, f"all_tenants=1&user_id={rows['foreign'].user_id}", by="admin") == ["foreign"]
    assert await names(nova, f"reservation_id={rows['beta'].reservation_id}") == ["beta"]


REFUSED = [
    ("status=HUNGRY", 400, "known are ACTIVE"),
    ("status=DELETED", 403, "Only administrators"),
    ("limit=-1", 400, "limit"),
    ("limit=x", 400, "limit"),
    ("marker=nowhere", 400, "marker [nowhere] not found"),
    ("sort_key=shoe_size", 400, "Cannot sort by 'shoe_size'"),
    ("sort_key=host", 403, "Only administrators can sort"),
    ("sort_key=vcpus", 400, "Cannot sort by 'vcpus'"),
    ("sort_key=uuid&sort_dir=up", 400, "asc or desc"),
    ("changes-since=yesterday", 400, "changes-since"),
    ("changes-before=x", 400, "changes-before"),
    ("changes-since=2026-01-02T00:00:00Z&changes-before=2026-01-01T00:00:00Z", 400, "less than or equal"),
    ("name=[", 400, "not a regular expression"),
    ("name=(%3F=a)", 400, "not a regular expression"),
    ("name=" + "x" * 256, 400, "255 characters at most"),
    ("ip=*", 400, "not a regular expression"),
    ("power_state=on", 400, "power_state"),
    ("locked=perhaps", 400, "locked"),
    ("launched_at=2026", 400, "cannot be filtered by launched_at"),
    ("metadata=x", 400, "Invalid filter field: metadata"),
    ("colour=blue", 400, "colour"),
]


async def test_a_query_that_cannot_be_meant_is_refused(nova: Any) -> None:
    await some(nova)
    told = [(query, status, await nova.refused("GET", f"/servers?{query}", status)) for query, status, _ in REFUSED]
    wrong = [each for each, (*_, sentence) in zip(told, REFUSED, strict=True) if sentence not in each[2]]
    assert wrong == []


async def test_older_versions_are_milder(nova: Any) -> None:
    await some(nova)
    assert await names(nova, "status=HUNGRY", version="2.37") == []
    assert len(await names(nova, "colour=blue", version="2.74")) == 4
    assert len(await names(nova, "sort_key=vcpus", version="2.74")) == 4
    assert "Invalid filter field: _secret" in await nova.refused("GET", "/servers?_secret=1", 400, version="2.1")


SORTED: dict[str, list[str]] = {
    "sort_key=display_name": ["gamma-2", "gamma-1", "beta", "alpha"],
    "sort_key=display_name&sort_dir=asc": ["alpha", "beta", "gamma-1", "gamma-2"],
    "sort_key=vm_state&sort_dir=asc&sort_key=display_name": ["alpha", "gamma-1", "gamma-2", "beta"],
    "sort_key=power_state&sort_dir=desc&sort_key=created_at&sort_dir=asc": ["beta", "alpha", "gamma-2", "gamma-1"],
    "sort_key=progress": ["gamma-2", "gamma-1", "beta", "alpha"],
    "limit=2": ["gamma-2", "gamma-1"],
    "limit=0": [],
}


async def test_lists_are_sorted_and_cut(nova: Any) -> None:
    await some(nova)
    assert {query: await names(nova, query) for query in SORTED} == SORTED
    assert await nova.call("GET", "/servers/detail?limit=0") == {"servers": []}


async def test_equals_come_in_the_order_of_their_ids(nova: Any) -> None:
    rows = await some(nova)
    keyless = sorted(("alpha", "beta", "gamma-2"), key=lambda name: rows[name].id)
    assert await names(nova, "sort_key=key_name&sort_dir=asc") == [*keyless, "gamma-1"]


async def test_pages_follow_one_another_through_their_links(nova: Any) -> None:
    await some(nova)
    for path in ("/servers", "/servers/detail"):
        for query in ("", "&sort_key=key_name&sort_dir=asc", "&sort_key=availability_zone"):
            seen: list[str] = []
            url = f"{path}?limit=1{query}"
            while url:
                page = await nova.call("GET", url)
                seen += [each["name"] for each in page["servers"]]
                url = page.get("servers_links", [{"href": ""}])[0]["href"].partition("/v2.1")[2]
            assert sorted(seen) == ["alpha", "beta", "gamma-1", "gamma-2"]


@pytest.mark.parametrize("order", ["", "&sort_key=key_name&sort_dir=asc", "&sort_key=display_name"])
async def test_pages_of_a_filtered_list_go_through_all_that_is_looked_at(
    nova: Any, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(server_lists, "LOOKED_AT_ONCE", 2)
    for number in range(9):
        name = f"web-{number}" if number % 2 else f"db-{number}"
        await nova.insert_server(name=name, ports=[port(f"10.0.0.{number}")])
    wanted = [f"web-{number}" for number in (1, 3, 5, 7)]
    for query in ("name=^web", "name=^WEB&ip=10.0.0.[0-9]", "ip=10.0.0.[1357]$"):
        whole = await names(nova, f"{query}{order}")
        assert sorted(whole) == wanted
        for path in ("/servers", "/servers/detail"):
            seen: list[str] = []
            url = f"{path}?limit=1&{query}{order}"
            while url:
                page = await nova.call("GET", url)
                seen += [each["name"] for each in page["servers"]]
                url = page.get("servers_links", [{"href": ""}])[0]["href"].partition("/v2.1")[2]
            assert seen == whole


@pytest.mark.parametrize("pattern", ["three", "THREE", "^three$", "^THREE$", "^(three|four)$", "TH.*E"])
async def test_a_name_means_the_same_to_living_and_deleted_servers(nova: Any, pattern: str) -> None:
    since = (nova.service.clock.now() - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    living, gone = await nova.insert_server(name="Three"), await nova.insert_server(name="Three")
    await forget(nova, gone, 1)
    for path in ("/servers", "/servers/detail"):
        found = (await nova.call("GET", f"{path}?changes-since={since}&name={pattern}"))["servers"]
        assert {each["id"] for each in found} == {living.id, gone.id}


async def test_a_server_deleted_between_two_pages_still_marks_the_place(nova: Any) -> None:
    """Clients fetch the next page from the last server of the one before, whatever has become of it since."""
    made = [await nova.insert_server(name=name) for name in ("one", "two", "three")]
    assert await names(nova, "limit=2") == ["three", "two"]
    await forget(nova, made[1], 0)
    assert await names(nova, f"limit=2&marker={made[1].id}") == ["one"]
    assert await names(nova, f"marker={made[1].id}&sort_key=display_name&sort_dir=asc") == []
    assert "not found" in await nova.refused("GET", f"/servers?marker={made[1].id}", 400, by="other")


async def test_a_marker_of_another_project_is_not_there(nova: Any) -> None:
    rows = await some(nova)
    foreign = rows["foreign"].id
    assert "not found" in await nova.refused("GET", f"/servers?marker={foreign}", 400)
    assert await names(nova, f"all_tenants=1&marker={foreign}", by="admin") == ["gamma-2", "gamma-1", "beta", "alpha"]


async def test_lists_are_narrowed_to_what_changed(nova: Any) -> None:
    rows = await some(nova)
    moment = rows["beta"].updated_at
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert await names(nova, f"changes-since={stamp}") == ["gamma-2", "gamma-1", "beta"]
    assert await names(nova, f"changes-before={stamp}") == ["beta", "alpha"]
    assert await names(nova, f"changes-since={stamp}&changes-before={stamp}") == ["beta"]
    assert len(await names(nova, f"changes-before={stamp}", version="2.65")) == 4
    future = (nova.service.clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await names(nova, f"changes-since={future}") == []


async def test_groups_of_a_server_are_shown_by_itself_only(nova: Any) -> None:
    rows = await some(nova)
    listed = (await nova.call("GET", "/servers/detail?limit=1"))["servers"][0]
    assert "server_groups" not in listed
    shown = (await nova.call("GET", f"/servers/{rows['gamma-2'].id}"))["server"]
    assert shown.pop("server_groups") == []
    assert shown == listed


async def forget(nova: Any, server: Any, minutes_ago: float) -> None:
    moment = nova.service.clock.now() - timedelta(minutes=minutes_ago)
    async with nova.service.database.transaction() as tx:
        await servers.forget(tx, await servers.find(tx, server.id), moment)


async def test_what_was_deleted_is_among_the_changes_and_for_administrators_on_request(nova: Any) -> None:
    made = [await nova.insert_server(name=name) for name in ("one", "two", "three", "four")]
    await forget(nova, made[0], 120)
    await forget(nova, made[2], 5)
    since = (nova.service.clock.now() - timedelta(minutes=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await names(nova, "") == ["four", "two"]
    assert await names(nova, f"changes-since={since}") == ["four", "three", "two"]
    assert await names(nova, f"changes-since={since}&name=^t") == ["three", "two"]
    assert await names(nova, f"changes-since={since}&limit=2&marker={made[3].id}") == ["three", "two"]
    assert await names(nova, f"changes-since={since}&limit=1&marker={made[2].id}") == ["two"]
    assert await names(nova, f"changes-since={since}&sort_key=display_name&sort_dir=asc") == ["four", "three", "two"]
    (gone,) = (await nova.call("GET", f"/servers/detail?changes-since={since}&name=three"))["servers"]
    assert (gone["status"], gone["OS-EXT-STS:vm_state"], gone["addresses"]) == ("DELETED", "deleted", {})
    assert gone["OS-SRV-USG:terminated_at"] is not None
    assert gone["updated"] > since
    for query in ("deleted=true", "status=DELETED", "deleted=1&status=deleted"):
        assert await names(nova, f"{query}&all_tenants=1", by="admin") == ["three", "one"], query
    assert await names(nova, "deleted=true") == ["four", "two"]
    assert await names(nova, f"changes-since={since}&deleted=false&all_tenants=1", by="admin") == ["four", "two"]
    assert await names(nova, f"changes-since={since}", by="other") == []
    told = await nova.refused("GET", f"/servers?changes-since={since}&marker={made[0].id}x", 400)
    assert "not found" in told


async def some_deleted(nova: Any) -> list[str]:
    """Names of a dozen servers in the order they were made; the even ones deleted since, some in the same moment."""
    made = [await nova.insert_server(name=f"s{number:02}", launch_index=number % 3) for number in range(12)]
    for place, server in enumerate(made[::2]):
        await forget(nova, server, 10 + place // 2)
    return [each.name for each in made]


@pytest.mark.parametrize(
    "order", ["", "&sort_key=display_name&sort_dir=asc", "&sort_key=launch_index", "&sort_key=vm_state"]
)
async def test_pages_go_through_the_deleted_ones_however_many_there_are(
    nova: Any, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(deleted_servers, "LOOKED_AT_ONCE", 2)
    everything = await some_deleted(nova)
    since = (nova.service.clock.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = await names(nova, f"changes-since={since}{order}", by="admin", path="/servers/detail")
    assert sorted(await names(nova, f"changes-since={since}")) == everything
    for by, query, wanted in (("demo", f"changes-since={since}", everything), ("admin", DELETED, everything[::2])):
        seen: list[str] = []
        url = f"/servers/detail?limit=5&{query}{order}"
        while url:
            page = await nova.call("GET", url, by=by)
            seen += [each["name"] for each in page["servers"]]
            url = page.get("servers_links", [{"href": ""}])[0]["href"].partition("/v2.1")[2]
        assert sorted(seen) == wanted
    assert whole == []


DELETED = "deleted=true&all_tenants=1"


async def test_changes_before_alone_shows_no_deleted_server(nova: Any) -> None:
    everything = await some_deleted(nova)
    now = nova.service.clock.now()
    soon, then = ((now + timedelta(minutes=each)).strftime("%Y-%m-%dT%H:%M:%SZ") for each in (1, -11.5))
    assert sorted(await names(nova, f"changes-before={soon}")) == everything[1::2]
    long_ago = (now - timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Deleted 10, 10, 11, 11, 12 and 12 minutes ago.
    assert sorted(await names(nova, f"changes-since={long_ago}&changes-before={then}")) == ["s08", "s10"]


async def test_what_was_deleted_long_ago_is_forgotten_with_what_was_done_to_it(
    nova: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleted_servers, "FORGOTTEN_AT_ONCE", 2)
    made = [await nova.insert_server(name=f"s{number}", building=True) for number in range(5)]
    now = nova.service.clock.now()
    for server in made[:4]:
        async with nova.service.database.transaction() as tx:
            await tasks.supersede(tx, POWER["reboot"].new_task(server.id), now)
        await forget(nova, server, 401 * 24 * 60)
    await forget(nova, made[4], 399 * 24 * 60)
    await deleted_servers.forget_in_time(nova.service.here)
    assert await names(nova, DELETED, by="admin") == ["s4"]
    async with nova.service.database.reading() as tx:
        assert [len(await tasks.of_subject(tx, each.id)) for each in made] == [0, 0, 0, 0, 1]
        assert {row[0] for row in await tx.tuples(select(tasks.steps.c.task_id))} == set()


async def test_the_newest_number_is_never_given_twice(nova: Any) -> None:
    first, last = await nova.insert_server(), await nova.insert_server()
    for each in (first, last):
        await forget(nova, each, 500 * 24 * 60)
    async with nova.service.database.transaction() as tx:
        over = await deleted_servers.over(tx, nova.service.clock.now())
        assert sorted(over) == sorted([first.id, last.id])
        await deleted_servers.forget_some(tx, over)
        await mappings.forget_servers(tx, over)
        assert [await mappings.find_server(tx, each.id) is None for each in (first, last)] == [True, False]
    assert (await nova.insert_server()).number == last.number + 1
