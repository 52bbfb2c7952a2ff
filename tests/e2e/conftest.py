"""Clouds for end-to-end tests: each on a host of its own, taken down and looked over for leaks at the end."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kilonova.cli.guest_image.build import ensure_guest_image
from tests.e2e.cloud import CloudUnderTest, Guest, demo_cache_dir
from tests.e2e.host import OwnHost
from tools import host_state, stock_clients

CloudMaker = Callable[[str], AbstractContextManager[CloudUnderTest]]


@pytest.fixture(scope="session")
def guest_image() -> Path:
    return ensure_guest_image(Path(demo_cache_dir())).absolute()


@pytest.fixture(scope="session")
def new_cloud(public_directory: Callable[[str], Path], guest_image: Path) -> CloudMaker:
    """Start a cloud under a name; at the end `down --all` has to leave its host as it was."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    stock_clients.install()

    @contextmanager
    def started(name: str) -> Iterator[CloudUnderTest]:
        host = OwnHost(name, public_directory(name), {"KILONOVA_CACHE_DIR": str(guest_image.parent)})
        ours_before = _on_this_machine()
        host.start()
        cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
        try:
            empty = cloud.on_host()
            cloud.up()
            yield cloud
            cloud.down("--all")
            left = {each for each in cloud.on_host() - empty if not each.startswith("file: instances/")}
            assert not left, f"`down --all` left {sorted(left)}"
        finally:
            cloud.close()
            host.power_off()
        assert _on_this_machine() <= ours_before, "the cloud reached out of its host"

    return started


def _on_this_machine() -> set[str]:
    """What a cloud must never put outside its own host, by the names it gives."""
    ours = {f"rule {rule}" for rule in host_state.rules() if "kn-" in rule}
    return ours | set(host_state.cloud_leftovers())


@pytest.fixture(scope="session")
def demo_cloud(new_cloud: CloudMaker) -> Iterator[CloudUnderTest]:
    """A cloud with the demo in it, for tests that leave it as they find it."""
    with new_cloud("demo-cloud") as cloud:
        cloud.kilonova("demo", timeout_seconds=180)
        yield cloud


@pytest.fixture
def demo_guest(demo_cloud: CloudUnderTest) -> Guest:
    """The server that the demo made."""
    owned = demo_cloud.demo.get("network", "/v2.0/floatingips")["floatingips"]
    server = demo_cloud.demo.find("compute", "/servers", "servers", name="demo-1")
    port = demo_cloud.demo.get("network", "/v2.0/ports", device_id=server["id"])["ports"][0]
    (address,) = [each["floating_ip_address"] for each in owned if each["port_id"] == port["id"]]
    return Guest(demo_cloud.host, address, demo_cloud.state.demo_key)
