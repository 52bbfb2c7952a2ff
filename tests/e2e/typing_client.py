"""Types commands at the stock `openstack` client, all in one process: starting it takes longer than what it does.

Runs in the clients' environment, not in ours, as the one user its variables name. Each line of standard input is a
command (in JSON, without the word `openstack`), each line of standard output `{"status", "out", "err"}`.
"""

import contextlib
import io
import json
import os
import shlex
import sys

from openstackclient import shell
from osc_lib.clientmanager import ClientCache, ClientManager


def main() -> None:
    commands, answers = sys.stdin, sys.stdout
    # Commands that take data from standard input look whether somebody sits there; somebody who types nothing does.
    _, terminal = os.openpty()
    sys.stdin = os.fdopen(terminal)
    for line in commands:
        asked = json.loads(line)
        forget_user()
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = shell.main(shlex.split(asked))
            except SystemExit as end:
                status = end.code
        for stream in (out, err):
            stream.seek(0)
        answers.write(json.dumps({"status": int(status or 0), "out": out.read(), "err": err.read()}) + "\n")
        answers.flush()


def forget_user() -> None:
    """Drops what the client keeps for the user of its process's first command: this one may name another user."""
    for attribute in vars(ClientManager).values():
        if isinstance(attribute, ClientCache):
            attribute._handle = None


if __name__ == "__main__":
    main()
