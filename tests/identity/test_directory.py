"""Users and groups are read and written by their directory alone: another kind of directory can take its place."""

import ast
from pathlib import Path

import kilonova.identity

PACKAGE = Path(kilonova.identity.__file__).parent
TABLES = {"users", "groups", "group_members"}


def test_nothing_but_the_directory_touches_its_tables() -> None:
    touching = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "kilonova.identity.tables":
                if TABLES & {alias.name for alias in node.names}:
                    touching.add(path.relative_to(PACKAGE).as_posix())
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tables":
                assert node.attr not in TABLES, path
    assert touching == {"directory/sql.py"}
