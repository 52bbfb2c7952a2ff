"""Credentials, application credentials and access rules: listed as none, and refused with a sentence."""

from typing import Any

import httpx
import pytest

KINDS = (("application_credentials", "application_credential"), ("access_rules", "access_rule"))


async def as_user(identity: Any, name: str) -> tuple[httpx.AsyncClient, str]:
    """The client with the user's token, and the user's id."""
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = client.headers["x-subject-token"] = await identity.token(name)
    return client, (await client.get("/v3/auth/tokens")).json()["token"]["user"]["id"]


async def test_a_member_has_no_credentials_of_either_kind(identity: Any) -> None:
    client, own_id = await as_user(identity, "demo")
    for path, plural in (
        (f"/v3/credentials?user_id={own_id}", "credentials"),
        ("/v3/credentials?type=ec2", "credentials"),
        *((f"/v3/users/{own_id}/{plural}", plural) for plural, _ in KINDS),
    ):
        listed = await client.get(path)
        assert listed.status_code == 200, listed.text
        assert listed.json()[plural] == []
        assert listed.json()["links"]["self"].endswith(path)


async def test_making_one_is_refused_with_a_sentence(identity: Any) -> None:
    client, own_id = await as_user(identity, "demo")
    for path, body in (
        ("/v3/credentials", {"credential": {"type": "totp", "blob": "x", "user_id": own_id}}),
        (f"/v3/users/{own_id}/application_credentials", {"application_credential": {"name": "program"}}),
    ):
        refused = await client.post(path, json=body)
        assert refused.status_code == 400
        assert "here yet" in refused.json()["error"]["message"]


@pytest.mark.parametrize(("plural", "kind"), KINDS)
async def test_each_user_sees_only_what_is_his_own(identity: Any, plural: str, kind: str) -> None:
    client, own_id = await as_user(identity, "demo")
    assert (await client.get(f"/v3/users/{own_id}/{plural}/x")).status_code == 404
    assert (await client.delete(f"/v3/users/{own_id}/{plural}/x")).status_code == 404
    admin, admin_id = await as_user(identity, "admin")
    missing = await admin.get(f"/v3/users/{own_id}/{plural}/x")
    assert missing.json()["error"]["message"] == f"Could not find {kind}: x."
    assert (await admin.get(f"/v3/users/nobody/{plural}")).status_code == 404
    assert (await admin.get("/v3/credentials/x")).status_code == 404
    client, _ = await as_user(identity, "demo")
    assert (await client.get(f"/v3/users/{admin_id}/{plural}")).status_code == 403
    assert (await client.delete("/v3/credentials/x")).status_code == 403


async def test_a_parameter_that_is_none_is_refused(identity: Any) -> None:
    client, own_id = await as_user(identity, "demo")
    assert (await client.get("/v3/credentials?colour=blue")).status_code == 400
    assert (await client.get(f"/v3/users/{own_id}/application_credentials?colour=blue")).status_code == 400
