"""The test runner counts what happened, and never calls nothing a success."""

import dataclasses
import re
from pathlib import Path

import pytest

from tools import run_tests
from tools.run_tests import Counts, read_counts
from tools.stages import ROOT

INI = """
[pytest]
addopts = -q -p randomly -p xdist
markers =
    root: r
    libvirt: l
    e2e: e
"""
"""Loads the two plugins a run is told of; the others, loaded by themselves, take longer than all the tests."""
PASSING = "def test_one(): pass\ndef test_two(): pass\n"
MIXED = """
import pytest

@pytest.fixture
def broken_afterwards():
    yield
    raise RuntimeError

def test_passes(): pass
def test_fails(): assert False
def test_fails_in_teardown(broken_afterwards): pass
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.root
def test_host(): pass
@pytest.mark.libvirt
def test_libvirt(): pass
@pytest.mark.e2e
def test_cloud(): pass
"""


@pytest.fixture
def workers() -> int:
    """How many processes share the unit part. Starting them takes most of a test's time."""
    return 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> Path:
    (tmp_path / "pytest.ini").write_text(INI)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests, "WORK", tmp_path / ".work")
    monkeypatch.setattr(run_tests, "COUNTS_FILE", tmp_path / ".work/test-counts")
    parts = [dataclasses.replace(part, workers=workers, directories=()) for part in run_tests.PARTS]
    monkeypatch.setattr(run_tests, "PARTS", parts)
    monkeypatch.setattr(run_tests, "is_root", lambda: True)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


def run_main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and the last line."""
    monkeypatch.setattr("sys.argv", ["run_tests", *arguments])
    code = run_tests.main()
    return code, capfd.readouterr().out.splitlines()[-1]


def test_all_parts_are_summed_in_the_last_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_mixed.py").write_text(MIXED)
    assert run_main(monkeypatch, capfd) == (1, "4 passed, 2 failed, 1 skipped")
    assert (project / ".work/test-counts").read_text() == "4 passed, 2 failed, 1 skipped\n"


def test_a_run_without_failures_succeeds(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_passing.py").write_text(PASSING)
    assert run_main(monkeypatch, capfd, "--part", "unit", "--seed", "7") == (0, "2 passed, 0 failed, 0 skipped")


def test_without_root_the_tests_that_need_it_count_as_skipped(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "is_root", lambda: False)
    (project / "test_mixed.py").write_text(MIXED.replace("assert False", "pass").replace("raise RuntimeError", "pass"))
    assert run_main(monkeypatch, capfd) == (0, "3 passed, 0 failed, 4 skipped")


def test_one_part_can_be_run_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_mixed.py").write_text(MIXED)
    assert run_main(monkeypatch, capfd, "--part", "e2e") == (0, "1 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize("content", ["", "def test_skipped():\n    import pytest\n    pytest.skip('never')\n"])
def test_a_run_in_which_no_test_ran_fails(
    content: str, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_nothing.py").write_text(content)
    code, line = run_main(monkeypatch, capfd, "--part", "unit")
    assert (code, re.sub(r"\d+ skipped", "N skipped", line)) == (1, "0 passed, 1 failed, N skipped")


def test_a_file_that_cannot_be_imported_is_a_failure(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_passing.py").write_text(PASSING)
    (project / "test_broken.py").write_text("import no_such_module\n")
    code, line = run_main(monkeypatch, capfd, "--part", "unit")
    assert code == 1
    assert re.fullmatch(r"\d+ passed, [1-9]\d* failed, 0 skipped", line)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_part_that_died_is_a_failure(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_deadly.py").write_text("def test_dies():\n    import os\n    os._exit(0)\n")
    assert run_main(monkeypatch, capfd, "--part", "unit") == (1, "0 passed, 1 failed, 0 skipped")


SHOWS_DEVICES = """
import pytest, socket

