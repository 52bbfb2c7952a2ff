"""`nova-manage`: schemas, and the cells of the region. Words, output and exit codes are upstream's.

Source: the Compute command reference, "nova-manage".
"""

import argparse
import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from kilonova.cli.daemons.broker import transport_url
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.manage import Act, no_more, run_command
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.nova_images import image_commands
from kilonova.cli.daemons.nova_placement import placement_commands
from kilonova.cli.daemons.nova_rows import row_commands
from kilonova.cli.daemons.refusals import find_revision, upgrade_schema
from kilonova.cli.daemons.region import database_of, fill, naming, region_database, section_of_region
from kilonova.cli.daemons.region_commands import MIGRATIONS, Refused, Region, Work, command
from kilonova.cli.frames import hide_password, render_frame
from kilonova.cli.parts.options import COMPUTE
from kilonova.compute.hosts import hosts
from kilonova.compute.region import housekeeping, mappings
from kilonova.compute.region.directory import same_database
from kilonova.compute.region.mappings import CELL0_ID, NO_TRANSPORT
from kilonova.compute.servers import servers
from kilonova.compute.tables import CellMapping, HostMapping, Server, metadata
from kilonova.compute.tables import servers as server_table
from kilonova.compute.transactions import cell_reading, region_reading, region_transaction
from kilonova.kit.bus.transport_url import BadTransportUrl
from kilonova.kit.bus.transports import make_bus
from kilonova.kit.clock import SystemClock
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.errors import ServiceUnavailable

# --- schemas ----------------------------------------------------------------------------------------------------------


def _sync_region(found: Read, words: Sequence[str]) -> None:
    """api_db sync. Without [api_database] the one database is synced, which is the region's."""
    no_more("api_db sync", words)
    section = section_of_region(found.config)
    with naming(section):
        upgrade_schema(region_database(found.config), MIGRATIONS, "compute")


def _sync(found: Read, words: Sequence[str]) -> int:
    """db sync: the database of [database], and cell0's where it is mapped."""
    no_more("db sync", words, "--local_cell")
    code = 0
    if "--local_cell" not in words and section_of_region(found.config) == "api_database":
        code = _sync_cell0(found)
    upgrade_schema(database_of(found.config, "database"), MIGRATIONS, "compute")
    return code


def _sync_cell0(found: Read) -> int:
    try:
        cell0 = asyncio.run(_find_cell0(found.config))
        if cell0 is None:
            print("WARNING: cell0 mapping not found - not syncing cell0.")
            return 0
        upgrade_schema(
            Database(fill(cell0.database_connection, found.config.database.connection), metadata), MIGRATIONS, "compute"
        )
    except (ConfigError, NotReady, ServiceUnavailable, SQLAlchemyError) as error:
        print(
            f"ERROR: Could not access cell0: {str(error).replace('[database] connection: ', '')}\n"
            "Run in this order: `nova-manage api_db sync`, `nova-manage cell_v2 map_cell0`, `nova-manage db sync`; "
            "the database nova_cell0 has to be created before."
        )
        return 1
    return 0


async def _find_cell0(config: Any) -> CellMapping | None:
    database = region_database(config)
    with naming("api_database"):
        revision = await asyncio.to_thread(find_revision, database, "compute")
    if revision is None:
        raise ConfigError("the API database is empty")
    try:
        async with region_reading(database) as tx:
            found = [each for each in await mappings.list_cells(tx) if each.id == CELL0_ID]
    finally:
        await database.close()
    return found[0] if found and found[0].database_connection else None


def _version(section: str) -> Act:
    def version(found: Read, words: Sequence[str]) -> None:
        no_more("version", words)
        used = section if getattr(found.config, section).connection else "database"
        with naming(used):
            print(find_revision(database_of(found.config, used), "compute") or "none")

    return version


# --- cells ------------------------------------------------------------------------------------------------------------


def _cell0_connection(config: Any) -> str:
    """That of [database] with `_cell0` behind its name."""
    if not config.database.connection:
        raise ConfigError(
            "[database] connection is missing: cell0's is made from it, or named by --database_connection"
        )
    try:
        url = make_url(config.database.connection)
    except ArgumentError as error:
        raise ConfigError(f"[database] connection: {error}") from error
    name = str(url.database)
    renamed = f"{name[:-3]}_cell0.db" if name.endswith(".db") else f"{name}_cell0"
    return url.set(database=renamed).render_as_string(hide_password=False)


