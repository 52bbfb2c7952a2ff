"""A real guest moves between real hosts while it is pinged; what dies on the way leaves one running guest."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.moving import begin_live, guests, newest_move, shown, wait_over
from tools.lab import tenant
from tools.lab.api import Refused
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for
from tools.lab.tenant import Ground

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

PINGS, PING_SECONDS = 200, 0.2
MOST_LOST = 5
"""Pings: a second. Those of an idle guest that is emulated on a busy machine are four or five."""


TALK = "i=0; while [ $i -lt {} ]; do i=$((i+1)); echo $i; sleep 0.3; done"
"""Over one TCP connection: a number that is missing was lost, and a connection that broke ends the count."""
LAST_NUMBER = 40


class Talk(threading.Thread):
    """Listens to a guest that counts, over one ssh connection."""

    def __init__(self, cloud: Cloud, ground: Ground, address: str) -> None:
        super().__init__(daemon=True)
        self._place = (cloud, ground, address)
        self.numbers: list[int] = []

    def run(self) -> None:
        cloud, ground, address = self._place
        command = f"timeout 120 sh -c '{TALK.format(LAST_NUMBER)}'"
        self.numbers = [int(line) for line in tenant.run_on_guest(cloud, ground, address, command, 150).stdout.split()]


class Pings(threading.Thread):
    """Pings a guest from outside through its floating address."""

    def __init__(self, cloud: Cloud, address: str) -> None:
        super().__init__(daemon=True)
        self._cloud, self._address = cloud, address
        self.lost = PINGS

    def run(self) -> None:
        command = ["ping", "-q", "-i", str(PING_SECONDS), "-c", str(PINGS), self._address]
        said = self._cloud.outside.run(command, PINGS * PING_SECONDS * 4).stdout
        received = next(line for line in said.splitlines() if "received" in line)
        self.lost = PINGS - int(received.split(",")[1].split()[0])


@pytest.fixture
def server(cloud: Cloud, ground: Ground) -> Iterator[str]:
    server_id = tenant.create_server(cloud, ground, "mover", "compute1")
    tenant.wait_active(cloud, server_id)
    yield server_id
    tenant.delete_server(cloud, server_id)


def test_nobody_who_talks_to_a_guest_notices_that_it_moves(cloud: Cloud, ground: Ground, server: str) -> None:
    address = tenant.add_floating_ip(cloud, ground, server)
    tenant.wait_log_in(cloud, ground, address)
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    before = tenant.run_on_guest(cloud, ground, address, "cat /proc/uptime").stdout
    pings, talk = Pings(cloud, address), Talk(cloud, ground, address)
    pings.start()
    talk.start()
    time.sleep(3)
    began = time.monotonic()
    begin_live(cloud, server, "compute2")
    assert wait_over(cloud, server)["status"] == "completed"
    took = time.monotonic() - began
    pings.join()
    talk.join()
    print(f"moved in {took:.1f} s, {pings.lost} pings of {PINGS} lost")
    assert pings.lost <= MOST_LOST
    assert talk.numbers == list(range(1, LAST_NUMBER + 1)), "its connections live through it"
    assert shown(cloud, server)["OS-EXT-SRV-ATTR:host"] == "compute2"
    assert guests(cloud, name) == ["compute2"]
    after = tenant.run_on_guest(cloud, ground, address, "cat /proc/uptime").stdout
    assert float(after.split()[0]) > float(before.split()[0]) + 30, "it did not boot again"
    port = tenant.port_of(cloud, server)
    assert (port["binding:host_id"], port["status"]) == ("compute2", "ACTIVE")
    (bindings,) = cloud.api.call("network", "GET", f"/v2.0/ports/{port['id']}/bindings").values()
    assert [each["host"] for each in bindings] == ["compute2"]


@pytest.mark.parametrize(("host", "daemon"), [("compute1", "nova-compute"), ("compute2", "nova-compute")])
def test_an_agent_that_dies_on_the_way_leaves_one_guest(cloud: Cloud, server: str, host: str, daemon: str) -> None:
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    begin_live(cloud, server, "compute2")
    wait_for(lambda: newest_move(cloud, server)["status"] != "queued", "the migration is under way", 30)
    cloud.lab.host(host).kill(daemon)
    time.sleep(2)
    cloud.start(host, daemon)
    move = wait_over(cloud, server)
    expected = "compute2" if move["status"] == "completed" else "compute1"
    found = shown(cloud, server)
    assert (found["status"], found["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", expected)
    wait_for(lambda: guests(cloud, name) == [expected], "one guest runs", 60)


def test_a_migration_is_aborted_and_the_guest_stays(cloud: Cloud, server: str) -> None:
    name = shown(cloud, server)["OS-EXT-SRV-ATTR:instance_name"]
    begin_live(cloud, server, "compute2")
    number = newest_move(cloud, server)["id"]
    try:
        cloud.api.call("compute", "DELETE", f"/v2.1/servers/{server}/migrations/{number}")
    except Refused as refusal:
        # It was quicker than the person who changed their mind.
        assert refusal.status == 404
    move = wait_over(cloud, server)
    expected = "compute2" if move["status"] == "completed" else "compute1"
    assert shown(cloud, server)["OS-EXT-SRV-ATTR:host"] == expected
    assert guests(cloud, name) == [expected]
