"""`make guide GUIDE=000`: carries out one of the guides in a lab of its own, from its first line to its last.

The lines are those of `tests/guides`, with the substitutions, corrections and exclusions listed there; every one is
shown as it is done, and the first that does not do what the guide says ends the run.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.guides.guides import GUIDES
from tests.guides.steps import Guide, substitute
from tools.guide_ground import GROUNDS, lay_ground
from tools.guide_run import LineFailed, Run
from tools.lab.hosts import HostError
from tools.lab.lab import DIRECTORY, Lab
from tools.stages import CACHE, WORK, StageError, fail, is_root

HOSTS = ("controller", "compute")
IMAGE = CACHE / "demo-guest.qcow2"


def carry_out(guide: Guide, lab: Lab, *, go_on: bool) -> int:
    """Returns 1 when a line fails: the rest is left out then, unless it is asked for (`go_on`)."""
    run, ground = Run(guide, lab), GROUNDS[guide.name]
    began = time.monotonic()
    lay_ground(run, ground)
    if IMAGE.exists():
        (lab.controller.path("/root/guest.img")).write_bytes(IMAGE.read_bytes())
    show("ground", "", "what the guide takes for granted", began, "")
    failed: list[str] = []
    for step in guide.steps:
        began = time.monotonic()
        text = " ".join(run.fill(substitute(guide, step)).split())
        try:
            if step.line in ground.before:
                ground.before[step.line](run)
            note = run.do(step)
        except (LineFailed, HostError, TimeoutError, subprocess.TimeoutExpired) as error:
            show(str(step.line), step.host, text, began, "FAILED")
            print(error)
            failed.append(str(step.line))
            if go_on:
                continue
            return 1
        show(str(step.line), step.host, text, began, note)
    if failed:
        print(f"guide {guide.name}: {len(failed)} of {len(guide.steps)} lines failed: {', '.join(failed)}")
        return 1
    skipped = [*dict.fromkeys(each.part for each in guide.not_yet)]
    print(
        f"guide {guide.name}: {len(guide.steps)} lines done" + (f"; not yet: {', '.join(skipped)}" if skipped else "")
    )
    return 0


def keep_logs(lab: Lab, name: str) -> None:
    """What the daemons of a guide that failed have said outlives its lab."""
    kept = WORK / "guide-logs" / name
    shutil.rmtree(kept, ignore_errors=True)
    for host in lab.hosts.values():
        shutil.copytree(host.path("/var/log/lab"), kept / host.name)
    print(f"logs: {kept}")


def show(line: str, host: str, text: str, began: float, note: str) -> None:
    print(f"{line:>6} {host:11}{text[:100]:100} {time.monotonic() - began:6.1f} s  {note}", flush=True)


def main() -> int:
    names = [each.name for each in GUIDES]
    parser = argparse.ArgumentParser(prog="python -m tools.guide", description=__doc__)
    parser.add_argument("guide", choices=names)
    parser.add_argument("--directory", type=Path, default=DIRECTORY.with_name("guide"), help="where the lab is kept")
    parser.add_argument("--keep", action="store_true", help="leave the lab up: python -m tools.lab --directory …")
    parser.add_argument("--go-on", action="store_true", help="do the rest too after a line that fails")
    options = parser.parse_args()
    if not is_root():
        return fail(StageError("the lab needs root: it is made of namespaces"))
    guide = next(each for each in GUIDES if each.name == options.guide)
    if (options.directory / "lab.json").exists():
        down = f"python -m tools.lab --directory {options.directory} down"
        return fail(StageError(f"the lab of an earlier guide is up in {options.directory}: {down}"))
    # An end that is asked for takes the lab down as well.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        lab = Lab.up_named(HOSTS, options.directory)
    except (HostError, TimeoutError) as error:
        return fail(StageError(str(error)))
    try:
        code = carry_out(guide, lab, go_on=options.go_on)
        if code != 0:
            keep_logs(lab, guide.name)
        return code
    except (LineFailed, HostError, TimeoutError) as error:
        keep_logs(lab, guide.name)
        return fail(StageError(f"the ground of guide {guide.name}: {error}"))
    finally:
        if not options.keep:
            lab.down()


if __name__ == "__main__":
    sys.exit(main())