async def _map_cell0(region: Region, asked: Any) -> None:
    await _ensure_cell0(region, asked.database_connection or _cell0_connection(region.config))
    cell0 = region.filled(await region.cell(CELL0_ID))
    if cell0.database_connection and (trouble := await _trouble_of_cell0(region, cell0.database_connection)):
        print(f"WARNING: cell0's database {trouble}.")


async def _ensure_cell0(region: Region, url: str) -> None:
    _check_database_url(fill(url, region.config.database.connection))
    made = CellMapping(CELL0_ID, "cell0", NO_TRANSPORT, url, False, SystemClock().now())
    async with region_transaction(region.database) as tx:
        if not await mappings.insert_cell(tx, made):
            print("Cell0 is already setup")


async def _trouble_of_cell0(region: Region, url: str) -> str:
    """What to run beside the guides' order, in which `db sync` comes after this; empty in that order."""
    try:
        revision = await asyncio.to_thread(find_revision, Database(url, metadata), "compute")
    except (ConfigError, NotReady) as error:
        reason = str(error).removeprefix("[database] connection: ").rstrip(".")
        return f"cannot be used yet: {reason}. Run `nova-manage db sync` when that is done"
    if revision is None and region.config.database.connection:
        own = database_of(region.config, "database")
        if await asyncio.to_thread(find_revision, own, "compute") is not None:
            return "is empty: run `nova-manage db sync` once more"
    return ""


def _check_database_url(url: str) -> None:
    try:
        Database(url, metadata)
    except (ArgumentError, ValueError, OSError) as error:
        raise Refused(1, f"Invalid database connection: {error}") from error


def _transport(region: Region, given: str | None) -> str:
    """Raises Refused."""
    url = given or transport_url(region.config)
    if not url:
        raise Refused(
            1, "Must specify --transport-url if [DEFAULT]/transport_url is not set in the configuration file."
        )
    if not given:
        print(
            "--transport-url not provided in the command line, using the value [DEFAULT]/transport_url from the "
            "configuration file"
        )
    try:
        make_bus(fill(url, transport_url(region.config)))
    except (BadTransportUrl, ConfigError) as error:
        raise Refused(1, f"Invalid transport URL: {error}") from error
    return url


def _connection(region: Region, given: str | None) -> str:
    """Raises Refused."""
    url: str = given or region.config.database.connection
    if not url:
        raise Refused(
            1, "Must specify --database_connection if [database]/connection is not set in the configuration file."
        )
    if not given:
        print(
            "--database_connection not provided in the command line, using the value [database]/connection from the "
            "configuration file"
        )
    _check_database_url(fill(url, region.config.database.connection))
    return url


async def _refuse_shared(region: Region, new: CellMapping, code: int) -> None:
    """Two cells share neither a database nor a broker's virtual host. Raises Refused."""
    async with region_reading(region.database) as tx:
        known = await mappings.list_cells(tx)
    url = make_url(region.filled(new).database_connection)
    for each in known:
        if each.id == new.id:
            continue
        theirs = region.filled(each).database_connection
        if new.transport_url == each.transport_url or (theirs and same_database(url, make_url(theirs))):
            raise Refused(
                code,
                "The specified transport_url and/or database_connection combination already exists for another cell "
                f"with uuid {each.id}.",
            )


async def _create_cell(region: Region, asked: Any) -> None:
    made = CellMapping(
        str(uuid.uuid4()),
        asked.name or "",
        _transport(region, asked.transport_url),
        _connection(region, asked.database_connection),
        asked.disabled,
        SystemClock().now(),
    )
    await _refuse_shared(region, made, 2)
    async with region_transaction(region.database) as tx:
        await mappings.insert_cell(tx, made)
    if asked.verbose:
        print(made.id)


