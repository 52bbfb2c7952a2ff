"""SIGKILL to the real process while it builds and while it deletes real servers: started again, it ends the work."""

import time
from collections.abc import Iterator

import pytest

from kilonova.network.wanted import TAP_PREFIX, device_name
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.conftest import CloudMaker
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e

COUNT = 3


@pytest.fixture(scope="module")
def mortal(new_cloud: CloudMaker) -> Iterator[CloudUnderTest]:
    """A cloud with the demo's network and image and no server."""
    with new_cloud("mortal-cloud") as cloud:
        cloud.kilonova("demo", "--no-wait", timeout_seconds=180)
        cloud.delete_servers(cloud.server_ids())
        yield cloud


def task_states(cloud: CloudUnderTest) -> list[str | None]:
    return [each["OS-EXT-STS:task_state"] for each in cloud.demo.get("compute", "/servers/detail")["servers"]]


def active(cloud: CloudUnderTest) -> int:
    servers = cloud.demo.get("compute", "/servers/detail")["servers"]
    failed = [server["fault"] for server in servers if server["status"] == "ERROR"]
    assert not failed, f"{failed}\n{cloud.log_end()}"
    return sum(server["status"] == "ACTIVE" for server in servers)


def test_killed_while_building_and_while_deleting_it_finishes_both(mortal: CloudUnderTest) -> None:
    cloud = mortal
    empty = cloud.everything()
    ids = {cloud.create_server(f"mortal-{number}") for number in range(1, COUNT + 1)}
    wait_for(lambda: "spawning" in task_states(cloud), 30, "a server is being spawned", pause_seconds=0.01)
    cloud.kill()
    cloud.up()
    wait_for(lambda: active(cloud) == COUNT, 90, "three servers are ACTIVE", explain=cloud.log_end)
    assert cloud.server_ids() == ids
    assert_each_has_one_of_everything(cloud, ids)
    guest = cloud.add_floating_ip(min(ids))
    cloud.wait_ssh(min(ids), guest)
    assert guest.run("hostname").startswith("mortal-")

    floating_ip = cloud.demo.get("network", "/v2.0/floatingips")["floatingips"]
    for server_id in ids:
        cloud.demo.call("compute", "DELETE", f"/servers/{server_id}")
    time.sleep(0.05)
    assert cloud.server_ids(), "all were gone before the process could be killed"
    cloud.kill()
    cloud.up()
    cloud.wait_gone(ids)
    for each in floating_ip:
        cloud.demo.call("network", "DELETE", f"/v2.0/floatingips/{each['id']}")
    cloud.wait_everything(empty)


def assert_each_has_one_of_everything(cloud: CloudUnderTest, ids: set[str]) -> None:
    ports = cloud.demo.get("network", "/v2.0/ports")["ports"]
    ports = [port for port in ports if port["device_owner"].startswith("compute:")]
    assert sorted(port["device_id"] for port in ports) == sorted(ids)
    everything = cloud.everything()
    assert {each for each in everything if each.startswith("allocation: ")} == {f"allocation: {each}" for each in ids}
    assert everything >= {f"link: {device_name(TAP_PREFIX, port['id'])}" for port in ports}
    assert sum("qemu-system" in each and each.startswith("process: ") for each in everything) == len(ids)
