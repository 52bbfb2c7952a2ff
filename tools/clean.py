"""Take the cloud down and remove all that was made here: environment, caches, guest image, state directory.

Takes down first, removes after: what a cloud put on the host can only be found through its state directory. Standard
library only, for the environment itself goes too.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.host_state import cloud_leftovers
from tools.setup import make_venv
from tools.stages import ROOT, VENV, WORK, StageError, fail, is_root, run_stage

DEFAULT_STATE_DIR = Path("/var/lib/kilonova")
CACHES = ".mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist kilonova.egg-info".split()
STATE_MARK = "clouds.yaml"
"""A file that every state directory has: nothing else is ever removed by a path that somebody typed."""


def take_down(state_dir: Path, options: list[str]) -> str:
    if not is_root():
        raise StageError(f"make clean needs root: it takes down the cloud whose state is in {state_dir}")
    if not (VENV / "bin/kilonova").exists():
        make_venv("runtime")
    result = subprocess.run([VENV / "bin/kilonova", "down", "--all", *options], cwd=ROOT, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise StageError(f"`kilonova down --all` ended with {result.returncode}: nothing was removed")
    return "down"


def remove_state(state_dir: Path) -> str:
    shutil.rmtree(state_dir)
    return f"{state_dir} removed"


def remove_caches(root: Path = ROOT) -> str:
    paths = [WORK, VENV, *(root / name for name in CACHES)]
    paths += [path for name in ("kilonova", "tests", "tools", "bench") for path in (root / name).rglob("__pycache__")]
    present = [path for path in paths if path.exists()]
    for path in present:
        shutil.rmtree(path)
    return f"{len(present)} directories removed"


def clean(state_dir: Path, options: list[str]) -> Iterable[str]:
    """Do it all; yields what looks like a cloud's and is still on the host."""
    if state_dir.exists() and not (state_dir / STATE_MARK).exists():
        raise StageError(f"{state_dir} is not a state directory, it has no {STATE_MARK}: nothing was removed")
    if state_dir.exists():
        run_stage("cloud", lambda: take_down(state_dir, options))
        run_stage("state", lambda: remove_state(state_dir))
    run_stage("caches", remove_caches)
    return cloud_leftovers()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path)
    chosen = parser.parse_args().state_dir
    try:
        leftovers = clean(chosen or DEFAULT_STATE_DIR, ["--state-dir", str(chosen)] if chosen else [])
    except StageError as error:
        return fail(error)
    for leftover in leftovers:
        print(f"still on this host, from another cloud: {leftover}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
