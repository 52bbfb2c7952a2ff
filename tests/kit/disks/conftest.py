"""Directories for the tests of disks."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(public_directory: Callable[[str], Path]) -> Path:
    """In place of pytest's, because qemu-img has to get into it as its own account."""
    return public_directory("disks")
