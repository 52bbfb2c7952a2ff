"""The stock `openstack` client at one user's keyboard on a cloud's host: one process to which commands are typed."""

import json
import os
import select
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.host import OwnHost

PROGRAM = Path(__file__).with_name("typing_client.py")
ENDING_SECONDS = 10
LONGEST_SECONDS = 60


class StockClient:
    """The client of the environment that `openstack` lies in, with a user's variables."""

    def __init__(self, host: OwnHost, openstack: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            host.argv(os.fspath(openstack.with_name("python")), os.fspath(PROGRAM)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=host.environment(environment),
        )
        self._is_idle = True

    def run(self, command: str) -> Any:
        """Types a command; returns its `status`, `out` and `err`. One that takes too long fails the test."""
        assert self._process.stdin and self._process.stdout
        # The late answer to a command that was given up must not be taken for this one's.
        assert self._is_idle, f"openstack {command}: the client still works on a command before it"
        self._is_idle = False
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        # Nothing is buffered here: each command has one line of answer, and the one before it was read.
        answers, _, _ = select.select([self._process.stdout], [], [], LONGEST_SECONDS)
        assert answers, f"openstack {command}: not within {LONGEST_SECONDS} s"
        answer = json.loads(self._process.stdout.readline())
        self._is_idle = True
        return answer

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            # It still works on a command that was given up; the host's end ends it.
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
