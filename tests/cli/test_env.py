"""What `kilonova env` prints is what a shell needs, and nothing of another cloud stays."""

import argparse
import subprocess
from pathlib import Path

import pytest

from kilonova.cli import env
from kilonova.cli.state import StateDir, StateError, read_config


def in_a_shell(lines: str, name: str) -> str:
    script = f'export OS_CLOUD=other OS_TOKEN=abc\n{lines}\nprintf %s "${{{name}-unset}}"'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path)
    made.ensure(host="host-1", address="127.0.0.1", driver="fake", fake_hosts=1)
    return made


@pytest.mark.parametrize("user", ["admin", "demo"])
def test_a_shell_gets_the_user_s_generated_password(
    state: StateDir, user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert env.run(argparse.Namespace(state_dir=state.path, user=user)) == 0
    lines = capsys.readouterr().out
    assert in_a_shell(lines, "OS_PASSWORD") == getattr(read_config(state).passwords, user)
    assert in_a_shell(lines, "OS_PROJECT_NAME") == in_a_shell(lines, "OS_USERNAME") == user
    assert in_a_shell(lines, "OS_AUTH_URL") == "http://127.0.0.1:5000/v3"


@pytest.mark.parametrize("name", ["OS_CLOUD", "OS_TOKEN"])
def test_a_variable_that_would_contradict_is_unset(state: StateDir, name: str) -> None:
    assert in_a_shell(env.render_env(read_config(state), "admin"), name) == "unset"


def test_without_a_cloud_there_is_nothing_to_print(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="holds no cloud"):
        env.run(argparse.Namespace(state_dir=tmp_path, user="admin"))
