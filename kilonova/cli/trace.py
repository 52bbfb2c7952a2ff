"""`kilonova trace SERVER`: a server's whole way as a timed list, each line with its number in the guides' 28 steps.

Everything shown is what an administrator can read from the public APIs: the server's actions with the times and the
note each step has left, its ports, its image, and the end of its console. A time that nobody recorded is left empty.
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

AUTHENTICATION = "1-2"
STEPS = {
    "identity_issue_token": (AUTHENTICATION, "keystone", "issued the user's token"),
    "conductor_schedule_and_build_instances": ("8-12", "nova-scheduler", "chose a host"),
    "compute_ports": ("22-24", "neutron-server", "made and bound the ports"),
    "compute_volumes": ("25-27", "nova-conductor", "prepared the block devices"),
    "compute__do_build_and_run_instance": ("13-18", "nova-compute", "took the specification"),
    "compute_fetch_image": ("19-21", "nova-compute", "has the image"),
    "compute_make_disks": ("28", "nova-compute", "made the disks"),
    "compute_define_domain": ("28", "hypervisor", "defined the domain"),
    "compute_start_domain": ("28", "hypervisor", "started the domain"),
    "compute_wait_active": ("28", "nova-conductor", "waited until the guest runs and its ports are plugged"),
    "compute_leave_host": ("", "nova-conductor", "left a failing host"),
    "compute_roll_back": ("", "nova-conductor", "gave everything back"),
    "compute_converge_power": ("", "nova-compute", "brought the guest into the wanted state"),
    "compute_terminate_instance": ("", "nova-compute", "took the guest off the host"),
    "compute_release_ports": ("", "neutron-server", "released the ports"),
    "compute_release_claim": ("", "placement", "has the resources back"),
    "compute_forget": ("", "database", "moved the server to the history"),
}
"""Event of os-instance-actions → (steps of the guides, who does it, what)."""

DETAILS_SINCE = "2.84"
"""The microversion that shows what a step of an action has noted."""

MOST_REFUSALS = 10
"""Hosts that are told of a decision; `kilonova why-not` tells more."""
READY_LINE = re.compile(r"up ([0-9.]+) s")


class Line(msgspec.Struct):
    """One thing that happened. `at` is None for what is known without a time."""

    at: datetime | None
    seconds: float | None
    """How long it took, where that was measured."""
    guide: str
    who: str
    what: str
    decision: Fields | None = None
    """A decision of the scheduler: the host it chose, or why it chose none (`compute/scheduling/decisions.py`)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="a server's id or name; a deleted one's id")
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
    server = find_server(session, wanted)
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


def find_server(session: Session, wanted: str) -> Fields:
    """By its id or name. Raises RemoteFault."""
    found: list[Fields] = session.get("compute", "/servers/detail", all_tenants="1", name=f"^{re.escape(wanted)}$")[
        "servers"
    ]
    exact = [each for each in found if each["name"] == wanted]
    if len(exact) == 1:
        return exact[0]
    if len(exact) > 1:
        raise RemoteFault("compute", 409, f"{len(exact)} servers are called {wanted}; give an id")
    gone = session.get("compute", "/servers/detail", all_tenants="1", deleted="true", uuid=wanted)["servers"]
    if gone:
        return dict(gone[0])
    server: Fields = session.get("compute", f"/servers/{wanted}")["server"]
    return server


def _creation(session: Session, server: Fields, action: Fields) -> list[Line]:
    began = _moment(action["start_time"])
    events = _in_order(action)
    lines = [
        Line(began, None, "3-5", "nova-api", f"checked the token, accepted {action['request_id']}"),
        Line(began, None, "6-7", "database", "holds the server and its build task, in one commit"),
        *(line for event in events for line in _event_lines(event)),
    ]
    known = {event["event"]: event for event in events}
    if "identity_issue_token" not in known:
        lines.insert(0, Line(None, None, AUTHENTICATION, "keystone", "issued the user's token"))
    if "compute_fetch_image" in known:
        _name_image(session, server, lines)
    lines.sort(key=_place_in_time)
    lines.insert(
        _place_of(lines, "22-24"), Line(None, None, "25-27", "cinder", "nothing to do: no volume was asked for")
    )
    lines += [_port_line(port) for port in session.get("network", "/v2.0/ports", device_id=server["id"])["ports"]]
    return [*lines, *_boot_lines(session, server)]


