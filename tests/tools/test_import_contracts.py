"""The import contracts catch what they are for, tried on a small tree of the same shape."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GOOD = {
    "kit/errors.py": "",
    "kit/bus/in_process.py": "",
    "kit/db/engine.py": "import sqlalchemy\nfrom kilonova.kit import errors\n",
    "kit/http/versions.py": "",
    "kit/http/edge.py": "from kilonova.kit.http import versions\nfrom kilonova.kit.db import engine\n",
    "kit/testing/harness.py": "from kilonova.kit.http import edge\n",
    "network/client.py": "from kilonova.kit.http import edge\n",
    "network/ports.py": "",
    "compute/tables.py": "import sqlalchemy\n",
    "compute/servers/servers.py": "from kilonova.compute import tables\nfrom kilonova.kit.db import engine\n",
    "compute/views/servers.py": "",
    "compute/versions.py": "from kilonova.kit.http import versions\n",
    "compute/api/servers.py": "from kilonova.compute import servers\nimport kilonova.compute.views.servers\n",
    "compute/app.py": "from kilonova.compute.api import servers\nfrom kilonova.kit.http import versions\n",
    "compute/programs/build.py": "from kilonova.network import client\nfrom kilonova.compute import servers\n",
    "compute/agent/converge.py": "from kilonova.kit import errors\n",
    "compute/scheduling/filters.py": "",
    "cli/main.py": "from kilonova.compute import app\nfrom kilonova.kit.testing import harness\n",
}

VIOLATIONS = {
    "the kit imports a service": ("kit/http/edge.py", "from kilonova.compute import servers"),
    "the kit imports a client": ("kit/http/edge.py", "from kilonova.network import client"),
    "a lower floor imports a higher one": ("kit/db/engine.py", "from kilonova.kit.http import edge"),
    "a service imports another's domain": ("compute/servers/servers.py", "from kilonova.network import ports"),
    "a service imports the command line": ("compute/servers/servers.py", "from kilonova.cli import main"),
    "a service imports fakes": ("compute/servers/servers.py", "from kilonova.kit.testing import harness"),
    "the domain imports a handler": ("compute/servers/servers.py", "from kilonova.compute.api import servers"),
    "tables import programs": ("compute/tables.py", "from kilonova.compute.programs import build"),
    "a handler holds SQL": ("compute/api/servers.py", "import sqlalchemy"),
    "a view holds SQL": ("compute/views/servers.py", "from sqlalchemy import select"),
    "a handler sends messages": ("compute/api/servers.py", "from kilonova.kit.bus import in_process"),
    "an agent touches a database": ("compute/agent/converge.py", "from kilonova.kit.db import engine"),
    "a filter reads tables": ("compute/scheduling/filters.py", "from kilonova.compute import tables"),
    "the domain knows versions": ("compute/servers/servers.py", "from kilonova.kit.http import versions"),
}


def write_tree(directory: Path) -> None:
    for name, text in GOOD.items():
        path = directory / "kilonova" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for parent in path.parents[: len(Path(name).parts)]:
            (parent / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", directory)


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=directory, env={"PYTHONPATH": str(directory)}, capture_output=True, text=True)


def test_a_tree_of_the_right_shape_keeps_all_contracts(tmp_path: Path) -> None:
    write_tree(tmp_path)
    result = lint(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_contract_breaks_when(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path)
    file, line = VIOLATIONS[name]
    path = tmp_path / "kilonova" / file
    path.write_text(path.read_text() + line + "\n")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    module = "kilonova." + file.removesuffix(".py").replace("/", ".")
    assert f"{module} -> " in result.stdout or f"{module} is not allowed to import" in result.stdout, result.stdout
