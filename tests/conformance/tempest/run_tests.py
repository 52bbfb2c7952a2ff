"""Runs chosen tests of upstream's Tempest and writes what became of each.

Runs in an environment of its own that holds tempest (see tools/conformance_tempest.py), with TEMPEST_CONFIG_DIR set.
The classes run side by side in worker processes, each class as one suite, since its fixtures belong to the class.

`python run_tests.py CHOICE-FILE RESULT-FILE`. An id is `module.Class.test[id-…,tag,…]`, a name what precedes the
bracket. The choice: {"patterns": all of which a test's id has, "left_out": {pattern in its name: reason}, "workers"}.
The result: {"passed", "failed": {name: text}, "skipped": {name: reason}, "seconds": {class: seconds}}.
"""

import json
import multiprocessing
import re
import sys
import time
import unittest
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TEXT_LIMIT = 6000


def short_name(test_id: str) -> str:
    """`module.Class.test` without the attributes that Tempest appends in brackets."""
    return test_id.partition("[")[0]


def class_name(test_id: str) -> str:
    return short_name(test_id).rpartition(".")[0]


class Outcomes(unittest.TestResult):
    """What became of each test of one class. Upstream's tests hand in a reason or an exception; a class's own set-up
    and tear-down come as names like `setUpClass (module.Class)`."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self.passed.append(short_name(test.id()))

    def as_result(self, names: list[str]) -> dict[str, Any]:
        failed = {short_name(test.id()): text[-TEXT_LIMIT:] for test, text in [*self.failures, *self.errors]}
        skipped = {short_name(test.id()): reason for test, reason in self.skipped}
        passed = [name for name in self.passed if name not in failed]
        for outcome in (failed, skipped):
            text = next((outcome[name] for name in outcome if name.startswith("setUpClass")), None)
            if text is not None:
                outcome.update({name: text for name in names if name not in failed and name not in skipped})
                del outcome[next(name for name in outcome if name.startswith("setUpClass"))]
        # A test that reported nothing at all must not pass for one that was never chosen.
        silent = [name for name in names if name not in failed and name not in skipped and name not in passed]
        failed.update(dict.fromkeys(silent, "did not report an outcome"))
        return {"passed": passed, "failed": failed, "skipped": skipped}


def tests_of(suite: Any) -> Iterator[Any]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_of(each)
        else:
            yield each


def load_tests() -> list[Any]:
    """All of Tempest's own tests. A module that cannot be imported comes as a test that fails."""
    import tempest

    package = Path(tempest.__file__).parent
    loader = unittest.TestLoader()
    found = []
    for folder in ("api", "scenario"):
        suite = loader.discover(str(package / folder), top_level_dir=str(package.parent))
        found += list(tests_of(suite))
    return found


CHOSEN: defaultdict[str, list[Any]] = defaultdict(list)
"""Class → its tests; filled before the workers fork."""


def run_class(name: str) -> tuple[str, float, dict[str, Any]]:
    tests = CHOSEN[name]
    outcomes = Outcomes()
    started = time.monotonic()
    unittest.TestSuite(tests).run(outcomes)
    return name, time.monotonic() - started, outcomes.as_result([short_name(test.id()) for test in tests])


def choose(test_ids: Iterable[str], choice: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
    """The ids to run, and the names left out with the reason."""
    patterns = [re.compile(each) for each in choice["patterns"]]
    chosen: set[str] = set()
    left_out: dict[str, str] = {}
    for test_id in test_ids:
        if not all(pattern.search(test_id) for pattern in patterns):
            continue
        name = short_name(test_id)
        pattern = next((each for each in choice["left_out"] if re.search(each, name)), None)
        if pattern is None:
            chosen.add(test_id)
        else:
            left_out[name] = choice["left_out"][pattern]
    return chosen, left_out


def main() -> None:
    choice = json.loads(Path(sys.argv[1]).read_text())
    tests = load_tests()
    chosen, left_out = choose([test.id() for test in tests], choice)
    for test in tests:
        if test.id() in chosen:
            CHOSEN[class_name(test.id())].append(test)
    result: dict[str, Any] = {"passed": [], "failed": {}, "skipped": left_out, "seconds": {}}
    # Scenarios wait for guests the longest: they start first.
    order = sorted(CHOSEN, key=lambda name: (not name.startswith("tempest.scenario"), -len(CHOSEN[name])))
    total = len(order)
    with multiprocessing.get_context("fork").Pool(choice["workers"]) as pool:
        for number, (name, seconds, outcome) in enumerate(pool.imap_unordered(run_class, order), 1):
            result["passed"] += outcome["passed"]
            result["failed"].update(outcome["failed"])
            result["skipped"].update(outcome["skipped"])
            result["seconds"][name] = round(seconds, 1)
            counts = f"{len(outcome['passed'])} passed, {len(outcome['failed'])} failed"
            print(f"{number:3}/{total} {seconds:6.1f} s  {counts:22} {name}", flush=True)
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
