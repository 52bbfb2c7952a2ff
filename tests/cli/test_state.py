"""The state directory and its configuration."""

from pathlib import Path

import pytest

from kilonova.cli.state import PASSWORD_USERS, StateDir, read_config

WITHOUT_GLANCE = "[DEFAULT]\nmy_ip = 127.0.0.1\n[passwords]\nadmin = chosen\n[neutron]\n"


def made(tmp_path: Path, text: str) -> StateDir:
    state = StateDir(tmp_path)
    state.config_file.write_text(text)
    state.ensure(host="node1", address="127.0.0.1", driver="fake", fake_hosts=1)
    return state


@pytest.mark.parametrize("text", [WITHOUT_GLANCE, "[DEFAULT]\nmy_ip = 127.0.0.1", "", "# [passwords]\n"])
def test_users_that_the_file_does_not_name_get_a_password(tmp_path: Path, text: str) -> None:
    state = made(tmp_path, text)
    passwords = read_config(state).passwords
    values = [getattr(passwords, user) for user in PASSWORD_USERS]
    assert all(values)
    assert len(set(values)) == len(PASSWORD_USERS)
    assert passwords.admin == "chosen" or "chosen" not in text
    assert state.config_file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_names_all_users_stays_as_it_is(tmp_path: Path) -> None:
    text = "# ours\n" + made(tmp_path, "").config_file.read_text()
    assert made(tmp_path, text).config_file.read_text() == text
