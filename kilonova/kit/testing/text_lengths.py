"""Has SQLite refuse a text that is longer than its column, as the other engines do.

SQLite takes `VARCHAR(16)` for a word without meaning. Databases that are made afterwards say it as a check.
"""

from typing import Any

from sqlalchemy import VARCHAR, Column, String
from sqlalchemy.ext.compiler import compiles


def enforce() -> None:
    """Checks lengths in the whole process; safe to repeat."""
    compiles(String, "sqlite")(_render)
    compiles(VARCHAR, "sqlite")(_render)


def _render(kind: String, compiler: Any, **options: Any) -> str:
    rendered: str = compiler.visit_VARCHAR(kind, **options)
    column = options.get("type_expression")
    if kind.length is None or not isinstance(column, Column):
        return rendered
    name = compiler.dialect.identifier_preparer.quote(column.name)
    return f"{rendered} CHECK (length({name}) <= {kind.length})"
