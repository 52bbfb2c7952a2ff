"""Everything that must stand before the cloud, the tests or the checks can run.

`python3 -m tools.setup --for cloud|test|check`; `--with mariadb` adds a server that tests may run on. Each stage looks
first and does only what is missing, so a second run takes a moment and touches neither apt nor pip. Standard library
only: it makes the virtual environment.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools import stock_clients
from tools.stages import CACHE, ROOT, SETUP_LOG, VENV, StageError, fail, is_root, run_logged, run_stage

REQUIREMENTS = ROOT / "requirements"
PIP_OPTIONS = ["--disable-pip-version-check", "--no-input", "--quiet"]
NEEDS_ROOT = (
    "make cloud needs root: it installs Debian packages, makes network namespaces and bridges, and starts virtual "
    "machines. Run it as root, or with sudo."
)


def install_packages(purpose: str, servers: Sequence[str] = ()) -> str:
    """Install missing Debian packages; the installer is a file of the program that runs without it."""
    more = [word for server in servers for word in ("--with", server)]
    installer = ROOT / "kilonova/cli/install.py"
    SETUP_LOG.parent.mkdir(parents=True, exist_ok=True)
    text = run_logged([sys.executable, "-P", installer, "--for", purpose, *more, "--log", SETUP_LOG])
    return text if len(text) <= 58 else text.split(":")[0]


def fingerprint(lock_name: str) -> str:
    """What an environment made from a lock file depends on, as one hash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    digest = hashlib.sha256(json.dumps(project, sort_keys=True).encode())
    for name in ("build.lock", f"{lock_name}.lock"):
        digest.update((REQUIREMENTS / name).read_bytes())
    return digest.hexdigest()


def stamp_path(lock_name: str) -> Path:
    return VENV / f"installed-{lock_name}.sha256"


def is_installed(lock_name: str) -> bool:
    stamp = stamp_path(lock_name)
    return stamp.exists() and stamp.read_text() == fingerprint(lock_name)


def venv_works() -> bool:
    python = VENV / "bin/python"
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def make_venv(lock_name: str) -> str:
    """Install a lock file into `.venv`, hashes checked; returns what was done.

    `dev.lock` holds everything `runtime.lock` holds at the same versions, so an environment with the first will do for
    the second. The build tools come from a lock too: pip would otherwise fetch whichever are newest.
    """
    if is_installed(lock_name) or (lock_name == "runtime" and is_installed("dev")):
        return f"environment .venv holds requirements/{lock_name}.lock"
    if not venv_works():
        run_logged([sys.executable, "-m", "venv", "--clear", VENV])
    pip: list[str | Path] = [VENV / "bin/python", "-m", "pip", "install", *PIP_OPTIONS]
    run_logged([*pip, "--require-hashes", "-r", REQUIREMENTS / "build.lock"])
    locked: list[str | Path] = ["--require-hashes", "--no-build-isolation", "-r", REQUIREMENTS / f"{lock_name}.lock"]
    run_logged([*pip, *locked])
    run_logged([*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT])
    stamp_path(lock_name).write_text(fingerprint(lock_name))
    return f"environment .venv made from requirements/{lock_name}.lock"


def build_guest_image(*options: str) -> str:
    command: list[str | Path] = [VENV / "bin/python", "-m", "kilonova.cli.guest_image.build"]
    return run_logged([*command, "--cache-dir", CACHE.relative_to(ROOT), *options])


def stages_for_tests(servers: Sequence[str]) -> None:
    if is_root():
        run_stage("packages", lambda: install_packages("test", servers))
    else:
        run_stage("packages", lambda: "not root: using the Debian packages there are")
    run_stage("python", lambda: make_venv("dev"))
    if is_root():
        # In all its forms: the tests that boot them have no way out to the mirrors.
        run_stage("guest", lambda: build_guest_image("--kernel-and-ramdisk"))
        run_stage("clients", stock_clients.install)


def stages_for_checks() -> None:
    if not is_installed("dev"):
        run_stage("packages", lambda: install_packages("check"))
        run_stage("python", lambda: make_venv("dev"))


def stages_for_cloud() -> None:
    if not is_root():
        raise StageError(NEEDS_ROOT)
    run_stage("packages", lambda: install_packages("cloud"))
    run_stage("python", lambda: make_venv("runtime"))
    run_stage("guest", build_guest_image)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="purpose", choices=["cloud", "test", "check"], required=True)
    parser.add_argument("--with", dest="servers", action="append", default=[], help="with test: a server to run on")
    options = parser.parse_args()
    try:
        match options.purpose:
            case "cloud":
                stages_for_cloud()
            case "test":
                stages_for_tests(options.servers)
            case _:
                stages_for_checks()
    except StageError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
