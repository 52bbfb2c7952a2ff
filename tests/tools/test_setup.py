"""Setting up looks first, and says in one sentence what it cannot do."""

from pathlib import Path

import pytest

from tools import setup, stages
from tools.stages import StageError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements").mkdir()
    for name in ("build", "runtime", "dev"):
        (tmp_path / f"requirements/{name}.lock").write_text(f"{name}==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.ruff]\nline-length = 1\n")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "REQUIREMENTS", tmp_path / "requirements")
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(stages, "SETUP_LOG", tmp_path / "setup.log")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def stamp(lock_name: str) -> None:
    setup.stamp_path(lock_name).write_text(setup.fingerprint(lock_name))


def test_an_environment_made_from_the_present_lock_is_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "run_logged", pytest.fail)
    stamp("dev")
    assert "holds requirements/dev.lock" in setup.make_venv("dev")


def test_the_development_environment_will_do_for_the_cloud(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "run_logged", pytest.fail)
    stamp("dev")
    assert "holds requirements/runtime.lock" in setup.make_venv("runtime")


def test_the_cloud_s_environment_will_not_do_for_development(checkout: Path) -> None:
    stamp("runtime")
    assert not setup.is_installed("dev")


@pytest.mark.parametrize("changed", ["requirements/dev.lock", "requirements/build.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_makes_the_environment_anew(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    stamp("dev")
    path = checkout / changed
    path.write_text(path.read_text().replace("'x'", "'y'").replace("==1", "==2"))
    commands: list[list[str]] = []
    monkeypatch.setattr(setup, "run_logged", lambda command: commands.append([str(word) for word in command]))
    assert "made from requirements/dev.lock" in setup.make_venv("dev")
    assert "venv" in commands[0]
    assert all("--require-hashes" in command for command in commands[1:-1])
    assert "--editable" in commands[-1]
    assert setup.is_installed("dev")


def test_a_changed_tool_setting_keeps_the_environment(checkout: Path) -> None:
    stamp("dev")
    path = checkout / "pyproject.toml"
    path.write_text(path.read_text().replace("line-length = 1", "line-length = 2"))
    assert setup.is_installed("dev")


def test_without_root_make_cloud_says_what_it_needs_root_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "is_root", lambda: False)
    monkeypatch.setattr("sys.argv", ["setup", "--for", "cloud"])
    assert setup.main() == 1
    said = capsys.readouterr().err.strip()
    assert said == setup.NEEDS_ROOT
    for reason in ("Debian packages", "network namespaces and bridges", "virtual machines"):
        assert reason in said


def test_a_step_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(StageError) as raised:
        stages.run_logged(["sh", "-c", "seq 100; echo the reason >&2; exit 3"], log=log)
    assert "the reason" in str(raised.value)
    assert "ended with 3" in str(raised.value)
    assert str(log) in str(raised.value)


def test_a_step_s_output_goes_to_the_log_and_to_the_caller(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert stages.run_logged(["sh", "-c", "echo result; echo noise >&2"], log=log) == "result"
    assert "noise" in log.read_text()
