"""`kilonova drain HOST`: gives a host no more servers, and moves those that it has to others, live if they run.

Interrupted, it is run again. `kilonova restore HOST` takes it back.
"""

import argparse
import sys
from datetime import UTC, datetime

from kilonova.cli.moving import VERSION, find_service, move_all, say, servers_on, summary
from kilonova.cli.rest import Session, login_of
from kilonova.kit.http.client import RemoteFault

REASON = "drained since "
"""The beginning of the disabled service's reason; `restore` reads the time behind it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="the compute host, as `openstack compute service list` shows it")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="servers that move at once (default: 2)")


def run(arguments: argparse.Namespace) -> int:
    with Session(login_of(arguments)) as session:
        session.versions["compute"] = VERSION
        try:
            return drain(session, arguments.host, max(arguments.at_once, 1))
        except RemoteFault as fault:
            print(f"kilonova drain: {fault}", file=sys.stderr)
            return 1


def drain(session: Session, host: str, at_once: int) -> int:
    """The exit code: 0 when nothing is left on the host. Raises RemoteFault."""
    service = find_service(session, host)
    if service["status"] == "enabled":
        reason = f"{REASON}{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        change = {"status": "disabled", "disabled_reason": reason}
        session.call("compute", "PUT", f"/os-services/{service['id']}", change)
    say(f"{host} gets no more servers")
    moved, left = summary(move_all(session, servers_on(session, host), None, at_once))
    print(f"{host}: {moved} moved, {left} left")
    return 1 if left else 0
