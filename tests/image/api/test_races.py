"""Of eight who take what one can have, one has it; what all can have, all get, and nothing of it is lost.

Every route that changes something is raced, or the test says that it is not.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kilonova.image.app import IMAGE, MEMBER, ROUTES
from kilonova.image.quotas import Limits
from kilonova.image.service import Image
from kilonova.image.tables import ImageMember, image_members, metadata
from tests.image.api.test_data import DATA, OCTETS, qcow2
from tests.image.api.test_images import FORMATS, PATCH, make
from tests.references import NOWHERE

AT_ONCE = 8
Entry = tuple[str, str, Mapping[str, Any]]
"""Method, URL, what else httpx is told."""


class Field:
    """Where a race is run: demo's client, an image of demo's shared with nobody, and the service behind it."""

    def __init__(self, client: httpx.AsyncClient, other: httpx.AsyncClient, image: Image, guest: str) -> None:
        self.client, self.other, self.image, self.guest = client, other, image, guest

    async def new(self, **fields: Any) -> str:
        url: str = (await make(self.client, name="i", **FORMATS, **fields))["self"]
        return url

    async def with_data(self) -> str:
        url = await self.new()
        assert (await self.client.put(f"{url}/file", content=DATA, headers=OCTETS)).status_code == 204
        return url

    async def with_member(self) -> str:
        url = await self.new()
        assert (await self.client.post(f"{url}/members", json={"member": self.guest})).status_code == 200
        return url

    async def everything(self) -> Any:
        """All rows, but for the times of changes."""
        async with self.image.database.reading() as tx:
            return {
                table.name: sorted(
                    repr(each)
                    for each in await tx.tuples(
                        table.select().with_only_columns(*(c for c in table.c if c.name != "updated_at"))
                    )
                )
                for table in metadata.sorted_tables
            }


@pytest.fixture
async def field(client: httpx.AsyncClient, other: httpx.AsyncClient, image: Image, identity: Any) -> Field:
    return Field(client, other, image, await identity.project_id("other"))


async def race(by: httpx.AsyncClient, entries: list[Entry]) -> list[httpx.Response]:
    assert len(entries) == AT_ONCE
    return await asyncio.gather(*(by.request(method, url, **more) for method, url, more in entries))


# --- one wins --------------------------------------------------------------------------------------------------------


async def an_id(field: Field) -> list[Entry]:
    return [("POST", "/v2/images", {"json": {"id": str(uuid4()).upper(), **FORMATS}})] * AT_ONCE


async def the_last_of_a_quota(field: Field) -> list[Entry]:
    field.image.limits = Limits(image_count_total=1)
    return [("POST", "/v2/images", {"json": FORMATS})] * AT_ONCE


async def the_data_of_an_image(field: Field) -> list[Entry]:
    url = await field.new()
    contents = [DATA + bytes([number]) for number in range(AT_ONCE)]
    return [("PUT", f"{url}/file", {"content": each, "headers": OCTETS}) for each in contents]


async def the_last_tag(field: Field) -> list[Entry]:
    url = await field.new(tags=[f"t{number}" for number in range(127)])
    return [("PUT", f"{url}/tags/more{number}", {}) for number in range(AT_ONCE)]


async def the_last_property(field: Field) -> list[Entry]:
    url = await field.new(**{f"p{number}": "x" for number in range(127)})
    operations = [{"op": "add", "path": f"/more{number}", "value": "x"} for number in range(AT_ONCE)]
    return [("PATCH", url, {"json": [each], "headers": PATCH}) for each in operations]


async def a_property_that_only_one_takes_away(field: Field) -> list[Entry]:
    url = await field.new(colour="red")
    return [("PATCH", url, {"json": [{"op": "remove", "path": "/colour"}], "headers": PATCH})] * AT_ONCE


async def a_membership(field: Field) -> list[Entry]:
    url = await field.new()
    return [("POST", f"{url}/members", {"json": {"member": field.guest}})] * AT_ONCE


async def the_last_membership(field: Field) -> list[Entry]:
    url, now = await field.new(), datetime(2026, 1, 1, tzinfo=UTC)
    async with field.image.database.transaction() as tx:
        for number in range(127):
            await tx.insert(
                image_members, ImageMember(url.rpartition("/")[2], f"m{number}", "pending", now, now)
            )  # fmt: skip
    return [("POST", f"{url}/members", {"json": {"member": f"more{number}"}}) for number in range(AT_ONCE)]


async def deleting_an_image(field: Field) -> list[Entry]:
    return [("DELETE", await field.with_data(), {})] * AT_ONCE


async def deleting_a_tag(field: Field) -> list[Entry]:
    return [("DELETE", f"{await field.new(tags=['red', 'blue'])}/tags/red", {})] * AT_ONCE


async def deleting_a_membership(field: Field) -> list[Entry]:
    return [("DELETE", f"{await field.with_member()}/members/{field.guest}", {})] * AT_ONCE


RACES: Mapping[Callable[[Field], Awaitable[list[Entry]]], tuple[tuple[str, str], int, int]] = {
    an_id: (("POST", "/v2/images"), 201, 409),
    the_last_of_a_quota: (("POST", "/v2/images"), 201, 413),
    the_data_of_an_image: (("PUT", f"{IMAGE}/file"), 204, 409),
    the_last_tag: (("PUT", f"{IMAGE}/tags/{{tag_value}}"), 204, 413),
    the_last_property: (("PATCH", IMAGE), 200, 413),
    a_property_that_only_one_takes_away: (("PATCH", IMAGE), 200, 409),
    a_membership: (("POST", f"{IMAGE}/members"), 200, 409),
    the_last_membership: (("POST", f"{IMAGE}/members"), 200, 413),
    deleting_an_image: (("DELETE", IMAGE), 204, 404),
    deleting_a_tag: (("DELETE", f"{IMAGE}/tags/{{tag_value}}"), 204, 404),
    deleting_a_membership: (("DELETE", MEMBER), 204, 404),
}
"""What is taken → by which route, what the one hears who has it, and what the others do."""


@pytest.mark.parametrize("prepare", RACES, ids=lambda prepare: prepare.__name__)
async def test_of_eight_at_once_one_wins(field: Field, prepare: Any) -> None:
    _route, won, lost = RACES[prepare]
    answers = await race(field.client, await prepare(field))
    assert Counter(each.status_code for each in answers) == {won: 1, lost: AT_ONCE - 1}, [each.text for each in answers]


async def test_the_data_is_that_of_the_one_who_was_told_so(field: Field) -> None:
    entries = await the_data_of_an_image(field)
    answers = await race(field.client, entries)
    (winner,) = (more["content"] for (_, _, more), each in zip(entries, answers, strict=True) if each.is_success)
    assert (await field.client.get(entries[0][1])).content == winner
    assert len(await field.image.store.names()) == 1


# --- all get the same ------------------------------------------------------------------------------------------------


async def tagging(field: Field) -> tuple[httpx.AsyncClient, Entry]:
    return field.client, ("PUT", f"{await field.new()}/tags/red", {})


async def answering(field: Field) -> tuple[httpx.AsyncClient, Entry]:
    url = f"{await field.with_member()}/members/{field.guest}"
    return field.other, ("PUT", url, {"json": {"status": "accepted"}})


async def deactivating(field: Field) -> tuple[httpx.AsyncClient, Entry]:
    return field.client, ("POST", f"{await field.with_data()}/actions/deactivate", {})


async def reactivating(field: Field) -> tuple[httpx.AsyncClient, Entry]:
    url = await field.with_data()
    assert (await field.client.post(f"{url}/actions/deactivate")).status_code == 204
    return field.client, ("POST", f"{url}/actions/reactivate", {})


async def renaming(field: Field) -> tuple[httpx.AsyncClient, Entry]:
    operation = {"op": "replace", "path": "/name", "value": "renamed"}
    return field.client, ("PATCH", await field.new(), {"json": [operation], "headers": PATCH})


AGREEING: Mapping[Callable[[Field], Awaitable[tuple[httpx.AsyncClient, Entry]]], tuple[tuple[str, str], int]] = {
    tagging: (("PUT", f"{IMAGE}/tags/{{tag_value}}"), 204),
    answering: (("PUT", MEMBER), 200),
    deactivating: (("POST", f"{IMAGE}/actions/deactivate"), 204),
    reactivating: (("POST", f"{IMAGE}/actions/reactivate"), 204),
    renaming: (("PATCH", IMAGE), 200),
}
NOT_SERVED = {
    ("POST", "/v2/tasks"),
    ("DELETE", "/v2/tasks/{task_id}"),
    ("POST", "/v2/metadefs/namespaces"),
    ("DELETE", "/v2/metadefs/namespaces/{namespace}"),
}
"""Always refused, and of things that are never there."""


@pytest.mark.parametrize("prepare", AGREEING, ids=lambda prepare: prepare.__name__)
async def test_what_is_so_after_one_is_so_after_eight(field: Field, prepare: Any) -> None:
    by, entry = await prepare(field)
    answers = await race(by, [entry] * AT_ONCE)
    assert {each.status_code for each in answers} == {AGREEING[prepare][1]}
    after = await field.everything()
    method, url, more = entry
    assert (await by.request(method, url, **more)).status_code == AGREEING[prepare][1]
    assert await field.everything() == after


def test_every_route_that_changes_something_is_raced() -> None:
    changing = {(route.method, route.path) for route in ROUTES if route.method != "GET"}
    raced = {route for route, *_ in (*RACES.values(), *AGREEING.values())}
    assert changing - NOT_SERVED == raced


async def test_of_what_all_can_have_nothing_is_lost(field: Field) -> None:
    url = await field.new()
    operations = [{"op": "add", "path": f"/p{number}", "value": "x"} for number in range(AT_ONCE)]
    answers = await asyncio.gather(
        *(field.client.put(f"{url}/tags/t{number}") for number in range(AT_ONCE)),
        *(field.client.patch(url, json=[each], headers=PATCH) for each in operations),
        *(field.client.post(f"{url}/members", json={"member": f"m{number}"}) for number in range(AT_ONCE)),
        field.client.put(f"{url}/file", content=DATA, headers=OCTETS),
    )
    assert {each.status_code for each in answers} == {200, 204}
    shown = (await field.client.get(url)).json()
    assert (shown["status"], shown["size"]) == ("active", len(DATA))
    assert len(shown["tags"]) == AT_ONCE
    assert all(shown[f"p{number}"] == "x" for number in range(AT_ONCE))
    assert len((await field.client.get(f"{url}/members")).json()["members"]) == AT_ONCE


# --- what goes or changes meanwhile ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, AT_ONCE // 2])
async def test_what_is_said_of_an_image_that_goes_does_not_stay_behind(field: Field, before: int) -> None:
    url = await field.new()
    image_id = url.rpartition("/")[2]
    operation = {"op": "add", "path": "/colour", "value": "red"}
    requests = [
        request
        for number in range(AT_ONCE)
        for request in (
            field.client.put(f"{url}/tags/t{number}"),
            field.client.post(f"{url}/members", json={"member": f"m{number}"}),
            field.client.patch(url, json=[operation], headers=PATCH),
        )
    ]
    answers = await asyncio.gather(*requests[:before], field.client.delete(url), *requests[before:])
    assert {each.status_code for each in answers} <= {200, 204, 404}, [each.text for each in answers]
    rows = await field.everything()
    assert [name for name, found in rows.items() if image_id in "".join(found)] == ["deleted_images"]


async def test_data_is_looked_at_as_what_the_record_says_when_it_is_claimed(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The format is changed between the look at the record and the claim: the data has to be of the new one."""
    url, look = await field.new(), field.image.store.require_room
    operation = {"op": "replace", "path": "/disk_format", "value": "qcow2"}

    async def change_first(size_bytes: int) -> None:
        monkeypatch.setattr(field.image.store, "require_room", look)
        assert (await field.client.patch(url, json=[operation], headers=PATCH)).status_code == 200
        await look(size_bytes)

    monkeypatch.setattr(field.image.store, "require_room", change_first)
    refused = await field.client.put(f"{url}/file", content=DATA, headers=OCTETS)
    assert refused.status_code == 400, refused.text
    shown = (await field.client.get(url)).json()
    assert (shown["status"], shown["disk_format"], shown["size"]) == ("queued", "qcow2", None)
    assert (await field.client.put(f"{url}/file", content=qcow2(1 << 20), headers=OCTETS)).status_code == 204


async def test_nobody_becomes_a_member_of_what_is_shared_no_longer(field: Field) -> None:
    url = await field.new()
    operation = {"op": "replace", "path": "/visibility", "value": "private"}
    answers = await asyncio.gather(
        *(field.client.post(f"{url}/members", json={"member": f"m{number}"}) for number in range(AT_ONCE)),
        field.client.patch(url, json=[operation], headers=PATCH),
        field.client.post(f"{url}/members", json={"member": NOWHERE}),
    )
    assert {each.status_code for each in answers} <= {200, 403}
    assert (await field.client.get(f"{url}/members")).status_code == 403
