"""The unit files, the container file and the accounts: they name what there is."""

import configparser
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kilonova.cli.daemons.process import EX_CONFIG, EX_TEMPFAIL

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PROJECTS = ("keystone", "glance", "placement", "nova", "neutron", "cinder")
ON_THE_HOST = (
    "nova-compute",
    "cinder-volume",
    "cinder-backup",
    "neutron-linuxbridge-agent",
    "neutron-dhcp-agent",
    "neutron-l3-agent",
)


def sections(path: Path) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(path)
    return parsed


def test_every_daemon_has_a_unit_and_no_unit_is_without_one() -> None:
    tools = {name for name in SCRIPTS if name == "kilonova" or name.endswith(("-manage", "-status"))}
    assert {path.stem for path in UNITS} == set(SCRIPTS) - tools


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_its_daemon_and_knows_its_exit_codes(path: Path) -> None:
    service = sections(path)["Service"]
    assert service["ExecStart"] == f"/usr/bin/{path.stem}"
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert service["RestartPreventExitStatus"].split() == [str(EX_CONFIG)]
    assert str(EX_TEMPFAIL) not in service["RestartPreventExitStatus"]
    project = next(each for each in PROJECTS if path.stem.startswith(each))
    assert service["StateDirectory"] == project and service["User"] in (project, "root")


@pytest.mark.parametrize("name", ON_THE_HOST)
def test_what_works_on_the_host_itself_sees_the_hosts_mounts(name: str) -> None:
    service = sections(PACKAGING / "systemd" / f"{name}.service")["Service"]
    own_mounts = ("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ReadOnlyPaths")
    assert [key for key in own_mounts if key in service] == []
    assert service["KillMode"] == "process"


def test_the_guides_names_start_the_units() -> None:
    names = {path.stem for path in UNITS}
    for path in UNITS:
        names |= {each.removesuffix(".service") for each in sections(path)["Install"].get("Alias", "").split()}
    assert {"openstack-nova-api", "openstack-nova-compute", "openstack-glance-api", "neutron-server"} <= names


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(path: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/usr/bin/", f"{Path(sys.executable).parent}/"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True)
    own = [line for line in done.stderr.splitlines() if path.name in line or str(copy) in line]
    assert own == []


def test_accounts_and_directories_belong_to_the_units_users() -> None:
    accounts = {
        line.split()[1]
        for line in (PACKAGING / "sysusers.d/kilonova.conf").read_text().splitlines()
        if line[:2] == "u "
    }
    assert accounts == set(PROJECTS)
    for line in (PACKAGING / "tmpfiles.d/kilonova.conf").read_text().splitlines():
        if not line.startswith("#"):
            kind, path, mode, user, group = line.split()
            assert kind == "d" and path.startswith(("/etc/", "/var/lib/")) and mode in ("0750", "0700")
            assert user in (*PROJECTS, "root") and group in PROJECTS


def test_the_container_file_copies_what_there_is() -> None:
    lines = (PACKAGING / "Containerfile").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert copied and all((ROOT / word).exists() for word in copied)
    (command,) = [line for line in lines if line.startswith("CMD ")]
    assert '"kilonova"' in command and "kilonova" in SCRIPTS