def _place_in_time(line: Line) -> tuple[datetime, int]:
    """What happened in the same moment stands in the guides' order."""
    return line.at or datetime.min.replace(tzinfo=UTC), int(line.guide.partition("-")[0] or 0)


def _place_of(lines: Sequence[Line], guide: str) -> int:
    """Behind the last line of these steps; at the end when they have not been reached."""
    return next((place + 1 for place in reversed(range(len(lines))) if lines[place].guide == guide), len(lines))


def _event_lines(event: Fields) -> list[Line]:
    line = _event_line(event)
    return [line, *_refusals(line)]


def _refusals(line: Line) -> list[Line]:
    """The hosts that came nearest in a decision that found none, and what kept each."""
    if line.decision is None or line.decision["chosen"]:
        return []
    refused = [(each, stage) for stage in reversed(line.decision["stages"]) for each in stage["refused"]]
    return [
        Line(line.at, None, line.guide, line.who, f"{each['host']}, refused by {stage['name']}: {each['reason']}")
        for each, stage in refused[:MOST_REFUSALS]
    ]


def _event_line(event: Fields) -> Line:
    guide, who, what = STEPS.get(event["event"], ("", "nova-conductor", event["event"]))
    began, ended = _moment(event["start_time"]), event["finish_time"]
    took = (_moment(ended) - began).total_seconds() if ended and guide != AUTHENTICATION else None
    state = " FAILED" if event["result"] == "Error" else "" if ended else ", still at it"
    decision = _decision_in(event)
    details = decision["said"] if decision else event.get("details")
    return Line(began, took, guide, who, f"{what}{state}{f': {details}' if details else ''}", decision)


def _decision_in(event: Fields) -> Fields | None:
    """Earlier releases kept a sentence."""
    details = event.get("details") or ""
    if event["event"] != "conductor_schedule_and_build_instances" or not details.startswith("{"):
        return None
    decision: Fields = json.loads(details)
    return decision


def _name_image(session: Session, server: Fields, lines: Sequence[Line]) -> None:
    line = next(line for line in lines if line.guide == "19-21")
    if not server["image"]:
        return
    image_id = server["image"]["id"]
    try:
        image = session.get("image", f"/v2/images/{image_id}")
    except RemoteFault:
        line.what += f": {image_id}, deleted since"
        return
    line.what += f": {image['name']}, {image['disk_format']}, {image['size'] / (1 << 20):.0f} MiB"


def _port_line(port: Fields) -> Line:
    addresses = ", ".join(each["ip_address"] for each in port["fixed_ips"])
    what = f"port {port['id']} with {addresses or 'no address'} is {port['status']}"
    return Line(None, None, "22-24", "neutron", what)


def _boot_lines(session: Session, server: Fields) -> list[Line]:
    """What became of the guest, which counts its seconds by itself. A deleted server has none any more."""
    if server["status"] == "DELETED":
        return []
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
    lines = [Line(None, float(ready[-1]) if ready else None, "28", "guest", what)]
    if server.get("OS-SRV-USG:launched_at"):
        launched = _moment(server["OS-SRV-USG:launched_at"])
        lines.insert(0, Line(launched, None, "28", "nova-api", "shows the server as ACTIVE"))
    return lines


def _operation(action: Fields) -> list[Line]:
    began = _moment(action["start_time"])
    head = Line(began, None, "", "nova-api", f"accepted {action['action']}, {action['request_id']}")
    lines = [head, *(line for event in _in_order(action) for line in _event_lines(event))]
    for line in lines:
        # The guides' steps are those of a server's creation.
        line.guide = ""
    return sorted(lines, key=_place_in_time)


def _in_order(action: Fields) -> list[Fields]:
    """The API gives the newest event first."""
    return sorted(action["events"], key=lambda event: str(event["start_time"]))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def render(lines: Sequence[Line]) -> str:
    """Time of day, seconds since the request, how long it took, the guides' steps, who, what."""
    timed = [line for line in lines if line.at is not None]
    start = next((line.at for line in timed if line.guide != AUTHENTICATION), timed[0].at if timed else None)
    rows = []
    for line in lines:
        at = line.at.strftime("%H:%M:%S.%f")[:-3] if line.at else ""
        since = f"{(line.at - start).total_seconds():+.3f}" if line.at and start else ""
        rows.append(
            (at, since, "" if line.seconds is None else f"{line.seconds:.3f} s", line.guide, line.who, line.what)
        )
    return "\n".join(render_table(("Time", "Since", "Took", "Steps", "Who", "What"), rows))
