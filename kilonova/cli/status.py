"""`kilonova status`: what runs, what answers, and how many servers there are. `--json` for programs.

Exit status 0 when the cloud runs and all of it answers, else 1.
"""

import argparse
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from kilonova.cli.rest import Session, auth_url_of, login_from
from kilonova.cli.state import StateDir, default_path, process_start, read_config
from kilonova.kit.http.client import RemoteFault

PROBE_SECONDS = 3.0
NOT_IN_CATALOG = {"metadata": 8775, "console": 6080}
"""Only network agents call the metadata API, and compute names the console proxy to whoever asks for a console."""


class Endpoint(msgspec.Struct):
    service: str
    url: str
    answers: bool


class Agent(msgspec.Struct):
    binary: str
    host: str
    state: str
    """`up` or `down`."""


class Process(msgspec.Struct):
    pid: int
    uptime_seconds: float
    memory_mib: float
    """Proportional set size (proc(5), smaps_rollup)."""


class Status(msgspec.Struct):
    state_dir: str
    process: Process | None
    endpoints: list[Endpoint] = []
    agents: list[Agent] = []
    servers: dict[str, int] = {}
    """Status → how many."""
    problem: str | None = None

    @property
    def is_healthy(self) -> bool:
        answering = all(endpoint.answers for endpoint in self.endpoints)
        return self.process is not None and self.problem is None and answering and self.are_agents_up

    @property
    def are_agents_up(self) -> bool:
        return all(agent.state == "up" for agent in self.agents)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    state = StateDir(arguments.state_dir or default_path())
    status = read_status(state, read_config(state))
    print(json.dumps(msgspec.to_builtins(status), indent=2) if arguments.json else render_status(status))
    return 0 if status.is_healthy else 1


def read_status(state: StateDir, config: Any) -> Status:
    """Asks the process, then the APIs as any administrator may."""
    pid = state.running_pid()
    process = None if pid is None else read_process(pid)
    status = Status(str(state.path), process)
    if process is None:
        status.problem = f"The cloud does not run: start it with `{state.typed('up')}`."
        return status
    with Session(login_from(config, "admin")) as session:
        try:
            session.log_in()
            status.endpoints = _probe({**session.endpoints, **_other_urls(config)})
            status.agents = _agents(session)
            status.servers = _count_servers(session)
        except RemoteFault as fault:
            status.problem = f"{fault}."
    return status


def _other_urls(config: Any) -> dict[str, str]:
    host = auth_url_of(config).removesuffix(":5000/v3")
    return {name: f"{host}:{port}" for name, port in NOT_IN_CATALOG.items()}


def _probe(urls: dict[str, str]) -> list[Endpoint]:
    return [Endpoint(service, url, _answers(url)) for service, url in urls.items()]


def _answers(url: str) -> bool:
    """Whether something sensible comes back; that it wants a token is sensible."""
    try:
        return httpx.get(url, timeout=PROBE_SECONDS, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def _agents(session: Session) -> list[Agent]:
    services = session.get("compute", "/os-services")["services"]
    agents = [Agent(each["binary"], each["host"], each["state"]) for each in services]
    for each in session.get("network", "/v2.0/agents")["agents"]:
        agents.append(Agent(each["binary"], each["host"], "up" if each["alive"] else "down"))
    return agents


def _count_servers(session: Session) -> dict[str, int]:
    counts: Counter[str] = Counter()
    query = {"all_tenants": "1", "limit": "1000"}
    while True:
        servers = session.get("compute", "/servers/detail", **query)["servers"]
        counts.update(server["status"] for server in servers)
        if len(servers) < int(query["limit"]):
            return dict(sorted(counts.items()))
        query["marker"] = servers[-1]["id"]


def read_process(pid: int) -> Process | None:
    """Age and memory of a process; None when it has just ended."""
    started = process_start(pid)
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    if started is None or found is None:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")
    return Process(pid, round(age, 1), round(int(found[1]) / 1024, 1))


# --- as text ---------------------------------------------------------------------------------------------------------


def render_status(status: Status) -> str:
    lines = [f"State     {status.state_dir}"]
    if status.process is not None:
        process = status.process
        age = render_age(process.uptime_seconds)
        lines.append(f"Process   {process.pid}, up {age}, {process.memory_mib:.0f} MiB of memory")
    if status.endpoints:
        rows = [(each.service, each.url, "answers" if each.answers else "SILENT") for each in status.endpoints]
        lines += ["", *render_table(("Service", "Endpoint", ""), rows)]
    if status.agents:
        rows = [(each.binary, each.host, each.state) for each in status.agents]
        lines += ["", *render_table(("Agent", "Host", "State"), rows)]
    if status.process is not None and status.problem is None:
        counts = ", ".join(f"{count} {name}" for name, count in status.servers.items()) or "none"
        lines += ["", f"Servers   {counts}"]
    if status.problem is not None:
        lines += ["", status.problem]
    return "\n".join(lines)


def render_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    cells = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return [line.rstrip() for line in cells]


def render_age(seconds: float) -> str:
    """`2 d 3 h`, `4 min 10 s`: the two largest units."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    left = int(seconds)
    parts: list[str] = []
    for name, length in units:
        if left >= length or (name == "s" and not parts):
            parts.append(f"{left // length} {name}")
            left %= length
    return " ".join(parts[:2])
