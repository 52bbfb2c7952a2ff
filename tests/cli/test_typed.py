"""Commands that are printed can be typed as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kilonova.cli.state import StateDir, default_path
from kilonova.cli.typed import program, typed


@pytest.fixture
def executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called kilonova in a directory with a blank, that says what it was called with."""
    made = tmp_path / "a clone/bin/kilonova"
    made.parent.mkdir(parents=True)
    made.write_text('#!/bin/sh\necho "ran $*"\n')
    made.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(made), "demo"])
    monkeypatch.chdir(tmp_path)
    return made


def run(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()


def test_below_the_directory_it_is_the_way_there(executable: Path) -> None:
    assert program(str(executable)) == "'a clone/bin/kilonova'"
    assert run(typed("env")) == "ran env"


def test_in_the_directory_it_is_told_from_a_name(executable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(executable.parent)
    assert typed("env") == "./kilonova env"
    assert run(typed("env")) == "ran env"


def test_from_elsewhere_it_is_the_whole_path(executable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", [os.path.relpath(executable)])
    elsewhere = executable.parents[2] / "elsewhere"
    elsewhere.mkdir()
    assert run(typed("env")) == "ran env"
    monkeypatch.setattr(sys, "argv", [str(executable)])
    monkeypatch.chdir(elsewhere)
    assert program(str(executable)) == f"'{executable}'"


def test_a_name_that_finds_it_is_enough(executable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{executable.parent}:{os.environ['PATH']}")
    assert typed("env") == "kilonova env"


def test_started_as_a_module_it_is_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/kilonova/cli/main.py", "demo"])
    assert typed("env") == f"{sys.executable} -m kilonova.cli.main env"


def test_the_state_directory_is_named_unless_it_is_the_default(executable: Path) -> None:
    assert StateDir(default_path()).typed("env") == "'a clone/bin/kilonova' env"
    assert StateDir(Path("my cloud")).typed("env").endswith(f" env --state-dir '{executable.parents[2]}/my cloud'")
