"""The properties of a server's image as the server remembers them, and how an operator changes them.

Source: the Compute command reference, "nova-manage image_property" and "nova-manage libvirt".
"""

import re
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from kilonova.compute.errors import WrongState
from kilonova.compute.hardware.names import IMAGE, treatment_of
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.unserved import refuse_unserved
from kilonova.compute.servers import servers
from kilonova.compute.tables import Server, tasks
from kilonova.compute.tables import servers as server_table
from kilonova.compute.transactions import cell_reading, cell_transaction
from kilonova.kit.db import Database

MACHINE_TYPE = "hw_machine_type"
OFF_ITS_HOST = ("stopped", "shelved", "shelved_offloaded")
"""States in which no guest runs that would have to become another."""
LONGEST_VALUE = 255
_MACHINE = re.compile(r"pc|q35|virt|(?:pc|pc-i440fx|pc-q35|virt)-\d{1,3}\.\d{1,3}")


class UnknownMachine(Exception):
    """Hosts start no machine of this type."""


class UnknownProperty(Exception):
    """No image property that is known has this name."""


def of(server: Server) -> dict[str, str]:
    found: dict[str, str] = (server.image or {}).get("properties", {})
    return found


def check_machine(name: str) -> None:
    """Raises UnknownMachine."""
    if not _MACHINE.fullmatch(name):
        raise UnknownMachine(f"{name!r} is no machine type that is known, such as pc, q35 or pc-q35-7.2.")


def is_same_kind(one: str, other: str) -> bool:
    """Whether both are one board, whatever their versions: a guest that knows one starts on the other."""
    return _board(one) == _board(other)


def _board(name: str) -> str:
    return "q35" if "q35" in name else name.partition("-")[0]


async def without(database: Database, name: str) -> list[str]:
    """The ids of the servers of a database whose image has said nothing under a name."""
    async with cell_reading(database) as tx:
        rows = await tx.tuples(select(server_table.c.id, server_table.c.image))
    return [server_id for server_id, image in rows if name not in (image or {}).get("properties", {})]


async def change(database: Database, server_id: str, changes: Mapping[str, str], now: datetime) -> None:
    """Raises ServerNotFound; WrongState for a server with a guest, or one that is worked on; UnknownProperty; and
    UnusableSpec for a value that no host can obey.
    """
    async with cell_transaction(database) as tx:
        server = await servers.find(tx, server_id)
        action = "change image properties"
        servers.check_state(server, action, OFF_ITS_HOST)
        if await tasks.active(tx, server_id) is not None:
            raise WrongState(server_id, action, "an operation that is under way")
        if server.image is None:
            raise WrongState(server_id, action, "no image")
        for name, value in changes.items():
            if treatment_of(name, IMAGE) is None:
                raise UnknownProperty(f"There is no image property {name} that a server could have.")
            if len(value) > LONGEST_VALUE:
                raise UnusableSpec(f"{name}: a value has {LONGEST_VALUE} characters at most.")
        merged = {**of(server), **changes}
        refuse_unserved(server.flavor["extra_specs"], merged, server.vcpus)
        await servers.change(tx, server_id, now, image={**server.image, "properties": merged})
