"""The two kinds of transactions of compute, so that a type says which database a function works on.

A region whose only database is the API database has both kinds in one: `Cell.regional` and `Region.local` say so.
"""

from contextlib import AbstractAsyncContextManager
from typing import NewType, cast

from kilonova.kit.db import Database, Tx

RegionTx = NewType("RegionTx", Tx)
"""Of the API database: mappings, flavors, key pairs, server groups, quotas, aggregates, console tokens."""

CellTx = NewType("CellTx", Tx)
"""Of a cell's database: servers, their tasks and history, hosts. Servers that are not placed yet, and their tasks, are
in the API database, which is a cell to that extent."""


def region_reading(database: Database) -> AbstractAsyncContextManager[RegionTx]:
    """A read of the API database."""
    return cast(AbstractAsyncContextManager[RegionTx], database.reading())


def region_transaction(database: Database) -> AbstractAsyncContextManager[RegionTx]:
    """A write transaction of the API database."""
    return cast(AbstractAsyncContextManager[RegionTx], database.transaction())


def cell_reading(database: Database) -> AbstractAsyncContextManager[CellTx]:
    """A read of a cell's database."""
    return cast(AbstractAsyncContextManager[CellTx], database.reading())


def cell_transaction(database: Database) -> AbstractAsyncContextManager[CellTx]:
    """A write transaction of a cell's database."""
    return cast(AbstractAsyncContextManager[CellTx], database.transaction())
