"""Check a whole cloud with upstream's own test suite: `python -m tools.conformance_tempest [--part PART] [PATTERN]`.

Tempest comes from the package registry into an environment of its own, `.work/tempest`; nothing of it is part of ours.
Part `smoke` runs the tests that are tagged so against a cloud with real guests, part `guests` the other ones that need
them, part `api` what else there is of the four services against a simulated cloud, part `volumes` what there is of
volumes against another one, part `lab` what guests do that move between hosts. Clouds live on a host of their own
(`tests/e2e/host.py`), that of `lab` on several (`tools/lab`), and Tempest runs beside them there.
`tools/tempest/chosen.py` says which tests are not run and why. Exit code 0 when nothing fails; a run of all parts
fails, too, when a test that `required_tests.txt` names was neither passed nor left out.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kilonova.cli.guest_image.build import ensure_guest_image
from tools import stock_clients
from tools.stages import CACHE, ROOT, WORK, StageError, fail, is_root, run_stage
from tools.tempest.chosen import PARTS, Part, missing
from tools.tempest.clouds import Standing, bring_up
from tools.tempest.config import plan_config, render_config
from tools.tempest.ground import prepare

ENVIRONMENT = WORK / "tempest"
LOCK = ROOT / "requirements/tempest.lock"
RUNNER = ROOT / "tests/conformance/tempest/run_tests.py"
REQUIRED = RUNNER.with_name("required_tests.txt")
RUNS = WORK / "tempest-runs"

TEXT_LIMIT = 2000


def run_part(part: Part, pattern: str | None, image_file: Path) -> dict[str, Any]:
    """Bring up the part's cloud, run its tests beside it, and take everything down. Returns the runner's result."""
    directory = RUNS / part.name
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "locks").mkdir(parents=True)
    with bring_up(part, directory, image_file) as cloud:
        prepared = prepare(cloud.admin, cloud.provider, image_file)
        config = plan_config(part, prepared, cloud.identity_url, cloud.admin_password, directory)
        (directory / "tempest.conf").write_text(render_config(config))
        return run_tests(part, pattern, cloud, directory)


def run_tests(part: Part, pattern: str | None, cloud: Standing, directory: Path) -> dict[str, Any]:
    choice = {
        "patterns": [part.pattern, pattern or ""],
        "left_out": part.left_out,
        "workers": part.workers,
    }
    choice_file, result_file = directory / "choice.json", directory / "result.json"
    choice_file.write_text(json.dumps(choice))
    command = cloud.argv(str(ENVIRONMENT / "bin/python"), str(RUNNER), str(choice_file), str(result_file))
    environment = {**cloud.environment, "TEMPEST_CONFIG_DIR": str(directory), "OS_LOG_CAPTURE": "0"}
    with (directory / "runner.err").open("w") as errors:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=errors)
    if done.returncode != 0:
        raise StageError(f"{(directory / 'runner.err').read_text()[-2000:]}\nTempest's runner broke off")
    result: dict[str, Any] = json.loads(result_file.read_text())
    return result


def report(part: Part, result: Mapping[str, Any], seconds: float) -> None:
    for test, text in sorted(result["failed"].items()):
        print(f"\nFAILED {test}\n{text.strip()[-TEXT_LIMIT:]}")
    print()
    for test, reason in sorted(result["skipped"].items()):
        print(f"skipped  {test}: {' '.join(reason.split())}")
    for test in sorted(result["failed"]):
        print(f"FAILED   {test}")
    counts = {name: len(result[name]) for name in ("passed", "failed", "skipped")}
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{part.name}: {words}, in {seconds:.0f} s\n", flush=True)


def outcomes_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Name of a test → `passed`, `failed`, or why it was skipped."""
    return {
        **result["skipped"],
        **dict.fromkeys(result["failed"], "failed"),
        **dict.fromkeys(result["passed"], "passed"),
    }


def report_missing(outcomes: Mapping[str, str]) -> bool:
    """Tells which tests that every cloud has to pass did not pass, and whether there are any."""
    required = [line for line in REQUIRED.read_text().splitlines() if line and not line.startswith("#")]
    found = missing(required, outcomes)
    for test, what in found.items():
        print(f"REQUIRED {test}: {what}")
    print(f"required: {len(required)} tests, {len(found)} of them did not pass and are not left out\n")
    return bool(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[part.name for part in PARTS], help="only this part")
    parser.add_argument("pattern", nargs="?", help="only tests whose name this pattern finds")
    chosen = parser.parse_args()
    if not is_root():
        print("Tempest's cloud needs root, for a host of its own.")
        return 1
    # The host goes down in any case: a `finally` runs for this, not for a signal.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    has_failed, outcomes = False, dict[str, str]()
    try:
        run_stage("tempest", lambda: stock_clients.install(ENVIRONMENT, LOCK))
        image_file = ensure_guest_image(CACHE).absolute()
        for part in PARTS:
            if chosen.part in (None, part.name):
                started = time.monotonic()
                result = run_part(part, chosen.pattern, image_file)
                report(part, result, time.monotonic() - started)
                has_failed = has_failed or bool(result["failed"])
                outcomes |= {test: what for test, what in outcomes_of(result).items() if outcomes.get(test) != "passed"}
        if chosen.part is None and chosen.pattern is None:
            has_failed = report_missing(outcomes) or has_failed
    except StageError as error:
        return fail(error)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
