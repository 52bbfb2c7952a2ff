"""Sharing an image with other projects, who take it or not."""

from typing import Any

import httpx
import pytest


@pytest.fixture
async def shared(client: httpx.AsyncClient) -> str:
    url: str = (await client.post("/v2/images", json={"name": "i"})).json()["self"]
    return url


@pytest.fixture
async def guest(identity: Any) -> str:
    project_id: str = await identity.project_id("other")
    return project_id


async def listed(client: httpx.AsyncClient, query: str = "") -> list[str]:
    return [each["name"] for each in (await client.get(f"/v2/images?{query}")).json()["images"]]


async def test_a_member_sees_the_image_and_lists_it_once_accepted(
    client: httpx.AsyncClient, other: httpx.AsyncClient, shared: str, guest: str
) -> None:
    assert (await other.get(shared)).status_code == 404
    added = (await client.post(f"{shared}/members", json={"member": guest})).json()
    assert {**added, "member_id": guest, "status": "pending", "schema": "/v2/schemas/member"} == added
    assert shared.endswith(added["image_id"])
    assert (await client.post(f"{shared}/members", json={"member": guest})).status_code == 409
    assert (await other.get(shared)).status_code == 200
    assert await listed(other) == []
    assert await listed(other, "member_status=pending") == ["i"]
    assert await listed(other, "member_status=all&visibility=shared") == ["i"]
    url = f"{shared}/members/{guest}"
    accepted = await other.put(url, json={"status": "accepted"})
    assert accepted.json()["status"] == "accepted"
    assert await listed(other) == ["i"]
    assert (await other.get(f"{shared}/members")).json()["members"] == [accepted.json()]
    assert (await other.get(url)).json() == (await client.get(url)).json() == accepted.json()
    assert (await client.delete(url)).status_code == 204
    assert (await client.delete(url)).status_code == 404
    assert (await client.get(url)).status_code == 404
    assert (await other.get(shared)).status_code == 404


async def test_only_the_owner_shares_and_only_the_member_answers(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient, shared: str, guest: str
) -> None:
    await client.post(f"{shared}/members", json={"member": guest})
    url = f"{shared}/members/{guest}"
    assert (await other.post(f"{shared}/members", json={"member": "third"})).status_code == 403
    assert (await other.delete(url)).status_code == 403
    assert (await client.put(url, json={"status": "accepted"})).status_code == 403
    assert (await admin.put(url, json={"status": "rejected"})).status_code == 200
    await client.post(f"{shared}/members", json={"member": "third"})
    assert len((await client.get(f"{shared}/members")).json()["members"]) == 2
    assert [each["member_id"] for each in (await other.get(f"{shared}/members")).json()["members"]] == [guest]
    assert (await other.get(f"{shared}/members/third")).status_code == 404
    assert (await other.put(f"{shared}/members/third", json={"status": "accepted"})).status_code == 403


async def test_only_shared_images_have_members(client: httpx.AsyncClient, guest: str) -> None:
    url = (await client.post("/v2/images", json={"visibility": "private"})).json()["self"]
    assert (await client.post(f"{url}/members", json={"member": guest})).status_code == 403
    assert (await client.get(f"{url}/members")).status_code == 403


@pytest.mark.parametrize("body", [{}, {"member": ""}, {"member": 1}, []])
async def test_a_bad_member_is_400(client: httpx.AsyncClient, shared: str, body: Any) -> None:
    assert (await client.post(f"{shared}/members", json=body)).status_code == 400


async def test_a_bad_answer_is_400_and_there_are_at_most_128_members(client: httpx.AsyncClient, shared: str) -> None:
    for n in range(128):
        assert (await client.post(f"{shared}/members", json={"member": f"p{n}"})).status_code == 200
    assert (await client.post(f"{shared}/members", json={"member": "one too many"})).status_code == 413
    assert (await client.put(f"{shared}/members/p0", json={"status": "maybe"})).status_code == 400
