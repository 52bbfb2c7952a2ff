"""Tags: short texts users put on their resources, kept in order without repetition.

Source: Networking API, "Standard attributes tag extension".
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from sqlalchemy import Table, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.network import records
from kilonova.network.errors import InvalidInput, TagNotFound, TagResourceNotFound
from kilonova.network.records import MOST_TAGS
from kilonova.network.service import NetworkService
from kilonova.network.tables import Standard, floating_ips, networks, ports, routers, security_groups, subnets

KINDS: Mapping[str, str] = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "floatingips": "floatingip",
    "security-groups": "security_group",
}
"""Collections whose resources have tags → what one of it is called."""
_TABLES: Mapping[str, Table] = {
    "network": networks,
    "subnet": subnets,
    "port": ports,
    "router": routers,
    "floatingip": floating_ips,
    "security_group": security_groups,
}
MOST_CHARACTERS = 255


class Tagged(Struct):
    """A resource, as far as its tags are concerned."""

    kind: str
    row: Standard


async def find(tx: Tx, kind: str, wanted_id: str) -> Tagged:
    table = _TABLES[kind]
    columns = [table.c[name] for name in Standard.__struct_fields__]
    row = await tx.first(Standard, select(*columns).where(table.c.id == wanted_id))
    if row is None:
        raise TagResourceNotFound(kind, wanted_id)
    return Tagged(kind, row)


def check(tags: Sequence[str]) -> None:
    """Raises InvalidInput for a tag that is too long or given twice, BadRequest for too many."""
    for tag in tags:
        if not tag or len(tag) > MOST_CHARACTERS:
            raise InvalidInput(f"tag {tag!r} must have 1 to {MOST_CHARACTERS} characters.")
    if len(set(tags)) != len(tags):
        raise InvalidInput(f"Duplicate items in the list: {', '.join(tags)}.")
    if len(tags) > MOST_TAGS:
        raise BadRequest(f"The number of tags exceed the per-resource limit of {MOST_TAGS}")


async def replace(tx: Tx, service: NetworkService, tagged: Tagged, tags: Iterable[str]) -> None:
    wanted = list(tags)
    if wanted != tagged.row.tags:
        await records.change(tx, _TABLES[tagged.kind], tagged.row, service.clock.now(), {"tags": wanted})


async def add(tx: Tx, service: NetworkService, tagged: Tagged, tags: Sequence[str]) -> None:
    """Safe to repeat: a tag the resource has stays where it is."""
    wanted = list(dict.fromkeys([*tagged.row.tags, *tags]))
    check(wanted)
    await replace(tx, service, tagged, wanted)


async def remove(tx: Tx, service: NetworkService, tagged: Tagged, tag: str) -> None:
    """Raises TagNotFound."""
    if tag not in tagged.row.tags:
        raise TagNotFound(tag)
    await replace(tx, service, tagged, [each for each in tagged.row.tags if each != tag])
