"""`nova-manage cell_v2` and `nova-status`: output and exit codes, in the guides' order and out of it."""

import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli.daemons import nova_manage, nova_status
from kilonova.cli.daemons.process import EX_CONFIG
from kilonova.cli.daemons.region import fill
from kilonova.cli.daemons.schemas import migrations_of
from kilonova.cli.frames import hide_password
from kilonova.kit.config import ConfigError

CELL0_ID = "00000000-0000-0000-0000-000000000000"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Manage:
    """Runs `nova-manage` on a nova.conf as the guides have it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.write("nova")

    def write(self, name: str, broker: str = "controller") -> None:
        """`name`: of the database of [database]."""
        (self.directory / "nova.conf").write_text(
            f"[DEFAULT]\ntransport_url = rabbit://openstack:RABBIT_PASS@{broker}\n"
            f"[api_database]\nconnection = sqlite:///{self.directory}/nova_api.db\n"
            f"[database]\nconnection = sqlite:///{self.directory}/{name}.db\n"
        )

    def __call__(self, words: str, code: int = 0) -> str:
        return self.run(nova_manage.run, words, code)

    def run(self, program: Any, words: str, code: int = 0) -> str:
        file = str(self.directory / "nova.conf")
        self._monkeypatch.setattr(sys, "argv", ["nova-manage", "--config-file", file, *words.split()])
        assert program() == code
        said = self._capsys.readouterr()
        return str(said.out + said.err)


@pytest.fixture
def manage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Manage:
    return Manage(tmp_path, monkeypatch, capsys)


@pytest.fixture
def installed(manage: Manage) -> Manage:
    manage("api_db sync")
    manage("cell_v2 map_cell0")
    manage("cell_v2 create_cell --name=cell1")
    manage("db sync")
    return manage


def test_the_guides_order(manage: Manage) -> None:
    manage("api_db sync")
    assert manage("cell_v2 map_cell0") == ""
    made = UUID.search(manage("cell_v2 create_cell --name=cell1 --verbose"))
    assert made
    manage("db sync")
    assert {path.name for path in manage.directory.glob("*.db")} == {"nova_api.db", "nova.db", "nova_cell0.db"}
    listed = manage("cell_v2 list_cells").splitlines()
    assert re.match(r"\| Name +\| UUID +\| Transport URL +\| Database Connection +\| Disabled \|", listed[1])
    assert listed[3].split()[:4] == ["|", "cell0", "|", CELL0_ID]
    assert listed[4].split()[:4] == ["|", "cell1", "|", made[0]]
    found = manage("cell_v2 discover_hosts --verbose").splitlines()
    assert found == [
        "Found 2 cell mappings.",
        "Skipping cell0 since it does not contain hosts.",
        f"Getting computes from cell 'cell1': {made[0]}",
        f"Found 0 unmapped computes in cell: {made[0]}",
    ]
    newest = max(path.name for path in (migrations_of("compute") / "versions").glob("0*.py")).partition("_")[0]
    assert (manage("api_db version"), manage("db version")) == (f"{newest}\n", f"{newest}\n")


def test_out_of_order_a_command_says_what_comes_first(manage: Manage) -> None:
    assert "nova-manage api_db sync" in manage("cell_v2 list_cells", EX_CONFIG)
    assert "nova-manage api_db sync" in manage("cell_v2 map_cell0", EX_CONFIG)
    assert "nova-manage api_db sync" in manage("db sync", 1)
    manage("api_db sync")
    assert "WARNING: cell0 mapping not found" in manage("db sync")
    manage("cell_v2 create_cell --name=cell1")
    assert "map_cell0" in manage.run(nova_status.run, "upgrade check", 2)
    assert "cell0's database is empty: run `nova-manage db sync` once more" in manage("cell_v2 map_cell0")
    manage("db sync")
    assert manage("cell_v2 map_cell0") == "Cell0 is already setup\n"


def test_cell0_is_mapped_before_its_database_is_there_and_that_is_said(manage: Manage) -> None:
    manage("api_db sync")
    said = manage(f"cell_v2 map_cell0 --database_connection sqlite:///{manage.directory}")
    assert said.startswith("WARNING: cell0's database cannot be used yet: ")
    assert "unable to open database file. Run `nova-manage db sync` when that is done." in said
    assert f"sqlite:///{manage.directory}" in manage("cell_v2 list_cells")


def test_passwords_are_hidden_unless_asked_for(installed: Manage) -> None:
    assert "RABBIT_PASS" not in installed("cell_v2 list_cells")
    assert "rabbit://openstack:RABBIT_PASS@controller" in installed("cell_v2 list_cells --verbose")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://nova:secret@db/nova?charset=utf8", "mysql+pymysql://nova:****@db/nova?charset=utf8"),
        ("rabbit://a:one@x:5672,b:two@y:5672/v", "rabbit://a:****@x:5672,b:****@y:5672/v"),
        ("none:///", "none:///"),
        ("sqlite:////var/lib/nova.db", "sqlite:////var/lib/nova.db"),
    ],
)
def test_a_url_without_its_passwords(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_cells_share_nothing(installed: Manage) -> None:
    assert "already exists for another cell" in installed("cell_v2 create_cell --name again", 2)
    installed.write("nova2")
    installed("cell_v2 create_cell --name broker-shared", 2)
    installed.write("nova2", "cell2")
    installed("cell_v2 create_cell --name cell2")
    ids = dict(re.findall(r"\| (cell\d) +\| (\S+)", installed("cell_v2 list_cells")))
    assert sorted(ids) == ["cell0", "cell1", "cell2"]
    installed(f"cell_v2 update_cell --cell_uuid {ids['cell1']}", 3)


def test_cells_are_changed_and_deleted(installed: Manage) -> None:
    cell_id = dict(re.findall(r"\| (cell\d) +\| (\S+)", installed("cell_v2 list_cells")))["cell1"]
    update = f"cell_v2 update_cell --cell_uuid {cell_id}"
    installed(f"{update} --name first --disable")
    assert re.search(r"\| first .* True +\|", installed("cell_v2 list_cells"))
    assert "already disabled" in installed(f"{update} --disable")
    installed(f"{update} --enable")
    assert "True" not in installed("cell_v2 list_cells")
    installed(f"{update} --enable --disable", 4)
    installed(f"cell_v2 update_cell --cell_uuid {CELL0_ID} --disable", 5)
    installed("cell_v2 update_cell --cell_uuid nobody", 1)
    installed("cell_v2 delete_cell --cell_uuid nobody", 1)
    installed(f"cell_v2 delete_cell --cell_uuid {cell_id}")
    assert cell_id not in installed("cell_v2 list_cells")


def test_nobody_is_mapped_yet(installed: Manage) -> None:
    cell_id = dict(re.findall(r"\| (cell\d) +\| (\S+)", installed("cell_v2 list_cells")))["cell1"]
    assert "is not mapped to a cell" in installed("cell_v2 verify_instance --uuid nobody", 1)
    assert installed("cell_v2 verify_instance --uuid nobody --quiet", 1) == ""
    installed(f"cell_v2 delete_host --cell_uuid {cell_id} --host node1", 2)
    installed(f"cell_v2 map_instances --cell_uuid {cell_id}")
    installed(f"cell_v2 map_instances --cell_uuid {cell_id} --max-count 0", 127)
    assert "No hosts found to map to cell" in installed("cell_v2 simple_cell_setup", 1)
    assert "Hostname" in installed("cell_v2 list_hosts")
    installed("cell_v2 discover_hosts --strict", 1)


def test_the_upgrade_check_is_a_table(installed: Manage) -> None:
    shown = installed.run(nova_status.run, "upgrade check", 2)
    lines = shown.splitlines()
    assert lines[0] == lines[2] == lines[-1]
    checks = [line.strip("| ").removeprefix("Check: ") for line in lines if line.startswith("| Check")]
    assert checks == [
        "Cells v2",
        "Placement API",
        "Cinder API",
        "Older than N-1 computes",
        "hw_machine_type unset",
        "Service User Token Configuration",
    ]
    assert "| Result: Success" in shown
    assert "PlacementNotConfigured" in shown
    assert "upgrade check" in installed.run(nova_status.run, "upgrade", 255)


def test_templates_are_filled_from_the_hosts_own_url() -> None:
    own = "mysql+pymysql://nova:secret@db:3307/nova"
    assert fill("{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0", own) == f"{own}_cell0"
    assert fill("sqlite:///x", own) == "sqlite:///x"
    with pytest.raises(ConfigError, match="cannot be filled in"):
        fill("{scheme}://{nonsense}", own)


def test_the_upgrade_check_warns_of_old_agents_and_of_servers_without_a_machine_type(
    installed: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(installed.directory / "nova.db") as connection:
        put_row(connection, "hosts", id="h", number=1, binary="nova-compute", host="node1", inventory="{}")
        put_row(connection, "servers", id="s", number=1, image='{"properties": {}}')
    monkeypatch.setattr(nova_status, "RELEASE", 3)
    installed("cell_v2 discover_hosts")
    shown = " ".join(installed.run(nova_status.run, "upgrade check", 2).replace("|", " ").split())
    assert "Result: Warning Details: Install this release on them first: node1." in shown
    assert "Result: Warning Details: Say what they are, with `nova-manage libvirt update_machine_type`: s." in shown
    with sqlite3.connect(installed.directory / "nova.db") as connection:
        connection.execute("UPDATE servers SET image = ?", ['{"properties": {"hw_machine_type": "q35"}}'])
        connection.execute("UPDATE hosts SET inventory = ?", ['{"release": 2}'])
    shown = installed.run(nova_status.run, "upgrade check", 2)
    assert "Warning" not in shown


def put_row(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Inserts a row that has these values, and any that are allowed in its other columns."""
    row: dict[str, object] = {}
    for _number, name, kind, is_needed, _default, _key in connection.execute(f"PRAGMA table_info({table})"):
        plain = "2026-01-01 00:00:00" if kind in ("DATETIME", "TIMESTAMP") else "{}" if kind == "JSON" else "1"
        row[name] = values.get(name, plain if is_needed else None)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def test_the_cell_of_the_database_is_mapped_with_its_hosts(manage: Manage) -> None:
    manage("api_db sync")
    manage("db sync")
    assert "No hosts found to map to cell" in manage("cell_v2 map_cell_and_hosts", 1)
    with sqlite3.connect(manage.directory / "nova.db") as connection:
        put_row(connection, "hosts", id="h", number=1, binary="nova-compute", host="node1", inventory="{}")
    made = UUID.search(manage("cell_v2 map_cell_and_hosts --name first --verbose"))
    assert made
    assert re.search(rf"\| first +\| {made[0]} \| node1 ", manage("cell_v2 list_hosts"))
    again = manage("cell_v2 map_cell_and_hosts --verbose")
    assert "All hosts are already mapped" in again
    assert made[0] in again


def test_a_region_of_several_databases_is_archived_everywhere_or_where_it_is_run(installed: Manage) -> None:
    for number, name in enumerate(("nova", "nova_cell0"), 1):
        with sqlite3.connect(installed.directory / f"{name}.db") as connection:
            put_row(connection, "server_history", id=f"s{number}", number=number, record="{}")
    archived = "db archive_deleted_rows --verbose"
    assert re.search(r"server_history +\| 1 ", installed(archived, 1))
    assert "Nothing was archived." in installed(archived)
    assert re.search(r"server_history +\| 1 ", installed(f"{archived} --all-cells", 1))
    assert "1 rows were deleted from server_history." in installed("db purge --all --verbose")
    assert "1 rows were deleted from server_history." in installed("db purge --all --verbose --all-cells")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("volume_attachment show s v", "openstack server volume list"),
        ("volume_attachment get_connector", "none is kept"),
        ("volume_attachment refresh s v /connector", "by detaching and attaching it"),
        ("limits migrate_to_unified_limits", " yet: "),
    ],
)
def test_commands_on_what_is_not_there_say_so(manage: Manage, words: str, sentence: str) -> None:
    assert sentence in manage(words, 1)
