"""Statements that differ in their values only: made once for each table and its columns, and kept.

SQLAlchemy takes up to eight times as long to make a statement as to run one that is made (measured: an insert of twenty
columns 660 µs against 80).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    select,
    update,
)

MARK = "by_"
"""Before a column's name: the parameter it is compared with, apart from the one it is set to."""

Description = tuple[str, bool]
"""A column, and whether it is to be NULL."""


@cache
def rows_by(table: FromClause, *by: Description) -> Select[Any]:
    return select(table).where(*_conditions(table, by))


@cache
def rows_among(table: FromClause, column: str, *, order: str | None = None) -> Select[Any]:
    """The rows whose column has one of the values given as a list under its name, in the order of another column."""
    statement = select(table).where(table.c[column].in_(bindparam(column, expanding=True)))
    return statement if order is None else statement.order_by(table.c[order])


@cache
def inserting(table: Table) -> Insert:
    return table.insert()


@cache
def inserting_new(table: Table, dialect: str) -> Insert:
    """An insert that leaves a row with the same unique key alone."""
    # Each dialect is a MiB or two that a cloud on another engine has no use for.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing()
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import mysql

    return mysql.insert(table).prefix_with("IGNORE")


@cache
def changing(table: Table, *by: Description) -> Update:
    return update(table).where(*_conditions(table, by))


@cache
def removing(table: Table, *by: Description) -> Delete:
    return delete(table).where(*_conditions(table, by))


def _conditions(table: FromClause, by: tuple[Description, ...]) -> list[ColumnElement[bool]]:
    if not by:
        raise ValueError(f"which rows of {table} is not said")
    return [table.c[name].is_(None) if is_null else table.c[name] == bindparam(MARK + name) for name, is_null in by]


def described(by: Mapping[str, Any]) -> tuple[Description, ...]:
    return tuple((name, value is None) for name, value in by.items())


def bound_by(by: Mapping[str, Any]) -> dict[str, Any]:
    return {MARK + name: value for name, value in by.items() if value is not None}
