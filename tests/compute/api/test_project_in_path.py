"""Paths that begin with the caller's project, as endpoints of old name it."""

from typing import Any

import pytest


@pytest.mark.parametrize("version", ["v2.1", "v2"])
async def test_a_path_below_ones_own_project_is_the_one_without(nova: Any, version: str) -> None:
    client = await nova.api("demo")
    project = await nova.identity.project_id("demo")
    shown = await client.request("GET", f"/{version}/{project}/servers")
    assert (shown.status_code, shown.json()) == (200, {"servers": []})
    detail = await client.request("GET", f"/{version}/{project}/flavors/detail?limit=1")
    assert detail.status_code == 200 and "flavors" in detail.json()


async def test_another_projects_path_is_refused(nova: Any) -> None:
    client = await nova.api("demo")
    refused = await client.request("GET", f"/v2.1/{'0' * 32}/servers")
    assert refused.status_code == 400
    assert "doesn't match Context's project_id" in refused.json()["badRequest"]["message"]


async def test_what_is_no_project_is_a_path_like_any_other(nova: Any) -> None:
    client = await nova.api("demo")
    assert (await client.request("GET", "/v2.1/nothing/servers")).status_code == 404
    assert (await client.request("GET", f"/v2.1/servers/{'0' * 8}-0000-0000-0000-{'0' * 12}")).status_code == 404
