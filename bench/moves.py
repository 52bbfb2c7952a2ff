"""Servers that are copied and moved on the hosts of a lab: a snapshot with data, a live migration of an idle guest.

The lab is one of its own, with two hosts that carry servers.
"""

import itertools
import re
import threading
import time
from pathlib import Path
from typing import Any

from bench.load import Figure
from tools.lab import Lab, engines, tenant
from tools.lab import cloud as clouds
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for
from tools.lab.tenant import Ground

HOSTS = ("compute1", "compute2")
DATA_MIB = 100
WRITE = f"dd if=/dev/urandom of=/home/demo/data bs=1M count={DATA_MIB} && sync"
WRITE_SECONDS = 300.0
PING_SECONDS = 0.01
PINGS = 3000
"""Half a minute: longer than the move."""
MOVE_SECONDS = 120.0


def measure(scratch: Path) -> list[Figure]:
    lab = Lab.up(3, scratch / "lab")
    try:
        engines.start(lab.controller)
        cloud = clouds.install(lab)
        try:
            ground = tenant.prepare(cloud)
            server_id = tenant.create_server(cloud, ground, "bench", HOSTS[0])
            tenant.wait_active(cloud, server_id)
            address = tenant.add_floating_ip(cloud, ground, server_id)
            tenant.wait_log_in(cloud, ground, address)
            # The guest is idle still.
            moved = _move(cloud, server_id, address)
            return [*_snapshot(cloud, ground, server_id, address), *moved]
        finally:
            cloud.close()
    finally:
        lab.down()


# --- a snapshot -------------------------------------------------------------------------------------------------------


class Memory(threading.Thread):
    """Looks at the memory of a host's compute agent ten times a second."""

    def __init__(self, cloud: Cloud, host: str) -> None:
        super().__init__(daemon=True)
        self._host = cloud.lab.host(host)
        self._over = threading.Event()
        self.before_mib = self.peak_mib = self._read()

    def _read(self) -> float:
        pid = self._host.pid_of("nova-compute")
        status = self._host.read(f"/proc/{pid}/status")
        return int(re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[0]) / 1024

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.peak_mib = max(self.peak_mib, self._read())

    def end(self) -> None:
        self._over.set()
        self.join()


def _snapshot(cloud: Cloud, ground: Ground, server_id: str, address: str) -> list[Figure]:
    done = tenant.run_on_guest(cloud, ground, address, WRITE, WRITE_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"the guest could not write its data: {done.stdout}{done.stderr}")
    memory = Memory(cloud, _shown(cloud, server_id)["OS-EXT-SRV-ATTR:host"])
    memory.start()
    began = time.perf_counter()
    asked = {"createImage": {"name": "bench"}}
    made = cloud.api.call("compute", "POST", f"/v2.1/servers/{server_id}/action", asked)
    image: dict[str, Any] = {}

    def is_there() -> bool:
        image.update(cloud.api.call("image", "GET", f"/v2/images/{made['image_id']}"))
        return bool(image["status"] == "active")

    wait_for(is_there, "the snapshot is an image", MOVE_SECONDS)
    took = time.perf_counter() - began
    memory.end()
    size_mib = image["size"] / (1 << 20)
    return [
        Figure(
            "snapshot of 1 GiB with 100 MiB of data",
            f"{took:.2f} s",
            f"asked to image active, {size_mib:.0f} MiB of image: {size_mib / took:.0f} MiB/s",
        ),
        Figure(
            "memory of the agent at a snapshot",
            f"{memory.before_mib:.0f} to {memory.peak_mib:.0f} MiB",
            "resident, before and at the peak, read every 0.1 s",
        ),
    ]


# --- a live migration -------------------------------------------------------------------------------------------------


class Pings(threading.Thread):
    """Pings the guest's outside address every 10 ms, and remembers which were answered."""

    def __init__(self, cloud: Cloud, address: str) -> None:
        super().__init__(daemon=True)
        self._cloud, self._address = cloud, address
        self.longest_gap_seconds = 0.0

    def run(self) -> None:
        words = ["ping", "-n", "-i", str(PING_SECONDS), "-c", str(PINGS), self._address]
        said = self._cloud.outside.run(words, PINGS * PING_SECONDS * 4 + 30).stdout
        answered = [0, *map(int, re.findall(r"icmp_seq=(\d+)", said)), PINGS + 1]
        gaps = [after - before - 1 for before, after in itertools.pairwise(answered)]
        self.longest_gap_seconds = max(gaps) * PING_SECONDS


def _move(cloud: Cloud, server_id: str, address: str) -> list[Figure]:
    pings = Pings(cloud, address)
    pings.start()
    # Some pings are answered before the move begins: a gap has an end on both sides.
    time.sleep(1)
    began = time.perf_counter()
    asked = {"os-migrateLive": {"host": HOSTS[1], "block_migration": "auto"}}
    cloud.api.call("compute", "POST", f"/v2.1/servers/{server_id}/action", asked)

    def is_over() -> bool:
        return not _shown(cloud, server_id)["OS-EXT-STS:task_state"]

    wait_for(is_over, "the guest has moved", MOVE_SECONDS)
    took = time.perf_counter() - began
    if not pings.is_alive():
        raise RuntimeError(f"the guest was on its way for {took:.0f} s, longer than it was pinged")
    pings.join()
    host = _shown(cloud, server_id)["OS-EXT-SRV-ATTR:host"]
    if host != HOSTS[1]:
        raise RuntimeError(f"the guest is still on {host}")
    return [
        Figure("live migration of an idle 128 MiB guest", f"{took:.2f} s", "asked to done, disk of 1 GiB copied"),
        Figure(
            "downtime of that guest",
            f"{pings.longest_gap_seconds:.2f} s",
            "most pings in a row without an answer, one every 10 ms, through its floating IP",
        ),
    ]


def _shown(cloud: Cloud, server_id: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.api.call("compute", "GET", f"/v2.1/servers/{server_id}")["server"]
    return found
