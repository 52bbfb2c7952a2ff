"""What the doctor finds, and that it always says how to mend it."""

import contextlib
import importlib
import re
import socket
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli import doctor
from kilonova.cli import doctor_checks as checks
from kilonova.cli.doctor_checks import CellFacts, Clock, DatabaseFile
from kilonova.cli.state import StateDir, read_config
from tests.databases import Databases, Sqlite

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = "flags\t\t: fpu sse2"
VMX = "flags\t\t: fpu vmx sse2"
KEEPER = {"binary": "cinder-volume", "host": "node1@lvm", "state": "up", "status": "enabled"}
POOL: dict[str, Any] = {"name": "node1@lvm#lvm", "capabilities": {"trouble": ""}}
UP = {"binary": "nova-compute", "host": "node1", "state": "up", "status": "enabled"}
HYPERVISOR = {"hypervisor_hostname": "node1"}
AGENT = {"binary": "neutron-dhcp-agent", "host": "node1", "alive": True, "configurations": {"clock_skew_seconds": 0.3}}
BEHIND = {**AGENT, "host": "node2", "configurations": {"clock_skew_seconds": -60.2}}
ALL = frozenset({"VCPU", "MEMORY_MB", "DISK_GB"})
API = "http://10.0.0.5:9292"


def services(*missing: str) -> list[dict[str, Any]]:
    return [{"type": each, "id": f"id-{each}"} for each in checks.SERVICE_TYPES if each not in missing]


def endpoints(url: str = "http://127.0.0.1:5000", **missing: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{service}-{interface}",
            "service_id": f"id-{service}",
            "interface": interface,
            "region_id": "RegionOne",
            "enabled": True,
            "url": url,
        }
        for service in checks.SERVICE_TYPES
        for interface in checks.INTERFACES
        if missing.get(service) != interface
    ]


