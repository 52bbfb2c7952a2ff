"""Quotas, their classes and limits: what a project may have, also when it asks for it many times at once."""

import asyncio
from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of


async def set_limits(world: World, **limits: Any) -> dict[str, int]:
    url = f"/v3/os-quota-sets/{world.project_id}"
    shown: dict[str, int] = body_of(await world.admin.put(url, json={"quota_set": limits}))["quota_set"]
    return shown


async def test_defaults_are_upstreams_until_somebody_sets_others(world: World) -> None:
    url = f"/v3/os-quota-sets/{world.project_id}"
    shown = body_of(await world.client.get(url))["quota_set"]
    assert (shown["volumes"], shown["snapshots"], shown["gigabytes"]) == (10, 10, 1000)
    assert (shown["per_volume_gigabytes"], shown["volumes___DEFAULT__"]) == (-1, -1)
    assert (await set_limits(world, volumes=3, snapshots="4"))["volumes"] == 3
    defaults = body_of(await world.admin.get(f"{url}/defaults"))["quota_set"]
    assert defaults["volumes"] == 10
    body_of(await world.admin.delete(url))
    assert body_of(await world.client.get(url))["quota_set"]["snapshots"] == 10
    for answer in (
        await world.other.get(url),
        await world.client.put(url, json={"quota_set": {"volumes": 99}}),
        await world.client.delete(url),
    ):
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "limits", [{"golden": 1}, {"volumes": -2}, {"volumes": "x"}, {"volumes": 1 << 40}, {"skip_validation": "x"}]
)
async def test_what_is_no_limit_is_refused(world: World, limits: dict[str, Any]) -> None:
    response = await world.admin.put(f"/v3/os-quota-sets/{world.project_id}", json={"quota_set": limits})
    assert response.status_code == 400


async def test_a_limit_below_what_is_used_is_refused_where_that_is_looked_at(world: World) -> None:
    await world.make(size=5)
    body = {"quota_set": {"gigabytes": 4, "skip_validation": False}}
    response = await world.admin.put(f"/v3/os-quota-sets/{world.project_id}", json=body)
    assert response.status_code == 400 and "5 already used" in response.text
    assert (await set_limits(world, gigabytes=4))["gigabytes"] == 4


async def test_what_is_beyond_a_limit_is_refused_with_the_numbers(world: World) -> None:
    await set_limits(world, volumes=2, gigabytes=10, snapshots=1, per_volume_gigabytes=8)
    volume = await world.make(size=6)

    async def refused(path: str, body: Any, words: str) -> None:
        response = await world.client.post(path, json=body)
        assert response.status_code == 413 and words in response.text, response.text
        assert response.headers["retry-after"] == "0"

    gigabytes = "Quota exceeded for gigabytes: requested 5, already used 6, and the limit is 10."
    await refused("/v3/volumes", {"volume": {"size": 5}}, gigabytes)
    await refused("/v3/volumes", {"volume": {"size": 9}}, "per_volume_gigabytes")
    await refused(f"/v3/volumes/{volume['id']}/action", {"os-extend": {"new_size": 11}}, "per_volume_gigabytes")
    await refused("/v3/snapshots", {"snapshot": {"volume_id": volume["id"]}}, "gigabytes: requested 6")
    await set_limits(world, gigabytes=100, per_volume_gigabytes=-1)
    await world.make_snapshot(volume["id"])
    await refused("/v3/snapshots", {"snapshot": {"volume_id": volume["id"]}}, "snapshots: requested 1")
    await world.make()
    await refused("/v3/volumes", {"volume": {"size": 1}}, "volumes: requested 1, already used 2")
    await set_limits(world, volumes=-1, volumes___DEFAULT__=2)
    await refused("/v3/volumes", {"volume": {"size": 1}}, "volumes___DEFAULT__")


async def test_many_at_once_take_no_more_than_there_is(world: World) -> None:
    await set_limits(world, volumes=4)
    asked = [world.client.post("/v3/volumes", json={"volume": {"size": 1}}) for _ in range(10)]
    statuses = [each.status_code for each in await asyncio.gather(*asked)]
    assert (statuses.count(202), statuses.count(413)) == (4, 6)
    limits = body_of(await world.client.get("/v3/limits"))["limits"]["absolute"]
    assert (limits["totalVolumesUsed"], limits["maxTotalVolumes"], limits["totalGigabytesUsed"]) == (4, 4, 4)
    await world.run()
    usage = body_of(await world.client.get(f"/v3/os-quota-sets/{world.project_id}?usage=true"))["quota_set"]
    assert usage["volumes"] == {"limit": 4, "in_use": 4, "reserved": 0}


async def test_classes_set_the_limits_of_projects_that_have_none(world: World) -> None:
    url = "/v3/os-quota-class-sets/default"
    assert body_of(await world.admin.get(url))["quota_class_set"]["volumes"] == 10
    changed = body_of(await world.admin.put(url, json={"quota_class_set": {"volumes": 1}}))["quota_class_set"]
    assert changed["volumes"] == 1
    assert body_of(await world.client.get(f"/v3/os-quota-sets/{world.project_id}"))["quota_set"]["volumes"] == 1
    assert (await world.admin.put(url, json={"quota_class_set": {"golden": 1}})).status_code == 400
    assert (await world.client.get(url)).status_code == 403


async def test_limits_of_another_project_are_an_administrators_to_see(world: World) -> None:
    await world.make(size=7)
    theirs = body_of(await world.admin.get(f"/v3/limits?project_id={world.project_id}"))["limits"]["absolute"]
    assert theirs["totalGigabytesUsed"] == 7
    mine = body_of(await world.other.get(f"/v3/limits?project_id={world.project_id}"))["limits"]["absolute"]
    assert mine["totalGigabytesUsed"] == 0


async def test_limits_of_a_type_keep_to_it_under_its_new_name(world: World) -> None:
    made = body_of(await world.admin.post("/v3/types", json={"volume_type": {"name": "slow"}}))["volume_type"]
    await set_limits(world, volumes_slow=3)
    await world.admin.put(f"/v3/types/{made['id']}", json={"volume_type": {"name": "fast"}})
    shown = body_of(await world.client.get(f"/v3/os-quota-sets/{world.project_id}"))["quota_set"]
    assert shown["volumes_fast"] == 3
    assert "volumes_slow" not in shown
