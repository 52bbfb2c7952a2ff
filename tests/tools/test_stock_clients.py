"""The stock clients are installed once for a lock file, and apart from everything of ours."""

from pathlib import Path

import pytest

from tools import stock_clients
from tools.stages import VENV, StageError


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    made = tmp_path / "clients.lock"
    made.write_text("")
    return made


def test_an_environment_of_the_present_lock_is_left_alone(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock_clients.install(tmp_path / "clients", lock)
    monkeypatch.setattr(stock_clients, "run_logged", pytest.fail)
    assert "holds clients.lock" in stock_clients.install(tmp_path / "clients", lock)


def test_a_changed_lock_is_installed_anew(tmp_path: Path, lock: Path) -> None:
    stock_clients.install(tmp_path / "clients", lock)
    lock.write_text("# changed\n")
    assert not stock_clients.is_installed(tmp_path / "clients", lock)


def test_a_package_without_its_hash_is_refused_and_leaves_no_stamp(tmp_path: Path, lock: Path) -> None:
    lock.write_text("idna==3.10\n")
    with pytest.raises(StageError, match="hash"):
        stock_clients.install(tmp_path / "clients", lock)
    assert not stock_clients.is_installed(tmp_path / "clients", lock)


def test_the_clients_are_not_in_our_environment() -> None:
    assert VENV not in stock_clients.CLIENTS.parents
    runtime = (stock_clients.LOCK.parent / "runtime.lock").read_text()
    assert "openstack" not in runtime
