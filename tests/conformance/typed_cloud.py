"""A fresh simulated cloud, and the stock clients of its two users at their keyboards."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.rows import Row
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.host import OwnHost
from tests.e2e.stock_client import StockClient
from tools import stock_clients

HERE = Path(__file__).parent
USERS = ("admin", "demo")
EVENTUALLY_SECONDS = 20
_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b|req-[0-9a-f-]+")
_PREAMBLE = re.compile(r"\w+Exception: (\d{3}): Client Error for url: \S+, ")
_COUNTS = re.compile(r"\d+ of \d+ |usage:|Traceback|Removing |\[")
"""Lines that say less than those beside them."""
PYTHON = stock_clients.CLIENTS / "bin/python"


@dataclass(frozen=True)
class Ending:
    """How a row ended. What was `typed` and `awaited` are the row's words, with what earlier rows kept put in."""

    row: Row
    typed: str
    awaited: str
    status: int
    out: str
    err: str

    @property
    def is_as_said(self) -> bool:
        return bool(self.status) == bool(self.row.status) and self.awaited in self.out + self.err

    def __str__(self) -> str:
        return f"openstack {self.typed}\n  ended with {self.status}: {self.err or self.out}"

    def sentence(self) -> str:
        """What the client says of a refusal, without what differs from cloud to cloud."""
        lines = [line.strip() for line in f"{self.err}\n{self.out}".splitlines() if line.strip()]
        telling = [line for line in lines if not _COUNTS.match(line)]
        named = [line for line in telling if self.awaited and self.awaited in line]
        said = next(iter(named or telling), "")
        return _ID.sub("…", _PREAMBLE.sub(r"\1: ", said))


@contextmanager
def typed_cloud(directory: Path, files: Mapping[str, bytes]) -> Iterator[dict[str, StockClient]]:
    """User → a client of his in `directory`, which holds `files`, on a fresh simulated cloud of two hosts."""
    stock_clients.install()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    host = OwnHost("vm", directory, {})
    host.start()
    with ExitStack() as ending:
        ending.callback(host.power_off)
        cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
        ending.callback(cloud.close)
        cloud.kilonova("up", "--detach", "--fake", "2")
        yield {user: cloud.client(user) for user in USERS}


def run_rows(clients: Mapping[str, StockClient], rows: Sequence[Row]) -> list[Ending]:
    kept: dict[str, str] = {}
    endings = []
    for row in rows:
        ending = _type(clients[row.user], row, _filled(row.command, kept), _filled(row.shows, kept))
        if row.keep:
            kept[row.keep] = ending.out.split()[0] if ending.out.strip() else ""
        endings.append(ending)
    return endings


def _filled(text: str, kept: Mapping[str, str]) -> str:
    for name, value in kept.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _type(client: StockClient, row: Row, typed: str, awaited: str) -> Ending:
    deadline = time.monotonic() + EVENTUALLY_SECONDS
    while True:
        done = client.run(typed)
        ending = Ending(row, typed, awaited, int(done["status"]), str(done["out"]), str(done["err"]))
        if ending.is_as_said or not row.eventually or time.monotonic() > deadline:
            return ending
        time.sleep(0.2)


def ask_commands(groups: Sequence[str]) -> dict[str, list[list[str]]]:
    """Command of the client → its options, each with all its spellings."""
    stock_clients.install()
    argv = [str(PYTHON), str(HERE / "client_commands.py"), *groups]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said))