async def _update_cell(region: Region, asked: Any) -> None:
    cell = await region.cell(asked.cell_uuid)
    changed = structs.replace(
        cell,
        name=asked.name or cell.name,
        transport_url=_transport(region, asked.transport_url) if cell.id != CELL0_ID else cell.transport_url,
        database_connection=_connection(region, asked.database_connection)
        if asked.database_connection or cell.id != CELL0_ID
        else cell.database_connection,
    )
    if changed.database_connection:
        await _refuse_shared(region, changed, 3)
    if asked.disable and asked.enable:
        raise Refused(4, "Cell cannot be disabled and enabled at the same time.")
    if (asked.disable or asked.enable) and cell.id == CELL0_ID:
        raise Refused(5, "Cell0 cannot be disabled.")
    if asked.disable == cell.disabled and (asked.disable or asked.enable):
        print(f"Cell {cell.id} is already {'disabled' if cell.disabled else 'enabled'}")
    values = structs.asdict(changed)
    values["disabled"] = asked.disable or (cell.disabled and not asked.enable)
    del values["id"]
    async with region_transaction(region.database) as tx:
        await mappings.change_cell(tx, cell.id, **values)


async def _list_cells(region: Region, asked: Any) -> None:
    async with region_reading(region.database) as tx:
        found = await mappings.list_cells(tx)
    shown = (lambda url: url) if asked.verbose else hide_password
    here = region.database.url.render_as_string(hide_password=False)
    rows = [
        (each.name, each.id, shown(each.transport_url), shown(each.database_connection or here), str(each.disabled))
        for each in sorted(found, key=lambda cell: cell.name)
    ]
    print(render_frame(("Name", "UUID", "Transport URL", "Database Connection", "Disabled"), rows))


async def _delete_cell(region: Region, asked: Any) -> None:
    cell = await region.cell(asked.cell_uuid)
    async with region_reading(region.database) as tx:
        mapped, has_servers = await mappings.list_hosts(tx, cell.id), await mappings.has_servers(tx, cell.id)
    if mapped and not asked.force:
        raise Refused(2, f"There are existing hosts mapped to cell with uuid {cell.id}.")
    if has_servers:
        raise Refused(3, f"There are existing instances mapped to cell with uuid {cell.id}.")
    async with region_transaction(region.database) as tx:
        await mappings.remove_cell(tx, cell.id)


# --- hosts ------------------------------------------------------------------------------------------------------------


async def _discover_hosts(region: Region, asked: Any) -> int:
    said = print if asked.verbose else (lambda _line: None)
    async with region_reading(region.database) as tx:
        known = await mappings.list_cells(tx)
    if asked.cell_uuid:
        known = [await region.cell(asked.cell_uuid)]
    said(f"Found {len(known)} cell mappings.")
    mapped = 0
    for cell in known:
        if cell.id == CELL0_ID:
            said("Skipping cell0 since it does not contain hosts.")
            continue
        said(
            f"Getting computes from cell '{cell.name}': {cell.id}"
            if cell.name
            else f"Getting computes from cell: {cell.id}"
        )
        mapped += await _map_hosts_of(region, cell, said)
    return int(asked.strict and not mapped)


async def _map_hosts_of(region: Region, cell: CellMapping, said: Callable[[str], None]) -> int:
    """How many had no mapping."""
    async with cell_reading(region.open(cell)) as tx:
        found = await hosts.list_all(tx)
    missing = await housekeeping.unmapped(region.database, found)
    said(f"Found {len(missing)} unmapped computes in cell: {cell.id}")
    for host in missing:
        said(f"Checking host mapping for compute host '{host.host}': {host.id}")
        if await housekeeping.map_one(region.database, cell, host, SystemClock().now()):
            said(f"Creating host mapping for compute host '{host.host}': {host.id}")
    return len(missing)


async def _list_hosts(region: Region, asked: Any) -> None:
    if asked.cell_uuid:
        await region.cell(asked.cell_uuid)
    async with region_reading(region.database) as tx:
        names = {each.id: each.name for each in await mappings.list_cells(tx)}
        found = await mappings.list_hosts(tx, asked.cell_uuid)
    rows = [(names.get(each.cell_id, ""), each.cell_id, each.host) for each in sorted(found, key=_by_host)]
    print(render_frame(("Cell Name", "Cell UUID", "Hostname"), rows))


