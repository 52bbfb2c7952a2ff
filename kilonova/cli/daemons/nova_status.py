"""`nova-status upgrade check`: what has to be mended before the services of this release are started.

Exit codes are upstream's: 0 nothing, 1 a warning, 2 a failure, 255 what kept the check from being made.
Source: the Compute command reference, "nova-status".
"""

import asyncio
import sys
import textwrap
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal

import httpx
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from kilonova.block_storage.client import VERSION as VOLUME_VERSION
from kilonova.cli.daemons.files import read
from kilonova.cli.daemons.manage import split_words
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.refusals import check_schema, require_placement
from kilonova.cli.daemons.region import SYNC, fill, naming, region_database, section_of_region
from kilonova.cli.daemons.region_commands import MIGRATIONS, Region
from kilonova.cli.grounds.neighbours import Neighbours
from kilonova.cli.parts.options import COMPUTE
from kilonova.compute.agent.spec import RELEASE
from kilonova.compute.hosts import hosts
from kilonova.compute.region import mappings
from kilonova.compute.region.directory import is_here
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.servers import image_properties
from kilonova.compute.servers.image_properties import MACHINE_TYPE
from kilonova.compute.tables import CellMapping, metadata
from kilonova.compute.transactions import cell_reading, region_reading
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault, RemoteMissing, at

Verdict = Literal["Success", "Warning", "Failure"]
CODES: dict[Verdict, int] = {"Success": 0, "Warning": 1, "Failure": 2}
BROKEN = 255
WIDTH = 60
MOST_NAMED = 20
"""Names that one result lists."""


class Result(Struct, frozen=True):
    check: str
    verdict: Verdict
    details: str = ""


async def _check_cells(config: Any) -> Result:
    """Cell0 and a cell with hosts are mapped, their databases are there, and so are their hosts' mappings."""
    name, database = "Cells v2", region_database(config)
    section = section_of_region(config)
    try:
        with naming(section):
            await asyncio.to_thread(check_schema, database, MIGRATIONS, "compute", SYNC[section])
        async with region_reading(database) as tx:
            known = await mappings.list_cells(tx)
        if section == "database":
            return Result(name, "Success")
        if not any(each.id == CELL0_ID for each in known):
            return Result(name, "Failure", "Cell0 is not mapped: run `nova-manage cell_v2 map_cell0`.")
        if all(each.id == CELL0_ID for each in known):
            return Result(name, "Failure", "No cell is mapped: run `nova-manage cell_v2 create_cell --name cell1`.")
        return await _check_hosts(name, config, database, known)
    except (ConfigError, NotReady, ServiceUnavailable, SQLAlchemyError) as error:
        return Result(name, "Failure", str(error))
    finally:
        await database.close()


async def _check_hosts(name: str, config: Any, region: Database, known: list[CellMapping]) -> Result:
    total, unmapped = 0, []
    for cell in known:
        url = fill(cell.database_connection, config.database.connection)
        database = region if is_here(cell, region) else Database(url, metadata)
        if database is not region:
            with naming(f"cell {cell.name}"):
                await asyncio.to_thread(check_schema, database, MIGRATIONS, "compute", SYNC["database"])
        async with cell_reading(database) as tx:
            found = [each.host for each in await hosts.list_all(tx)]
        if database is not region:
            await database.close()
        total += len(found)
        async with region_reading(region) as tx:
            unmapped += [each for each in found if await mappings.find_host(tx, each) is None]
    if unmapped:
        listed = ", ".join(unmapped)
        return Result(name, "Failure", f"Not mapped: {listed}. Run `nova-manage cell_v2 discover_hosts`.")
    if not total:
        return Result(name, "Success", "No compute host has registered yet.")
    return Result(name, "Success")


async def _check_placement(config: Any) -> Result:
    name = "Placement API"
    try:
        require_placement(config)
        neighbours = Neighbours(config.keystone_authtoken)
    except ConfigError as error:
        return Result(name, "Failure", str(error))
    try:
        await neighbours.remote("placement", group=config.placement).request(
            "GET", at("/resource_providers"), params={"name": "-"}
        )
    except (RemoteFault, httpx.HTTPError) as error:
        return Result(name, "Failure", f"Placement does not answer: {error}")
    finally:
        await neighbours.close()
    return Result(name, "Success")


