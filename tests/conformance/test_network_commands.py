"""The stock client's network commands, as the table says, on a simulated cloud."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.network_commands import ROWS
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.host import OwnHost
from tools import stock_clients

TYPING = Path(__file__).parent / "typing_client.py"
ENDING_SECONDS = 10


class Client:
    """The stock client on the cloud's host, typed at by one user."""

    def __init__(self, cloud: CloudUnderTest, user: str) -> None:
        name = "kilonova" if user == "admin" else f"kilonova-{user}"
        environment = {"OS_CLIENT_CONFIG_FILE": str(cloud.state.clouds_yaml), "OS_CLOUD": name}
        self._process = subprocess.Popen(
            cloud.host.argv(str(stock_clients.CLIENTS / "bin/python"), str(TYPING)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=cloud.host.environment(environment),
        )

    def run(self, command: str) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(ENDING_SECONDS)
        self._process.stdout.close()


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[dict[str, Client]]:
    """User → a client of his, on a fresh simulated cloud."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    stock_clients.install()
    host = OwnHost("vm", tmp_path, {})
    host.start()
    cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
    try:
        cloud.kilonova("up", "--detach", "--fake", "2")
        typed = {user: Client(cloud, user) for user in ("admin", "demo")}
        yield typed
        for each in typed.values():
            each.close()
    finally:
        cloud.close()
        host.power_off()


@pytest.mark.e2e
def test_every_network_command_ends_as_the_table_says(clients: dict[str, Client]) -> None:
    kept: dict[str, str] = {}
    wrong = []
    for row in ROWS:
        command = row.command
        for name, value in kept.items():
            command = command.replace(f"{{{name}}}", value)
        done = clients[row.user].run(command)
        if row.keep:
            kept[row.keep] = done["out"].split()[0] if done["out"].strip() else ""
        if bool(done["status"]) != bool(row.status) or row.shows not in done["out"] + done["err"]:
            wrong.append(f"openstack {command}\n  ended with {done['status']}: {done['err'] or done['out']}")
    assert not wrong, "\n".join(wrong)
