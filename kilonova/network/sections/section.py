"""The contract of a section: whose changes its objects hang on, which objects an owner has, and what they look like."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Struct
from sqlalchemy import BindParameter, Integer, Select, bindparam

from kilonova.kit.db import Tx
from kilonova.network import concerns
from kilonova.network.sections.facts import Agents, Facts, PortFacts
from kilonova.network.sections.interest import Interest

FIRST = ""
"""The id that comes before every other."""


class Spot(NamedTuple):
    """Where an object lies in its section."""

    owner: str
    id: str


class Asking(Struct):
    """Who asks, and what is known already."""

    tx: Tx
    revision: int
    """Which the transaction sees, or an earlier one."""
    host: str
    facts: Facts
    agents: Agents

    async def ports(self, port_ids: Collection[str]) -> dict[str, PortFacts]:
        """Port id → its facts, for those that are there."""
        return await self.facts.ports(self.tx, self.revision, port_ids)


class Section(Protocol):
    name: str
    is_single: bool
    """Whether each owner has just one object, which is the owner itself."""

    def names(self, owner: str, interest: Interest) -> Collection[str]:
        """The names (`concerns.py`) that the owner's objects hang on. What is about one object names its id."""
        ...

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        """The first ids after this one, in order, of the owner's objects."""
        ...

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, Any]:
        """The objects that are there, in a handful of queries however many are asked for."""
        ...


class Single:
    """What sections have in common whose objects are their own owners."""

    is_single = True

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return [owner] if after < owner else []


OWNER: BindParameter[str] = bindparam("owner")
AFTER: BindParameter[str] = bindparam("after")
MOST: BindParameter[int] = bindparam("most", type_=Integer())
"""What a section's statement for `ids` is asked with."""


async def ids_of(tx: Tx, statement: Select[Any], **values: Any) -> list[str]:
    return [each for (each,) in await tx.tuples(statement, **values)]


def names_of_ports(owner: str, _interest: Interest) -> list[str]:
    return [concerns.ports_of(owner)]
