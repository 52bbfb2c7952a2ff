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
