"""/volume-transfers and /os-volume-transfer: a volume that is offered, taken, or taken back."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from kilonova.block_storage.tables import transfers
from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE

PATHS = ("/v3/volume-transfers", "/v3/os-volume-transfer")


async def offer(world: World, volume_id: str, path: str = PATHS[0], **fields: Any) -> dict[str, Any]:
    body = {"transfer": {"volume_id": volume_id, **fields}}
    made: dict[str, Any] = body_of(await world.client.post(path, json=body), 202)["transfer"]
    return made


async def accept(world: World, made: dict[str, Any], status: int = 202, by: Any = None, **fields: Any) -> Any:
    url = f"{PATHS[0]}/{made['id']}/accept"
    body = {"accept": {"auth_key": made["auth_key"], **fields}}
    return body_of(await (by or world.other).post(url, json=body), status)


async def refused(world: World, volume_id: str, status: int, words: str, by: Any = None, **fields: Any) -> None:
    body = {"transfer": {"volume_id": volume_id, **fields}}
    for path in PATHS:
        response = await (by or world.client).post(path, json=body)
        assert response.status_code == status and words in response.text, response.text


async def used(by: Any) -> tuple[int, int, int]:
    limits = body_of(await by.get("/v3/limits"))["limits"]["absolute"]
    return limits["totalVolumesUsed"], limits["totalSnapshotsUsed"], limits["totalGigabytesUsed"]


async def other_project(world: World) -> str:
    return str((await world.make(world.other))["os-vol-tenant-attr:tenant_id"])


@pytest.mark.parametrize("path", PATHS)
async def test_a_volume_is_offered_and_taken(world: World, path: str) -> None:
    volume = await world.make(size=3, metadata={"a": "1"})
    made = await offer(world, volume["id"], path, name=" gift ")
    assert (made["volume_id"], made["name"], made["accepted"]) == (volume["id"], "gift", False)
    assert (made["source_project_id"], made["destination_project_id"]) == (world.project_id, None)
    assert made["links"][0]["href"].endswith(f"/os-volume-transfer/{made['id']}")
    assert (await world.shown(volume["id"]))["status"] == "awaiting-transfer"
    shown = body_of(await world.client.get(f"{path}/{made['id']}"))["transfer"]
    assert shown == {name: value for name, value in made.items() if name != "auth_key"}
    taken = (await accept(world, made))["transfer"]
    assert taken == {name: made[name] for name in ("id", "name", "volume_id", "links")}
    now = body_of(await world.other.get(f"/v3/volumes/{volume['id']}"))["volume"]
    assert (now["status"], now["size"], now["metadata"]) == ("available", 3, {"a": "1"})
    assert now["user_id"] != volume["user_id"]
    assert (await world.client.get(f"/v3/volumes/{volume['id']}")).status_code == 404
    assert (await used(world.client), await used(world.other)) == ((0, 0, 0), (1, 0, 3))
    assert (await world.client.get(f"{path}/{made['id']}")).status_code == 404
    await accept(world, made, 404)


async def test_the_key_is_kept_as_its_hash(world: World) -> None:
    made = await offer(world, (await world.make())["id"])
    async with world.service.database.reading() as tx:
        (row,) = await tx.tuples(select(transfers))
    assert made["auth_key"] not in str(row)


async def test_snapshots_go_with_their_volume_unless_they_are_kept(world: World) -> None:
    volumes = [await world.make(size=2) for _ in range(3)]
    kept = [await world.make_snapshot(each["id"]) for each in volumes]
    await accept(world, await offer(world, volumes[0]["id"]))
    assert (await used(world.client), await used(world.other)) == ((2, 2, 8), (1, 1, 4))
    await accept(world, await offer(world, volumes[1]["id"], no_snapshots="true"))
    await accept(world, await offer(world, volumes[2]["id"], PATHS[1]))
    theirs = body_of(await world.other.get("/v3/snapshots"))["snapshots"]
    mine = body_of(await world.client.get("/v3/snapshots"))["snapshots"]
    assert [each["id"] for each in theirs] == [kept[0]["id"]]
    assert {each["id"] for each in mine} == {kept[1]["id"], kept[2]["id"]}
    assert theirs[0]["user_id"] != kept[0]["user_id"]
    # What is not the new owner's does not go with his volume.
    refusal = await world.other.delete(f"/v3/volumes/{volumes[1]['id']}?cascade=true")
    assert refusal.status_code == 400 and "snapshots of another project" in refusal.text
    body_of(await world.client.delete(f"/v3/snapshots/{kept[1]['id']}"), 202)
    await world.run()
    body_of(await world.other.delete(f"/v3/volumes/{volumes[1]['id']}"), 202)


async def test_an_offer_is_taken_back(world: World) -> None:
    volume_id = (await world.make())["id"]
    made = await offer(world, volume_id)
    url = f"{PATHS[0]}/{made['id']}"
    assert (await world.reader.delete(url)).status_code == 403
    assert (await world.other.delete(url)).status_code == 404
    body_of(await world.client.delete(url), 202)
    assert (await world.shown(volume_id))["status"] == "available"
    assert (await world.client.delete(url)).status_code == 404
    await accept(world, made, 404)
    await offer(world, volume_id)


async def test_what_cannot_be_offered(world: World) -> None:
    volume = await world.make()
    await refused(world, NOWHERE, 404, "could not be found")
    await refused(world, volume["id"], 404, "could not be found", world.other)
    await refused(world, volume["id"], 403, "Policy", world.reader)
    await refused(world, volume["id"], 400, "colour", colour="red")
    wrong = await world.client.post(PATHS[0], json={"transfer": {"volume_id": volume["id"], "no_snapshots": "maybe"}})
    assert wrong.status_code == 400
    old = await world.client.post(PATHS[1], json={"transfer": {"volume_id": volume["id"], "no_snapshots": True}})
    assert old.status_code == 400 and "no_snapshots" in old.text
    await offer(world, volume["id"])
    await refused(world, volume["id"], 400, "is awaiting-transfer")
    source = await world.make()
    snapshot = await world.make_snapshot(source["id"])
    body_of(await world.client.post("/v3/volumes", json={"volume": {"source_volid": source["id"]}}), 202)
    await refused(world, source["id"], 400, "is being copied to")
    await world.run()
    body_of(await world.client.delete(f"/v3/snapshots/{snapshot['id']}"), 202)
    response = await world.client.post(PATHS[0], json={"transfer": {"volume_id": source["id"]}})
    assert response.status_code == 400 and f"Snapshot {snapshot['id']} is deleting" in response.text
    assert (await world.shown(source["id"]))["status"] == "available"


async def test_who_cannot_take_what_is_offered(world: World) -> None:
    made = await offer(world, (await world.make())["id"])
    assert "auth key" in str(await accept(world, made, 400, auth_key="0" * 32))
    await accept(world, made, 400, auth_key="")
    await accept(world, made, 400, colour="red")
    await accept(world, made, 403, world.reader)
    await accept(world, {**made, "id": NOWHERE}, 404)
    assert (await world.shown(made["volume_id"]))["status"] == "awaiting-transfer"
    await accept(world, made)


async def test_a_project_takes_no_more_than_its_quota_allows(world: World) -> None:
    project_id = await other_project(world)

    async def limit(**limits: int) -> None:
        body_of(await world.admin.put(f"/v3/os-quota-sets/{project_id}", json={"quota_set": limits}))

    volume = await world.make(size=4)
    await world.make_snapshot(volume["id"])
    made = await offer(world, volume["id"])
    for limits, words in (
        ({"volumes": 1}, "volumes: requested 1, already used 1"),
        ({"volumes": 10, "gigabytes": 8}, "gigabytes: requested 8, already used 1"),
        ({"gigabytes": 9, "snapshots": 0}, "snapshots: requested 1"),
        ({"snapshots": 1, "per_volume_gigabytes": 3}, "per_volume_gigabytes"),
    ):
        await limit(**limits)
        assert words in str(await accept(world, made, 413))
    assert (await world.shown(volume["id"]))["status"] == "awaiting-transfer"
    await limit(per_volume_gigabytes=4)
    await accept(world, made)
    assert (await used(world.client), await used(world.other)) == ((0, 0, 0), (2, 1, 9))


async def test_many_who_take_an_offer_at_once_are_one(world: World) -> None:
    made = await offer(world, (await world.make())["id"])
    url, body = f"{PATHS[0]}/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}
    answers = await asyncio.gather(*(by.post(url, json=body) for by in (world.other, world.admin) * 3))
    assert sorted(each.status_code for each in answers) == [202, *[404] * 5]


async def test_ones_own_offer_costs_no_quota(world: World) -> None:
    volume = await world.make()
    body = {"quota_set": {"volumes": 1}}
    body_of(await world.admin.put(f"/v3/os-quota-sets/{world.project_id}", json=body))
    await accept(world, await offer(world, volume["id"]), by=world.client)
    assert (await world.shown(volume["id"]))["status"] == "available"


async def test_a_private_type_is_not_given_away(world: World) -> None:
    private = {"volume_type": {"name": "gold", "os-volume-type-access:is_public": False}}
    type_id = body_of(await world.admin.post("/v3/types", json=private))["volume_type"]["id"]

    async def allow(project_id: str) -> None:
        body = {"addProjectAccess": {"project": project_id}}
        body_of(await world.admin.post(f"/v3/types/{type_id}/action", json=body), 202)

    await allow(world.project_id)
    made = await offer(world, (await world.make(volume_type="gold"))["id"])
    assert "private type" in str(await accept(world, made, 400))
    await allow(await other_project(world))
    await accept(world, made)


async def test_a_snapshot_that_is_worked_on_holds_the_transfer_up(world: World) -> None:
    volume = await world.make()
    snapshot = await world.make_snapshot(volume["id"])
    made = await offer(world, volume["id"])
    body_of(await world.client.delete(f"/v3/snapshots/{snapshot['id']}"), 202)
    assert "is deleting" in str(await accept(world, made, 400))
    await world.run()
    await accept(world, made)


async def test_an_offered_volume_is_nothing_elses(world: World) -> None:
    volume_id = (await world.make())["id"]
    made = await offer(world, volume_id)
    url = f"/v3/volumes/{volume_id}"
    for answer in (
        await world.client.delete(url),
        await world.act(volume_id, "os-extend", {"new_size": 2}),
        await world.act(volume_id, "os-reserve"),
        await world.client.post("/v3/snapshots", json={"snapshot": {"volume_id": volume_id}}),
        await world.act(volume_id, "os-reset_status", {"status": "error"}, by=world.admin),
        await world.act(volume_id, "os-reset_status", {"status": "awaiting-transfer"}, by=world.admin),
    ):
        assert answer.status_code == 400, answer.text
    body_of(await world.act(volume_id, "os-force_delete", by=world.admin), 202)
    assert (await world.client.get(f"{PATHS[0]}/{made['id']}")).status_code == 404
    await accept(world, made, 404)
    await world.run()
    assert await world.shown(volume_id) == {}


@pytest.mark.parametrize("path", PATHS)
async def test_offers_are_listed_by_who_makes_them(world: World, path: str) -> None:
    made = [await offer(world, (await world.make())["id"], name=name) for name in ("a", "b")]

    async def names(query: str, by: Any = None, version: str = "3.71") -> list[str]:
        headers = {"openstack-api-version": f"volume {version}"}
        listed = body_of(await (by or world.client).get(f"{path}/detail?{query}", headers=headers))["transfers"]
        return [each["name"] for each in listed]

    assert sorted(await names("")) == ["a", "b"]
    assert await names("sort=name:asc") == ["a", "b"]
    assert await names("name=a") == ["a"]
    assert await names(f"volume_id={made[1]['volume_id']}") == ["b"]
    assert sorted(await names("name=a&limit=1", version="3.30")) == ["a", "b"]
    assert sorted(await names("limit=1", version="3.58")) == ["a", "b"]
    assert await names("", world.other) == []
    assert await names("", world.admin) == []
    assert sorted(await names("all_tenants=1", world.admin)) == ["a", "b"]
    page = body_of(await world.client.get(f"{path}?limit=1&sort=name:asc"))
    assert list(page["transfers"][0]) == ["id", "volume_id", "name", "links"]
    assert page["transfers_links"][0]["rel"] == "next"
    for query in ("limit=x", "sort=colour", "colour=red"):
        assert (await world.client.get(f"{path}?{query}")).status_code == 400


async def test_older_versions_of_transfers_know_less(world: World) -> None:
    made = await offer(world, (await world.make())["id"])
    for version, knows in (("3.56", False), ("3.57", True)):
        headers = {"openstack-api-version": f"volume {version}"}
        url = f"{PATHS[0]}/{made['id']}"
        assert ("accepted" in body_of(await world.client.get(url, headers=headers))["transfer"]) is knows
    headers = {"openstack-api-version": "volume 3.54"}
    body = {"transfer": {"volume_id": (await world.make())["id"], "no_snapshots": False}}
    refusal = await world.client.post(PATHS[0], json=body, headers=headers)
    assert refusal.status_code == 400 and "no_snapshots" in refusal.text
