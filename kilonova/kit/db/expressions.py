"""SQL that each engine spells in its own way."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, cast, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


def total(column: ColumnElement[Any]) -> ColumnElement[int]:
    """The sum of a column of whole numbers, 0 of no rows: servers add them up as decimals."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger().with_variant(Integer(), "sqlite"))


class list_has(GenericFunction[bool]):
    """Whether a JSON column that holds a list of texts has this one: `list_has(table.c.tags, "red")`."""

    type = Boolean()
    inherit_cache = True


def has_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return list_has(column, literal(text))


@compiles(list_has, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(each, **options) for each in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS each_text WHERE each_text.value = {text})"  # noqa: S608 - made of compiled parts


@compiles(list_has, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(each, **options) for each in element.clauses)
    return f"jsonb_exists(CAST({column} AS jsonb), CAST({text} AS text))"


@compiles(list_has, "mysql", "mariadb")
def _mysql(element: Any, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(each, **options) for each in element.clauses)
    return f"JSON_CONTAINS({column}, JSON_QUOTE({text}))"


class object_has(GenericFunction[bool]):
    """Whether a JSON column that holds an object of texts has this entry: `object_has(table.c.notes, "key", "value")`.

    The texts are parameters, never parts of a path: whatever they hold, they mean themselves.
    """

    type = Boolean()
    inherit_cache = True


def has_entry(column: ColumnElement[Any], key: str, value: str) -> ColumnElement[bool]:
    return object_has(column, literal(key), literal(value))


@compiles(object_has, "sqlite")
def _sqlite_entry(element: Any, compiler: Any, **options: Any) -> str:
    column, key, value = (compiler.process(each, **options) for each in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM json_each({column}) AS each_entry "  # noqa: S608 - made of compiled parts
        f"WHERE each_entry.key = {key} AND each_entry.value = {value})"
    )


@compiles(object_has, "postgresql")
def _postgresql_entry(element: Any, compiler: Any, **options: Any) -> str:
    column, key, value = (compiler.process(each, **options) for each in element.clauses)
    built = f"jsonb_build_object(CAST({key} AS text), CAST({value} AS text))"
    return f"jsonb_contains(CAST({column} AS jsonb), {built})"


@compiles(object_has, "mysql", "mariadb")
def _mysql_entry(element: Any, compiler: Any, **options: Any) -> str:
    column, key, value = (compiler.process(each, **options) for each in element.clauses)
    return f"JSON_CONTAINS({column}, JSON_OBJECT({key}, {value}))"
