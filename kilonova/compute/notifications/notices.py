"""News that a commit has to tell: said in the transaction, which costs next to nothing where nobody listens.

Source: the Compute service's reference of versioned notifications.
"""

import itertools
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from kilonova.kit.db import Database, Tx

NOTICES = "notices are to be sent"
"""Effect of a commit; about `Notice`s."""
SERVERS_CHANGED = "servers have changed"
"""Effect of a commit; about (server id, names of columns, vm_state before)."""
SERVERS_ACTED_ON = "something was done about servers"
"""Effect of a commit; about (server id, an event whose start and end are told together)."""
UPDATES = frozenset({"name", "description", "hostname", "metadata", "tags"})
"""Columns of a server whose change is an `instance.update`."""
TOLD = UPDATES | {"vm_state", "locked"}
_NUMBERS = itertools.count()


class Notice(Struct, frozen=True):
    """A notice that is known as a whole when it is said."""

    number: int
    """In the order in which they were said."""
    publisher: str
    """The program that upstream sends it from, and a host; without one, `nova-api`, it is this process's host."""
    event_type: str
    payload: bytes
    """JSON."""


class Listener(Protocol):
    """Hears what the commits of a database have to tell."""

    def follow(self, database: Database) -> None: ...


def versioned(name: str, version: str, /, **data: Any) -> dict[str, Any]:
    """Returns an object as versioned notifications have them."""
    return {
        "nova_object.data": data,
        "nova_object.name": name,
        "nova_object.namespace": "nova",
        "nova_object.version": version,
    }


def tell(tx: Tx, payload: dict[str, Any], *event_types: str, publisher: str = "nova-api") -> None:
    """Has a payload published after the commit, once as each of the events."""
    encoded = msgspec.json.encode(payload)
    tx.after(NOTICES, *(Notice(next(_NUMBERS), publisher, each, encoded) for each in event_types))
