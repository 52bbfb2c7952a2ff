"""The stock `openstack` client in an environment of its own, `.work/clients`, as the end-to-end tests type it.

`python3 -m tools.stock_clients` installs `requirements/clients.lock` there, hashes checked; a second run looks at the
stamp alone. Its one rule: nothing of it reaches Kilonova's own environment or dependencies. Standard library only.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from tools.stages import ROOT, WORK, StageError, fail, run_logged, run_stage

CLIENTS = WORK / "clients"
LOCK = ROOT / "requirements/clients.lock"
OPENSTACK = CLIENTS / "bin/openstack"


def is_installed(environment: Path = CLIENTS, lock: Path = LOCK) -> bool:
    stamp = environment / "installed.sha256"
    return stamp.exists() and stamp.read_text() == hashlib.sha256(lock.read_bytes()).hexdigest()


def install(environment: Path = CLIENTS, lock: Path = LOCK) -> str:
    """Make the environment if the present lock is not in it; returns what was done. Raises StageError."""
    if is_installed(environment, lock):
        return f"environment {environment.name} holds {lock.name}"
    run_logged([sys.executable, "-m", "venv", "--clear", environment])
    pip: list[str | Path] = [
        environment / "bin/python",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
    ]
    run_logged([*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock])
    # What a client compiles at its first start is compiled now, so that no test is slowed by it.
    subprocess.run([environment / "bin/python", "-m", "compileall", "-q", environment / "lib"], capture_output=True)
    (environment / "installed.sha256").write_text(hashlib.sha256(lock.read_bytes()).hexdigest())
    return f"environment {environment.name} made from {lock.name}"


def main() -> int:
    try:
        run_stage("clients", install)
    except StageError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
