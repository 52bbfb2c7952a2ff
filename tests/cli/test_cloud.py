"""A whole cloud in one process, wired and not started."""

from pathlib import Path

import pytest

from kilonova.cli.cloud import Cloud
from kilonova.cli.state import StateDir, read_config
from kilonova.kit.testing import asgi_client


async def test_who_comes_without_a_token_is_told_where_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure(host="node1", address="127.0.0.1", driver="fake", fake_hosts=1)
    # Nobody logs in here, so the passwords of the services need no costly hash.
    monkeypatch.setattr("kilonova.identity.bootstrap.hash_password", _unhashed)
    cloud = Cloud(state, read_config(state))
    try:
        await cloud.build({})
        for service, path in (
            ("network", "/v2.0/networks"),
            ("compute", "/v2.1/servers"),
            ("image", "/v2/images"),
            ("placement", "/resource_providers"),
        ):
            async with asgi_client(cloud.apps[service]) as client:
                refused = await client.get(path)
            assert refused.status_code == 401, service
            assert refused.headers["www-authenticate"] == 'Keystone uri="http://127.0.0.1:5000"', service
    finally:
        await cloud.close()


async def _unhashed(password: str) -> str:
    return password