FOUND: list[tuple[Sequence[checks.Finding], str, str]] = [
    (checks.check_virtualization(VMX, has_kvm_node=True, virt_type="auto"), "ok", "kvm"),
    (checks.check_virtualization(PLAIN, has_kvm_node=False, virt_type="auto"), "warning", "emulated"),
    (checks.check_virtualization(PLAIN, has_kvm_node=True, virt_type="auto"), "warning", "would hang"),
    (checks.check_virtualization(PLAIN, has_kvm_node=True, virt_type="kvm"), "problem", "neither vmx nor svm"),
    (checks.check_virtualization(VMX, has_kvm_node=False, virt_type="kvm"), "problem", "no /dev/kvm"),
    (checks.check_tools([]), "ok", "installed"),
    (checks.check_tools(["ipset", "dnsmasq"]), "problem", "ipset"),
    (checks.check_disk(Path("/var"), 5 << 30), "ok", "5.0 GiB"),
    (checks.check_disk(Path("/var"), 5 << 20), "problem", "0.0 GiB"),
    (checks.check_image_storage(Path("/var"), 5 << 30, 1 << 30), "ok", "5120 MiB free, of which uploads leave 1024"),
    (checks.check_image_storage(Path("/var"), 1 << 29, 1 << 30), "problem", "uploads are refused: 512 MiB free"),
    (checks.check_bridge_filter(True), "ok", "filters"),
    (checks.check_bridge_filter(False), "problem", "does not filter"),
    (checks.check_passwords({"admin": "x" * 20}), "ok", "none"),
    (checks.check_passwords({"admin": "ADMIN_PASS", "nova": "x" * 20}), "problem", "guessed: admin"),
    (checks.check_passwords({"admin": "short"}), "problem", "admin"),
    (checks.check_address("127.0.0.1"), "ok", "this host only"),
    (checks.check_address("10.0.0.5"), "warning", "without TLS"),
    (checks.check_address("0.0.0.0"), "problem", "0.0.0.0"),
    (checks.check_ports([]), "ok", "free"),
    (checks.check_ports([9292]), "problem", "port 9292 (image)"),
    (checks.check_catalog(services(), endpoints(), "RegionOne"), "ok", "every service"),
    (checks.check_catalog(services("placement"), endpoints(), "RegionOne"), "problem", "service placement"),
    (checks.check_catalog(services(), endpoints(image="admin"), "RegionOne"), "problem", "image has no admin"),
    (checks.check_catalog(services(), endpoints(), "RegionTwo"), "problem", "identity has no public"),
    (checks.check_catalog(services(), endpoints("http://0.0.0.0:1"), "RegionOne"), "problem", "http://0.0.0.0:1"),
    (checks.check_clocks([Clock("image", API, NOW, NOW)]), "ok", "agrees"),
    (
        checks.check_clocks([Clock("image", API, NOW + timedelta(seconds=9), NOW)]),
        "problem",
        f"image's host ({API}) is +9",
    ),
    (checks.check_clocks([Clock("image", API, None, NOW)]), "problem", f"image does not answer at {API}"),
    (checks.check_agents_clocks([AGENT, BEHIND]), "problem", "host node2 is -60 s off"),
    (checks.check_hosts([UP], [HYPERVISOR], {"node1": ALL}), "ok", "1 registered"),
    (checks.check_hosts([], [], {}), "problem", "none has registered"),
    (checks.check_hosts([UP], [HYPERVISOR], {}), "problem", "not mapped: node1"),
    (checks.check_hosts([UP, UP], [HYPERVISOR], {"node1": ALL}), "problem", "no hypervisor"),
    (
        checks.check_hosts([UP], [HYPERVISOR], {"node1": frozenset({"VCPU"})}),
        "problem",
        "node1 has no DISK_GB, MEMORY_MB",
    ),
    (checks.check_databases([DatabaseFile("compute", "/c.db", 3, ())]), "ok", "its own"),
    (checks.check_cells(CellFacts(("cell0", "cell1"), (), 0)), "ok", "cell0 and cell1"),
    (checks.check_cells(CellFacts((), (), 0)), "ok", "none before the first start"),
    (checks.check_cells(CellFacts(("cell1",), ("node1",), 0)), "problem", "not mapped: node1"),
    (checks.check_cells(CellFacts(("cell1",), (), 2)), "problem", "2 servers have no mapping"),
    (checks.check_databases([DatabaseFile("compute", "/c.db", 3, None)]), "problem", "compute has none at /c.db"),
    (checks.check_databases([DatabaseFile("compute", "/c.db", 2, ("a", "b"))]), "problem", "/c.db is not compute's"),
    (checks.check_databases([DatabaseFile("compute", "/c.db", 2, ("a", "b.c"))]), "problem", "/c.db lacks a, b.c"),
    (checks.check_settings(Path("/k.conf"), []), "ok", "is read"),
    (
        checks.check_settings(Path("/k.conf"), [("[cells] name", "nothing reads it")]),
        "warning",
        "options have no effect: [cells] name: nothing reads it",
    ),
    (checks.check_host_name("node1", "node1", [UP], simulated=False), "ok", "node1"),
    (checks.check_host_name("node1", "renamed", [UP], simulated=False), "warning", "called renamed now"),
    (checks.check_host_name("other", "other", [UP], simulated=False), "problem", "not among"),
    (checks.check_agents([UP], [AGENT]), "ok", "all answer"),
    (checks.check_agents([{**UP, "state": "down"}], [AGENT]), "problem", "nova-compute on node1"),
    (checks.check_agents([UP], [{**AGENT, "alive": False}]), "problem", "neutron-dhcp-agent on node1"),
    (checks.check_agents([{**UP, "status": "disabled"}], [AGENT]), "warning", "disabled: node1"),
    (checks.check_volumes([KEEPER], [POOL]), "ok", "node1@lvm#lvm can take volumes"),
    (checks.check_volumes([{**KEEPER, "state": "down"}], [POOL]), "problem", "cinder-volume on node1@lvm"),
    (
        checks.check_volumes([{**KEEPER, "status": "disabled"}], [POOL]),
        "warning",
        "disabled: cinder-volume on node1@lvm",
    ),
    (checks.check_volumes([KEEPER], []), "problem", "no back end"),
    (
        checks.check_volumes([KEEPER], [{**POOL, "capabilities": {"trouble": "Volume group not found."}}]),
        "problem",
        "node1@lvm#lvm: Volume group not found.",
    ),
]


@pytest.mark.parametrize(("findings", "verdict", "words"), FOUND)
def test_each_check_finds_what_is_there(findings: Sequence[checks.Finding], verdict: str, words: str) -> None:
    assert findings[0].verdict == verdict
    assert words in findings[0].what


@pytest.mark.parametrize(("findings", "_verdict", "_words"), FOUND)
def test_whatever_is_wrong_comes_with_its_mending(
    findings: Sequence[checks.Finding], _verdict: str, _words: str
) -> None:
    assert all(bool(finding.mend) is (finding.verdict != "ok") for finding in findings)


