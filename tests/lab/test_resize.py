"""Real guests get another host with the guest off: resized and back, drained away, evacuated after a power cut."""

import time
from collections.abc import Iterator

import pytest

from tests.lab.moving import act, guests, has_disks, newest_move, shown, wait_over, wait_status
from tools.lab import tenant
from tools.lab.cloud import Cloud
from tools.lab.cloud_files import ADMIN_PASSWORD
from tools.lab.hosts import wait_for
from tools.lab.tenant import Ground
from tools.stages import VENV

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

WORD = "written-before"
DOWN_SECONDS = 120.0


@pytest.fixture
def server(cloud: Cloud, ground: Ground) -> Iterator[str]:
    server_id = tenant.create_server(cloud, ground, "changer", "compute1")
    tenant.wait_active(cloud, server_id)
    yield server_id
    tenant.delete_server(cloud, server_id)


@pytest.fixture(scope="module")
def larger(cloud: Cloud) -> str:
    """A flavor that demo servers can be resized to."""
    flavor = {"name": "larger", "ram": 192, "vcpus": 1, "disk": 2}
    made = cloud.api.call("compute", "POST", "/v2.1/flavors", {"flavor": flavor})["flavor"]
    flavor_id: str = made["id"]
    return flavor_id


def leave_word(cloud: Cloud, ground: Ground, server_id: str) -> str:
    """Writes something onto the guest's disk; returns the address that it answers on."""
    address = tenant.add_floating_ip(cloud, ground, server_id)
    tenant.wait_log_in(cloud, ground, address)
    done = tenant.run_on_guest(cloud, ground, address, f"echo {WORD} > word; sync")
    assert done.returncode == 0, done.stderr
    return address


def word(cloud: Cloud, ground: Ground, address: str) -> str:
    tenant.wait_log_in(cloud, ground, address)
    return tenant.run_on_guest(cloud, ground, address, "cat word").stdout.strip()


def keep_off(cloud: Cloud, host: str, *, off: bool) -> None:
    """Whether a host gets servers."""
    (service,) = cloud.api.call("compute", "GET", f"/v2.1/os-services?binary=nova-compute&host={host}")["services"]
    status = {"status": "disabled" if off else "enabled"}
    cloud.api.call("compute", "PUT", f"/v2.1/os-services/{service['id']}", status)


def test_a_server_is_resized_to_another_host_and_back(cloud: Cloud, ground: Ground, server: str, larger: str) -> None:
    address = leave_word(cloud, ground, server)
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    keep_off(cloud, "compute1", off=True)
    began = time.monotonic()
    act(cloud, server, "resize", {"flavorRef": larger})
    found = wait_status(cloud, server, "VERIFY_RESIZE")
    keep_off(cloud, "compute1", off=False)
    print(f"resized in {time.monotonic() - began:.1f} s")
    assert (found["OS-EXT-SRV-ATTR:host"], found["flavor"]["ram"]) == ("compute2", 192)
    assert guests(cloud, name) == ["compute2"]
    assert word(cloud, ground, address) == WORD
    size = tenant.run_on_guest(cloud, ground, address, "cat /sys/class/block/vda/size").stdout.strip()
    assert int(size) * 512 == 2 << 30
    assert has_disks(cloud, "compute1", server)
    tenant.run_on_guest(cloud, ground, address, "echo after > word; sync")
    act(cloud, server, "revertResize")
    found = wait_status(cloud, server, "ACTIVE")
    assert (found["OS-EXT-SRV-ATTR:host"], newest_move(cloud, server)["status"]) == ("compute1", "reverted")
    assert guests(cloud, name) == ["compute1"]
    assert word(cloud, ground, address) == WORD
    wait_for(lambda: not has_disks(cloud, "compute2", server), "the other host has nothing of it", 60)


