"""Write `docs/commands.md`: every command of the stock client, typed on simulated clouds, with its result.

`python -m tools.command_table` (root) types all rows of `tests/conformance` and renders what came of it; `--again` only
renders what the last run left in `.work/commands`. Exit code 1 when a command did not end as its row says.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.stages import ROOT, WORK, tool_environment

PAGE = ROOT / "docs/commands.md"
RECORDS = WORK / "commands"
SERVICES = ("identity", "image", "placement", "compute", "network", "block-storage", "shared")
TITLES = {"shared": "several services, or none"}
HEAD = """# Commands of the stock client

What `python -m tools.command_table` found: the stock `openstack` client (`requirements/clients.lock`), typed on
simulated clouds of two hosts (`kilonova up --fake 2`), a fresh one for each table. Rows run from top to bottom; `$name`
is an id that an earlier row printed. `user` is in whose name a command is typed: the administrator, or `demo` with the
role member. A refused command shows the sentence the client prints. What is not typed stands below each table, with the
reason.
"""


def cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Text as code, whatever it holds."""
    return f"`{cell(text)}`" if text else ""


def render_row(row: dict[str, Any]) -> str:
    shows = cell(row["shows"]) if row["refused"] else code(row["shows"]) or ("nothing" if row["silent"] else "a list")
    result = "refused" if row["refused"] else "ok"
    return f"| {code(row['command'])} | {row['user']} | {result} | {shows} |"


def render_table(record: dict[str, Any]) -> str:
    title = TITLES.get(record["service"], record["service"])
    refused = sum(row["refused"] for row in record["rows"])
    lines = [f"## {title.capitalize()}", ""]
    lines += [f"{len(record['rows'])} commands, {refused} of them refused as they have to be.", ""]
    lines += ["| command | user | result | shows |", "|---|---|---|---|"]
    lines += [render_row(row) for row in record["rows"]]
    if record["left_out"]:
        lines += ["", "Not typed:", ""]
        lines += [f"- {code(pattern)}: {reason}" for pattern, reason in sorted(record["left_out"].items())]
    return "\n".join(lines)


def render_page(records: list[dict[str, Any]]) -> str:
    return "\n\n".join([HEAD.rstrip(), *(render_table(record) for record in records)]) + "\n"


def type_all() -> int:
    """Runs the tables; returns pytest's exit code."""
    for path in RECORDS.glob("*.json"):
        path.unlink()
    test = "tests/conformance/test_commands.py"
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-m", "e2e", test]
    return subprocess.run(command, cwd=ROOT, env=tool_environment()).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="render the last run's results")
    options = parser.parse_args()
    status = 0 if options.again else type_all()
    records = [json.loads((RECORDS / f"{service}.json").read_text()) for service in SERVICES]
    PAGE.write_text(render_page(records))
    print(f"{sum(len(record['rows']) for record in records)} commands written to {PAGE.relative_to(ROOT)}")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
