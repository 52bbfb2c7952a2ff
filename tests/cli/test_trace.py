"""The trace reads like the way a server has gone."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from kilonova.cli import trace
from kilonova.kit.http.client import RemoteFault


def event(name: str, second: int, detail: str | None = None, result: str | None = "Success") -> dict[str, Any]:
    start = datetime(2026, 1, 1) + timedelta(seconds=second)
    return {
        "event": name,
        "start_time": start.isoformat(),
        "finish_time": (start + timedelta(seconds=1.5)).isoformat() if result else None,
        "result": result,
        "details": detail,
    }


class Cloud:
    """Answers as the APIs do."""

    def __init__(self, status: str = "ACTIVE", console: str = "=== ready, up 4.20 s ===\nlogin:") -> None:
        self.versions: dict[str, str] = {}
        fault = {"message": "No valid host was found.", "details": "node1 lacks memory"}
        self.server = {"id": "s1", "name": "web", "status": status, "image": {"id": "i1"}, "fault": fault}
        self.server["updated"] = "2026-01-01T00:00:09Z"
        self.server["OS-SRV-USG:launched_at"] = "2026-01-01T00:00:05.500000" if status == "ACTIVE" else None
        self.console = console
        self.events = [
            event("compute_start_domain", 3),
            event("compute_fetch_image", 3),
            event("identity_issue_token", -300),
            event("compute_wait_active", 4),
            event("compute__do_build_and_run_instance", 3),
            event("compute_ports", 2, "1 bound, 10.0.0.5"),
            event("conductor_schedule_and_build_instances", 1, "host node1: 3 hosts considered"),
        ]

    def get(self, service: str, path: str, **query: Any) -> Any:
        if path == "/servers/detail" and "deleted" in query:
            return {"servers": [self.server] if self.server["status"] == "DELETED" and query["uuid"] == "s1" else []}
        if path == "/servers/detail":
            return {"servers": [self.server] if query["name"] == "^web$" else []}
        action = {
            "action": "create",
            "request_id": "req-1",
            "user_id": "u1",
            "start_time": "2026-01-01T00:00:00.000000",
        }
        answers = {
            "/servers/s1/os-instance-actions": {"instanceActions": [action]},
            "/servers/s1/os-instance-actions/req-1": {"instanceAction": {**action, "events": self.events}},
            "/v2/images/i1": {"name": "demo", "disk_format": "qcow2", "size": 18 << 20},
            "/v2.0/ports": {"ports": [{"id": "p1", "status": "ACTIVE", "fixed_ips": [{"ip_address": "10.0.0.5"}]}]},
        }
        if path not in answers:
            raise RemoteFault(service, 404, "could not be found")
        return answers[path]

    def call(self, service: str, method: str, path: str, body: Any) -> Any:
        return {"output": self.console}


def read(cloud: Cloud, name: str = "web") -> list[trace.Line]:
    return trace.read_trace(cloud, name)  # type: ignore[arg-type]


def test_each_of_the_guides_steps_has_its_line_in_the_order_it_was_taken() -> None:
    guide = [line.guide for line in read(Cloud())]
    assert guide == [
        *("1-2", "3-5", "6-7", "8-12", "22-24", "25-27"),
        *("13-18", "19-21", "28", "28", "22-24", "28", "28"),
    ]


def test_a_token_that_nobody_recorded_has_no_time() -> None:
    cloud = Cloud()
    cloud.events = [each for each in cloud.events if each["event"] != "identity_issue_token"]
    first = read(cloud)[0]
    assert (first.guide, first.at, first.who) == ("1-2", None, "keystone")


def test_each_line_says_who_did_what_and_how_long_it_took() -> None:
    text = trace.render(read(Cloud()))
    assert "nova-scheduler  chose a host: host node1: 3 hosts considered" in text
    assert "+1.000    1.500 s  8-12" in text
    assert "-300.000" in text.splitlines()[1]
    assert "issued the user's token" in text.splitlines()[1]
    assert "has the image: demo, qcow2, 18 MiB" in text
    assert "nova-api        shows the server as ACTIVE" in text
    assert "port p1 with 10.0.0.5 is ACTIVE" in text
    assert "says it was ready 4.20 s after power-on" in text


def test_a_decision_is_told_as_a_sentence_and_kept_as_data() -> None:
    cloud = Cloud()
    decision = {"said": "host node2: 5 hosts considered", "chosen": "node2"}
    cloud.events[-1]["details"] = json.dumps(decision)
    line = next(each for each in read(cloud) if each.guide == "8-12")
    assert (line.what, line.decision) == ("chose a host: host node2: 5 hosts considered", decision)


def test_a_decision_that_found_no_host_tells_the_nearest_ones() -> None:
    cloud = Cloud(status="ERROR")
    far = [{"host": f"far{number}", "reason": "512 MEMORY_MB wanted, 0 free"} for number in range(20)]
    stages = [
        {"name": "placement", "refused": far},
        {"name": "ComputeFilter", "refused": [{"host": "near", "reason": "is disabled"}]},
    ]
    kept = json.dumps({"said": "No valid host was found.", "chosen": None, "stages": stages})
    cloud.events = [event("conductor_schedule_and_build_instances", 1, kept, "Error")]
    told = [line.what for line in read(cloud) if line.guide == "8-12"]
    assert told[0] == "chose a host FAILED: No valid host was found."
    assert told[1:3] == [
        "near, refused by ComputeFilter: is disabled",
        "far0, refused by placement: 512 MEMORY_MB wanted, 0 free",
    ]
    assert len(told) == 11


def test_a_failed_server_ends_in_its_reason() -> None:
    cloud = Cloud(status="ERROR")
    cloud.events = [event("conductor_schedule_and_build_instances", 1, "no host", "Error")]
    lines = read(cloud)
    assert "FAILED: no host" in lines[3].what
    assert lines[-1].what == "the server is in ERROR: node1 lacks memory"


def test_a_deleted_server_is_traced_by_its_id_and_its_guest_is_not_asked() -> None:
    lines = read(Cloud(status="DELETED"), "s1")
    assert "8-12" in [line.guide for line in lines]
    assert "guest" not in [line.who for line in lines]


def test_an_operation_begins_with_its_token_and_is_none_of_the_guides_steps() -> None:
    action = {"action": "stop", "request_id": "req-2", "start_time": "2026-01-01T00:00:00.000000"}
    events = [event("compute_converge_power", 0), event("identity_issue_token", -3)]
    lines = trace._operation({**action, "events": events})
    assert [(line.who, line.guide) for line in lines] == [("keystone", ""), ("nova-api", ""), ("nova-compute", "")]


def test_a_server_that_never_was_is_not_found() -> None:
    with pytest.raises(RemoteFault, match="could not be found"):
        read(Cloud(), "s2")


def test_a_step_that_is_not_over_is_still_at_it() -> None:
    cloud = Cloud(console="")
    cloud.events = [event("compute_ports", 2, None, None)]
    lines = read(cloud)
    assert (lines[3].seconds, "still at it" in lines[3].what) == (None, True)
    assert lines[-1].what == "wrote nothing yet"
