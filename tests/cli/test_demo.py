"""`kilonova demo` and `status` against a real cloud of simulated hosts: what is there is found, what is not explained.

The whole way to a guest's ssh is walked in tests/e2e.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kilonova.cli import demo_resources
from tests.e2e.cloud import CloudUnderTest, demo_cache_dir
from tests.e2e.host import OwnHost
from tools.stages import ROOT

pytestmark = pytest.mark.root


@pytest.fixture
def fake_cloud(tmp_path: Path) -> Iterator[CloudUnderTest]:
    host = OwnHost("fake-host", tmp_path, {"KILONOVA_CACHE_DIR": demo_cache_dir()})
    host.start()
    cloud = CloudUnderTest(host, Path("openstack"))
    try:
        cloud.kilonova("up", "--detach", "--fake")
        yield cloud
    finally:
        cloud.close()
        host.power_off()


def test_a_detached_cloud_takes_no_module_from_the_directory_it_is_started_in(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "kilonova").mkdir(parents=True)
    (elsewhere / "kilonova" / "__init__.py").write_text("raise SystemExit('taken from the working directory')")
    host = OwnHost("fake-host", tmp_path, {"PYTHONPATH": str(ROOT)})
    host.start()
    cloud = CloudUnderTest(host, Path("openstack"))
    entry = "import sys; from kilonova.cli.main import main; sys.exit(main())"
    up = [sys.executable, "-P", "-c", entry, "up", "--detach", "--fake", "--state-dir", str(cloud.state.path)]
    try:
        assert "kilonova is up" in host.run("env", "-C", str(elsewhere), *up)
    finally:
        cloud.close()
        host.power_off()


def resources(cloud: CloudUnderTest) -> set[str]:
    paths = {
        "network": ["networks", "subnets", "routers", "ports", "security-group-rules", "floatingips"],
        "compute": ["servers", "flavors"],
    }
    found = set()
    for service, kinds in paths.items():
        for kind in kinds:
            path = f"/v2.0/{kind}" if service == "network" else f"/{kind}"
            found |= {f"{kind} {each['id']}" for each in cloud.demo.get(service, path)[kind.replace("-", "_")]}
    return found


def test_a_second_run_finds_all_and_a_removed_part_alone_is_made_again(fake_cloud: CloudUnderTest) -> None:
    said = fake_cloud.kilonova("demo")
    assert "demo-1 is ACTIVE, made" in said
    assert "Its hosts are simulated" in said
    assert "ssh -o" not in said
    assert_can_be_typed(fake_cloud, said)
    made = resources(fake_cloud)
    assert "Everything was in place: unchanged." in fake_cloud.kilonova("demo")
    assert resources(fake_cloud) == made

    floating_ip = fake_cloud.demo.get("network", "/v2.0/floatingips")["floatingips"][0]
    fake_cloud.demo.call("network", "DELETE", f"/v2.0/floatingips/{floating_ip['id']}")
    said = fake_cloud.kilonova("demo")
    assert "of demo-1 made" in said
    assert "unchanged" not in said
    assert len(resources(fake_cloud)) == len(made)


def assert_can_be_typed(cloud: CloudUnderTest, said: str) -> None:
    """The lines of the summary that set the credentials, typed as they were printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("eval ")]
    assert len(lines) == 2
    for line, user in zip(lines, ("admin", "demo"), strict=True):
        env = {"PYTHONPATH": str(ROOT)}
        assert cloud.host.run("sh", "-c", f"{line}; echo $OS_USERNAME", env=env).strip() == user


def test_a_run_that_was_cut_short_is_finished_by_the_next(fake_cloud: CloudUnderTest) -> None:
    """An image without its data, a network without its subnet, a key file without its pair."""
    wanted = {"name": "demo-guest", "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
    image = fake_cloud.admin.call("image", "POST", "/v2/images", wanted)
    network = fake_cloud.demo.call("network", "POST", "/v2.0/networks", {"network": {"name": "demo-net"}})["network"]
    fake_cloud.state.demo_key.parent.mkdir()
    fake_cloud.state.demo_key.write_text(demo_resources._new_private_key())
    key = fake_cloud.state.demo_key.read_text()
    fake_cloud.kilonova("demo")
    (server,) = fake_cloud.demo.get("compute", "/servers/detail")["servers"]
    assert server["image"]["id"] == image["id"]
    assert fake_cloud.demo.get("image", f"/v2/images/{image['id']}")["status"] == "active"
    assert (
        fake_cloud.demo.get("network", "/v2.0/ports", device_id=server["id"])["ports"][0]["network_id"]
        == (network["id"])
    )
    assert fake_cloud.state.demo_key.read_text() == key
    assert "unchanged" in fake_cloud.kilonova("demo")


def test_a_server_that_ends_in_error_is_explained_with_its_fault(fake_cloud: CloudUnderTest) -> None:
    flavor = {"name": "m1.nano", "ram": 128, "disk": 1 << 20, "vcpus": 1}
    fake_cloud.admin.call("compute", "POST", "/flavors", {"flavor": flavor})
    done = fake_cloud.attempt_kilonova("demo")
    assert done.status == 1
    assert "demo-1 ended in ERROR: No valid host" in done.err
    assert "server delete demo-1" in done.err


def test_a_key_pair_whose_private_key_is_lost_is_explained(fake_cloud: CloudUnderTest) -> None:
    fake_cloud.kilonova("demo")
    fake_cloud.state.demo_key.unlink()
    done = fake_cloud.attempt_kilonova("demo")
    assert done.status == 1
    assert f"is not in {fake_cloud.state.demo_key}" in done.err
    assert "keypair delete demo-key" in done.err


def test_without_a_running_cloud_each_command_says_what_to_do(fake_cloud: CloudUnderTest) -> None:
    fake_cloud.down()
    done = fake_cloud.attempt_kilonova("demo")
    assert done.status == 1
    start = f"start it with `{sys.executable} -m kilonova.cli.main up --state-dir {fake_cloud.state.path}`"
    assert start in done.err
    done = fake_cloud.attempt_kilonova("status")
    assert done.status == 1
    assert start in done.out
    assert json.loads(fake_cloud.attempt_kilonova("status", "--json").out)["process"] is None


def test_status_counts_servers_and_names_the_process(fake_cloud: CloudUnderTest) -> None:
    fake_cloud.kilonova("demo")
    status = json.loads(fake_cloud.kilonova("status", "--json"))
    assert status["servers"] == {"ACTIVE": 1}
    assert status["process"]["pid"] == fake_cloud.pid()
    assert all(endpoint["answers"] for endpoint in status["endpoints"])
    assert "Servers   1 ACTIVE" in fake_cloud.kilonova("status")
