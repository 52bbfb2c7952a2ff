"""Run all tests, part by part, and end in one plain line of counts.

Parts are chosen by marker: what needs nothing, what needs root or libvirt on this host, what boots whole clouds. The
last line is always `N passed, N failed, N skipped`, summed over the parts; a part that died, and a run in which no test
ran at all, are failures.
"""

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.stages import ROOT, WORK, is_root, tool_environment

COUNTS_FILE = WORK / "test-counts"
PYTEST_NO_TESTS = 5
PYTEST_FINISHED = {0, 1, PYTEST_NO_TESTS}
UNPASSED = {"failure", "error", "skipped"}


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    markers: str
    needs_root: bool
    workers: int = 0
    """Number of processes that share the tests; 0 runs them in pytest's own."""
    distribution: str = "worksteal"
    """Pytest-xdist's way of sharing: `loadgroup` leaves all tests of a cloud to one worker (`tests/e2e/sharing.py`)."""
    has_own_networks: bool = False
    """Whether each worker lives in a network namespace of its own, from which nothing else is reached."""
    directories: tuple[str, ...] = ()
    """Directories of its tests: to import all others takes each worker longer than many a test. None means all."""

    def is_of(self, markers: Collection[str]) -> bool:
        """Whether a test with these markers runs in this part, as `markers` says it to pytest."""
        if "e2e" in markers:
            return self.name == "e2e"
        return self.name == ("host" if {"root", "libvirt"} & set(markers) else "unit")

    def looks_into(self, path: str) -> bool:
        """Whether this part collects a test file, given by its path from the checkout."""
        return not self.directories or any(Path(path).is_relative_to(each) for each in self.directories)


PARTS = [
    Part("unit", "unit and API tests", "not root and not libvirt and not e2e", needs_root=False, workers=2),
    # They wait for daemons and guests more than they work. The hypervisors of two workers would take the same ports of
    # one network: each chooses a port long before its guest listens there.
    Part(
        "host",
        "tests on this host's kernel and libvirt",
        "(root or libvirt) and not e2e",
        needs_root=True,
        workers=3,
        has_own_networks=True,
        directories=(
            *(
                "tests/block_storage",
                "tests/cli",
                "tests/compute/agent",
                "tests/compute/console_proxy",
                "tests/image",
                "tests/kit",
            ),
            *("tests/network/agent", "tests/tools"),
        ),
    ),
    # Each of these brings up a cloud on a host of its own, or shares one with others.
    Part(
        "e2e",
        "end-to-end tests with real guests",
        "e2e",
        needs_root=True,
        workers=3,
        distribution="loadgroup",
        directories=("tests/conformance", "tests/daemons", "tests/docs", "tests/e2e", "tests/lab"),
    ),
]
OWN_NETWORK = """
set -e
ip link set lo up
ip link add name own type bridge
ip address add 10.255.254.1/30 dev own
ip link set own up
exec "$@"
"""
"""Prepares a network and becomes the command behind it. An address beside loopback's makes the resolver answer for
IPv4 at all, which SPICE asks it to; it needs no neighbours."""
ON_OWN_NETWORK = ["unshare", "--net", "--", "sh", "-c", OWN_NETWORK, "sh"]


UNSYNCED, UNSYNCED_NAME = Path("/usr/lib"), "*/libeatmydata.so.1"
"""Where Debian keeps the library whose `fsync` does nothing, in a directory for the processor."""


@dataclass(frozen=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read_counts(report: Path, exit_code: int) -> Counts:
    """Counts from a JUnit report; a test's own failure and its teardown's error are two failures.

    A report that is missing or cut short, or an exit code that says pytest itself broke, counts as one failure more.
    """
    broken = Counts(failed=0 if exit_code in PYTEST_FINISHED else 1)
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (FileNotFoundError, ElementTree.ParseError):
        return Counts(failed=1)
    counts = broken
    for suite in suites:
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        passed = sum(1 for case in suite.iter("testcase") if not {child.tag for child in case} & UNPASSED)
        counts += Counts(passed, failed, skipped)
    if exit_code == 1 and not counts.failed:
        counts += Counts(failed=1)
    return counts


def pytest_command(part: Part, *arguments: str) -> list[str]:
    """Pytest's command line; files or directories among the arguments take the place of the part's own."""
    are_chosen = any((ROOT / argument.partition("::")[0]).exists() for argument in arguments)
    directories = () if are_chosen else part.directories
    return [sys.executable, "-m", "pytest", "-m", part.markers, *arguments, *directories]


def worker_options(part: Part) -> list[str]:
    """Pytest's options that share the tests among the part's workers."""
    if not part.workers:
        return []
    if not part.has_own_networks:
        return ["--numprocesses", str(part.workers), "--dist", part.distribution]
    python = shlex.join([*ON_OWN_NETWORK, sys.executable])
    return ["--tx", f"{part.workers}*popen//python={python}", "--dist", part.distribution]


def count_deselected(part: Part) -> int:
    """How many tests a part would run: the ones that count as skipped when this user may not run them."""
    listing = subprocess.run(
        pytest_command(part, "--collect-only", "--verbosity=-1", "-p", "no:randomly"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return sum(1 for line in listing.splitlines() if "::" in line)


def environment() -> dict[str, str]:
    """Returns the tools' environment, changed for speed.

    Compiled modules are kept: each of pytest's processes would compile all of them again. Nothing waits until it is on
    the disk: tests kill processes, and no test cuts the power.
    """
    kept = {name: value for name, value in tool_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    libraries = [os.fspath(library) for library in UNSYNCED.glob(UNSYNCED_NAME)]
    return {"LD_PRELOAD": " ".join(libraries), **kept} if libraries else kept


def run_part(part: Part, seed: int, arguments: Sequence[str]) -> Counts:
    print(f"\n== {part.title}", flush=True)
    if part.needs_root and not is_root():
        skipped = count_deselected(part)
        print(f"skipped {skipped}: they need root, for network namespaces and virtual machines")
        return Counts(skipped=skipped)
    report = WORK / f"tests-{part.name}.xml"
    report.unlink(missing_ok=True)
    options = [f"--randomly-seed={seed}", f"--junitxml={report}", *worker_options(part)]
    command = pytest_command(part, *options, *arguments)
    result = subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL)
    if result.returncode not in PYTEST_FINISHED:
        print(f"pytest itself ended with {result.returncode}: counted as one failure")
    return read_counts(report, result.returncode)


def run(parts: Sequence[Part], seed: int, arguments: Sequence[str]) -> Counts:
    lines = []
    total = Counts()
    for part in parts:
        started = time.monotonic()
        counts = run_part(part, seed, arguments)
        lines.append(f"{part.name:6} {time.monotonic() - started:7.1f} s   {counts}")
        total += counts
    print(f"\n== durations (order of tests: RANDOM_SEED={seed})")
    print("\n".join(lines))
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[part.name for part in PARTS], help="run this part alone")
    parser.add_argument("--seed", help="order of the tests; drawn anew when empty")
    parser.add_argument("pytest_arguments", nargs="*", help="passed on, after --")
    options = parser.parse_args()
    seed = int(options.seed) if options.seed else random.randrange(2**32)
    WORK.mkdir(exist_ok=True)
    COUNTS_FILE.unlink(missing_ok=True)
    parts = [part for part in PARTS if options.part in (None, part.name)]
    counts = run(parts, seed, options.pytest_arguments)
    if counts.passed + counts.failed == 0:
        print("no test ran: counted as one failure")
        counts += Counts(failed=1)
    COUNTS_FILE.write_text(f"{counts}\n")
    print(f"\n{counts}", flush=True)
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