def test_a_server_is_migrated_cold_and_confirmed(cloud: Cloud, ground: Ground, server: str) -> None:
    address = leave_word(cloud, ground, server)
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    act(cloud, server, "migrate", {"host": "compute2"})
    wait_status(cloud, server, "VERIFY_RESIZE")
    act(cloud, server, "confirmResize")
    found = wait_status(cloud, server, "ACTIVE")
    assert (found["OS-EXT-SRV-ATTR:host"], newest_move(cloud, server)["status"]) == ("compute2", "confirmed")
    assert guests(cloud, name) == ["compute2"]
    assert word(cloud, ground, address) == WORD
    wait_for(lambda: not has_disks(cloud, "compute1", server), "the host that it left has nothing of it", 60)


@pytest.mark.parametrize("host", ["compute1", "compute2"])
def test_whoever_dies_on_the_way_one_guest_is_left(cloud: Cloud, server: str, host: str) -> None:
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    act(cloud, server, "migrate", {"host": "compute2"})
    wait_for(lambda: newest_move(cloud, server)["status"] != "queued", "the migration is under way", 30)
    cloud.lab.host(host).kill("nova-compute")
    time.sleep(2)
    cloud.start(host, "nova-compute")
    wait_over(cloud, server)
    found = shown(cloud, server)
    expected = {"VERIFY_RESIZE": "compute2", "ACTIVE": "compute1"}[found["status"]]
    assert found["OS-EXT-SRV-ATTR:host"] == expected
    wait_for(lambda: guests(cloud, name) == [expected], "one guest runs", 60)


def kilonova(cloud: Cloud, *words: str) -> str:
    """A command as an administrator types it on the controller."""
    login = {
        "OS_AUTH_URL": f"http://{cloud.lab.controller.address}:5000/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": ADMIN_PASSWORD,
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    done = cloud.lab.controller.run(
        [VENV / "bin/kilonova", *words], environment=login, check=False, timeout_seconds=600
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def test_a_host_with_five_servers_is_drained_and_restored(cloud: Cloud, ground: Ground) -> None:
    made = [tenant.create_server(cloud, ground, f"five-{number}", "compute1") for number in range(5)]
    try:
        for server_id in made:
            tenant.wait_active(cloud, server_id)
        act(cloud, made[-1], "os-stop")
        wait_status(cloud, made[-1], "SHUTOFF")
        said = kilonova(cloud, "drain", "compute1")
        assert "5 moved, 0 left" in said, said
        assert {shown(cloud, each)["OS-EXT-SRV-ATTR:host"] for each in made} == {"compute2"}
        assert [shown(cloud, each)["status"] for each in made] == ["ACTIVE"] * 4 + ["SHUTOFF"]
        kilonova(cloud, "restore", "compute1")
        assert {shown(cloud, each)["OS-EXT-SRV-ATTR:host"] for each in made} == {"compute1"}
    finally:
        for server_id in made:
            tenant.delete_server(cloud, server_id)


def test_a_server_is_evacuated_after_a_power_cut_and_is_not_there_twice(cloud: Cloud, server: str) -> None:
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    cloud.lab.power_cut("compute1")
    try:
        wait_for(lambda: "compute1" not in cloud.computes_up(), "the cloud sees that it is down", DOWN_SECONDS)
        act(cloud, server, "evacuate", {"host": "compute2"})
        found = wait_status(cloud, server, "ACTIVE")
        assert (found["OS-EXT-SRV-ATTR:host"], newest_move(cloud, server)["status"]) == ("compute2", "completed")
    finally:
        cloud.lab.boot("compute1")
        cloud.lab.start_libvirtd("compute1")
        for host, daemon in cloud.daemons():
            if host == "compute1":
                cloud.start(host, daemon)
    wait_for(lambda: "compute1" in cloud.computes_up(), "the host is back", DOWN_SECONDS)
    wait_for(lambda: not has_disks(cloud, "compute1", server), "the host that came back has nothing of it", 60)
    assert guests(cloud, name) == ["compute2"]
    listed = cloud.lab.host("compute1").run(["virsh", "list", "--all", "--name"]).stdout.split()
    assert name not in listed
