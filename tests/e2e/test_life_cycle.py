"""A server's way through its states with the stock client, and that its end leaves nothing."""

import pytest

from tests.e2e.cloud import CloudUnderTest, Guest
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e


def test_reboot_stop_start_and_delete(demo_cloud: CloudUnderTest) -> None:
    before = demo_cloud.settled()
    server_id = demo_cloud.create_server("alive-1")
    demo_cloud.wait_status(server_id)
    guest = demo_cloud.add_floating_ip(server_id)
    demo_cloud.wait_ssh(server_id, guest)
    guest.run("echo kept | sudo tee /root/kept >/dev/null; sync")

    boot_id = guest.boot_id()
    demo_cloud.openstack("server", "reboot", "--hard", "alive-1", user="demo")
    boot_id = wait_for_new_boot(demo_cloud, server_id, guest, boot_id)
    demo_cloud.openstack("server", "reboot", "--soft", "alive-1", user="demo")
    wait_for_new_boot(demo_cloud, server_id, guest, boot_id)

    demo_cloud.openstack("server", "stop", "alive-1", user="demo")
    demo_cloud.wait_status(server_id, "SHUTOFF")
    assert not guest.pings()
    demo_cloud.openstack("server", "start", "alive-1", user="demo")
    demo_cloud.wait_status(server_id)
    demo_cloud.wait_ssh(server_id, guest)
    assert guest.run("sudo cat /root/kept") == "kept"
    assert "login:" in demo_cloud.openstack("console", "log", "show", "alive-1", user="demo")

    demo_cloud.openstack("server", "delete", "--wait", "alive-1", user="demo")
    demo_cloud.openstack("floating", "ip", "delete", guest.address, user="demo")
    demo_cloud.wait_everything(before)


def wait_for_new_boot(cloud: CloudUnderTest, server_id: str, guest: Guest, former: str) -> str:
    def new_boot() -> str | None:
        done = guest.attempt("cat /proc/sys/kernel/random/boot_id", connect_seconds=3)
        found = done.out.strip()
        return found if done.status == 0 and found != former else None

    found = wait_for(new_boot, 90, "the guest has booted again", explain=lambda: cloud.describe(server_id))
    cloud.wait_status(server_id)
    assert found
    return found


def test_a_server_that_fits_nowhere_ends_in_error_with_the_account(demo_cloud: CloudUnderTest) -> None:
    before = demo_cloud.settled()
    flavor = {"name": "m1.absurd", "ram": 64, "disk": 1 << 20, "vcpus": 1}
    flavor_id = demo_cloud.admin.call("compute", "POST", "/flavors", {"flavor": flavor})["flavor"]["id"]
    server_id = demo_cloud.create_server("nowhere-1", flavorRef=flavor_id)
    server = demo_cloud.wait_status(server_id, "ERROR")
    assert server["fault"]["code"] == 500
    message = server["fault"]["message"]
    assert "No valid host" in message
    assert "1048576 DISK_GB wanted" in message, message
    demo_cloud.delete_servers([server_id])
    demo_cloud.admin.call("compute", "DELETE", f"/flavors/{flavor_id}")
    demo_cloud.wait_everything(before)


def test_another_project_s_server_is_not_found(demo_cloud: CloudUnderTest) -> None:
    """The administrator's project is another one, but its role sees all; a new member of it does not."""
    admin = demo_cloud.admin
    role = admin.find("identity", "/roles", "roles", name="member")
    project = admin.find("identity", "/projects", "projects", name="admin")
    user = {"name": "stranger", "password": "a stranger's password", "domain_id": "default"}
    user_id = admin.call("identity", "POST", "/users", {"user": user})["user"]["id"]
    admin.call("identity", "PUT", f"/projects/{project['id']}/users/{user_id}/roles/{role['id']}")
    words = ["--os-username", "stranger", "--os-password", "a stranger's password"]
    server_id = demo_cloud.demo.find("compute", "/servers", "servers", name="demo-1")["id"]
    done = demo_cloud.attempt_openstack(*words, "server", "show", server_id)
    assert done.status != 0 and "No Server found" in done.err, str(done)
    assert demo_cloud.shown(*words, "server", "list") == []
    admin.call("identity", "DELETE", f"/users/{user_id}")


def test_down_keeps_guests_running_and_up_adopts_them(demo_cloud: CloudUnderTest, demo_guest: Guest) -> None:
    server_id = demo_cloud.demo.find("compute", "/servers", "servers", name="demo-1")["id"]
    before, boot_id = demo_cloud.settled(), demo_guest.boot_id()
    assert "stopped" in demo_cloud.down()
    assert demo_cloud.attempt_kilonova("status").status == 1
    assert demo_guest.boot_id() == boot_id
    assert demo_guest.run("wget -q -O - http://169.254.169.254/ 2>&1 || echo silent").endswith("silent")
    demo_cloud.up()
    demo_cloud.wait_status(server_id)
    assert demo_guest.boot_id() == boot_id
    wait_for(
        lambda: demo_guest.attempt("wget -q -O - http://169.254.169.254/2009-04-04/meta-data/instance-id").status == 0,
        15,
        "metadata is served again",
    )
    demo_cloud.wait_everything(before)
    assert demo_cloud.shown("hypervisor", "list")[0]["State"] == "up"
