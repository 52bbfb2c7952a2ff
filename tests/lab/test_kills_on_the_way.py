"""A real guest moves while one daemon after the other is killed, in each phase of its way: there is never a second one.

One guest goes to and fro between two hosts, so that a story takes the seconds of one migration.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.moving import Traveller, begin_live, guests, newest_move, processes, shown, wait_over
from tools.lab import tenant
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for
from tools.lab.lab import CONTROLLER

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

DEAD_SECONDS = 2.0
PHASE_SECONDS = 60.0
SETTLE_SECONDS = 60.0
WATCH_SECONDS = 0.1


class Watch(threading.Thread):
    """Looks again and again whether the guest runs there and, after that, still here."""

    def __init__(self, traveller: Traveller, source: str, target: str) -> None:
        super().__init__(daemon=True)
        self._place = (traveller, source, target)
        self._over = threading.Event()
        self.seen_twice = False

    def run(self) -> None:
        while not self._over.wait(WATCH_SECONDS):
            traveller, source, target = self._place
            self.seen_twice |= has_arrived(traveller, source, target) and runs_here(traveller, source, target)

    def end(self) -> None:
        self._over.set()
        self.join()


def is_being_prepared(traveller: Traveller, _source: str, _target: str) -> bool:
    return newest_move(traveller.cloud, traveller.id)["status"] in ("preparing", "running")


def is_on_its_way(traveller: Traveller, _source: str, target: str) -> bool:
    """The other host has a guest that does not run yet."""
    return traveller.state_on(target) == "paused"


def has_arrived(traveller: Traveller, _source: str, target: str) -> bool:
    return traveller.state_on(target) == "running"


def runs_here(traveller: Traveller, source: str, _target: str) -> bool:
    return traveller.state_on(source) == "running"


PHASES: dict[str, Callable[[Traveller, str, str], bool]] = {
    "before the guest moves": is_being_prepared,
    "while it moves": is_on_its_way,
    "after it moved, before the source is left": has_arrived,
}
NETWORK_AGENT = "neutron-linuxbridge-agent"
VICTIMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "libvirtd of the source": ("source", ("libvirtd",)),
    "libvirtd of the target": ("target", ("libvirtd",)),
    # Both run steps: with one of them alone, the other would go on.
    "conductor and scheduler": (CONTROLLER, ("nova-conductor", "nova-scheduler")),
    "network agent of the source": ("source", (NETWORK_AGENT,)),
    "network agent of the target": ("target", (NETWORK_AGENT,)),
}

LIBVIRTS_OWN = ("libvirtd of the target", "after it moved, before the source is left")
"""A target's libvirtd that dies before it has said that the guest runs there: the source's takes its guest up again by
itself, and nobody but a fence could keep both from running until the server's operation ends the one that came.
"""


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_whoever_dies_on_the_way_leaves_one_guest(traveller: Traveller, victim: str, phase: str) -> None:
    cloud, server_id = traveller.cloud, traveller.id
    source, target = traveller.ends
    role, daemons = VICTIMS[victim]
    host = {"source": source, "target": target}.get(role, role)
    watch = Watch(traveller, source, target)
    watch.start()
    try:
        begin_live(cloud, server_id, target)
        wait_for(lambda: PHASES[phase](traveller, source, target), phase, PHASE_SECONDS)
        for daemon in daemons:
            cloud.lab.host(host).kill(daemon)
        time.sleep(DEAD_SECONDS)
        for daemon in daemons:
            start_again(cloud, host, daemon)
        move = wait_over(cloud, server_id)
    finally:
        watch.end()
    server = shown(cloud, server_id)
    print(f"{victim}, {phase}: {move['status']}, {server['status']} on {server['OS-EXT-SRV-ATTR:host']}")
    assert not watch.seen_twice or (victim, phase) == LIBVIRTS_OWN
    if server["status"] == "ACTIVE":
        check_whole(traveller, target if move["status"] == "completed" else source, move)
    else:
        assert server["status"] == "ERROR" and server["fault"]["message"]
        assert len(processes(cloud, traveller.name)) <= 1


def start_again(cloud: Cloud, host: str, daemon: str) -> None:
    if daemon == "libvirtd":
        cloud.lab.start_libvirtd(host)
    else:
        cloud.start(host, daemon)


def check_whole(traveller: Traveller, host: str, move: dict[str, Any]) -> None:
    """The server is on that host and there alone, and whatever belongs to it too."""
    cloud, server_id = traveller.cloud, traveller.id
    assert traveller.host == host
    wait_for(lambda: guests(cloud, traveller.name) == [host], f"one guest runs, on {host}", SETTLE_SECONDS)
    wait_for(lambda: processes(cloud, traveller.name) == [host], f"one QEMU is there, on {host}", SETTLE_SECONDS)
    allocations = cloud.api.call("placement", "GET", f"/allocations/{server_id}")["allocations"]
    assert list(allocations) == [provider_of(cloud, host)]
    assert cloud.api.call("placement", "GET", f"/allocations/{move['uuid']}")["allocations"] == {}
    port = tenant.port_of(cloud, server_id)
    bindings = cloud.api.call("network", "GET", f"/v2.0/ports/{port['id']}/bindings")["bindings"]
    assert [(each["host"], each["status"]) for each in bindings] == [(host, "ACTIVE")]
    tenant.wait_log_in(cloud, traveller.ground, traveller.address)


def provider_of(cloud: Cloud, host: str) -> str:
    (found,) = cloud.api.call("placement", "GET", f"/resource_providers?name={host}")["resource_providers"]
    provider_id: str = found["uuid"]
    return provider_id
