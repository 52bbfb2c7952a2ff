"""Resolve the dependencies into the lock files: exact versions with hashes, and no index address inside.

`dev.lock` comes first; `runtime.lock` and `build.lock` take the same versions from it. `clients.lock` and
`tempest.lock` stand alone: what the end-to-end tests type, and upstream's suite, each in an environment of its own.
"""

import subprocess
import sys
from pathlib import Path

from tools.stages import ROOT, VENV

UV = VENV / "bin/uv"
# What compiles libvirt-python, and Kilonova's own build backend.
BUILD_REQUIREMENTS = "setuptools>=77\n"


def compile_lock(output: str, source: str, *options: str, text: str | None = None) -> None:
    command: list[str | Path] = [
        UV,
        "pip",
        "compile",
        "--quiet",
        "--generate-hashes",
        "--no-header",
        "--python-version",
        "3.11",
    ]
    subprocess.run(
        [*command, *options, "--output-file", f"requirements/{output}", source],
        cwd=ROOT,
        input=text,
        text=True,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    print(f"requirements/{output}")


def main() -> int:
    upgrade = [argument for argument in sys.argv[1:] if argument == "--upgrade"]
    same_versions = ["--constraint", "requirements/dev.lock", *upgrade]
    compile_lock("dev.lock", "pyproject.toml", "--extra", "dev", *upgrade)
    compile_lock("runtime.lock", "pyproject.toml", *same_versions)
    compile_lock("build.lock", "-", *same_versions, text=BUILD_REQUIREMENTS)
    compile_lock("clients.lock", "requirements/clients.txt", *upgrade)
    compile_lock("tempest.lock", "requirements/tempest.txt", *upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
