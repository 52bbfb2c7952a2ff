"""Actions that move a server to another host."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest, as_boolean
from kilonova.compute.api.hosts import is_up
from kilonova.compute.api.lookup import Found, task_for, writing_server
from kilonova.compute.errors import InvalidMove
from kilonova.compute.hosts import hosts
from kilonova.compute.operations import LIVE_MIGRATE
from kilonova.compute.programs.live_migrate import LIVE_MIGRATE as LIVE_MIGRATE_PROGRAM
from kilonova.compute.programs.live_migrate import LiveMigrateArgs
from kilonova.compute.servers import migrations, servers
from kilonova.compute.tables import Host
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.http.bounds import Word

HostName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-._]*$(?!\n)")]


class LiveMigration(Struct, forbid_unknown_fields=True):
    """Until 2.24."""

    host: HostName | None
    block_migration: bool | Word
    disk_over_commit: bool | Word


class LiveMigrationAuto(Struct, forbid_unknown_fields=True):
    """Since 2.25, and since 2.68 again."""

    host: HostName | None
    block_migration: Literal["auto"] | bool | Word


class LiveMigrationForced(LiveMigrationAuto, forbid_unknown_fields=True):
    """2.30 to 2.67."""

    force: bool | Word = False


async def live_migrate_server(
    request: ComputeRequest, body: LiveMigration | LiveMigrationAuto | LiveMigrationForced
) -> None:
    """os-migrateLive: the guest goes on while it moves to another host."""
    if isinstance(body, LiveMigrationForced) and as_boolean(body.force, "force"):
        raise InvalidMove("force: a host is always asked whether it can take the server: leave it out.")
    copies_disks = body.block_migration == "auto" or as_boolean(body.block_migration, "block_migration")
    if isinstance(body, LiveMigration) and as_boolean(body.disk_over_commit, "disk_over_commit"):
        raise InvalidMove("disk_over_commit: hosts give no more of their disks away than they have.")
    async with writing_server(request, unlocked=True) as found:
        server = found.server
        servers.check_state(server, LIVE_MIGRATE.action, LIVE_MIGRATE.begins_in)
        if not copies_disks:
            raise InvalidMove(
                f"Server {server.id} has disks on its host, which other hosts do not reach: ask with block_migration "
                "true or auto, and they are copied."
            )
        source = await _host(found, server.host or "")
        if not is_up(found.cell, source):
            raise InvalidMove(f"The host of server {server.id} does not answer: its guest cannot be moved from there.")
        if body.host is not None:
            await _check_target(found, body.host)
        now, ctx = found.cell.clock.now(), request.ctx
        asked_by = (ctx.project_id or "", ctx.user_id)
        migration = await migrations.insert(found.tx, server, migrations.LIVE, source, asked_by, now)
        args = LiveMigrateArgs(migration=migration.id, source=source.host, requested_host=body.host or "")
        task = task_for(request, LIVE_MIGRATE_PROGRAM, server, args)
        await servers.begin(found.tx, server, LIVE_MIGRATE, task, now)


async def _check_target(found: Found, host: str) -> None:
    """Raises InvalidMove for a host that there is not, that is down, or that the server is on."""
    if host == found.server.host:
        raise InvalidMove(f"Server {found.server.id} is on host {host}: it can only be moved to another one.")
    target = await _host(found, host)
    if not is_up(found.cell, target):
        raise InvalidMove(f"Compute host {host} does not answer: no server can be moved to it.")


async def _host(found: Found, host: str) -> Host:
    row = await hosts.find(found.tx, AGENT_BINARY, host)
    if row is None:
        raise InvalidMove(f"Compute host {host} could not be found in the cell of server {found.server.id}.")
    return row
