"""Cleaning removes only what is Kilonova's; a fresh try runs what the README says."""

import subprocess
from pathlib import Path

import pytest

from tools import clean
from tools.stages import StageError
from tools.try_fresh import readme_commands, render_script


def test_a_directory_that_is_no_state_directory_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StageError, match=r"has no clouds.yaml: nothing was removed"):
        list(clean.clean(tmp_path, []))
    assert (tmp_path / "thesis.txt").exists()


def test_state_and_caches_go_after_the_cloud_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "clouds.yaml").touch()
    acts: list[str] = []
    monkeypatch.setattr(clean, "take_down", lambda state_dir, options: acts.append(f"down {options}") or "down")
    monkeypatch.setattr(clean, "remove_caches", lambda: acts.append(f"caches, state {state.exists()}") or "caches")
    monkeypatch.setattr(clean, "cloud_leftovers", lambda: ["link tap1"])
    assert clean.clean(state, ["--state-dir", "x"]) == ["link tap1"]
    assert acts == ["down ['--state-dir', 'x']", "caches, state False"]


def test_without_root_a_running_cloud_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").touch()
    monkeypatch.setattr(clean, "is_root", lambda: False)
    with pytest.raises(StageError, match="make clean needs root"):
        clean.clean(tmp_path, [])
    assert (tmp_path / "clouds.yaml").exists()


def test_caches_are_removed_and_sources_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "WORK", tmp_path / ".work")
    monkeypatch.setattr(clean, "VENV", tmp_path / ".venv")
    for name in (".work/a", ".venv/bin/python", ".mypy_cache/x", "kilonova/kit/__pycache__/a.pyc", "kilonova/kit/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clean.remove_caches(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.py"]


README = """\
```console
$ git clone https://example.org/kilonova
$ cd kilonova
# make cloud
endpoints: …
$ sudo openstack server create \\
    --flavor tiny first
```
```python
$ not a command
```
"""


def test_commands_are_taken_from_console_blocks_alone() -> None:
    assert readme_commands(README) == ["make cloud", "openstack server create --flavor tiny first"]


def test_the_script_shows_each_command_and_stops_at_the_first_that_fails() -> None:
    script = render_script(["greeting='hello you'", "echo $greeting", "false", "echo never"])
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == "\n$ greeting='hello you'\n\n$ echo $greeting\nhello you\n\n$ false\n"
