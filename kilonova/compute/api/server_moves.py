"""Actions that move a server to another host."""

import secrets
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api.bodies import ComputeRequest, as_boolean
from kilonova.compute.api.hosts import is_up
from kilonova.compute.api.lookup import Found, task_for, writing_server
from kilonova.compute.errors import InvalidMove
from kilonova.compute.hosts import hosts
from kilonova.compute.operations import EVACUATE, LIVE_MIGRATE
from kilonova.compute.programs.evacuate import EVACUATE as EVACUATE_PROGRAM
from kilonova.compute.programs.evacuate import EvacuateArgs
from kilonova.compute.programs.live_migrate import LIVE_MIGRATE as LIVE_MIGRATE_PROGRAM
from kilonova.compute.programs.live_migrate import LiveMigrateArgs
from kilonova.compute.servers import migrations, servers
from kilonova.compute.tables import Host
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.http import bounds
from kilonova.kit.http.bounds import Word
from kilonova.kit.http.versions import since, until

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
        source = await find_host(found, server.host or "")
        if not is_up(found.cell, source):
            raise InvalidMove(f"The host of server {server.id} does not answer: its guest cannot be moved from there.")
        if body.host is not None:
            await check_target(found, body.host)
        now, ctx = found.cell.clock.now(), request.ctx
        asked_by = (ctx.project_id or "", ctx.user_id)
        migration = await migrations.insert(found.tx, server, migrations.LIVE, source, asked_by, now)
        args = LiveMigrateArgs(migration=migration.id, source=source.host, requested_host=body.host or "")
        task = task_for(request, LIVE_MIGRATE_PROGRAM, server, args)
        await servers.begin(found.tx, server, LIVE_MIGRATE, task, now)


async def check_target(found: Found, host: str) -> None:
    """Raises InvalidMove for a host that there is not, that is down, or that the server is on."""
    if host == found.server.host:
        raise InvalidMove(f"Server {found.server.id} is on host {host}: it can only be moved to another one.")
    target = await find_host(found, host)
    if not is_up(found.cell, target):
        raise InvalidMove(f"Compute host {host} does not answer: no server can be moved to it.")


async def find_host(found: Found, host: str) -> Host:
    row = await hosts.find(found.tx, AGENT_BINARY, host)
    if row is None:
        raise InvalidMove(f"Compute host {host} could not be found in the cell of server {found.server.id}.")
    return row


class Evacuation(Struct, forbid_unknown_fields=True):
    """`onSharedStorage` until 2.13, `force` from 2.29 to 2.67."""

    host: HostName | UnsetType = UNSET
    admin_pass: bounds.Name | UnsetType = field(default=UNSET, name="adminPass")
    on_shared_storage: Annotated[bool | Word | UnsetType, until("2.13")] = field(default=UNSET, name="onSharedStorage")
    force: Annotated[bool | Word | UnsetType, since("2.29"), until("2.67")] = UNSET


async def evacuate_server(request: ComputeRequest, body: Evacuation) -> dict[str, str]:
    """evacuate: a server whose host is down is brought up on another one, from its image."""
    _check_evacuation(request, body)
    password = secrets.token_urlsafe(9) if body.admin_pass is UNSET else body.admin_pass
    async with writing_server(request, unlocked=True) as found:
        server, tx, now = found.server, found.tx, found.cell.clock.now()
        servers.check_state(server, EVACUATE.action, EVACUATE.begins_in)
        if server.host is None or server.launched_at is None:
            raise InvalidMove(f"Server {server.id} has not run on any host yet: there is nothing to evacuate.")
        source = await find_host(found, server.host)
        if is_up(found.cell, source):
            raise InvalidMove(
                f"The host of server {server.id} answers: servers are evacuated from hosts that are down."
            )
        target = "" if body.host is UNSET else body.host
        if target:
            await check_target(found, target)
        asked_by = (request.ctx.project_id or "", request.ctx.user_id)
        migration = await migrations.insert(tx, server, migrations.EVACUATION, source, asked_by, now)
        config_drive = server.config_drive or body.admin_pass is not UNSET
        args = EvacuateArgs(
            migration=migration.id,
            source=source.host,
            requested_host=target,
            admin_password=password if config_drive else None,
        )
        await servers.begin(tx, server, EVACUATE, task_for(request, EVACUATE_PROGRAM, server, args), now)
        stays_off = request.allows("evacuated_servers_stay_off") or server.vm_state == "stopped"
        values = {"wanted_power": "stopped" if stays_off else "running", "config_drive": config_drive}
        await servers.change(tx, server.id, now, **values)
    return {"adminPass": password}


def _check_evacuation(request: ComputeRequest, body: Evacuation) -> None:
    """Raises InvalidMove for what is not done here."""
    if body.force is not UNSET and as_boolean(body.force, "force"):
        raise InvalidMove("force: a host is always asked whether it can take the server: leave it out.")
    if not request.allows("evacuation_finds_storage"):
        if body.on_shared_storage is UNSET:
            raise InvalidMove("onSharedStorage: say whether the server's disks are on storage that all hosts reach.")
        if as_boolean(body.on_shared_storage, "onSharedStorage"):
            raise InvalidMove("onSharedStorage: the disks of servers are on their hosts, which others do not reach.")