def test_the_report_names_problems_and_counts_them() -> None:
    text = doctor.render([finding for findings, _, _ in FOUND[:3] for finding in findings])
    assert "0 problems, 2 warnings, 1 check passed" in text
    assert "→ switch (nested) virtualization on" in text


def test_one_problem_is_counted_as_one() -> None:
    found = [*checks.check_tools(["ipset"]), *checks.check_address("10.0.0.5"), *checks.check_ports([])]
    assert doctor.render(found).endswith("1 problem, 1 warning, 1 check passed")


def test_agents_whose_clocks_agree_are_not_spoken_of() -> None:
    assert checks.check_agents_clocks([AGENT, {**AGENT, "configurations": {}}]) == []


def found_in(state: StateDir) -> dict[str, tuple[str, str]]:
    """Check → verdict and words, of a cloud that does not run."""
    return {each.check: (each.verdict, each.what) for each in doctor.examine(state, read_config(state))}


@pytest.fixture(scope="module")
def files(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """A cloud of one command keeps its databases in files, whatever the other tests run on."""
    if isinstance(databases.engine, Sqlite):
        return databases
    return Databases(Sqlite(), tmp_path_factory.mktemp("files"))


@pytest.fixture
def state(tmp_path: Path, files: Databases) -> StateDir:
    """What a cloud of simulated hosts leaves when it is down."""
    made = StateDir(tmp_path / "state")
    made.ensure(host="host-1", address="127.0.0.1", driver="fake", fake_hosts=1)
    (made.path / "databases").mkdir()
    for service in checks.DATABASES:
        metadata = importlib.import_module(f"kilonova.{service}.tables").metadata
        files.migrated(service, metadata, made.path / "databases")
    return made


def test_a_cloud_as_it_was_made_has_one_problem_it_does_not_run(state: StateDir) -> None:
    found = found_in(state)
    problems = {check: words for check, (verdict, words) in found.items() if verdict != "ok"}
    assert problems.pop("process", "") == "the cloud does not run"
    assert set(problems) <= {"ports"}
    assert found["databases"][0] == found["settings"][0] == found["passwords"][0] == "ok"


def test_options_that_nothing_reads_are_named(state: StateDir) -> None:
    with state.config_file.open("a") as file:
        file.write("\n[api_database]\nconnection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova_cell0\n")
    assert found_in(state)["settings"] == (
        "warning",
        "options have no effect: [api_database] connection: everything lies in the state directory",
    )


def test_the_guides_passwords_are_found(state: StateDir) -> None:
    text = state.config_file.read_text()
    text = re.sub(r"(?m)^admin = .*$", "admin = ADMIN_PASS", text)
    text = re.sub(r"(?m)^metadata_proxy_shared_secret = .*$", "metadata_proxy_shared_secret = METADATA_SECRET", text)
    state.config_file.write_text(text)
    assert found_in(state)["passwords"] == ("problem", "easily guessed: admin, metadata_proxy_shared_secret")


def test_a_database_of_another_service_or_release_is_found(state: StateDir) -> None:
    databases = state.path / "databases"
    with contextlib.closing(sqlite3.connect(databases / "image.db")) as image:
        image.execute("ALTER TABLE images DROP COLUMN min_disk_gib")
        image.commit()
    (databases / "placement.db").unlink()
    (databases / "compute.db").write_bytes((databases / "network.db").read_bytes())
    with contextlib.closing(sqlite3.connect(databases / "compute.db")) as compute:
        compute.execute("DROP TABLE quotas")
        compute.commit()
    told = [each.what for each in doctor.examine(state, read_config(state)) if each.check == "databases"]
    assert told == [
        f"{databases}/image.db lacks images.min_disk_gib",
        f"placement has none at {databases}/placement.db",
        f"{databases}/compute.db is not compute's: it has none of its tables",
    ]


def test_a_port_that_is_taken_is_named(state: StateDir) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 9292))
        except OSError:
            pytest.skip("port 9292 is in use on this machine")
        taken.listen()
        told = [each.what for each in doctor.examine(state, read_config(state)) if each.check == "ports"]
    assert "port 9292 (image) is in use" in told


def test_what_enables_a_service_names_the_one_that_is_disabled() -> None:
    (finding,) = checks.check_volumes([KEEPER, {**KEEPER, "binary": "cinder-backup", "status": "disabled"}], [POOL])
    assert finding.mend == "openstack volume service set --enable node1@lvm cinder-backup"
