"""The stock clients are installed once for a lock file, and apart from everything of ours."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import stock_clients
from tools.stages import VENV, StageError, run_logged


def test_an_environment_is_made_once_for_a_lock_and_never_without_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, lock = tmp_path / "clients", tmp_path / "clients.lock"
    run: list[str] = []

    def run_all_but_another_venv(command: Sequence[str | Path]) -> str:
        # One takes seconds to make, and pip refuses in any.
        run.append(" ".join(map(str, command)))
        return "" if "venv" in command and environment.exists() else run_logged(command)

    monkeypatch.setattr(stock_clients, "run_logged", run_all_but_another_venv)
    lock.write_text("")
    assert "made from clients.lock" in stock_clients.install(environment, lock)
    assert stock_clients.is_installed(environment, lock)
    run.clear()
    assert "holds clients.lock" in stock_clients.install(environment, lock)
    assert run == []
    lock.write_text("idna==3.10\n")
    assert not stock_clients.is_installed(environment, lock)
    with pytest.raises(StageError, match="hash"):
        stock_clients.install(environment, lock)
    assert f"-m venv --clear {environment}" in run[0]
    assert not stock_clients.is_installed(environment, lock)


def test_the_clients_are_not_in_our_environment() -> None:
    assert VENV not in stock_clients.CLIENTS.parents
    runtime = (stock_clients.LOCK.parent / "runtime.lock").read_text()
    assert "openstack" not in runtime
