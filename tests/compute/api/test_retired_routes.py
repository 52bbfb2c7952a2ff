"""Routes that only old clients ask for: what they still answer, and 410 where no version has them any more."""

import re
from typing import Any

from kilonova.compute.api.gone import ROUTES

ADMIN = {"by": "admin"}


async def test_what_no_version_has_any_more_is_said_to_be_gone(nova: Any) -> None:
    for method, path, sentence in ROUTES:
        url = re.sub(r"\{\w+\}", "1", path)
        for version in ("2.1", "latest"):
            told = await nova.refused(method, url, 410, version=version, json={} if method != "GET" else None)
            assert told.endswith(sentence)


def test_the_routes_that_are_gone_are_all_there() -> None:
    assert len(ROUTES) == len({(method, path) for method, path, _sentence in ROUTES}) == 48


async def test_strangers_do_not_hear_what_is_gone(nova: Any) -> None:
    client = await nova.api("demo")
    response = await client.get("/v2.1/os-agents", headers={"x-auth-token": ""})
    assert response.status_code == 401


async def test_networks_are_still_shown_where_making_them_is_gone(nova: Any) -> None:
    network = await nova.network()
    shown = await nova.call("GET", f"/os-networks/{network['id']}", version="2.35")
    assert shown["network"]["id"] == network["id"]


async def test_bare_metal_nodes_are_another_services(nova: Any) -> None:
    for url in ("/os-baremetal-nodes", "/os-baremetal-nodes/1"):
        assert "no bare metal service" in await nova.refused("GET", url, 501, version="2.35", **ADMIN)
        await nova.refused("GET", url, 403, version="2.35")
        await nova.refused("GET", url, 404, version="2.36", **ADMIN)
    for method, url, body in (
        ("POST", "", {"node": {}}),
        ("DELETE", "/1", None),
        ("POST", "/1/action", {"add_interface": {"address": "fa:16:3e:00:00:01"}}),
        ("POST", "/1/action", {"remove_interface": {}}),
    ):
        call = {"version": "2.35", "json": body}
        assert "never changed" in await nova.refused(method, f"/os-baremetal-nodes{url}", 400, **call, **ADMIN)
        await nova.refused(method, f"/os-baremetal-nodes{url}", 403, **call)
        await nova.refused(method, f"/os-baremetal-nodes{url}", 404, json=body, **ADMIN)


async def test_no_host_has_audited_its_servers(nova: Any) -> None:
    await nova.register_host()
    shown = await nova.call("GET", "/os-instance_usage_audit_log", **ADMIN)
    log = shown["instance_usage_audit_logs"]
    assert log["hosts_not_run"] == ["node1"]
    assert log["overall_status"] == "0 of 1 hosts done. 0 errors."
    shown = await nova.call("GET", "/os-instance_usage_audit_log/2026-03-15%2012:00:00", **ADMIN)
    assert shown["instance_usage_audit_log"] == {
        **log,
        "period_beginning": "2026-02-01 00:00:00",
        "period_ending": "2026-03-01 00:00:00",
    }
    for moment in ("yesterday", "0001-01-01"):
        await nova.refused("GET", f"/os-instance_usage_audit_log/{moment}", 400, **ADMIN)
    await nova.refused("GET", "/os-instance_usage_audit_log", 403)


async def test_servers_are_served_under_their_old_name_too(nova: Any) -> None:
    flavor, image = await nova.flavor(), await nova.image()
    body = {"server": {"name": "web", "flavorRef": flavor["id"], "imageRef": image, "networks": "none"}}
    old = {"version": "2.102"}
    made = (await nova.call("POST", "/os-volumes_boot", 202, json=body, **old))["server"]
    url = f"/os-volumes_boot/{made['id']}"
    assert [each["id"] for each in (await nova.call("GET", "/os-volumes_boot", **old))["servers"]] == [made["id"]]
    detailed = (await nova.call("GET", "/os-volumes_boot/detail", **old))["servers"]
    assert [each["name"] for each in detailed] == ["web"]
    await nova.call("PUT", url, json={"server": {"name": "db"}}, **old)
    assert (await nova.call("GET", url, **old))["server"]["name"] == "db"
    assert (await nova.call("GET", f"/servers/{made['id']}"))["server"]["name"] == "db"
    await nova.call("POST", f"{url}/action", 202, json={"lock": None}, **old)
    assert (await nova.call("GET", url, **old))["server"]["locked"]
    await nova.call("POST", f"{url}/action", 202, json={"unlock": None}, **old)
    await nova.call("DELETE", url, 204, **old)
    for method, path in (("GET", ""), ("GET", "/detail"), ("GET", f"/{made['id']}"), ("DELETE", f"/{made['id']}")):
        await nova.refused(method, f"/os-volumes_boot{path}", 404, version="2.103")


async def test_versions_are_described_by_name(nova: Any) -> None:
    assert (await nova.call("GET", "/versions/v2.1"))["version"]["status"] == "CURRENT"
    assert (await nova.call("GET", "/versions/v2.0"))["version"]["status"] == "SUPPORTED"
    await nova.refused("GET", "/versions/v3", 404)
