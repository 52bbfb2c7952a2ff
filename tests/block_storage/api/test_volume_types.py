"""/types, their extra specs and the projects of private ones, and /default-types."""

from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE


async def make(world: World, **fields: Any) -> dict[str, Any]:
    body = {"volume_type": {"name": "gold", **fields}}
    made: dict[str, Any] = body_of(await world.admin.post("/v3/types", json=body))["volume_type"]
    return made


async def names(world: World, query: str = "", by: Any = None) -> list[str]:
    listed = body_of(await (by or world.client).get(f"/v3/types?{query}"))["volume_types"]
    return [each["name"] for each in listed]


async def test_there_is_one_from_the_start(world: World) -> None:
    assert await names(world) == ["__DEFAULT__"]
    shown = body_of(await world.client.get("/v3/types/default"))["volume_type"]
    assert shown["name"] == "__DEFAULT__" and shown["is_public"] is True
    refusal = await world.admin.delete(f"/v3/types/{shown['id']}")
    assert refusal.status_code == 400 and "is a default type" in refusal.text
    renamed = await world.admin.put(f"/v3/types/{shown['id']}", json={"volume_type": {"name": "x"}})
    assert renamed.status_code == 400


async def test_a_type_is_made_changed_and_deleted(world: World) -> None:
    made = await make(
        world, description="fast", extra_specs={"volume_backend_name": "fake", "multiattach": "<is> False"}
    )
    url = f"/v3/types/{made['id']}"
    assert (await world.admin.post("/v3/types", json={"volume_type": {"name": "gold"}})).status_code == 409
    changed = body_of(await world.admin.put(url, json={"volume_type": {"name": "silver", "is_public": False}}))
    assert (changed["volume_type"]["name"], changed["volume_type"]["description"]) == ("silver", "fast")
    taken = await world.admin.put(url, json={"volume_type": {"name": "__DEFAULT__"}})
    assert taken.status_code == 409
    for wrong in ({"name": " "}, {"is_public": "maybe"}, {"os-volume-type-access:is_public": "maybe"}):
        assert (await world.admin.put(url, json={"volume_type": wrong})).status_code == 400
    assert (await world.client.get(url)).status_code == 404
    public = {"volume_type": {"os-volume-type-access:is_public": True}}
    assert body_of(await world.admin.put(url, json=public))["volume_type"]["is_public"] is True
    assert (await world.client.get(url)).status_code == 200
    body_of(await world.admin.delete(url), 202)
    assert (await world.admin.get(url)).status_code == 404


async def test_users_see_of_extra_specs_what_a_volume_can_do(world: World) -> None:
    made = await make(world, extra_specs={"volume_backend_name": "fake", "multiattach": "<is> False"})
    shown = body_of(await world.client.get(f"/v3/types/{made['id']}"))["volume_type"]
    assert shown["extra_specs"] == {"multiattach": "<is> False"}
    assert (await world.client.get(f"/v3/types/{made['id']}/extra_specs")).status_code == 403


async def test_types_are_found_by_extra_specs_as_far_as_one_sees_them(world: World) -> None:
    await make(world, extra_specs={"volume_backend_name": "fake", "multiattach": "<is> False"})
    assert await names(world, "extra_specs={'multiattach': '<is> False'}") == ["gold"]
    assert await names(world, "extra_specs={'volume_backend_name': 'fake'}") == []
    assert await names(world, "extra_specs={'volume_backend_name': 'fake'}", world.admin) == ["gold"]
    assert await names(world, "extra_specs={'volume_backend_name': 'slow'}", world.admin) == []
    assert (await world.client.get("/v3/types?extra_specs=x")).status_code == 400


