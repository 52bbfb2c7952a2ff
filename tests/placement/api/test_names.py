"""The version document, resource classes, traits, and who may ask."""

from typing import Any

import httpx
import pytest


async def test_the_version_document_needs_no_token(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, None) as stranger:
        response = await stranger.get("/")
        assert response.json() == {
            "versions": [
                {
                    "id": "v1.0",
                    "min_version": "1.0",
                    "max_version": "1.39",
                    "status": "CURRENT",
                    "links": [{"rel": "self", "href": ""}],
                }
            ]
        }
        assert (await stranger.get("/resource_providers")).status_code == 401


async def test_versions_outside_the_range_are_406(client: httpx.AsyncClient) -> None:
    for version, status in (("1.40", 406), ("0.9", 406), ("x", 400), ("latest", 200)):
        response = await client.get("/", headers={"openstack-api-version": f"placement {version}"})
        assert response.status_code == status


@pytest.mark.parametrize("user", ["demo", "reader"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/resource_providers"),
        ("GET", "/allocation_candidates?resources=VCPU:1"),
        ("GET", "/allocations/00000000-0000-0000-0000-000000000001"),
        ("DELETE", "/allocations/00000000-0000-0000-0000-000000000001"),
        ("GET", "/traits"),
        ("PUT", "/traits/CUSTOM_A"),
        ("GET", "/resource_classes"),
        ("GET", "/usages?project_id=someone-elses"),
    ],
)
async def test_people_are_403(app: Any, identity: Any, user: str, method: str, path: str) -> None:
    async with await identity.client_for(app, user) as person:
        person.headers["openstack-api-version"] = "placement 1.39"
        response = await person.request(method, path)
        assert response.status_code == 403
        assert response.json()["errors"][0]["title"] == "Forbidden"


async def test_a_person_sees_what_his_own_project_uses(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, "reader") as person:
        person.headers["openstack-api-version"] = "placement 1.39"
        project_id = await identity.project_id("demo")
        assert (await person.get(f"/usages?project_id={project_id}")).json() == {"usages": {}}


async def test_other_services_may_do_everything(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, "nova") as service:
        service.headers["openstack-api-version"] = "placement 1.39"
        assert (await service.get("/resource_providers")).status_code == 200
        assert (await service.post("/reshaper", json={"inventories": {}, "allocations": {}})).status_code == 400


async def test_standard_resource_classes_are_there_and_stay(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/resource_classes")).json()["resource_classes"]
    assert listed[0] == {"name": "VCPU", "links": [{"rel": "self", "href": "/resource_classes/VCPU"}]}
    assert len(listed) == 21
    assert (await client.get("/resource_classes/MEMORY_MB")).json()["name"] == "MEMORY_MB"
    assert (await client.delete("/resource_classes/VCPU")).status_code == 400
    assert (await client.put("/resource_classes/VCPU")).status_code == 400
    old = {"openstack-api-version": "placement 1.6"}
    renamed = await client.put("/resource_classes/VCPU", json={"name": "CUSTOM_CPU"}, headers=old)
    assert renamed.status_code == 400


async def test_own_resource_classes_are_made_renamed_and_deleted(client: httpx.AsyncClient) -> None:
    url = "/resource_classes/CUSTOM_GOLD"
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404
    created = await client.post("/resource_classes", json={"name": "CUSTOM_GOLD"})
    assert (created.status_code, created.headers["location"]) == (201, f"http://service.local{url}")
    assert (await client.post("/resource_classes", json={"name": "CUSTOM_GOLD"})).status_code == 409
    assert (await client.put(url)).status_code == 204
    assert (await client.put("/resource_classes/CUSTOM_TIN")).status_code == 201
    old = {"openstack-api-version": "placement 1.6"}
    taken = await client.put(url, json={"name": "CUSTOM_TIN"}, headers=old)
    assert taken.status_code == 409
    renamed = await client.put(url, json={"name": "CUSTOM_LEAD"}, headers=old)
    assert renamed.json()["name"] == "CUSTOM_LEAD"
    provider = (await client.post("/resource_providers", json={"name": "a"})).json()["uuid"]
    inventory = {"resource_class": "CUSTOM_LEAD", "total": 1}
    assert (await client.post(f"/resource_providers/{provider}/inventories", json=inventory)).status_code == 201
    assert (await client.delete("/resource_classes/CUSTOM_LEAD")).status_code == 409
    assert (await client.delete("/resource_classes/CUSTOM_TIN")).status_code == 204
    for name in ("GOLD", "CUSTOM_gold", "CUSTOM_" + "X" * 250):
        assert (await client.post("/resource_classes", json={"name": name})).status_code == 400
        assert (await client.put(f"/resource_classes/{name}")).status_code == 400
    assert (
        await client.get("/resource_classes", headers={"openstack-api-version": "placement 1.1"})
    ).status_code == 404


async def test_traits_are_listed_made_and_deleted(client: httpx.AsyncClient) -> None:
    assert (await client.get("/traits/CUSTOM_A")).status_code == 404
    assert (await client.delete("/traits/CUSTOM_A")).status_code == 404
    assert (await client.put("/traits/CUSTOM_A")).status_code == 201
    assert (await client.put("/traits/CUSTOM_A")).status_code == 204
    assert (await client.get("/traits/CUSTOM_A")).status_code == 204
    assert (await client.get("/traits/HW_CPU_X86_AVX")).status_code == 204
    names = (await client.get("/traits")).json()["traits"]
    assert names[-1] == "CUSTOM_A"
    assert {"COMPUTE_NODE", "MISC_SHARES_VIA_AGGREGATE", "HW_CPU_X86_VMX"} < set(names)
    chosen = await client.get("/traits?name=in:CUSTOM_A,COMPUTE_NODE,CUSTOM_NO")
    assert chosen.json()["traits"] == ["COMPUTE_NODE", "CUSTOM_A"]
    assert (await client.get("/traits?name=startswith:CUSTOM")).json()["traits"] == ["CUSTOM_A"]
    assert (await client.get("/traits?associated=true")).json()["traits"] == []
    assert "CUSTOM_A" in (await client.get("/traits?associated=False")).json()["traits"]
    for query in ("name=CUSTOM_A", "associated=maybe", "colour=blue"):
        assert (await client.get(f"/traits?{query}")).status_code == 400
    for name in ("HW_CPU_X86_AVX", "CUSTOM_a", "CUSTOM_" + "A" * 250):
        assert (await client.put(f"/traits/{name}")).status_code == 400
    assert (await client.delete("/traits/HW_CPU_X86_AVX")).status_code == 400
    assert (await client.delete("/traits/CUSTOM_A")).status_code == 204
