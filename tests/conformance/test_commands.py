"""The stock client's commands, as the tables say, on simulated clouds; the tables are whole, and so is what docs say.

Each run leaves its results in `.work/commands`, from which `tools.command_table` writes `docs/commands.md`.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance.coverage import Commands, needless_reasons, unexplained
from tests.conformance.files import FILES
from tests.conformance.rows import Table
from tests.conformance.tables import TABLES
from tests.conformance.typed_cloud import Ending, ask_commands, run_rows, typed_cloud
from tools.stages import ROOT, WORK


@pytest.mark.e2e
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.service)
def test_every_command_ends_as_its_table_says(table: Table, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with typed_cloud(tmp_path, FILES) as clients:
        endings = run_rows(clients, table.rows)
    write_down(table, endings)
    wrong = [str(ending) for ending in endings if not ending.is_as_said]
    assert not wrong, "\n".join(wrong)


def write_down(table: Table, endings: Sequence[Ending]) -> None:
    directory = WORK / "commands"
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "command": ending.row.written(),
            "user": ending.row.user,
            "refused": bool(ending.status),
            "shows": ending.sentence() if ending.status else ending.row.shows,
            "silent": not ending.out.strip(),
        }
        for ending in endings
    ]
    record = {"service": table.service, "rows": rows, "left_out": table.left_out}
    (directory / f"{table.service}.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def commands() -> Commands:
    return ask_commands([group for table in TABLES for group in table.groups])


@pytest.mark.e2e
def test_every_command_and_option_of_the_client_has_a_row_or_a_reason(commands: Commands) -> None:
    missing = unexplained(TABLES, commands)
    assert not missing, "\n".join(missing)


@pytest.mark.e2e
def test_no_reason_is_given_for_what_is_typed(commands: Commands) -> None:
    assert not needless_reasons(TABLES, commands)


def test_the_documented_table_has_every_row() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    written = [row.written().replace("|", "\\|") for table in TABLES for row in table.rows]
    missing = [command for command in written if f"`{command}`" not in text]
    assert not missing, "type `python -m tools.command_table`:\n" + "\n".join(missing)
