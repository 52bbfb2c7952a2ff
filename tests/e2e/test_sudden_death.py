"""SIGKILL to the real process while it works on real servers: started again, it ends the work and leaks nothing."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kilonova.network.wanted import TAP_PREFIX, device_name
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.conftest import CloudMaker
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e

COUNT = 3
ACTIVE_SECONDS = 120


@pytest.fixture(scope="module")
def mortal(new_cloud: CloudMaker) -> Iterator[CloudUnderTest]:
    """A cloud with the demo's network and image and no server."""
    with new_cloud("mortal-cloud") as cloud:
        cloud.kilonova("demo", "--no-wait", timeout_seconds=180)
        cloud.delete_servers(cloud.server_ids())
        yield cloud


@pytest.mark.parametrize(
    ("building", "deleting_seconds"), [("accepted", 0.0), ("spawning", 0.05), ("one is ACTIVE", 0.15)]
)
def test_killed_while_building_and_while_deleting_several_it_finishes_both(
    mortal: CloudUnderTest, building: str, deleting_seconds: float
) -> None:
    cloud = mortal
    empty = cloud.settled()
    ids = {cloud.create_server(f"mortal-{number}") for number in range(1, COUNT + 1)}
    wait_for(lambda: has_come_to(cloud, building), 30, building, pause_seconds=0.01)
    cloud.kill()
    cloud.up()
    wait_for(lambda: active(cloud) == COUNT, ACTIVE_SECONDS, f"{COUNT} servers are ACTIVE", explain=cloud.log_end)
    assert cloud.server_ids() == ids
    assert_each_has_one_of_everything(cloud, ids)
    assert_guests_boot(cloud, ids)

    floating_ips = cloud.demo.get("network", "/v2.0/floatingips")["floatingips"]
    for server_id in ids:
        cloud.demo.call("compute", "DELETE", f"/servers/{server_id}")
    time.sleep(deleting_seconds)
    assert cloud.server_ids(), "all were gone before the process could be killed"
    cloud.kill()
    cloud.up()
    cloud.wait_gone(ids)
    for each in floating_ips:
        cloud.demo.call("network", "DELETE", f"/v2.0/floatingips/{each['id']}")
    cloud.wait_everything(empty)


def act(cloud: CloudUnderTest, server_id: str, action: str, argument: Any = None) -> None:
    cloud.demo.call("compute", "POST", f"/servers/{server_id}/action", {action: argument})


def test_killed_in_the_middle_of_power_operations_it_finishes_them(mortal: CloudUnderTest) -> None:
    cloud = mortal
    empty = cloud.settled()
    ids = [cloud.create_server(f"mortal-{number}") for number in range(1, 4)]
    guests = [cloud.add_floating_ip(cloud.wait_status(each)["id"]) for each in ids]
    for server_id, guest in zip(ids, guests, strict=True):
        cloud.wait_ssh(server_id, guest)
    boots = [guest.boot_id() for guest in guests]
    sleeper, rebooted, stopped = ids
    act(cloud, sleeper, "suspend")
    act(cloud, rebooted, "reboot", {"type": "SOFT"})
    act(cloud, stopped, "os-stop")
    kill_at_work(cloud, 0.2)
    for server_id, status in ((sleeper, "SUSPENDED"), (rebooted, "ACTIVE"), (stopped, "SHUTOFF")):
        cloud.wait_status(server_id, status)
    act(cloud, sleeper, "resume")
    act(cloud, rebooted, "pause")
    act(cloud, stopped, "os-start")
    kill_at_work(cloud, 0.05)
    for server_id, status in ((sleeper, "ACTIVE"), (rebooted, "PAUSED"), (stopped, "ACTIVE")):
        cloud.wait_status(server_id, status)
    act(cloud, rebooted, "unpause")
    for server_id, guest in zip(ids, guests, strict=True):
        cloud.wait_status(server_id)
        cloud.wait_ssh(server_id, guest)
    assert [guest.boot_id() == boot for guest, boot in zip(guests, boots, strict=True)] == [True, False, False]
    assert_each_has_one_of_everything(cloud, set(ids))
    cloud.delete_servers(ids)
    cloud.wait_everything(empty)


def kill_at_work(cloud: CloudUnderTest, seconds: float) -> None:
    time.sleep(seconds)
    servers = cloud.demo.get("compute", "/servers/detail")["servers"]
    assert any(server["OS-EXT-STS:task_state"] for server in servers), "all was over before the process could be killed"
    cloud.kill()
    cloud.up()


def has_come_to(cloud: CloudUnderTest, moment: str) -> bool:
    servers = cloud.demo.get("compute", "/servers/detail")["servers"]
    if moment == "one is ACTIVE":
        return any(server["status"] == "ACTIVE" for server in servers)
    return moment == "accepted" or any(server["OS-EXT-STS:task_state"] == moment for server in servers)


def active(cloud: CloudUnderTest) -> int:
    servers = cloud.demo.get("compute", "/servers/detail")["servers"]
    failed = [server["fault"] for server in servers if server["status"] == "ERROR"]
    assert not failed, f"{failed}\n{cloud.log_end()}"
    return sum(server["status"] == "ACTIVE" for server in servers)


def assert_each_has_one_of_everything(cloud: CloudUnderTest, ids: set[str]) -> None:
    ports = cloud.demo.get("network", "/v2.0/ports")["ports"]
    ports = [port for port in ports if port["device_owner"].startswith("compute:")]
    assert sorted(port["device_id"] for port in ports) == sorted(ids)
    everything = cloud.everything()
    assert {each for each in everything if each.startswith("allocation: ")} == {f"allocation: {each}" for each in ids}
    assert everything >= {f"link: {device_name(TAP_PREFIX, port['id'])}" for port in ports}
    assert sum("qemu-system" in each and each.startswith("process: ") for each in everything) == len(ids)


def assert_guests_boot(cloud: CloudUnderTest, ids: set[str]) -> None:
    for server_id in ids:
        guest = cloud.add_floating_ip(server_id)
        cloud.wait_ssh(server_id, guest)
        assert guest.run("hostname") == cloud.server(server_id)["name"]
