"""`kilonova doctor`: checks what people stumble over when they run such a cloud, and says how to mend each.

Here the facts are gathered, of this host and of the running cloud; `doctor_checks` asks them. Exit status 0 when there
is no problem, warnings or not.
"""

import argparse
import contextlib
import importlib
import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from kilonova.cli import doctor_checks as checks
from kilonova.cli.doctor_checks import Clock, DatabaseFile, Finding
from kilonova.cli.rest import Session, login_from
from kilonova.cli.settings import idle
from kilonova.cli.state import PASSWORD_USERS, StateDir, default_path, read_config
from kilonova.cli.status import render_table
from kilonova.image.stores.file import measure
from kilonova.kit.http.client import RemoteFault

PROBE_SECONDS = 3.0
DATE_RESOLUTION = timedelta(seconds=1)
"""A Date header leaves out the fraction: on average half of this."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    state = StateDir(arguments.state_dir or default_path())
    findings = examine(state, read_config(state))
    print(json.dumps(msgspec.to_builtins(findings), indent=2) if arguments.json else render(findings))
    return 1 if any(finding.verdict == "problem" for finding in findings) else 0


def examine(state: StateDir, config: Any) -> list[Finding]:
    """Gathers the facts of this host and of the running cloud, and asks every check."""
    findings = [
        *_host_findings(state, config),
        *_image_storage_findings(state, config),
        *checks.check_settings(state.config_file, idle(state.config_file)),
        *checks.check_passwords(_secrets(config)),
        *checks.check_address(config.my_ip),
        *checks.check_databases([_look_at_database(state, service) for service in checks.DATABASES]),
        *_cell_findings(state),
    ]
    if state.running_pid() is None:
        stop = f"start it with `{state.typed('up')}`; then ask the doctor again"
        findings.append(Finding("process", "problem", "the cloud does not run", stop))
        return findings + checks.check_ports(_taken_ports(config.my_ip))
    findings.append(Finding("process", "ok", "the cloud runs"))
    with Session(login_from(config, "admin")) as session:
        return findings + _cloud_findings(session, config, state.log_file)


# --- this host -------------------------------------------------------------------------------------------------------


def _host_findings(state: StateDir, config: Any) -> list[Finding]:
    if config.compute_driver == "fake":
        return [Finding("virtualization", "ok", "hosts are simulated")]
    cpuinfo = Path("/proc/cpuinfo").read_text()
    free = shutil.disk_usage(state.path).free
    missing = [tool for tool in checks.TOOLS if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists()]
    has_kvm_node = Path("/dev/kvm").exists()
    return [
        *checks.check_virtualization(cpuinfo, has_kvm_node=has_kvm_node, virt_type=config.libvirt.virt_type),
        *checks.check_tools(missing),
        *checks.check_disk(state.path, free),
        *checks.check_bridge_filter(Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()),
    ]


def _image_storage_findings(state: StateDir, config: Any) -> list[Finding]:
    directory = state.path / "images"
    if not directory.is_dir():
        return []
    space = measure(directory, config.glance_store.filesystem_store_reserve)
    return checks.check_image_storage(directory, space.free, space.reserve)


def _secrets(config: Any) -> dict[str, str]:
    """Whose password → the password, and the metadata services' shared secret."""
    found = {user: getattr(config.passwords, user) or "" for user in PASSWORD_USERS}
    return {**found, "metadata_proxy_shared_secret": config.neutron.metadata_proxy_shared_secret or ""}


def _cell_findings(state: StateDir) -> list[Finding]:
    """Nothing where compute's database is not there, or not this release's: that was said already."""
    found = _look_at_database(state, "compute")
    if found.lacks is None or found.lacks:
        return []
    with contextlib.closing(sqlite3.connect(f"{Path(found.path).as_uri()}?mode=ro", uri=True)) as connection:
        cells = connection.execute("SELECT name FROM cell_mappings ORDER BY id").fetchall()
        hosts = connection.execute("SELECT host FROM hosts WHERE host NOT IN (SELECT host FROM host_mappings)")
        servers = "SELECT count(*) FROM servers WHERE id NOT IN (SELECT server_id FROM server_mappings)"
        (unmapped,) = connection.execute(servers).fetchone()
        names = tuple(row[0] for row in hosts)
    return checks.check_cells(checks.CellFacts(tuple(row[0] for row in cells), names, unmapped))


