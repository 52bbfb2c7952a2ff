"""Interpreters that Kilonova starts take no module from the working directory: `-P`, or `-I`, stands first."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.stages import ROOT

SAFE = {"-P", "-I"}


def interpreters(source: str) -> Iterator[list[object]]:
    """The words after `sys.executable` in each command of `source`; one that is not a constant is None."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
            yield [word.value if isinstance(word, ast.Constant) else None for word in node.elts[1:]]


def unsafe(files: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: sys.executable {words}"
        for path in files
        for words in interpreters(path.read_text())
        if not words or words[0] not in SAFE
    ]


def test_no_interpreter_takes_modules_from_the_working_directory() -> None:
    files = sorted((ROOT / "kilonova").rglob("*.py"))
    assert sum(len(list(interpreters(path.read_text()))) for path in files) >= 3
    assert unsafe(files) == []


def test_a_command_without_the_option_is_seen() -> None:
    assert list(interpreters('run([sys.executable, "-m", "kilonova"])')) == [["-m", "kilonova"]]
