"""Volumes that a running guest gets, writes to and lets go, with the stock client."""

import pytest

from tests.e2e.cloud import CloudUnderTest, Guest
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e
WORDS = "written-before-it-left"


def wait_disk(cloud: CloudUnderTest, guest: Guest, device: str, *, there: bool) -> None:
    wait_for(
        lambda: (guest.attempt(f"test -b /dev/{device}").status == 0) is there,
        30,
        f"{device} is {'there' if there else 'gone'}",
        explain=lambda: guest.attempt("cat /proc/partitions").out + cloud.log_end(),
    )


def wait_volume(cloud: CloudUnderTest, name: str, status: str) -> None:
    def shown() -> str:
        volume = cloud.shown("volume", "show", name, user="demo")
        return str(volume["status"])

    wait_for(lambda: shown() == status, 60, f"volume {name} is {status}", explain=cloud.log_end)


def test_data_on_a_volume_is_found_again_by_the_guest_that_gets_it_next(demo_cloud: CloudUnderTest) -> None:
    before = demo_cloud.settled()
    demo_cloud.openstack("volume", "create", "--size", "1", "notebook", user="demo")
    wait_volume(demo_cloud, "notebook", "available")
    server_ids = [demo_cloud.create_server(name) for name in ("writer-1", "reader-1")]
    guests = []
    try:
        for server_id in server_ids:
            demo_cloud.wait_status(server_id)
            guests.append(demo_cloud.add_floating_ip(server_id))
            demo_cloud.wait_ssh(server_id, guests[-1])
        writer, reader = guests
        demo_cloud.openstack("server", "add", "volume", "writer-1", "notebook", user="demo")
        wait_disk(demo_cloud, writer, "vdb", there=True)
        wait_volume(demo_cloud, "notebook", "in-use")
        writer.run(f"echo {WORDS} | sudo dd of=/dev/vdb bs=512 count=1 conv=sync,fsync 2>/dev/null")
        demo_cloud.openstack("server", "remove", "volume", "writer-1", "notebook", user="demo")
        wait_disk(demo_cloud, writer, "vdb", there=False)
        wait_volume(demo_cloud, "notebook", "available")
        demo_cloud.openstack("server", "add", "volume", "reader-1", "notebook", user="demo")
        wait_disk(demo_cloud, reader, "vdb", there=True)
        assert WORDS in reader.run("sudo dd if=/dev/vdb bs=512 count=1 2>/dev/null")
    finally:
        # The one that still has the volume gives it back with its end.
        demo_cloud.delete_servers(server_ids)
    wait_volume(demo_cloud, "notebook", "available")
    demo_cloud.openstack("volume", "delete", "notebook", user="demo")
    demo_cloud.wait_everything(before)
