"""Where a server would go, asked by an administrator: nothing is made, and bad questions are refused."""

from typing import Any

import pytest

from kilonova.compute.scheduling.rules import FILTERS, Rules

URL = "/os-placing-decisions"
UNKNOWN = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"


@pytest.fixture
async def ready(nova: Any) -> Any:
    await nova.flavor(id="1")
    await nova.register_host()
    return nova


async def ask(nova: Any, **question: Any) -> Any:
    body = {"decision": {"flavorRef": "1", **question}}
    return (await nova.call("POST", URL, by="admin", json=body))["decision"]


async def refused(nova: Any, status: int, by: str = "admin", **question: Any) -> str:
    body = {"decision": {"flavorRef": "1", **question}}
    told: str = await nova.refused("POST", URL, status, by=by, json=body)
    return told


async def test_the_host_it_would_go_to_is_told_and_nothing_is_made(ready: Any) -> None:
    found = await ask(ready, imageRef=await ready.image())
    assert (found["chosen"], found["considered"], found["nearest"]) == ("node1", 1, None)
    assert [(each["name"], each["before"], each["after"]) for each in found["stages"]] == [("placement", 1, 1)]
    assert found["wanted"]["resources"]["VCPU"] == 1
    assert (await ready.call("GET", "/servers?all_tenants=1", by="admin"))["servers"] == []
    (provider,) = await ready.service.placement.providers()
    assert set((await ready.service.placement.rooms())[provider.uuid].used.values()) == {0}


async def test_each_reason_is_told(ready: Any) -> None:
    found = await ask(ready, availability_zone="west")
    assert found["chosen"] is None
    reason = "is in zone nova, not west"
    assert found["nearest"] == {"host": "node1", "reason": reason, "lacking": {}}
    assert found["said"].endswith(f"AvailabilityZoneFilter left 0: 1 host {reason}.")
    assert (await ask(ready, host="node9"))["nearest"]["reason"] == "is not the requested host node9"


async def test_what_is_not_given_is_the_servers(ready: Any) -> None:
    theirs = await ready.insert_server("other", requested_zone="west")
    found = await ask(ready, server_id=theirs.id)
    assert found["wanted"]["availability_zone"] == "west"
    assert (await ask(ready, server_id=theirs.id, availability_zone="nova"))["chosen"] == "node1"


async def test_a_hint_is_obeyed(ready: Any) -> None:
    ready.service.rules = Rules(filters=(*FILTERS, "JsonFilter"))
    found = await ask(ready, scheduler_hints={"query": '["=", "$host", "node2"]'})
    assert found["nearest"]["reason"] == "is not what the hint query asks for"


async def test_only_administrators_ask(ready: Any) -> None:
    await refused(ready, 403, by="demo")


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({"flavorRef": "none"}, 404),
        ({"flavorRef": ""}, 400),
        ({"flavorRef": None}, 400),
        ({"imageRef": UNKNOWN}, 400),
        ({"imageRef": "demo"}, 400),
        ({"server_id": UNKNOWN}, 404),
        ({"scheduler_hints": {"group": UNKNOWN}}, 404),
        ({"scheduler_hints": {"group": "x"}}, 400),
        ({"scheduler_hints": {"query": "[]"}}, 400),
        ({"scheduler_hints": {"same_host": "x"}}, 400),
        ({"colour": "red"}, 400),
        ({"host": ""}, 400),
    ],
)
async def test_a_bad_question_is_refused(ready: Any, question: dict[str, Any], status: int) -> None:
    assert await refused(ready, status, **question)


async def test_a_flavor_that_asks_for_what_there_is_not_is_refused(ready: Any) -> None:
    url = "/flavors/1/os-extra_specs"
    for spec, value, told in (
        ("trait:CUSTOM_NEVER_SEEN", "required", "Placement refused what was asked of it"),
        ("resources1:VGPU", "many", "resources1:VGPU: the amount of a resource is a whole number"),
    ):
        await ready.call("POST", url, by="admin", version="2.1", json={"extra_specs": {spec: value}})
        assert told in await refused(ready, 400)
        await ready.call("DELETE", f"{url}/{spec}", by="admin")
