"""`kilonova restore HOST`: lets a drained host have servers again, and moves back live those that left it since."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from kilonova.cli.drain import REASON
from kilonova.cli.moving import VERSION, find_service, move_all, say, summary
from kilonova.cli.rest import Fields, Session, login_of
from kilonova.kit.http.client import RemoteFault


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="the compute host that was drained")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="servers that move at once (default: 2)")
    parser.add_argument("--leave", action="store_true", help="leave the servers where they are now")


def run(arguments: argparse.Namespace) -> int:
    with Session(login_of(arguments)) as session:
        session.versions["compute"] = VERSION
        try:
            return restore(session, arguments.host, max(arguments.at_once, 1), leaves=arguments.leave)
        except RemoteFault as fault:
            print(f"kilonova restore: {fault}", file=sys.stderr)
            return 1


def restore(session: Session, host: str, at_once: int, *, leaves: bool) -> int:
    """The exit code: 0 when every server that left the host is back. Raises RemoteFault."""
    service = find_service(session, host)
    since = _drained_at(service)
    gone = [] if leaves else _gone_since(session, host, since)
    if service["status"] != "enabled":
        session.call("compute", "PUT", f"/os-services/{service['id']}", {"status": "enabled"})
    say(f"{host} gets servers again")
    moved, left = summary(move_all(session, gone, host, at_once))
    print(f"{host}: {moved} moved back of those that left since {since}, {left} not")
    return 1 if left else 0


def _drained_at(service: Fields) -> str:
    """When the host was drained; a day ago where that is not known any more, as after an interrupted restore."""
    reason = str(service["disabled_reason"] or "")
    if reason.startswith(REASON):
        return reason.removeprefix(REASON)
    return f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"


def _gone_since(session: Session, host: str, since: str) -> list[Fields]:
    """The servers whose last move since then was away from the host."""
    moves: list[Fields] = []
    for kind, status in (("live-migration", "completed"), ("migration", "confirmed")):
        query: dict[str, Any] = {"source_compute": host, "changes-since": since, "migration_type": kind}
        while page := session.get("compute", "/os-migrations", **query, status=status)["migrations"]:
            moves += page
            query["marker"] = page[-1]["uuid"]
    found: dict[str, Fields] = {}
    for move in moves:
        if move["instance_uuid"] in found:
            continue
        try:
            server = session.get("compute", f"/servers/{move['instance_uuid']}")["server"]
        except RemoteFault as fault:
            if fault.status != 404:
                raise
            continue
        if server["OS-EXT-SRV-ATTR:host"] == move["dest_compute"]:
            found[server["id"]] = server
    return list(found.values())
