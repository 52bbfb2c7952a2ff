"""Running the host's tools for the build; what they say is kept for the error alone."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


class GuestImageError(Exception):
    """The image could not be built; the message says which tool failed and what it said."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None, stdin: bytes | None = None) -> bytes:
    """The command's standard output. Raises GuestImageError with its error output."""
    try:
        result = subprocess.run(command, cwd=cwd, input=stdin or b"", capture_output=True)
    except FileNotFoundError:
        raise GuestImageError(f"{command[0]} is not on this machine") from None
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip() or result.stdout.decode(errors="replace").strip()
        raise GuestImageError(f"`{' '.join(map(str, command))}` ended with {result.returncode}: {said}")
    return result.stdout