def _look_at_database(state: StateDir, service: str) -> DatabaseFile:
    """Reads the schema alone; a cloud that runs is not disturbed."""
    path = state.path / "databases" / f"{service}.db"
    tables = importlib.import_module(f"kilonova.{service}.tables").metadata.tables
    if not path.exists():
        return DatabaseFile(service, str(path), len(tables), None)
    lacks: list[str] = []
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for name, table in tables.items():
            there = {row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))}
            missing = [column.name for column in table.columns if column.name not in there]
            lacks += [f"{name}.{column}" for column in missing] if there else [name]
    return DatabaseFile(service, str(path), len(tables), tuple(lacks))


def _taken_ports(address: str) -> list[int]:
    taken = []
    for port in checks.PORTS:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                taken.append(port)
    return taken


# --- the running cloud -----------------------------------------------------------------------------------------------


def _cloud_findings(session: Session, config: Any, log_file: Path) -> list[Finding]:
    """Each question by itself: a service that does not answer one leaves the others to be asked."""
    questions: tuple[tuple[str, Callable[[Session, Any], list[Finding]]], ...] = (
        ("identity", _log_in),
        ("catalog", _catalog_findings),
        ("clock", _clock_findings),
        ("compute hosts", _compute_findings),
        ("agents", _agent_findings),
        ("volumes", _volume_findings),
    )
    findings = []
    for check, ask in questions:
        try:
            findings += ask(session, config)
        except RemoteFault as fault:
            mend = f"mend what is said of the catalog, or look at the end of {log_file}"
            findings.append(Finding(check, "problem", str(fault), mend))
            if check == "identity":
                break
    return findings


def _log_in(session: Session, _config: Any) -> list[Finding]:
    session.log_in()
    return []


def _catalog_findings(session: Session, config: Any) -> list[Finding]:
    services = session.get("identity", "/services")["services"]
    endpoints = session.get("identity", "/endpoints")["endpoints"]
    return checks.check_catalog(services, endpoints, config.region_name)


def _clock_findings(session: Session, _config: Any) -> list[Finding]:
    return checks.check_clocks([_read_clock(service, url) for service, url in session.endpoints.items()])


def _read_clock(service: str, url: str) -> Clock:
    """What time an API's host has, by the Date of an answer (RFC 9110); any answer will do."""
    parts = urlsplit(url)
    began = datetime.now(UTC)
    try:
        response = httpx.get(f"{parts.scheme}://{parts.netloc}/", timeout=PROBE_SECONDS, trust_env=False)
        theirs = parsedate_to_datetime(response.headers["date"]) + DATE_RESOLUTION / 2
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError):
        return Clock(service, url, None, began)
    return Clock(service, url, theirs, began + (datetime.now(UTC) - began) / 2)


def _compute_findings(session: Session, config: Any) -> list[Finding]:
    computes = _computes(session)
    hypervisors = session.get("compute", "/os-hypervisors")["hypervisors"]
    inventories = {}
    for provider in session.get("placement", "/resource_providers")["resource_providers"]:
        found = session.get("placement", f"/resource_providers/{provider['uuid']}/inventories")["inventories"]
        inventories[provider["name"]] = frozenset(found)
    simulated = config.compute_driver == "fake"
    return [
        *checks.check_hosts(computes, hypervisors, inventories),
        *checks.check_host_name(config.host, socket.gethostname(), computes, simulated=simulated),
    ]


def _agent_findings(session: Session, _config: Any) -> list[Finding]:
    agents = session.get("network", "/v2.0/agents")["agents"]
    return [*checks.check_agents(_computes(session), agents), *checks.check_agents_clocks(agents)]


def _volume_findings(session: Session, _config: Any) -> list[Finding]:
    services = session.get("block-storage", "/os-services")["services"]
    pools = session.get("block-storage", "/scheduler-stats/get_pools", detail="true")["pools"]
    return checks.check_volumes(services, pools)


def _computes(session: Session) -> Sequence[checks.Facts]:
    services: Sequence[checks.Facts] = session.get("compute", "/os-services", binary="nova-compute")["services"]
    return services


# --- as text ---------------------------------------------------------------------------------------------------------


def render(findings: Sequence[Finding]) -> str:
    """One line a check, what to do below those that found something, and a sentence at the end."""
    rows = [
        (finding.verdict.upper() if finding.verdict != "ok" else "ok", finding.check, finding.what)
        for finding in findings
    ]
    lines = render_table(("", "Check", "Finding"), rows)
    shown = [lines[0]]
    for line, finding in zip(lines[1:], findings, strict=True):
        shown.append(line)
        if finding.verdict != "ok" and finding.mend:
            shown.append(f"{'':9}{'':2}→ {finding.mend}")
    problems = sum(finding.verdict == "problem" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    passed = len(findings) - problems - warnings
    counts = (_counted(problems, "problem"), _counted(warnings, "warning"), f"{_counted(passed, 'check')} passed")
    return "\n".join([*shown, "", ", ".join(counts)])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
