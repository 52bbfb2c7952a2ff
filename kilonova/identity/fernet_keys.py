"""The token keys: a directory of numbered files, as keystone-manage fernet_setup lays it out.

The highest number signs, `0` is the next one in waiting, all of them verify. Source: the Identity administrator guide
on Fernet tokens.
"""

import os
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet


def set_up(directory: Path) -> None:
    """Makes the directory and a first pair of keys, readable by their owner only. Existing keys stay as they are."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("1", "0"):
        path = directory / name
        if not path.exists():
            _write_key(path)


def load(directory: Path) -> MultiFernet:
    """Every key, the signing one first. Raises FileNotFoundError when there is none."""
    numbers = sorted((int(path.name) for path in directory.iterdir() if path.name.isdecimal()), reverse=True)
    if not numbers:
        raise FileNotFoundError(f"{directory} holds no token key; run keystone-manage fernet_setup")
    return MultiFernet([Fernet((directory / str(number)).read_bytes()) for number in numbers])


def _write_key(path: Path) -> None:
    # Written beside and renamed: a half-written key would lock everybody out.
    partial = path.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
    partial.rename(path)
