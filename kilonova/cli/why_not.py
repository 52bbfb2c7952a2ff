"""`kilonova why-not FLAVOR`: where a server would go now, and why every other host would not take it; boots nothing.

What it prints is one answer of compute's `os-placing-decisions`, which only administrators may ask.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from kilonova.cli.rest import Fields, Session, login_from
from kilonova.cli.state import read_config
from kilonova.cli.status import render_table
from kilonova.cli.trace import find_server
from kilonova.cli.up import state_of
from kilonova.kit.http.client import RemoteFault

NOBODY = 2
"""The exit code where no host would take the server."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("flavor", metavar="FLAVOR", help="a flavor's id or name")
    parser.add_argument("--image", help="an image's id or name")
    parser.add_argument("--zone", help="the availability zone asked for")
    parser.add_argument("--host", help="the host asked for")
    parser.add_argument("--project", help="id or name of the project whose server it would be (default: admin)")
    parser.add_argument(
        "--server", help="a server whose image, zone, hints, group and project are taken, by id or name"
    )
    parser.add_argument(
        "--hint",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a scheduler hint; several of a key make a list",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    with Session(login_from(read_config(state_of(arguments)), "admin")) as session:
        try:
            decision = ask(session, arguments)
        except RemoteFault as fault:
            print(f"kilonova why-not: {fault}", file=sys.stderr)
            return 1
    print(json.dumps(decision, indent=2) if arguments.json else render(decision))
    return 0 if decision["chosen"] else NOBODY


def ask(session: Session, arguments: argparse.Namespace) -> Fields:
    """Raises RemoteFault for what is not there, and for what nobody could place."""
    question: Fields = {"flavorRef": _flavor_id(session, arguments.flavor)}
    if arguments.image:
        question["imageRef"] = _one_of(session.get("image", "/v2/images")["images"], arguments.image, "image", "image")
    if arguments.server:
        question["server_id"] = find_server(session, arguments.server)["id"]
    if arguments.project:
        projects = session.get("identity", "/v3/projects")["projects"]
        question["project_id"] = _one_of(projects, arguments.project, "identity", "project")
    question["scheduler_hints"] = hints_of(arguments.hint)
    for name, value in (("availability_zone", arguments.zone), ("host", arguments.host)):
        if value:
            question[name] = value
    decision: Fields = session.call("compute", "POST", "/os-placing-decisions", {"decision": question})["decision"]
    return decision


def _flavor_id(session: Session, wanted: str) -> str:
    return _one_of(session.get("compute", "/flavors", is_public="none")["flavors"], wanted, "compute", "flavor")


def _one_of(found: Sequence[Fields], wanted: str, service: str, kind: str) -> str:
    """The id of the one that has it for id or name. Raises RemoteFault."""
    if any(each["id"] == wanted for each in found):
        return wanted
    named: list[str] = [each["id"] for each in found if each["name"] == wanted]
    if len(named) != 1:
        told = (
            f"{len(named)} of kind {kind} are called {wanted}; give an id" if named else f"there is no {kind} {wanted}"
        )
        raise RemoteFault(service, 409 if named else 404, told)
    return named[0]


def hints_of(words: Sequence[str]) -> Fields:
    """`same_host=A same_host=B` → a list of both."""
    hints: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in hints:
            known = hints[key]
            hints[key] = [*(known if isinstance(known, list) else [known]), value]
        else:
            hints[key] = value
    return hints


def render(decision: Fields) -> str:
    """The sentence, the stages, and the hosts that each has refused."""
    head = f"It would go to {decision['said']}." if decision["chosen"] else decision["said"]
    stages = [(each["name"], str(each["before"]), str(each["after"])) for each in decision["stages"]]
    lines = [head, "", *render_table(("Stage", "Hosts before", "After"), stages)]
    refused = [
        (each["host"], stage["name"], each["reason"]) for stage in decision["stages"] for each in stage["refused"]
    ]
    if refused:
        lines += ["", *render_table(("Host", "Refused by", "Because it"), refused)]
    untold = sum(each["untold"] for each in decision["stages"])
    return "\n".join([*lines, *([f"and {untold} more"] if untold else [])])
