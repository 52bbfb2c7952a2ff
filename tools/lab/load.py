"""A steady load on a cloud: servers that are created, changed, moved and deleted, whatever breaks meanwhile."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tools.lab import audit, tenant
from tools.lab.api import Refused, Unreachable
from tools.lab.cloud import Cloud
from tools.lab.tenant import Ground

LOAD_THREADS = 3
MOST_SERVERS = 8
"""Fewer than the quota allows."""
LOAD_PAUSE_SECONDS = (0.3, 2.0)
SMALL_MIB = 128
"""Memory of the flavor that servers are created with."""
SHARE_DELETED, SHARE_CHANGED = 0.3, 0.35
"""Shares of the requests while there are servers."""


@dataclass
class Story:
    """The events of a run, in order, printed as they happen."""

    began: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    """Daemons that ended by themselves after they had started, with their last words."""

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)


class Load:
    """Threads that create, change, move and delete servers and give some a floating IP, until stopped."""

    def __init__(self, cloud: Cloud, ground: Ground, story: Story, seed: int) -> None:
        self._cloud, self._ground, self._story = cloud, ground, story
        self._stop = threading.Event()
        self._alive: list[str] = []
        self._larger = self._make_flavor()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed} load {number}"), number), daemon=True)
            for number in range(LOAD_THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, dice: random.Random, number: int) -> None:
        count = 0
        while not self._stop.wait(dice.uniform(*LOAD_PAUSE_SECONDS)):
            count += 1
            with self._lock:
                is_full = len(self._alive) >= MOST_SERVERS
                chosen = dice.choice(self._alive) if self._alive else None
            share = dice.random()
            try:
                if chosen is not None and share < SHARE_CHANGED:
                    self._change(dice, chosen)
                elif chosen is not None and (is_full or share < SHARE_CHANGED + SHARE_DELETED):
                    self._delete(chosen)
                else:
                    self._create(f"chaos-{number}-{count}", dice.random() < 0.3)
            except Unreachable:
                self._story.counts["requests that nothing answered"] += 1
            except Refused as refusal:
                self._story.counts[f"requests refused with {refusal.status}"] += 1
                if refusal.status == 403:
                    self._adopt()

    def _adopt(self) -> None:
        """The quota is full of servers whose creation was answered by nobody: they are this load's too."""
        try:
            found = [each["id"] for each in audit.read_servers(self._cloud)]
        except (Unreachable, Refused):
            return
        with self._lock:
            self._alive = found

    def _make_flavor(self) -> str:
        """A flavor that servers are resized to."""
        flavor = {"flavor": {"name": "larger", "ram": 192, "vcpus": 1, "disk": 2}}
        made: str = self._cloud.api.call("compute", "POST", "/v2.1/flavors", flavor)["flavor"]["id"]
        return made

    def _change(self, dice: random.Random, server_id: str) -> None:
        """One of the operations that the server's status allows; refused where that has changed meanwhile."""
        try:
            server = self._cloud.api.call("compute", "GET", f"/v2.1/servers/{server_id}")["server"]
            actions = self._actions(server)
            if server["OS-EXT-STS:task_state"] is not None or not actions:
                return
            action, argument = dice.choice(actions)
            self._cloud.api.call("compute", "POST", f"/v2.1/servers/{server_id}/action", {action: argument})
            self._story.counts[f"servers asked to {action}"] += 1
        except Refused as refusal:
            if refusal.status == 404:
                with self._lock:
                    self._alive = [each for each in self._alive if each != server_id]
            raise

    def _actions(self, server: dict[str, Any]) -> list[tuple[str, Any]]:
        """Returns the actions that can be asked of a server now, each with its argument."""
        if server["status"] == "VERIFY_RESIZE":
            return [("confirmResize", None), ("revertResize", None)]
        if server["status"] != "ACTIVE":
            return []
        is_larger = server["flavor"]["ram"] > SMALL_MIB
        return [
            ("os-migrateLive", {"host": None, "block_migration": "auto"}),
            ("migrate", None) if is_larger else ("resize", {"flavorRef": self._larger}),
            ("rebuild", {"imageRef": self._ground.image}),
            ("createImage", {"name": f"of-{server['name']}"}),
            ("reboot", {"type": "HARD"}),
        ]

    def confirm_resizes(self) -> None:
        """Says of each server that waits for it that it is to stay as it is: nobody else does any more."""
        for server in audit.read_servers(self._cloud):
            if server["status"] == "VERIFY_RESIZE" and server["OS-EXT-STS:task_state"] is None:
                path = f"/v2.1/servers/{server['id']}/action"
                self._cloud.api.call("compute", "POST", path, {"confirmResize": None})

    def _create(self, name: str, has_address: bool) -> None:
        server_id = tenant.create_server(self._cloud, self._ground, name)
        self._story.counts["servers created"] += 1
        with self._lock:
            self._alive.append(server_id)
        if has_address:
            self._give_address(server_id)

    def _give_address(self, server_id: str) -> None:
        """A floating IP, once the server has its port; a server without one goes on without."""
        for _ in range(10):
            if ports := tenant.ports_of(self._cloud, server_id):
                tenant.open_port(self._cloud, self._ground, ports[0]["id"])
                self._story.counts["floating IPs created"] += 1
                return
            time.sleep(0.3)

    def _take_addresses(self, server_id: str) -> None:
        for port in tenant.ports_of(self._cloud, server_id):
            found = self._cloud.api.call("network", "GET", f"/v2.0/floatingips?port_id={port['id']}")["floatingips"]
            for each in found:
                self._cloud.api.call("network", "DELETE", f"/v2.0/floatingips/{each['id']}")
                self._story.counts["floating IPs deleted"] += 1

    def _delete(self, server_id: str) -> None:
        try:
            self._take_addresses(server_id)
            self._cloud.api.call("compute", "DELETE", f"/v2.1/servers/{server_id}")
            self._story.counts["servers deleted"] += 1
        except Refused as refusal:
            if refusal.status != 404:
                raise
        with self._lock:
            if server_id in self._alive:
                self._alive.remove(server_id)
