"""Statements as SQLite's driver takes them: compiled once, then bound and read without SQLAlchemy in between.

The driver answers a row by its key in 3 µs; SQLAlchemy's execution takes 60 around that, 180 for a statement made anew
(measured). A statement is prepared when the same object comes a second time: what is made for one request alone stays
with SQLAlchemy, which has compiled its like before.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import Delete, Dialect, Executable, Insert, Select, Update, exc
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]

MOST_LENGTHS = 64
"""A statement has a text for each length of its lists; so many of them are kept."""


class Answer(Protocol):
    """What a statement has brought; SQLAlchemy's `CursorResult` is one."""

    @property
    def rowcount(self) -> int: ...

    def keys(self) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def first(self) -> Any: ...

    def scalar(self) -> Any: ...


class _Parameter(NamedTuple):
    """One question mark of a text."""

    name: str | None
    """The value that is given; None: it is always the same."""
    at: int | None
    """Which one of the values, where they are a list."""
    constant: Any
    convert: Convert | None


class Prepared:
    """A statement's text, with how its values are written and its rows are read."""

    def __init__(
        self, sql: str, parameters: Sequence[_Parameter], columns: Sequence[tuple[str, Convert | None]]
    ) -> None:
        self.sql = sql
        self.names = tuple(name for name, _ in columns)
        self._parameters = parameters
        self._converted = [(at, convert) for at, (_, convert) in enumerate(columns) if convert is not None]

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the question marks. Raises StatementError for one that its column cannot have."""
        bound = []
        for name, at, value, convert in self._parameters:
            if name is not None:
                value = values[name] if at is None else values[name][at]
            if convert is not None:
                try:
                    value = convert(value)
                except (TypeError, ValueError) as error:
                    raise exc.StatementError(str(error), self.sql, None, error) from error
            bound.append(value)
        return bound

    def read(self, row: Sequence[Any]) -> Sequence[Any]:
        """The row as its columns' types have it."""
        if not self._converted:
            return row
        values = list(row)
        for at, convert in self._converted:
            values[at] = convert(values[at])
        return values


class DriverAnswer:
    """What a prepared statement has brought. A cursor that is left in the middle would hold its snapshot: none is."""

    def __init__(self, cursor: sqlite3.Cursor, prepared: Prepared) -> None:
        self._cursor = cursor
        self._prepared = prepared

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def keys(self) -> tuple[str, ...]:
        return self._prepared.names

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return map(self._prepared.read, self._cursor.fetchall())

    def first(self) -> Sequence[Any] | None:
        row = self._cursor.fetchone()
        self._cursor.close()
        return None if row is None else self._prepared.read(row)

    def scalar(self) -> Any:
        row = self.first()
        return None if row is None else row[0]


class _Form:
    """A statement that is given certain parameters; its text depends on the lengths of those that are lists."""

    def __init__(
        self, statement: Executable, compiled: SQLCompiler, dialect: Dialect, given: Mapping[str, Any]
    ) -> None:
        self._compiled = compiled
        self._dialect = dialect
        self._columns = _columns(statement, dialect)
        self._lists = tuple(each.key for each in compiled.post_compile_params if each.key in given)
        self._texts: dict[tuple[int, ...], Prepared] = {}

    def prepared(self, values: Mapping[str, Any]) -> tuple[Prepared, Mapping[str, Any]]:
        """The text for these values, and the values as it takes them."""
        if self._lists:
            # A set is as good as a list; its members are given one by one.
            values = {**values, **{name: list(values[name]) for name in self._lists}}
        lengths = tuple(len(values[name]) for name in self._lists)
        text = self._texts.get(lengths)
        if text is None:
            if len(self._texts) >= MOST_LENGTHS:
                self._texts.clear()
            text = self._texts[lengths] = self._prepare(values)
        return text, values

    def _prepare(self, values: Mapping[str, Any]) -> Prepared:
        expanded = self._compiled.construct_expanded_state(dict(values))
        member: dict[str, tuple[str, int]] = {
            part: (name, at) for name, parts in expanded.parameter_expansion.items() for at, part in enumerate(parts)
        }
        parameters = []
        for part in expanded.positiontup or ():
            name, at = member.get(part, (part, None))
            column = self._compiled.binds[name].type.dialect_impl(self._dialect)
            given = name if name in values else None
            constant = None if given else expanded.parameters[part]
            parameters.append(_Parameter(given, at, constant, column.bind_processor(self._dialect)))
        return Prepared(expanded.statement, parameters, self._columns)


def _columns(statement: Executable, dialect: Dialect) -> list[tuple[str, Convert | None]]:
    if not isinstance(statement, Select):
        return []
    return [
        (name, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for name, column in statement.exported_columns.items()
    ]


class Statements:
    """The prepared statements of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._forms: WeakKeyDictionary[Executable, dict[tuple[str, ...], _Form | None]] = WeakKeyDictionary()

    def find(self, statement: Executable, values: Mapping[str, Any]) -> tuple[Prepared, Mapping[str, Any]] | None:
        """The statement prepared for such values, and the values as it takes them; None: SQLAlchemy is to run it."""
        forms = self._forms.get(statement)
        if forms is None:
            self._forms[statement] = {}
            return None
        given = tuple(values)
        if given not in forms:
            forms[given] = self._form(statement, values)
        form = forms[given]
        return None if form is None else form.prepared(values)

    def _form(self, statement: Executable, values: Mapping[str, Any]) -> _Form | None:
        if not isinstance(statement, Select | Insert | Update | Delete):
            return None
        compiled = statement.compile(dialect=self._dialect, column_keys=list(values) or None)
        # What SQLAlchemy makes up itself (defaults, rows that come back) is left to it.
        is_plain = isinstance(compiled, SQLCompiler) and not (
            compiled.insert_prefetch or compiled.update_prefetch or compiled.effective_returning
        )
        return _Form(statement, compiled, self._dialect, values) if is_plain else None
