"""Run every check of the code and print one line for each; the output of those that fail follows their line."""

import subprocess
import sys
import time
from pathlib import Path

from tools.stages import ROOT, VENV, report

BIN = VENV / "bin"
CHECKS: dict[str, list[str | Path]] = {
    "format": [BIN / "ruff", "format", "--check", "--quiet", "--diff", "."],
    "lint": [BIN / "ruff", "check", "--quiet", "."],
    "types": [BIN / "mypy", "--no-error-summary"],
    "tools": [BIN / "mypy", "--no-error-summary", "-p", "tools"],
    "imports": [BIN / "lint-imports", "--no-logo", "--cache-dir", ".work/import-graph"],
    "limits": [BIN / "python", "-m", "tools.check_limits"],
}


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        started = time.monotonic()
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        report(name, "FAILED" if result.returncode else "ok", time.monotonic() - started)
        if result.returncode:
            failed.append(name)
            print(result.stdout, flush=True)
    if failed:
        print(f"checks failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print(f"all {len(CHECKS)} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
