"""Databases: the only package that opens connections.

`Database.transaction()` and `Database.reading()` are the one way in; both give a `Tx`. A remote call is never awaited
inside either: it would hold a lock, or a pooled connection, for as long as somebody else likes (design §4).
"""

from kilonova.kit.db.engine import Database, Tx
from kilonova.kit.db.types import UtcDateTime

__all__ = ["Database", "Tx", "UtcDateTime"]
