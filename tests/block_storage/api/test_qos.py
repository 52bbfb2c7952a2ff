"""/qos-specs: limits of volumes, the types that have them, and who is to obey them."""

from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE

URL = "/v3/qos-specs"
CONNECTOR = {"host": "node1"}


async def make(world: World, name: str = "slow", **fields: Any) -> dict[str, Any]:
    answer = body_of(await world.admin.post(URL, json={"qos_specs": {"name": name, **fields}}))
    made: dict[str, Any] = answer["qos_specs"]
    assert answer["links"][0]["href"].endswith(made["id"])
    return made


async def make_type(world: World, name: str = "gold", specs: dict[str, Any] | None = None) -> str:
    body = {"volume_type": {"name": name}}
    type_id: str = body_of(await world.admin.post("/v3/types", json=body))["volume_type"]["id"]
    if specs is not None:
        body_of(await world.admin.get(f"{URL}/{specs['id']}/associate?vol_type_id={type_id}"), 202)
    return type_id


async def qos_of_type(world: World, type_id: str) -> Any:
    return body_of(await world.admin.get(f"/v3/types/{type_id}"))["volume_type"]["qos_specs_id"]


async def test_specs_are_made_changed_listed_and_deleted(world: World) -> None:
    made = await make(world, consumer="front-end", read_iops_sec="100")
    url = f"{URL}/{made['id']}"
    assert (made["name"], made["consumer"], made["specs"]) == ("slow", "front-end", {"read_iops_sec": "100"})
    changed = {"qos_specs": {"consumer": "both", "write_iops_sec": "50"}}
    assert body_of(await world.admin.put(url, json=changed)) == changed
    shown = body_of(await world.admin.get(url))["qos_specs"]
    assert (shown["consumer"], shown["specs"]) == ("both", {"read_iops_sec": "100", "write_iops_sec": "50"})
    body_of(await world.admin.put(f"{url}/delete_keys", json={"keys": ["read_iops_sec"]}), 202)
    wrong = await world.admin.put(f"{url}/delete_keys", json={"keys": ["write_iops_sec", "read_iops_sec"]})
    assert wrong.status_code == 400 and "have no key read_iops_sec" in wrong.text
    assert body_of(await world.admin.get(url))["qos_specs"]["specs"] == {"write_iops_sec": "50"}
    assert (await make(world, "plain"))["consumer"] == "back-end"
    listed = body_of(await world.admin.get(f"{URL}?sort=name:asc"))["qos_specs"]
    assert [each["name"] for each in listed] == ["plain", "slow"]
    assert len(body_of(await world.admin.get(f"{URL}?consumer=both"))["qos_specs"]) == 1
    assert body_of(await world.admin.get(f"{URL}?limit=1"))["qos_specs_links"][0]["rel"] == "next"
    body_of(await world.admin.delete(url), 202)
    assert (await world.admin.get(url)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": " "}, 400),
        ({"name": "taken"}, 409),
        ({"consumer": "nobody"}, 400),
        ({"consumer": "front-end", "golden": "1"}, 400),
        ({"consumer": "front-end", "read_iops_sec": "many"}, 400),
        ({"consumer": "both", "read_iops_sec": "-1"}, 400),
        ({"iops": 5}, 400),
        ({"iops": "v" * 256}, 400),
        ({f"k{number}": "v" for number in range(65)}, 400),
    ],
)
async def test_what_are_no_specs(world: World, fields: dict[str, Any], status: int) -> None:
    await make(world, "taken")
    response = await world.admin.post(URL, json={"qos_specs": {"name": "x", **fields}})
    assert response.status_code == status, response.text
    assert len(body_of(await world.admin.get(URL))["qos_specs"]) == 1


async def test_a_change_is_held_to_what_there_is_already(world: World) -> None:
    made = await make(world, golden="1")
    url = f"{URL}/{made['id']}"
    refusal = await world.admin.put(url, json={"qos_specs": {"consumer": "front-end"}})
    assert refusal.status_code == 400 and "No host obeys golden" in refusal.text
    first, second = ({"qos_specs": {f"{half}{n}": "v" for n in range(40)}} for half in "ab")
    body_of(await world.admin.put(url, json=first))
    refusal = await world.admin.put(url, json=second)
    assert refusal.status_code == 400 and "64 keys at most" in refusal.text
    assert body_of(await world.admin.get(url))["qos_specs"]["consumer"] == "back-end"


