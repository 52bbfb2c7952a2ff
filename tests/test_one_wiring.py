"""Services are made in the parts of the command line alone, so that tests, daemons and `up` have the same ones."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stages import ROOT

MADE_IN = "kilonova/cli/parts"
OF_THEIR_OWN = {
    "tests/image/dying.py": "the process is killed at a step of an upload: it has a service and nothing else",
    "tests/conformance/placement/server.py": "upstream's suites send tokens that no identity service has issued",
}


def made_services(source: str) -> Iterator[str]:
    """Names imported from some service's `service` module that are called."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kilonova.")
        if (node.module or "").endswith(".service")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
            yield node.func.id


def test_a_service_that_is_made_is_found() -> None:
    made = "from kilonova.image.service import Image\nImage(1)\n"
    assert list(made_services(made)) == ["Image"]
    assert list(made_services("from kilonova.image.service import Image\nx: Image\n")) == []


@pytest.mark.parametrize("directory", ["kilonova", "tests", "tools", "bench"])
def test_only_parts_make_services(directory: str) -> None:
    wrong = []
    for path in sorted(Path(ROOT, directory).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(MADE_IN) and name not in OF_THEIR_OWN:
            wrong += [f"{name} makes {each}" for each in made_services(path.read_text())]
    assert wrong == []


def test_the_exceptions_are_needed() -> None:
    assert all(list(made_services(Path(ROOT, name).read_text())) for name in OF_THEIR_OWN)