async def test_extra_specs_are_written_by_key(world: World) -> None:
    url = f"/v3/types/{(await make(world))['id']}/extra_specs"
    assert body_of(await world.admin.post(url, json={"extra_specs": {"a": "1"}})) == {"extra_specs": {"a": "1"}}
    assert body_of(await world.admin.put(f"{url}/a", json={"a": "2"})) == {"a": "2"}
    assert (await world.admin.put(f"{url}/b", json={"a": "2"})).status_code == 400
    assert body_of(await world.admin.get(f"{url}/a")) == {"a": "2"}
    assert body_of(await world.admin.get(url)) == {"extra_specs": {"a": "2"}}
    many = {"extra_specs": {f"k{n}": "v" for n in range(128)}}
    assert (await world.admin.post(url, json=many)).status_code == 400
    assert (await world.admin.post(url, json={"extra_specs": {"a/b": "v"}})).status_code == 400
    body_of(await world.admin.delete(f"{url}/a"), 202)
    for answer in (await world.admin.get(f"{url}/a"), await world.admin.delete(f"{url}/a")):
        assert answer.status_code == 404
    assert (await world.client.post(url, json={"extra_specs": {"a": "1"}})).status_code == 403


async def test_a_private_type_is_for_the_projects_that_have_access(world: World) -> None:
    made = await make(world, **{"os-volume-type-access:is_public": False})
    url = f"/v3/types/{made['id']}"
    access = {"project": world.project_id}
    assert await names(world) == ["__DEFAULT__"]
    assert sorted(await names(world, "is_public=None", world.admin)) == ["__DEFAULT__", "gold"]
    assert await names(world, "is_public=False", world.admin) == ["gold"]
    assert await names(world, "", world.admin) == ["__DEFAULT__"]
    refused = await world.client.post("/v3/volumes", json={"volume": {"size": 1, "volume_type": "gold"}})
    assert refused.status_code == 404
    body_of(await world.admin.post(f"{url}/action", json={"addProjectAccess": access}), 202)
    assert (await world.admin.post(f"{url}/action", json={"addProjectAccess": access})).status_code == 409
    assert sorted(await names(world)) == ["__DEFAULT__", "gold"]
    assert await names(world, "", world.other) == ["__DEFAULT__"]
    listed = body_of(await world.admin.get(f"{url}/os-volume-type-access"))["volume_type_access"]
    assert listed == [{"volume_type_id": made["id"], "project_id": world.project_id}]
    assert (await world.make(volume_type="gold"))["volume_type"] == "gold"
    in_use = await world.admin.delete(url)
    assert in_use.status_code == 400 and "there are volumes" in in_use.text
    body_of(await world.admin.post(f"{url}/action", json={"removeProjectAccess": access}), 202)
    assert (await world.admin.post(f"{url}/action", json={"removeProjectAccess": access})).status_code == 404
    assert (await world.client.post(f"{url}/action", json={"addProjectAccess": access})).status_code == 403
    public = (await make(world, name="public"))["id"]
    body = {"addProjectAccess": access}
    assert (await world.admin.post(f"/v3/types/{public}/action", json=body)).status_code == 409
    assert (await world.admin.get(f"/v3/types/{public}/os-volume-type-access")).status_code == 404


async def test_a_project_has_a_default_type_of_its_own(world: World) -> None:
    await make(world)
    url = f"/v3/default-types/{world.project_id}"
    assert (await world.admin.get(url)).status_code == 404
    chosen = body_of(await world.admin.put(url, json={"default_type": {"volume_type": "gold"}}))["default_type"]
    assert chosen["project_id"] == world.project_id
    assert body_of(await world.admin.get(url))["default_type"] == chosen
    assert body_of(await world.admin.get("/v3/default-types"))["default_types"] == [chosen]
    assert (await world.make())["volume_type"] == "gold"
    in_use = await world.admin.delete(f"/v3/types/{chosen['volume_type_id']}")
    assert in_use.status_code == 400
    assert (await world.admin.put(url, json={"default_type": {"volume_type": NOWHERE}})).status_code == 404
    assert (await world.client.put(url, json={"default_type": {"volume_type": "gold"}})).status_code == 403
    body_of(await world.admin.delete(url), 204)
    assert (await world.admin.delete(url)).status_code == 404
    assert (await world.make())["volume_type"] == "__DEFAULT__"


@pytest.mark.parametrize("query", ["is_public=maybe", "sort=colour", "limit=x"])
async def test_lists_of_types_refuse_what_they_cannot_read(world: World, query: str) -> None:
    assert (await world.admin.get(f"/v3/types?{query}")).status_code == 400
