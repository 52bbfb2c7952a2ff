"""`kilonova config`."""

from pathlib import Path

import pytest

from kilonova.cli.config import SERVICES
from kilonova.cli.main import main

GOOD = "[DEFAULT]\nmy_ip = 10.0.0.11\nauth_strategy = keystone\n[libvirt]\ninject_key = true\n"


def test_what_has_no_effect_is_listed_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(GOOD)
    assert main(["config", "check", "nova", "--config-file", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"no effect  {path}:3: [DEFAULT] auth_strategy: callers are always checked at identity"
    assert out[1].startswith(f"no effect  {path}:5: [libvirt] inject_key")
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


def test_all_files_of_a_host_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kilonova.cli.daemons.files.ETC", tmp_path)
    assert main(["config", "check"]) == 1
    assert "no configuration file of any service" in capsys.readouterr().err
    for name, text in {
        "nova/nova.conf": GOOD,
        "neutron/neutron.conf": "[DEFAULT]\ncore_plugin = ml2\n",
        "neutron/plugins/ml2/ml2_conf.ini": "[ml2_type_vxlan]\nvni_ranges = 1:1000\n",
        "neutron/dhcp_agent.ini": "[DEFAULT]\ninterface_driver = linuxbridge\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("nova.conf:5: [libvirt] inject_key", "ml2_conf.ini", "dhcp_agent.ini:2:"))
    (tmp_path / "nova/nova.conf").write_text("[libvirt]\nvirt_type = xen\n")
    (tmp_path / "neutron/dhcp_agent.ini").write_text("[DEFAULT]\ninterface_driven = linuxbridge\n")
    assert main(["config", "check"]) == 1
    err = capsys.readouterr().err
    assert "nova.conf:2: [libvirt] virt_type" in err and "dhcp_agent.ini:2: [DEFAULT] interface_driven" in err
