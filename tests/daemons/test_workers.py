"""Several processes of one daemon: they share the port, are started again, and end together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kilonova.cli.daemons import workers
from kilonova.kit.config import ConfigError
from kilonova.kit.testing.ports import free_ports

SCRIPT = """
import asyncio, os, sys
from kilonova.cli.daemons.process import main
from kilonova.cli.parts.part import Api, Part, Running

async def build(ground):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
    if os.environ.get("BROKEN"):
        raise RuntimeError("cannot live")
    return Running([Api("pids", app, "127.0.0.1", ground.config.bind_port)])

sys.exit(main(Part("glance-api", "glance", [], build)))
"""


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Started:
    def __init__(self, tmp_path: Path, **environment: str) -> None:
        (self.port,) = free_ports(1)
        file = tmp_path / "glance-api.conf"
        file.write_text(f"[DEFAULT]\nbind_host=127.0.0.1\nbind_port={self.port}\n")
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(tmp_path / "notify"))
        self.told.settimeout(20)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, "--config-file", str(file), "--workers", "2"],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), **environment},
            stderr=subprocess.PIPE,
        )

    def ask(self) -> int | None:
        """The process that answers a connection of its own."""
        try:
            return int(httpx.get(f"http://127.0.0.1:{self.port}/").text)
        except httpx.HTTPError:
            return None

    def pids(self) -> set[int]:
        return {pid for pid in (self.ask() for _ in range(20)) if pid is not None}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    found = Started(tmp_path)
    assert found.told.recv(64) == b"READY=1"
    yield found
    found.process.kill()
    found.process.communicate()
    found.told.close()


def test_workers_share_the_port_and_one_that_dies_is_started_again(started: Started) -> None:
    until(lambda: len(started.pids()) == 2)
    before = started.pids()
    assert started.process.pid not in before
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(started.pids() - {victim}) == 2)
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(20) == 0
    assert started.ask() is None


def test_workers_end_with_a_parent_that_is_killed(started: Started) -> None:
    until(lambda: len(started.pids()) == 2)
    started.process.kill()
    until(lambda: started.ask() is None)


def test_what_one_worker_cannot_do_ends_them_all_with_its_code(tmp_path: Path) -> None:
    started = Started(tmp_path, BROKEN="1")
    _, said = started.process.communicate(timeout=20)
    assert started.process.returncode == 1
    assert b"cannot live" in said
    started.told.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--workers", "3", "--config-file", "x"], (3, ["--config-file", "x"])),
        (["--workers=2"], (2, [])),
        ([], (None, [])),
    ],
)
def test_the_number_of_workers_is_taken_from_the_words(
    words: list[str], expected: tuple[int | None, list[str]]
) -> None:
    assert workers.split_words("nova-api", words) == expected


@pytest.mark.parametrize("words", [["--workers"], ["--workers", "0"], ["--workers=many"], ["--workers=-1"]])
def test_a_number_of_workers_that_is_none_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="a number from 1 on"):
        workers.split_words("nova-api", words)


def test_an_agent_is_one_process_a_host() -> None:
    with pytest.raises(ConfigError, match="one process a host"):
        workers.split_words("nova-compute", ["--workers", "2"])
