"""Moves servers, one after the other or some at once, and tells how far each is; for `drain` and `restore`.

Those that run move live, those that are off with their disks, which is confirmed at once: nobody else has asked for it.
Nothing is kept between two runs: whoever is interrupted runs the command again, and it goes on with what is left.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from kilonova.cli.rest import Fields, Session
from kilonova.kit.http.client import RemoteFault

VERSION = "2.80"
POLL_SECONDS = 1.0
UNDER_WAY = (
    "queued", "preparing", "running", "pre-migrating", "migrating", "post-migrating", "confirming", "reverting"
)  # fmt: skip
LIVE, OFF = ("ACTIVE", "PAUSED"), "SHUTOFF"
ON_THEIR_WAY = ("MIGRATING", "RESIZE")


class Outcome(Struct, frozen=True):
    """The end of one server's move."""

    server: str
    """Its name."""
    has_moved: bool
    told: str


def find_service(session: Session, host: str) -> Fields:
    """The compute service of a host. Raises RemoteFault when there is none."""
    services = session.get("compute", "/os-services", host=host, binary="nova-compute")["services"]
    if not services:
        raise RemoteFault("compute", 404, f"there is no compute host {host}")
    service: Fields = services[0]
    return service


def servers_on(session: Session, host: str) -> list[Fields]:
    """All servers on a host, of all projects."""
    found: list[Fields] = []
    marker: dict[str, Any] = {}
    while True:
        page = session.get("compute", "/servers/detail", all_tenants=1, host=host, **marker)["servers"]
        found += page
        if not page:
            return found
        marker = {"marker": page[-1]["id"]}


def move_all(session: Session, wanted: Sequence[Fields], target: str | None, at_once: int) -> list[Outcome]:
    """Moves servers to a host, or to any that will do, so many at once. Says of each what has become of it."""
    outcomes: list[Outcome] = []
    waiting = list(wanted)
    moving: dict[str, Fields] = {}
    while waiting or moving:
        while waiting and len(moving) < at_once:
            server = waiting.pop(0)
            refusal = _begin(session, server, target)
            if refusal:
                outcomes.append(_told(Outcome(server["name"], False, f"stays: {refusal}")))
            else:
                say(f"{server['name']}: moving")
                moving[server["id"]] = server
        for server in list(moving.values()):
            outcome = _look(session, server)
            if outcome is not None:
                outcomes.append(_told(outcome))
                del moving[server["id"]]
        if moving:
            time.sleep(POLL_SECONDS)
    return outcomes


def _told(outcome: Outcome) -> Outcome:
    say(f"{outcome.server}: {outcome.told}")
    return outcome


def _begin(session: Session, server: Fields, target: str | None) -> str:
    """Asks for the move, unless it is under way already; returns why not, empty when it is."""
    if server["status"] in ON_THEIR_WAY:
        return ""
    if server["status"] not in (*LIVE, OFF):
        return f"it is {server['status']}, and only servers that are {', '.join(LIVE)} or {OFF} can be moved"
    live = {"os-migrateLive": {"host": target, "block_migration": "auto"}}
    body = {"migrate": {"host": target} if target else None} if server["status"] == OFF else live
    try:
        session.call("compute", "POST", f"/servers/{server['id']}/action", body)
    except RemoteFault as fault:
        return fault.message
    return ""


def _look(session: Session, server: Fields) -> Outcome | None:
    """Returns the end of the server's newest move; None while it is under way."""
    name, query = server["name"], {"instance_uuid": server["id"], "limit": 1}
    newest = next(iter(session.get("compute", "/os-migrations", **query)["migrations"]), None)
    if newest is None:
        return Outcome(name, False, "stays: nothing is known of its move")
    if newest["status"] in UNDER_WAY:
        return None
    if newest["status"] == "finished" and server["status"] == OFF:
        session.call("compute", "POST", f"/servers/{server['id']}/action", {"confirmResize": None})
        return None
    if newest["status"] in ("completed", "confirmed"):
        return Outcome(name, True, f"is on {newest['dest_compute']} now")
    return Outcome(name, False, f"stays: {_reason(session, server['id']) or newest['status']}")


def _reason(session: Session, server_id: str) -> str:
    """Returns the reason of the server's last action that failed; empty when it tells none."""
    actions = session.get("compute", f"/servers/{server_id}/os-instance-actions")["instanceActions"]
    return str(actions[0]["message"] or "") if actions else ""


def say(line: str) -> None:
    """Prints a line at once: whoever watches a move wants to see it."""
    print(line, flush=True)


def summary(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """Counts the servers that have moved, and those that have not."""
    ends = list(outcomes)
    moved = sum(each.has_moved for each in ends)
    return moved, len(ends) - moved