@pytest.mark.root
@pytest.mark.parametrize("number", range(4))
def test_devices(number):
    assert [name for _, name in socket.if_nameindex()] == ["lo", "own"]
    found = socket.getaddrinfo("127.0.0.1", 5900, socket.AF_INET, flags=socket.AI_ADDRCONFIG)
    assert {address for *_, address in found} == {("127.0.0.1", 5900)}
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("8.8.8.8", 53))
"""


@pytest.mark.root
@pytest.mark.parametrize("workers", [2])
def test_workers_on_networks_of_their_own_reach_nothing_else(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_devices.py").write_text(SHOWS_DEVICES)
    assert run_main(monkeypatch, capfd, "--part", "host") == (0, "4 passed, 0 failed, 0 skipped")


SHARED = """
import os, pytest

@pytest.mark.e2e
@pytest.mark.parametrize("number", range(5))
def test_cloud(number):
    with open("workers", "a") as file:
        print(NAME, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


@pytest.mark.parametrize("workers", [2])
def test_all_tests_of_a_cloud_go_to_one_worker(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = "from tests.conftest import pytest_xdist_make_scheduler\n"
    (project / "conftest.py").write_text(f"import sys\nsys.path.append({str(ROOT)!r})\n{hook}")
    (project / "tests/e2e").mkdir(parents=True)
    for name in ("clients", "guests", "sudden_death"):
        (project / f"tests/e2e/test_{name}.py").write_text(SHARED.replace("NAME", repr(name)))
    assert run_main(monkeypatch, capfd, "--part", "e2e") == (0, "15 passed, 0 failed, 0 skipped")
    lines = (project / "workers").read_text().splitlines()
    workers: dict[str, set[str]] = {}
    for name, worker in (line.split() for line in lines):
        workers.setdefault(name, set()).add(worker)
    assert workers["clients"] == workers["guests"]
    assert [len(workers[name]) for name in ("clients", "sudden_death")] == [1, 1]
    assert workers["clients"] != workers["sudden_death"]


def in_two_directories(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the unit part look into the first of two directories with tests."""
    parts = [dataclasses.replace(part, directories=("tests/looked",)) for part in run_tests.PARTS]
    monkeypatch.setattr(run_tests, "PARTS", parts)
    for name in ("looked", "other"):
        (project / "tests" / name).mkdir(parents=True)
        (project / "tests" / name / f"test_{name}.py").write_text(PASSING)


def test_a_part_collects_its_directories_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    in_two_directories(project, monkeypatch)
    assert run_main(monkeypatch, capfd, "--part", "unit") == (0, "2 passed, 0 failed, 0 skipped")


def test_a_file_that_is_named_takes_the_place_of_the_directories(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    in_two_directories(project, monkeypatch)
    words = ("--part", "unit", "--", "tests/other/test_other.py::test_one")
    assert run_main(monkeypatch, capfd, *words) == (0, "1 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize(
    ("markers", "path", "name"),
    [
        (set(), "tests/kit/test_jobs.py", "unit"),
        ({"root"}, "tests/kit/test_jobs.py", "host"),
        ({"libvirt", "asyncio"}, "tests/identity/test_turns.py", None),
        ({"e2e", "root"}, "tests/e2e/test_guests.py", "e2e"),
        ({"e2e"}, "tests/kit/test_jobs.py", None),
    ],
)
def test_a_test_runs_in_the_part_of_its_markers_where_that_looks(
    markers: set[str], path: str, name: str | None
) -> None:
    running = [part.name for part in run_tests.PARTS if part.is_of(markers) and part.looks_into(path)]
    assert running == ([] if name is None else [name])


def test_a_report_cut_short_is_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<testsuites><testsuite tests='3'")
    assert read_counts(report, 0) == Counts(failed=1)


def test_the_seed_is_passed_on_and_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "test_passing.py").write_text(PASSING)
    monkeypatch.setattr("sys.argv", ["run_tests", "--part", "unit", "--seed", "4242", "--", "-v"])
    assert run_tests.main() == 0
    printed = capfd.readouterr().out
    assert "Using --randomly-seed=4242" in printed
    assert "RANDOM_SEED=4242" in printed


@pytest.mark.parametrize("is_there", [True, False])
def test_tests_wait_for_no_disk_where_the_library_for_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    library = tmp_path / "x86_64-linux-gnu" / "libeatmydata.so.1"
    library.parent.mkdir()
    if is_there:
        library.touch()
    monkeypatch.setattr(run_tests, "UNSYNCED", tmp_path)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert run_tests.environment().get("LD_PRELOAD") == (str(library) if is_there else None)
