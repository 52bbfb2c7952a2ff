"""A whole cloud in one process, wired and not started."""

from pathlib import Path

import pytest

from kilonova.cli.cloud import Cloud
from kilonova.cli.parts import block_storage, compute_agent, guest_options, volume_backends
from kilonova.cli.settings import idle
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


def test_simulated_hosts_have_the_nodes_that_the_clouds_file_says(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure(host="node1", address="127.0.0.1", driver="fake", fake_hosts=2)
    with state.config_file.open("a") as config_file:
        config_file.write(
            "[fake]\nnuma_nodes = 2\n[compute]\ncpu_dedicated_set = 4-7,12-15\ncpu_shared_set = 0-15,^4-7,^12-15\n"
        )
    cloud = Cloud(state, read_config(state))
    found = guest_options.simulated_topology(cloud.config_of(compute_agent.AGENT))
    assert found is not None
    assert [(sorted(node.shared), sorted(node.dedicated), node.memory_mib) for node in found.nodes] == [
        ([0, 1, 2, 3], [4, 5, 6, 7], 32 << 10),
        ([8, 9, 10, 11], [12, 13, 14, 15], 32 << 10),
    ]


def test_the_clouds_file_names_several_back_ends_as_a_daemons_does(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.ensure(host="node1", address="127.0.0.1", driver="fake", fake_hosts=1)
    with state.config_file.open("a") as config_file:
        config_file.write(
            "[DEFAULT]\nenabled_backends = gold, silver\n[backend_defaults]\nreserved_percentage = 5\n"
            "[gold]\nvolume_driver = file\nsan_ip = 1\n[silver]\nvolume_driver = fake\nreserved_percentage = 0\n"
        )
    cloud = Cloud(state, read_config(state))
    gold, silver = volume_backends.read_backends(cloud.config_of(block_storage.VOLUME))
    assert [(each.name, each.driver, each["reserved_percentage"]) for each in (gold, silver)] == [
        ("gold", "file", 5),
        ("silver", "fake", 0),
    ]
    assert gold["file_volumes_path"] == str(state.path / "volumes")
    assert dict(idle(state.config_file)) == {"[gold] san_ip": "nothing reads it"}