def _by_host(mapping: HostMapping) -> str:
    return mapping.host


async def _delete_host(region: Region, asked: Any) -> None:
    cell = await region.cell(asked.cell_uuid)
    async with region_reading(region.database) as tx:
        mapping = await mappings.find_host(tx, asked.host)
    if mapping is None:
        raise Refused(2, f"The host {asked.host} was not found.")
    if mapping.cell_id != cell.id:
        raise Refused(3, f"The host {asked.host} was not found in the cell {cell.id}.")
    async with cell_reading(region.open(cell)) as tx:
        if await servers.names_on(tx, asked.host):
            raise Refused(4, f"There are instances on the host {asked.host}.")
    async with region_transaction(region.database) as tx:
        await mappings.unmap_host(tx, asked.host)


# --- servers ----------------------------------------------------------------------------------------------------------


async def _map_instances(region: Region, asked: Any) -> int:
    """Servers of a cell's database that have no mapping get one; those that have keep it."""
    cell = await region.cell(asked.cell_uuid)
    most = None
    if asked.max_count is not None:
        most = int(asked.max_count) if asked.max_count.isdecimal() else 0
        if most < 1:
            raise Refused(127, "Must supply a positive value for max-count")
    async with cell_reading(region.open(cell)) as tx:
        found = await tx.all(Server, select(server_table).order_by(server_table.c.created_at))
    left = await _unmapped_servers(region, found)
    for server in left[:most]:
        async with region_transaction(region.database) as tx:
            if not await mappings.insert_server(tx, server, cell.id):
                # Another cell has numbered its servers alike: in the mapping the number only has to be its own.
                server.number = await mappings.next_number(tx)
                await mappings.insert_server(tx, server, cell.id)
    return int(most is not None and len(left) > most)


async def _unmapped_servers(region: Region, found: list[Server]) -> list[Server]:
    async with region_reading(region.database) as tx:
        return [each for each in found if await mappings.find_server(tx, each.id) is None]


async def _verify_instance(region: Region, asked: Any) -> int:
    code, sentence = await _verdict(region, asked.uuid)
    if not asked.quiet:
        print(sentence)
    return code


async def _verdict(region: Region, server_id: str) -> tuple[int, str]:
    async with region_reading(region.database) as tx:
        mapping = await mappings.find_server(tx, server_id)
    if mapping is None:
        return 1, f"Instance {server_id} is not mapped to a cell (upgrade is incomplete) or instance does not exist"
    if mapping.cell_id is None:
        return 2, f"Instance {server_id} is not mapped to a cell"
    cell = await region.cell(mapping.cell_id)
    async with cell_reading(region.open(cell)) as tx:
        is_there = await tx.scalar(select(server_table.c.id).where(server_table.c.id == server_id))
        deleted = await servers.find_deleted(tx, server_id)
    if is_there is not None:
        return 0, f"Instance {server_id} is in cell: {cell.name} ({cell.id})"
    if deleted is not None:
        return 3, f"The instance with uuid {server_id} has been deleted."
    return 4, f"The instance with uuid {server_id} has been archived.\nHowever its instance_mapping remains."


async def _map_cell_and_hosts(region: Region, asked: Any) -> int:
    """Maps the database of [database] as a cell with its hosts, where that is not done."""
    cell = await _ensure_own_cell(region, _transport(region, asked.transport_url), asked.name or "")
    if not await _map_hosts_of(region, cell, lambda _line: None):
        print("All hosts are already mapped to cell(s).")
    if asked.verbose:
        print(cell.id)
    return 0


async def _ensure_own_cell(region: Region, url: str, name: str) -> CellMapping:
    """Returns the cell of [database], mapped now if it was not. Raises Refused while it has no hosts."""
    connection = _connection(region, None)
    async with region_reading(region.database) as tx:
        known = [each for each in await mappings.list_cells(tx) if each.id != CELL0_ID]
    own = [each for each in known if same_database(_place_of(region, each), make_url(connection))]
    (database,) = await region.databases(everywhere=False)
    async with cell_reading(database) as tx:
        found = await hosts.list_all(tx)
    if not found:
        raise Refused(1, "No hosts found to map to cell, exiting.")
    if own:
        return own[0]
    made = CellMapping(str(uuid.uuid4()), name, url, connection, False, SystemClock().now())
    async with region_transaction(region.database) as tx:
        await mappings.insert_cell(tx, made)
    return made


