"""`kilonova config`."""

from pathlib import Path

import pytest

from kilonova.cli.config import SERVICES
from kilonova.cli.main import main

GOOD = "[DEFAULT]\nmy_ip = 10.0.0.11\nauth_strategy = keystone\n[vnc]\nenabled = true\n"


def test_what_has_no_effect_is_listed_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(GOOD)
    assert main(["config", "check", "nova", "--config-file", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"no effect  {path}:3: [DEFAULT] auth_strategy: callers are always checked at identity"
    assert out[1].startswith(f"no effect  {path}:5: [vnc] enabled")
    assert out[2] == f"{path}: 2 options have no effect, nothing is wrong"


def test_every_wrong_line_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(GOOD + "[glance]\napi_severs = x\n[nonsense]\nkey = y\n")
    assert main(["config", "check", "nova", "--config-file", str(path)]) == 1
    err = capsys.readouterr().err
    assert f"{path}:7: [glance] api_severs" in err and f"{path}:9: [nonsense] key" in err


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_sample_is_a_file_that_can_be_read(service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "sample", service]) == 0
    sample = capsys.readouterr().out
    assert "#my_ip = 127.0.0.1" in sample
    path = tmp_path / "sample.conf"
    # Every default may be written out as well.
    path.write_text("\n".join(line.removeprefix("#") if " = " in line else line for line in sample.splitlines()))
    assert main(["config", "check", service, "--config-file", str(path)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
