"""`kilonova trace SERVER`: a server's whole way as a timed list, in the order of the guides' 28 steps.

Everything shown is what an administrator can read from the public APIs: the server's actions with the note each step
has left, its ports, its image, and the end of its console.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from kilonova.cli.rest import Fields, Session, login_from
from kilonova.cli.state import read_config
from kilonova.cli.status import render_table
from kilonova.cli.up import state_of
from kilonova.kit.http.client import RemoteFault

STEPS = {
    "conductor_schedule_and_build_instances": ("8-12", "nova-scheduler", "chose a host"),
    "compute_ports": ("22-24", "neutron-server", "made and bound the ports"),
    "compute_volumes": ("25-27", "nova-conductor", "prepared the block devices"),
    "compute__do_build_and_run_instance": ("13-18", "nova-compute", "took the specification"),
    "compute_wait_active": ("28", "nova-compute", "defined and started the domain, ports plugged"),
    "compute_leave_host": ("", "nova-conductor", "left a failing host"),
    "compute_roll_back": ("", "nova-conductor", "gave everything back"),
}
"""Event of os-instance-actions → (steps of the guides, who does it, what)."""

DETAILS_SINCE = "2.84"
"""The microversion that shows what a step of an action has noted."""

READY_LINE = re.compile(r"up ([0-9.]+) s")


class Line(msgspec.Struct):
    """One thing that happened. `at` is None for what is known without a time."""

    at: datetime | None
    seconds: float | None
    """How long it took, where that was measured."""
    guide: str
    who: str
    what: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="a server's id or name")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    with Session(login_from(read_config(state_of(arguments)), "admin")) as session:
        try:
            lines = read_trace(session, arguments.server)
        except RemoteFault as fault:
            print(f"kilonova trace: {fault}", file=sys.stderr)
            return 1
    print(json.dumps(msgspec.to_builtins(lines), indent=2) if arguments.json else render(lines))
    return 0


def read_trace(session: Session, wanted: str) -> list[Line]:
    """Raises RemoteFault when there is no such server, or several of that name."""
    session.versions["compute"] = DETAILS_SINCE
    server = _find(session, wanted)
    path = f"/servers/{server['id']}/os-instance-actions"
    actions = session.get("compute", path)["instanceActions"]
    lines = []
    for action in reversed(actions):
        detail = session.get("compute", f"{path}/{action['request_id']}")["instanceAction"]
        if action["action"] == "create":
            lines += _creation(session, server, detail)
        else:
            lines += _operation(detail)
    return lines


def _find(session: Session, wanted: str) -> Fields:
    found: list[Fields] = session.get("compute", "/servers/detail", all_tenants="1", name=f"^{re.escape(wanted)}$")[
        "servers"
    ]
    exact = [each for each in found if each["name"] == wanted]
    if len(exact) == 1:
        return exact[0]
    if len(exact) > 1:
        raise RemoteFault("compute", 409, f"{len(exact)} servers are called {wanted}; give an id")
    server: Fields = session.get("compute", f"/servers/{wanted}")["server"]
    return server


def _creation(session: Session, server: Fields, action: Fields) -> list[Line]:
    began = _moment(action["start_time"])
    request = f"{action['request_id']} by user {action['user_id']}"
    lines = [
        Line(None, None, "1-2", "keystone", f"issued the token of user {action['user_id']}"),
        Line(began, None, "3-5", "nova-api", f"checked the token, accepted {request}"),
        Line(None, None, "6-7", "database", "holds the server and its build task, in one commit"),
    ]
    events = {event["event"]: event for event in action["events"]}
    lines += [_event_line(event) for event in _in_order(action)]
    if "compute__do_build_and_run_instance" in events:
        place = next(i for i, line in enumerate(lines) if line.guide == "13-18") + 1
        lines.insert(place, _image_line(session, server))
    lines += [_port_line(port) for port in session.get("network", "/v2.0/ports", device_id=server["id"])["ports"]]
    return [*lines, *_boot_lines(session, server)]


def _event_line(event: Fields) -> Line:
    guide, who, what = STEPS.get(event["event"], ("", "nova-conductor", event["event"]))
    began, ended = _moment(event["start_time"]), event["finish_time"]
    took = (_moment(ended) - began).total_seconds() if ended else None
    state = " FAILED" if event["result"] == "Error" else "" if ended else ", still at it"
    note = f": {event['details']}" if event.get("details") else ""
    return Line(began, took, guide, who, f"{what}{state}{note}")


def _image_line(session: Session, server: Fields) -> Line:
    image_id = server["image"]["id"] if server["image"] else None
    if image_id is None:
        return Line(None, None, "19-21", "glance-api", "no image: the server boots from elsewhere")
    try:
        image = session.get("image", f"/v2/images/{image_id}")
    except RemoteFault:
        return Line(None, None, "19-21", "glance-api", f"image {image_id}, deleted since")
    size = image["size"] / (1 << 20)
    return Line(None, None, "19-21", "glance-api", f"image {image['name']}, {image['disk_format']}, {size:.0f} MiB")


def _port_line(port: Fields) -> Line:
    addresses = ", ".join(each["ip_address"] for each in port["fixed_ips"])
    what = f"port {port['id']} with {addresses or 'no address'} is {port['status']}"
    return Line(None, None, "22-24", "neutron", what)


def _boot_lines(session: Session, server: Fields) -> list[Line]:
    if server["status"] == "ERROR":
        fault = server.get("fault", {})
        reason = fault.get("details") or fault.get("message", "")
        return [Line(_moment(server["updated"]), None, "", "nova-conductor", f"the server is in ERROR: {reason}")]
    try:
        body = {"os-getConsoleOutput": {"length": 50}}
        output = session.call("compute", "POST", f"/servers/{server['id']}/action", body)["output"]
    except RemoteFault as fault:
        return [Line(None, None, "28", "guest", f"console: {fault.message}")]
    ready = READY_LINE.findall(output)
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    what = (
        f"says it was ready {ready[-1]} s after power-on"
        if ready
        else f"last wrote: {last}"
        if last
        else "wrote nothing yet"
    )
    return [Line(None, None, "28", "guest", what)]


def _operation(action: Fields) -> list[Line]:
    began = _moment(action["start_time"])
    head = Line(began, None, "", "nova-api", f"accepted {action['action']}, {action['request_id']}")
    return [head, *(_event_line(event) for event in _in_order(action))]


def _in_order(action: Fields) -> list[Fields]:
    """The API gives the newest event first."""
    return sorted(action["events"], key=lambda event: str(event["start_time"]))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def render(lines: Sequence[Line]) -> str:
    """Time of day, seconds since the request, how long it took, the guides' steps, who, what."""
    start = next((line.at for line in lines if line.at is not None), None)
    rows = []
    for line in lines:
        at = line.at.strftime("%H:%M:%S.%f")[:-3] if line.at else ""
        since = f"+{(line.at - start).total_seconds():.3f}" if line.at and start else ""
        rows.append(
            (at, since, "" if line.seconds is None else f"{line.seconds:.3f} s", line.guide, line.who, line.what)
        )
    return "\n".join(render_table(("Time", "Since", "Took", "Steps", "Who", "What"), rows))