async def _simple_cell_setup(region: Region, asked: Any) -> int:
    """Maps cell0, and the database of [database] as a cell with its hosts and servers, where that is not done."""
    url = _transport(region, asked.transport_url)
    await _ensure_cell0(region, _cell0_connection(region.config))
    cell0 = region.filled(await region.cell(CELL0_ID))
    if cell0.database_connection:
        await asyncio.to_thread(upgrade_schema, Database(cell0.database_connection, metadata), MIGRATIONS, "compute")
    own = await _ensure_own_cell(region, url, "")
    if not await _map_hosts_of(region, own, lambda _line: None):
        print("All hosts are already mapped to cell(s).")
    return await _map_instances(region, argparse.Namespace(cell_uuid=own.id, max_count=None))


def _place_of(region: Region, cell: CellMapping) -> Any:
    url = region.filled(cell).database_connection
    return make_url(url) if url else region.database.url


ID, URL, CONNECTION = "--cell_uuid", "--transport-url", "--database_connection"


def _cell_commands() -> dict[str, Act]:
    def made(name: str, work: Work, *options: str, flags: Sequence[str] = (), required: Sequence[str] = ()) -> Act:
        return command(f"cell_v2 {name}", work, *options, flags=flags, required=required)

    acts = {
        "map_cell0": made("map_cell0", _map_cell0, CONNECTION),
        "create_cell": made("create_cell", _create_cell, "--name", URL, CONNECTION, flags=("--verbose", "--disabled")),
        "update_cell": made(
            "update_cell", _update_cell, ID, "--name", URL, CONNECTION, flags=("--disable", "--enable"), required=(ID,)
        ),
        "list_cells": made("list_cells", _list_cells, flags=("--verbose",)),
        "delete_cell": made("delete_cell", _delete_cell, ID, flags=("--force",), required=(ID,)),
        "discover_hosts": made("discover_hosts", _discover_hosts, ID, flags=("--verbose", "--strict", "--by-service")),
        "list_hosts": made("list_hosts", _list_hosts, ID),
        "delete_host": made("delete_host", _delete_host, ID, "--host", required=(ID, "--host")),
        "simple_cell_setup": made("simple_cell_setup", _simple_cell_setup, URL),
        "map_cell_and_hosts": made("map_cell_and_hosts", _map_cell_and_hosts, "--name", URL, flags=("--verbose",)),
        "map_instances": made("map_instances", _map_instances, ID, "--max-count", flags=("--reset",), required=(ID,)),
        "verify_instance": made(
            "verify_instance", _verify_instance, "--uuid", flags=("--quiet",), required=("--uuid",)
        ),
    }
    return {f"cell_v2 {name}": act for name, act in acts.items()}


def _refused_commands() -> dict[str, Act]:
    """Commands on what is not there, which end with upstream's code for what cannot be done."""
    without = {
        "volume_attachment show": "`openstack server volume list` shows all that is kept of a server's attachments.",
        "volume_attachment get_connector": "A host's connector is made for each attachment: none is kept to be shown.",
        "volume_attachment refresh": "The way to a volume is made anew by detaching and attaching it.",
        "limits migrate_to_unified_limits": "Quotas are always kept by the compute service itself, and identity keeps "
        "no limits yet: there is nothing that they could be migrated to.",
    }

    def refuse(sentence: str) -> Act:
        def act(_found: Read, _words: Sequence[str]) -> int:
            print(sentence)
            return 1

        return act

    return {name: refuse(sentence) for name, sentence in without.items()}


def run() -> int:
    commands: dict[str, Act] = {
        "api_db sync": _sync_region,
        "api_db version": _version("api_database"),
        "db sync": _sync,
        "db version": _version("database"),
        **_cell_commands(),
        **row_commands(),
        **placement_commands(),
        **image_commands(),
        **_refused_commands(),
    }
    return run_command("nova-manage", "nova", [COMPUTE], commands)
