"""`kilonova drain` and `restore`: which servers they move, what they tell, and that they can be run again."""

from typing import Any

import pytest

from kilonova.cli import moving
from kilonova.cli.drain import drain
from kilonova.cli.restore import restore
from kilonova.kit.http.client import RemoteFault


class Cloud:
    """Answers as compute does; each move is over when it is looked at for the second time."""

    def __init__(self, *servers: tuple[str, str, str]) -> None:
        self.servers = {
            name: {"id": name, "name": name, "status": status, "OS-EXT-SRV-ATTR:host": host}
            for name, status, host in servers
        }
        self.service: dict[str, Any] = {"id": "s1", "status": "enabled", "disabled_reason": None}
        self.moves: list[dict[str, Any]] = []
        self.failing: set[str] = set()
        self.most_at_once = 0

    def get(self, _service: str, path: str, **query: Any) -> Any:
        if path == "/os-services":
            return {"services": [self.service] if query["host"] == "node1" else []}
        if path == "/servers/detail":
            found = [each for each in self.servers.values() if each["OS-EXT-SRV-ATTR:host"] == query["host"]]
            return {"servers": [] if "marker" in query else found}
        if path == "/os-migrations":
            return {"migrations": self._migrations(query)}
        if path.endswith("/os-instance-actions"):
            return {"instanceActions": [{"message": "the wire was cut"}]}
        name = path.rpartition("/")[2]
        if name not in self.servers:
            raise RemoteFault("compute", 404, "no such server")
        return {"server": self.servers[name]}

    def _migrations(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        if "source_compute" in query:
            done = [each for each in self.moves if each["source_compute"] == query["source_compute"]]
            return [] if "marker" in query else [each for each in reversed(done) if each["status"] == query["status"]]
        move = [each for each in self.moves if each["instance_uuid"] == query["instance_uuid"]][-1]
        move["looks"] += 1
        if move["looks"] == 2:
            self._end(move)
        return [move]

    def _end(self, move: dict[str, Any]) -> None:
        server = self.servers[move["instance_uuid"]]
        server["status"] = move["status_before"]
        if server["name"] in self.failing:
            move["status"] = "error"
            return
        move["status"] = "completed" if server["status"] == "ACTIVE" else "finished"
        server["OS-EXT-SRV-ATTR:host"] = move["dest_compute"]

    def call(self, _service: str, method: str, path: str, body: Any) -> Any:
        if path.startswith("/os-services"):
            self.service.update({"disabled_reason": None} | body)
            return None
        server = self.servers[path.split("/")[2]]
        if "confirmResize" in body:
            self.moves[-1]["status"] = "confirmed"
            return None
        if server["status"] == "ACTIVE":
            assert (method, body["os-migrateLive"]["block_migration"]) == ("POST", "auto")
        target = (body.get("os-migrateLive") or body.get("migrate") or {"host": None})["host"] or "node2"
        self.moves.append(
            {
                "uuid": str(len(self.moves)),
                "instance_uuid": server["id"],
                "source_compute": server["OS-EXT-SRV-ATTR:host"],
                "dest_compute": target,
                "status": "running",
                "status_before": server["status"],
                "looks": 0,
            }
        )
        server["status"] = "MIGRATING" if server["status"] == "ACTIVE" else "RESIZE"
        self.most_at_once = max(self.most_at_once, sum(each["status"] == "running" for each in self.moves))
        return None


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "POLL_SECONDS", 0.0)


def hosts_of(cloud: Cloud) -> dict[str, str]:
    return {name: each["OS-EXT-SRV-ATTR:host"] for name, each in cloud.servers.items()}


def test_a_host_is_drained_and_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    cloud: Any = Cloud(*((f"s{number}", "ACTIVE", "node1") for number in range(4)), ("other", "ACTIVE", "node2"))
    assert drain(cloud, "node1", 2) == 0
    assert set(hosts_of(cloud).values()) == {"node2"}
    assert cloud.most_at_once == 2
    assert cloud.service["status"] == "disabled"
    assert "node1: 4 moved, 0 left" in capsys.readouterr().out

    assert restore(cloud, "node1", 2, leaves=False) == 0
    assert [name for name, host in hosts_of(cloud).items() if host == "node2"] == ["other"]
    assert cloud.service["status"] == "enabled"
    assert "node1: 4 moved back" in capsys.readouterr().out
    assert restore(cloud, "node1", 2, leaves=False) == 0
    assert len(cloud.moves) == 8


def test_what_cannot_move_stays_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cloud: Any = Cloud(("broken", "ERROR", "node1"), ("web", "ACTIVE", "node1"))
    cloud.failing = {"web"}
    assert drain(cloud, "node1", 2) == 1
    told = capsys.readouterr().out
    assert "broken: stays: it is ERROR" in told
    assert "web: stays: the wire was cut" in told
    assert "node1: 0 moved, 2 left" in told
    cloud.failing = set()
    assert drain(cloud, "node1", 2) == 1
    assert hosts_of(cloud) == {"broken": "node1", "web": "node2"}


def test_a_server_that_is_off_moves_with_its_disks_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    cloud: Any = Cloud(("off", "SHUTOFF", "node1"))
    assert drain(cloud, "node1", 2) == 0
    assert (hosts_of(cloud), cloud.moves[-1]["status"]) == ({"off": "node2"}, "confirmed")
    assert "off: is on node2 now" in capsys.readouterr().out
    assert restore(cloud, "node1", 2, leaves=False) == 0
    assert (hosts_of(cloud), cloud.servers["off"]["status"]) == ({"off": "node1"}, "SHUTOFF")


def test_an_interrupted_drain_goes_on_with_what_is_under_way() -> None:
    cloud: Any = Cloud(("web", "ACTIVE", "node1"))
    cloud.call("compute", "POST", "/servers/web/action", {"os-migrateLive": {"host": None, "block_migration": "auto"}})
    assert drain(cloud, "node1", 1) == 0
    assert (hosts_of(cloud), len(cloud.moves)) == ({"web": "node2"}, 1)


def test_servers_that_went_on_elsewhere_are_left_where_they_are() -> None:
    cloud: Any = Cloud(("web", "ACTIVE", "node1"), ("gone", "ACTIVE", "node1"))
    drain(cloud, "node1", 1)
    cloud.servers["web"]["OS-EXT-SRV-ATTR:host"] = "node3"
    del cloud.servers["gone"]
    assert restore(cloud, "node1", 1, leaves=False) == 0
    assert hosts_of(cloud) == {"web": "node3"}
    assert restore(cloud, "node1", 1, leaves=True) == 0


def test_a_host_that_is_not_there_is_named() -> None:
    cloud: Any = Cloud()
    with pytest.raises(RemoteFault, match="there is no compute host node9"):
        drain(cloud, "node9", 1)