async def _check_volumes(config: Any) -> Result:
    """Block storage, where the catalog names one, knows attachments in the version that compute asks for."""
    name = "Cinder API"
    try:
        neighbours = Neighbours(config.keystone_authtoken)
    except ConfigError as error:
        return Result(name, "Failure", str(error))
    remote = neighbours.remote("block-storage", group=config.cinder)
    try:
        await remote.request("GET", at("/v3/attachments"), params={"limit": "1"}, headers=VOLUME_VERSION)
    except RemoteMissing:
        return Result(name, "Success", "The catalog names no block storage: servers have no volumes.")
    except (RemoteFault, httpx.HTTPError) as error:
        return Result(name, "Failure", f"Block storage does not answer: {error}")
    finally:
        await neighbours.close()
    return Result(name, "Success")


async def _check_old_hosts(config: Any) -> Result:
    """Agents of this release and of the one before are understood."""

    async def find(database: Database) -> list[str]:
        async with cell_reading(database) as tx:
            return [each.host for each in await hosts.list_all(tx) if each.inventory.get("release", 1) < RELEASE - 1]

    sentence = "Install this release on them first: "
    return await _check_everywhere("Older than N-1 computes", config, find, sentence)


async def _check_machine_types(config: Any) -> Result:
    """The guest of a server without a machine type becomes what its host's configuration says at each start."""
    sentence = "Say what they are, with `nova-manage libvirt update_machine_type`: "
    return await _check_everywhere(
        "hw_machine_type unset", config, lambda database: image_properties.without(database, MACHINE_TYPE), sentence
    )


async def _check_service_user(_config: Any) -> Result:
    details = "Services show each other tokens of their own: none ends with the token of a user."
    return Result("Service User Token Configuration", "Success", details)


async def _check_everywhere(
    name: str, config: Any, find: Callable[[Database], Awaitable[list[str]]], sentence: str
) -> Result:
    """Warns of what is found in the databases of the region and its cells."""
    try:
        async with AsyncExitStack() as stack:
            database = region_database(config)
            stack.push_async_callback(database.close)
            section = section_of_region(config)
            with naming(section):
                await asyncio.to_thread(check_schema, database, MIGRATIONS, "compute", SYNC[section])
            databases = await Region(config, database, stack).databases(everywhere=True)
            found = [each for known in databases for each in await find(known)]
    except (ConfigError, NotReady, ServiceUnavailable, SQLAlchemyError) as error:
        return Result(name, "Failure", str(error))
    if not found:
        return Result(name, "Success")
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return Result(name, "Warning", f"{sentence}{', '.join(found[:MOST_NAMED])}{more}.")


CHECKS: tuple[Callable[[Any], Awaitable[Result]], ...] = (
    _check_cells,
    _check_placement,
    _check_volumes,
    _check_old_hosts,
    _check_machine_types,
    _check_service_user,
)


def render(results: list[Result]) -> str:
    blocks = [["Upgrade Check Results"]]
    for each in results:
        lines = [f"Check: {each.check}", f"Result: {each.verdict}"]
        lines += textwrap.wrap(f"Details: {each.details or None}", WIDTH, subsequent_indent="  ")
        blocks.append(lines)
    width = max(len(line) for block in blocks for line in block)
    rule = "+" + "-" * (width + 2) + "+"
    shown = [rule]
    for block in blocks:
        shown += [*(f"| {line.ljust(width)} |" for line in block), rule]
    return "\n".join(shown)


async def _run(config: Any) -> list[Result]:
    return [await check(config) for check in CHECKS]


def run() -> int:
    files, words = split_words(sys.argv[1:])
    if words != ["upgrade", "check"]:
        print(f"nova-status: {' '.join(words) or 'no command'}: the command is `upgrade check`", file=sys.stderr)
        return BROKEN
    try:
        results = asyncio.run(_run(read("nova-status", "nova", [COMPUTE], files).config))
    except ConfigError as error:
        print(f"nova-status: {error}", file=sys.stderr)
        return BROKEN
    print(render(results))
    return max(CODES[each.verdict] for each in results)
