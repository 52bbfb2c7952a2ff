"""What consumers hold: claims, conflicts, limits, moves; alone, together and at the same time."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from kilonova.kit.clock import SystemClock
from kilonova.kit.db import Database
from kilonova.kit.errors import Conflict
from kilonova.placement import allocations
from kilonova.placement.allocations import Claim
from kilonova.placement.service import Placement
from kilonova.placement.tables import allocations as allocation_table
from kilonova.placement.tables import consumers, inventories, metadata

HOST, OTHER = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


def version(number: str) -> dict[str, str]:
    return {"openstack-api-version": f"placement {number}"}


def claim(resources: dict[str, int], generation: int | None = None, host: str = HOST, **more: Any) -> dict[str, Any]:
    return {
        "allocations": {host: {"resources": resources}} if resources else {},
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
        "project_id": "p",
        "user_id": "u",
        **more,
    }


@pytest.fixture
async def hosts(client: httpx.AsyncClient) -> None:
    for provider_id in (HOST, OTHER):
        await client.post("/resource_providers", json={"uuid": provider_id, "name": provider_id})
        stock = {"VCPU": {"total": 4}, "MEMORY_MB": {"total": 1024, "min_unit": 64, "max_unit": 512, "step_size": 64}}
        body = {"resource_provider_generation": 0, "inventories": stock}
        assert (await client.put(f"/resource_providers/{provider_id}/inventories", json=body)).status_code == 200


async def put(client: httpx.AsyncClient, consumer: str, body: Any, number: str = "1.39") -> tuple[int, str]:
    response = await client.put(f"/allocations/{consumer}", json=body, headers=version(number))
    return response.status_code, response.json()["errors"][0]["code"] if response.content else ""


@pytest.mark.usefixtures("hosts")
async def test_a_claim_is_made_shown_changed_and_given_back(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/allocations/{ONE}")).json() == {"allocations": {}}
    assert (await client.delete(f"/allocations/{ONE}")).status_code == 404
    assert await put(client, ONE, claim({"VCPU": 2, "MEMORY_MB": 128})) == (204, "")
    shown = await client.get(f"/allocations/{ONE}")
    assert shown.json() == {
        "allocations": {HOST: {"resources": {"MEMORY_MB": 128, "VCPU": 2}, "generation": 2}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": 1,
        "consumer_type": "INSTANCE",
    }
    assert await put(client, ONE, claim({"VCPU": 4}, 1, user_id="v")) == (204, "")
    held = (await client.get(f"/resource_providers/{HOST}/allocations")).json()
    assert held == {
        "allocations": {ONE: {"resources": {"VCPU": 4}, "consumer_generation": 2}},
        "resource_provider_generation": 3,
    }
    assert (await client.get(f"/allocations/{ONE}")).json()["user_id"] == "v"
    assert await put(client, ONE, claim({}, 2)) == (204, "")
    assert (await client.get(f"/allocations/{ONE}")).json() == {"allocations": {}}
    usages = (await client.get(f"/resource_providers/{HOST}/usages")).json()
    assert usages == {"resource_provider_generation": 4, "usages": {"MEMORY_MB": 0, "VCPU": 0}}
    assert await put(client, ONE, claim({"VCPU": 1})) == (204, "")
    assert (await client.delete(f"/allocations/{ONE}")).status_code == 204


@pytest.mark.usefixtures("hosts")
async def test_a_generation_that_is_not_the_consumers_is_409(client: httpx.AsyncClient) -> None:
    conflict = (409, "placement.concurrent_update")
    assert await put(client, ONE, claim({"VCPU": 1}, 1)) == conflict
    assert await put(client, ONE, claim({"VCPU": 1})) == (204, "")
    for generation in (None, 0, 2):
        assert await put(client, ONE, claim({"VCPU": 2}, generation)) == conflict
    assert (await client.get(f"/allocations/{ONE}")).json()["allocations"][HOST]["resources"] == {"VCPU": 1}


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"VCPU": 5}, "exceed the capacity"),
        ({"MEMORY_MB": 32}, "constraints"),
        ({"MEMORY_MB": 100}, "constraints"),
        ({"MEMORY_MB": 576}, "constraints"),
        ({"DISK_GB": 1}, "none of class 'DISK_GB'"),
    ],
)
async def test_what_is_not_there_is_409_and_nothing_is_kept(
    client: httpx.AsyncClient, placement: Placement, resources: dict[str, int], sentence: str
) -> None:
    response = await client.put(f"/allocations/{ONE}", json=claim({"VCPU": 1, **resources}))
    assert response.status_code == 409
    assert sentence in response.json()["errors"][0]["detail"]
    async with placement.database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(consumers)) == 0
    assert (await client.get(f"/resource_providers/{HOST}")).json()["generation"] == 1


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize(
    "body",
    [
        {},
        claim({"VCPU": 0}),
        claim({"VCPU": -1}),
        claim({"vcpu": 1}),
        claim({"CUSTOM_MAGIC": 1}),
        claim({"VCPU": 1}, project_id=""),
        claim({"VCPU": 1}, consumer_type="instance"),
        claim({"VCPU": 1}, host="00000000-0000-0000-0000-00000000000f"),
        claim({"VCPU": 1}, colour="blue"),
        claim({"VCPU": 1}, mappings={"": []}),
        {**claim({}), "allocations": {HOST: {"resources": {}}}},
    ],
)
async def test_a_bad_claim_is_400(client: httpx.AsyncClient, body: Any) -> None:
    assert (await put(client, ONE, body))[0] == 400


@pytest.mark.usefixtures("hosts")
async def test_a_consumer_that_is_no_uuid_is_400(client: httpx.AsyncClient) -> None:
    assert (await put(client, "somebody", claim({"VCPU": 1})))[0] == 400


@pytest.mark.usefixtures("hosts")
async def test_every_older_form_of_a_claim_is_understood(client: httpx.AsyncClient) -> None:
    listed = {"allocations": [{"resource_provider": {"uuid": HOST}, "resources": {"VCPU": 1}}]}
    owned = {"project_id": "p", "user_id": "u"}
    mapped = {"allocations": {HOST: {"resources": {"VCPU": 1}}}, **owned}
    seen = {**mapped, "consumer_generation": None}
    forms = [("1.0", listed), ("1.8", {**listed, **owned}), ("1.12", mapped), ("1.28", seen)]
    forms.append(("1.34", {**seen, "mappings": {"": [HOST]}}))
    for number, body in forms:
        assert await put(client, ONE, body, number) == (204, ""), number
        shown = (await client.get(f"/allocations/{ONE}")).json()
        assert shown["allocations"][HOST]["resources"] == {"VCPU": 1}
        assert shown["consumer_type"] == "unknown"
        assert (await client.delete(f"/allocations/{ONE}")).status_code == 204
    for number, body in (("1.8", listed), ("1.11", mapped), ("1.27", seen), ("1.33", forms[-1][1]), ("1.38", seen)):
        assert (await put(client, ONE, body, number))[0] == 400, number
    await put(client, ONE, listed, "1.0")
    assert (await client.get(f"/allocations/{ONE}", headers=version("1.11"))).json() == {
        "allocations": {HOST: {"resources": {"VCPU": 1}, "generation": 7}}
    }


@pytest.mark.usefixtures("hosts")
async def test_several_consumers_change_together_or_not_at_all(client: httpx.AsyncClient) -> None:
    async def post(body: Any, number: str = "1.39") -> int:
        return (await client.post("/allocations", json=body, headers=version(number))).status_code

    assert await post({ONE: claim({"VCPU": 4}), TWO: claim({"VCPU": 1})}) == 409
    assert (await client.get(f"/resource_providers/{HOST}/usages")).json()["usages"]["VCPU"] == 0
    assert await post({ONE: claim({"VCPU": 4}), TWO: claim({"VCPU": 1}, host=OTHER)}) == 204
    # A move: what one gives back the other takes, in one step.
    assert await post({ONE: claim({}, 1), TWO: claim({"VCPU": 4}, 1)}) == 204
    assert (await client.get(f"/allocations/{ONE}")).json() == {"allocations": {}}
    assert (await client.get(f"/resource_providers/{OTHER}/usages")).json()["usages"]["VCPU"] == 0
    assert await post({}) == 400
    assert await post({"x": claim({"VCPU": 1})}) == 400
    assert await post({ONE: claim({"VCPU": 1})}, "1.12") == 404


@pytest.mark.usefixtures("hosts")
async def test_an_overfull_provider_may_be_emptied_but_not_filled(client: httpx.AsyncClient) -> None:
    await put(client, ONE, claim({"VCPU": 3}))
    await put(client, TWO, claim({"VCPU": 1}))
    body = {"resource_provider_generation": 3, "total": 2}
    assert (await client.put(f"/resource_providers/{HOST}/inventories/VCPU", json=body)).status_code == 200
    assert (await put(client, TWO, claim({"VCPU": 2}, 1)))[0] == 409
    assert (await put(client, ONE, claim({"VCPU": 2}, 1)))[0] == 204
    assert (await put(client, ONE, claim({"VCPU": 2}, 2)))[0] == 204


@pytest.mark.usefixtures("hosts")
async def test_what_is_in_use_is_not_taken_away(client: httpx.AsyncClient) -> None:
    await put(client, ONE, claim({"VCPU": 1}))
    url = f"/resource_providers/{HOST}"
    empty = {"resource_provider_generation": 2, "inventories": {}}
    in_use = (409, "placement.inventory.inuse")
    for response in (
        await client.put(f"{url}/inventories", json=empty),
        await client.delete(f"{url}/inventories"),
        await client.delete(f"{url}/inventories/VCPU"),
    ):
        assert (response.status_code, response.json()["errors"][0]["code"]) == in_use
    refused = await client.delete(url)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "placement.resource_provider.inuse")
    assert (await client.delete(f"{url}/inventories/MEMORY_MB")).status_code == 204


@pytest.mark.usefixtures("hosts")
async def test_usages_are_added_up_by_project_user_and_type(client: httpx.AsyncClient) -> None:
    await put(client, ONE, claim({"VCPU": 1, "MEMORY_MB": 64}))
    await put(client, TWO, claim({"VCPU": 2}, user_id="v", consumer_type="MIGRATION"))
    untyped = {key: value for key, value in claim({"VCPU": 1}, host=OTHER).items() if key != "consumer_type"}
    await put(client, str(uuid4()), untyped, "1.37")

    async def usages(query: str, number: str = "1.39") -> Any:
        return (await client.get(f"/usages?{query}", headers=version(number))).json()["usages"]

    instance = {"VCPU": 1, "MEMORY_MB": 64, "consumer_count": 1}
    migration, unknown = {"VCPU": 2, "consumer_count": 1}, {"VCPU": 1, "consumer_count": 1}
    assert await usages("project_id=p") == {"INSTANCE": instance, "MIGRATION": migration, "unknown": unknown}
    assert await usages("project_id=p&user_id=v") == {"MIGRATION": migration}
    assert await usages("project_id=p&consumer_type=INSTANCE") == {"INSTANCE": instance}
    assert await usages("project_id=p&consumer_type=unknown") == {"unknown": unknown}
    assert await usages("project_id=p&consumer_type=all") == {"all": {"VCPU": 4, "MEMORY_MB": 64, "consumer_count": 3}}
    assert await usages("project_id=p", "1.37") == {"VCPU": 4, "MEMORY_MB": 64}
    assert await usages("project_id=nobody") == {}
    for query in ("", "user_id=u", "project_id=", "project_id=p&consumer_type=x", "project_id=p&colour=blue"):
        assert (await client.get(f"/usages?{query}")).status_code == 400
    assert (await client.get("/usages?project_id=p&consumer_type=all", headers=version("1.37"))).status_code == 400


@pytest.mark.usefixtures("hosts")
async def test_inventory_moves_to_a_child_with_what_is_held_of_it(app: Any, identity: Any, client: Any) -> None:
    await put(client, ONE, claim({"VCPU": 2, "MEMORY_MB": 64}))
    child = "00000000-0000-0000-0000-00000000000c"
    await client.post("/resource_providers", json={"uuid": child, "name": "numa", "parent_provider_uuid": HOST})
    memory = {"total": 1024, "min_unit": 64, "max_unit": 512, "step_size": 64}
    moved = {
        "inventories": {
            HOST: {"resource_provider_generation": 2, "inventories": {"MEMORY_MB": memory}},
            child: {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}},
        },
        "allocations": {
            ONE: {
                **claim({"MEMORY_MB": 64}, 1),
                "allocations": {HOST: {"resources": {"MEMORY_MB": 64}}, child: {"resources": {"VCPU": 2}}},
            }
        },
    }
    async with await identity.client_for(app, "nova") as nova:
        nova.headers.update(version("1.39"))
        left_behind = {**moved, "allocations": {}}
        refused = await nova.post("/reshaper", json=left_behind)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "placement.inventory.inuse")
        assert (await nova.post("/reshaper", json=moved)).status_code == 204
        stale = await nova.post("/reshaper", json=moved)
        assert (stale.status_code, stale.json()["errors"][0]["code"]) == (409, "placement.concurrent_update")
        nowhere = {"inventories": {OTHER[:-1] + "f": moved["inventories"][HOST]}, "allocations": {}}
        missing = await nova.post("/reshaper", json=nowhere)
        assert missing.json()["errors"][0]["code"] == "placement.resource_provider.not_found"
        assert (await nova.post("/reshaper", json=moved, headers=version("1.29"))).status_code == 404
    assert (await client.post("/reshaper", json=moved)).status_code == 403
    assert (await client.get(f"/resource_providers/{child}/usages")).json()["usages"] == {"VCPU": 2}
    assert (await client.get(f"/resource_providers/{HOST}/usages")).json()["usages"] == {"MEMORY_MB": 64}


@pytest.mark.usefixtures("hosts")
async def test_claims_at_the_same_time_never_give_more_than_there_is(
    client: httpx.AsyncClient, placement: Placement
) -> None:
    consumers_ = [str(uuid4()) for _ in range(20)]
    answers = await asyncio.gather(*(put(client, consumer, claim({"VCPU": 1})) for consumer in consumers_))
    assert sorted(status for status, _ in answers) == [204] * 4 + [409] * 16
    await _assert_sums_hold(placement.database)


@pytest.mark.usefixtures("hosts")
async def test_two_processes_on_one_database_never_give_more_than_there_is(placement: Placement) -> None:
    url, clock = placement.database.url.render_as_string(hide_password=False), SystemClock()

    async def one(database: Database) -> bool:
        try:
            async with database.transaction() as tx:
                wanted = {HOST: {"VCPU": 1, "MEMORY_MB": 64}}
                await allocations.replace(tx, [Claim(str(uuid4()), wanted, generation=None)], clock.now())
        except Conflict:
            return False
        return True

    async def many() -> int:
        database = Database(url, metadata)
        given = sum([await one(database) for _ in range(20)])
        await database.close()
        return given

    # Each in a thread and loop of its own, as two processes would be: only the database's own lock is between them.
    counts = await asyncio.gather(*(asyncio.to_thread(asyncio.run, many()) for _ in range(2)))
    assert sum(counts) == 4
    await _assert_sums_hold(placement.database)


async def _assert_sums_hold(database: Database) -> None:
    """`inventories.used` is what the allocations add up to, and not more than there is."""
    async with database.reading() as tx:
        rows = await tx.tuples(select(inventories.c.provider_id, inventories.c.resource_class, inventories.c.used))
        columns = allocation_table.c
        sums = select(columns.provider_id, columns.resource_class, func.sum(columns.used)).group_by(
            columns.provider_id, columns.resource_class
        )
        held = {(provider, name): int(used) for provider, name, used in await tx.tuples(sums)}
    assert {(provider, name): used for provider, name, used in rows if used} == held
