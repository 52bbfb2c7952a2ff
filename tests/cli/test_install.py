"""The installer finds what is missing, and starts nothing while it installs."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from kilonova.cli import install

ROOT = Path(__file__).parents[2]


def test_a_package_that_is_not_installed_is_missing() -> None:
    assert install.missing_packages(["dpkg", "no-such-package-anywhere", "coreutils"]) == ["no-such-package-anywhere"]


def test_every_package_has_a_reason() -> None:
    assert all(install.REQUIRED_PACKAGES.values())
    assert install.packages_for("cloud").items() >= install.REQUIRED_PACKAGES.items()
    assert "rabbitmq-server" in install.packages_for("test", ["rabbit"])
    assert install.packages_for("check").items() >= install.BUILD_PACKAGES.items()


def test_nothing_is_run_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_apt", pytest.fail)
    install.install([], io.StringIO())


def test_without_root_the_command_to_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(install.InstallError, match="sudo apt-get install ipset qemu-utils"):
        install.install(["ipset", "qemu-utils"], io.StringIO())


@pytest.fixture
def apt_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The apt-get subcommands that would have run, as root on a machine with package lists."""
    calls: list[str] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(install, "has_package_lists", lambda: True)
    monkeypatch.setattr(install, "services_held_back", contextlib.nullcontext)
    monkeypatch.setattr(install, "run_apt", lambda arguments, log: calls.append(arguments[0]))
    return calls


def test_package_lists_are_not_fetched_while_they_serve(apt_calls: list[str]) -> None:
    install.install(["ipset"], io.StringIO())
    assert apt_calls == ["install"]


def test_package_lists_are_fetched_where_there_are_none(apt_calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "has_package_lists", lambda: False)
    install.install(["ipset"], io.StringIO())
    assert apt_calls == ["update", "install"]


def test_old_package_lists_are_fetched_anew_after_a_failure(
    apt_calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_apt(arguments: list[str], log: io.StringIO) -> None:
        apt_calls.append(arguments[0])
        if apt_calls == ["install"]:
            raise install.InstallError("404 not found")

    monkeypatch.setattr(install, "run_apt", run_apt)
    install.install(["ipset"], io.StringIO())
    assert apt_calls == ["install", "update", "install"]


def test_services_are_held_back_during_the_installation_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "has_systemd", lambda: False)
    with install.services_held_back(policy):
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()


def test_what_a_killed_installation_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(install.POLICY_TEXT)
    monkeypatch.setattr(install, "has_systemd", lambda: False)
    with install.services_held_back(policy):
        pass
    assert not policy.exists()


@pytest.mark.parametrize("systemd", [True, False])
def test_a_policy_of_the_machine_s_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: bool) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(install, "has_systemd", lambda: systemd)
    with install.services_held_back(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()


def test_the_file_runs_alone_on_a_bare_interpreter() -> None:
    command = [sys.executable, "-I", "-S", "kilonova/cli/install.py", "--for", "cloud", "--list"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "qemu-system-x86         is the virtual machine" in listing
