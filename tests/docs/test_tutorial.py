"""The tutorial's commands, typed in its order as they stand in it, on a host of their own."""

import re
import shlex
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cloud import CloudUnderTest
from tests.e2e.host import OwnHost, wait_for
from tests.e2e.stock_client import StockClient
from tools import stock_clients
from tools.stages import ROOT

TUTORIAL = ROOT / "docs/tutorial.md"
READERS_SHELL = {'eval "$(kilonova env)"'}
"""What only prepares the reader's own shell."""
SHOWS_THE_FAULT = "openstack server show big -c status -c fault"


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "a command's output is not checked, so it is not shown"
    return [line.removeprefix("$ ") for line in lines]


def type_openstack(client: StockClient, command: str) -> str:
    done = client.run(command.removeprefix("openstack "))
    assert done["status"] == 0, f"{command}\n{done['err']}"
    return str(done["out"])


def has_failed(client: StockClient) -> bool:
    return "ERROR" in type_openstack(client, SHOWS_THE_FAULT)


@pytest.mark.e2e
def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    stock_clients.install()
    host = OwnHost("vm", tmp_path, {})
    host.start()
    with ExitStack() as ending:
        ending.callback(host.power_off)
        cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
        ending.callback(cloud.close)
        start, *rest = [each for each in commands(TUTORIAL.read_text()) if each not in READERS_SHELL]
        cloud.kilonova(*shlex.split(start)[1:])
        client = cloud.client("admin")
        shown: dict[str, str] = {}
        for command in rest:
            if command == SHOWS_THE_FAULT:
                wait_for(partial(has_failed, client), 20, "the server cannot be placed")
            program, *words = shlex.split(command)
            match program:
                case "kilonova":
                    shown[command] = cloud.kilonova(*words)
                case "openstack":
                    shown[command] = type_openstack(client, command)
                case _:
                    host.run(program, *words)
    assert "ACTIVE" in shown["openstack server show first"]
    assert "203.0.113.105" in shown["openstack server list"]
    assert "9000000" in shown[SHOWS_THE_FAULT]
    assert "first" in shown["kilonova trace first"]
