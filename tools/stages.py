"""Running the stages of a set-up or a check: one short line each, long output in a log.

The one rule: standard output stays readable; whoever runs into a failure sees the end of the log at once.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".work"
VENV = ROOT / ".venv"
SETUP_LOG = WORK / "setup.log"
CACHE = WORK / "cache"


class StageError(Exception):
    """A stage failed; the message is one sentence for the person who started it."""


def report(name: str, text: str, seconds: float) -> None:
    print(f"{name:10} {text:58} {seconds:7.1f} s", flush=True)


def run_stage(name: str, act: Callable[[], str]) -> None:
    """Do one stage and print its name, what `act` says it did, and how long it took."""
    started = time.monotonic()
    text = act()
    report(name, text, time.monotonic() - started)


def log_tail(log: Path, lines: int = 30) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run_logged(command: Sequence[str | Path], *, log: Path = SETUP_LOG, cwd: Path = ROOT) -> str:
    """Run a command with standard error appended to `log`; returns its standard output.

    Raises StageError, with the end of the log, if it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"\n$ {' '.join(map(str, command))}\n")
        file.flush()
        result = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, text=True
        )
        file.write(result.stdout)
    if result.returncode != 0:
        raise StageError(
            f"{log_tail(log)}\n\n`{' '.join(map(str, command))}` ended with {result.returncode}; the whole log: {log}"
        )
    return result.stdout.strip()


def fail(error: StageError) -> int:
    print(f"\n{error}", file=sys.stderr)
    return 1


def is_root() -> bool:
    return os.geteuid() == 0


def tool_environment() -> dict[str, str]:
    """The environment for the project's own programs: the caller's, with the guest image kept in the checkout."""
    return {"KILONOVA_CACHE_DIR": str(CACHE)} | os.environ