async def test_types_have_specs_one_at_a_time(world: World) -> None:
    slow, fast = await make(world), await make(world, "fast")
    type_id = await make_type(world, specs=slow)
    assert await qos_of_type(world, type_id) == slow["id"]
    url = f"{URL}/{slow['id']}"
    body_of(await world.admin.get(f"{url}/associate?vol_type_id={type_id}"), 202)
    other = await world.admin.get(f"{URL}/{fast['id']}/associate?vol_type_id={type_id}")
    assert other.status_code == 400 and "has other QoS specs" in other.text
    wrong = await world.admin.get(f"{URL}/{fast['id']}/disassociate?vol_type_id={type_id}")
    assert wrong.status_code == 400 and "does not have" in wrong.text
    found = body_of(await world.admin.get(f"{url}/associations"))["qos_associations"]
    assert found == [{"association_type": "volume_type", "name": "gold", "id": type_id}]
    refusal = await world.admin.delete(url)
    assert refusal.status_code == 400 and "1 volume types" in refusal.text
    for action in ("associate", "disassociate"):
        assert (await world.admin.get(f"{url}/{action}")).status_code == 400
        assert (await world.admin.get(f"{url}/{action}?vol_type_id={NOWHERE}")).status_code == 404
        assert (await world.admin.get(f"{URL}/{NOWHERE}/{action}?vol_type_id={type_id}")).status_code == 404
    body_of(await world.admin.get(f"{url}/disassociate?vol_type_id={type_id}"), 202)
    assert await qos_of_type(world, type_id) is None
    both = [type_id, await make_type(world, "brass")]
    for each in both:
        body_of(await world.admin.get(f"{url}/associate?vol_type_id={each}"), 202)
    body_of(await world.admin.get(f"{url}/disassociate_all"), 202)
    assert [await qos_of_type(world, each) for each in both] == [None, None]
    body_of(await world.admin.get(f"{url}/associate?vol_type_id={type_id}"), 202)
    assert (await world.admin.delete(f"{url}?force=maybe")).status_code == 400
    body_of(await world.admin.delete(f"{url}?force=true"), 202)
    assert await qos_of_type(world, type_id) is None


async def test_specs_are_administrators(world: World) -> None:
    url = f"{URL}/{(await make(world))['id']}"
    for answer in (
        await world.client.get(URL),
        await world.client.post(URL, json={"qos_specs": {"name": "x"}}),
        await world.client.get(url),
        await world.client.put(url, json={"qos_specs": {"iops": "1"}}),
        await world.client.put(f"{url}/delete_keys", json={"keys": []}),
        await world.client.delete(url),
        *[
            await world.client.get(f"{url}/{each}")
            for each in ("associations", "associate", "disassociate", "disassociate_all")
        ],
    ):
        assert answer.status_code == 403


async def test_hosts_of_servers_are_told_what_to_obey(world: World) -> None:
    limits = {"read_iops_sec": "100", "write_iops_sec_per_gb": "10", "total_bytes_sec_per_gb": "1"}
    made = await make(world, consumer="front-end", total_bytes_sec_per_gb_min="50", **limits)
    await make_type(world, specs=made)
    wanted = {"read_iops_sec": "100", "write_iops_sec": "30", "total_bytes_sec": "50"}
    volume_id = (await world.make(size=3, volume_type="gold"))["id"]
    body = {"attachment": {"volume_uuid": volume_id, "instance_uuid": NOWHERE, "connector": CONNECTOR}}
    attachment = body_of(await world.client.post("/v3/attachments", json=body))["attachment"]
    assert attachment["connection_info"]["qos_specs"] == wanted
    told = body_of(await world.act(volume_id, "os-initialize_connection", {"connector": CONNECTOR}))
    assert told["connection_info"]["data"]["qos_specs"] == wanted
    plain = (await world.make())["id"]
    body["attachment"]["volume_uuid"] = plain
    attachment = body_of(await world.client.post("/v3/attachments", json=body))["attachment"]
    assert attachment["connection_info"]["qos_specs"] is None


async def test_no_volume_is_made_whose_limits_nobody_would_obey(world: World) -> None:
    made = await make(world, iops="100")
    await make_type(world, specs=made)
    before = await world.make()
    for answer in (
        await world.client.post("/v3/volumes", json={"volume": {"size": 1, "volume_type": "gold"}}),
        await world.act(before["id"], "os-retype", {"new_type": "gold"}),
    ):
        assert answer.status_code == 400 and "asks its back end to obey iops" in answer.text
    url = f"{URL}/{made['id']}"
    body_of(await world.admin.put(url, json={"qos_specs": {"consumer": "both", "read_iops_sec": "5"}}))
    refusal = await world.client.post("/v3/volumes", json={"volume": {"size": 1, "volume_type": "gold"}})
    assert refusal.status_code == 400 and "to obey iops, and" in refusal.text
    body_of(await world.admin.put(f"{url}/delete_keys", json={"keys": ["iops"]}), 202)
    assert (await world.make(volume_type="gold"))["status"] == "available"
