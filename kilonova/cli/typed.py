"""Commands that are printed for a person to type: they work as they stand, from the directory they are read in."""

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "kilonova"
MODULE = "kilonova.cli.main"


def typed(command: str, state_path: Path | None = None) -> str:
    """This program with `command`, and with the option that names the state directory if one is given."""
    option = "" if state_path is None else f" --state-dir {shlex.quote(str(state_path))}"
    return f"{program(sys.argv[0])} {command}{option}"


def program(called_as: str) -> str:
    """How a shell here starts what was started as `called_as`: by its name if that finds it, else by a path."""
    path = Path(os.path.abspath(called_as))  # noqa: PTH100 - a link stays the name it was called by
    if path.name != NAME:
        return f"{shlex.quote(sys.executable)} -m {MODULE}"
    found = shutil.which(NAME)
    if found is not None and path.exists() and path.samefile(found):
        return NAME
    near = os.path.relpath(path)
    if near.startswith(os.pardir):
        return shlex.quote(str(path))
    return shlex.quote(near if os.sep in near else f".{os.sep}{near}")
