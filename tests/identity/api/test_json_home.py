"""The JSON home: where each of identity's resources is."""

from typing import Any

import pytest

from kilonova.identity.app import ROUTES
from kilonova.identity.views.json_home import MEDIA_TYPE, PREFIX, RELATIONS

ASKS = {"accept": MEDIA_TYPE}


def test_every_path_that_is_served_has_its_place() -> None:
    served = {route.path.removeprefix("/v3") for route in ROUTES if route.path.startswith("/v3/")}
    assert set(RELATIONS) == served
    assert len(set(RELATIONS.values())) == len(RELATIONS)


async def test_the_home_is_given_to_who_asks_for_it(identity: Any) -> None:
    home = await identity.client.get("/v3", headers=ASKS)
    assert home.status_code == 200
    assert home.headers["content-type"] == MEDIA_TYPE
    resources = home.json()["resources"]
    assert resources[f"{PREFIX}/rel/users"] == {"href": "/users"}
    assert resources[f"{PREFIX}/rel/project_user_role"] == {
        "href-template": "/projects/{project_id}/users/{user_id}/roles/{role_id}",
        "href-vars": {
            "project_id": f"{PREFIX}/param/project_id",
            "user_id": f"{PREFIX}/param/user_id",
            "role_id": f"{PREFIX}/param/role_id",
        },
    }
    root = (await identity.client.get("/", headers=ASKS)).json()["resources"]
    assert root[f"{PREFIX}/rel/users"] == {"href": "/v3/users"}
    assert set(root) == set(resources)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, application/json-home;q=0.5", ""])
async def test_others_get_the_versions(identity: Any, accept: str) -> None:
    assert (await identity.client.get("/", headers={"accept": accept})).status_code == 300
    assert "version" in (await identity.client.get("/v3", headers={"accept": accept})).json()
