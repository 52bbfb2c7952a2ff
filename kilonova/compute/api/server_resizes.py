"""resize, migrate, confirmResize and revertResize. Source: Compute API reference, "Servers run an action"."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api import block_devices
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.hosts import is_up
from kilonova.compute.api.lookup import Found, reading_server, task_for, writing_server
from kilonova.compute.api.server_moves import HostName, check_target, find_host
from kilonova.compute.catalog import flavors, quotas
from kilonova.compute.errors import FlavorNotFound, HostDown, InvalidMove, InvalidResize, InvalidServer, WrongState
from kilonova.compute.hardware.firmware import has_tpm
from kilonova.compute.operations import COLD_MIGRATE, CONFIRM_RESIZE, RESIZE, REVERT_RESIZE, Operation
from kilonova.compute.programs import resize as programs
from kilonova.compute.programs.resize import ResizeArgs
from kilonova.compute.region import mappings
from kilonova.compute.servers import migrations, requests, servers
from kilonova.compute.servers.disks import LocalDisk
from kilonova.compute.service import Cell
from kilonova.compute.tables import Flavor, Host, Server
from kilonova.compute.transactions import RegionTx
from kilonova.kit.tasks import Program

FlavorReference = Annotated[str, Meta(min_length=1, max_length=255)] | Annotated[int, Meta(ge=0, le=1 << 31)]


class Resize(Struct, forbid_unknown_fields=True):
    flavor_ref: FlavorReference = field(name="flavorRef")
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")


class ColdMigration(Struct, forbid_unknown_fields=True):
    """Since 2.56."""

    host: HostName | None = None


async def resize_server(request: ComputeRequest, body: Resize) -> None:
    """resize: another flavor, on this host or another one; the guest is off meanwhile."""
    region = request.service
    async with reading_server(request, unlocked=True) as found:
        server = found.server
        servers.check_ready(server, found.task, RESIZE)
        source = await _source(found)
    flavor = await _flavor(request, server, str(body.flavor_ref))
    needs_own_host = has_tpm(server.flavor["extra_specs"], (server.image or {}).get("properties", {}))
    if needs_own_host and not region.options.may_resize_in_place:
        raise InvalidMove(_TPM_STAYS)
    async with writing_server(request, unlocked=True) as found:
        args = ResizeArgs(
            requested_host=source.host if needs_own_host else "", may_stay=region.options.may_resize_in_place
        )
        await _begin(request, found, RESIZE, programs.RESIZE, args, flavor)
        if body.disk_config is not UNSET:
            await servers.change(found.tx, server.id, found.cell.clock.now(), disk_config=body.disk_config)
        if region_tx := found.cell.regional(found.tx):
            await _reserve(region_tx, found.server, flavor)
        else:
            async with region.transaction() as region_tx:
                await _reserve(region_tx, found.server, flavor)


async def _flavor(request: ComputeRequest, server: Server, reference: str) -> Flavor:
    """Returns the flavor that the server is to get. Raises InvalidResize, InvalidServer for one that it cannot."""
    flavor_id = reference.rstrip("/").rpartition("/")[2]
    async with request.service.reading() as tx:
        try:
            flavor = await flavors.find(tx, flavor_id, project_id=request.ctx.project_id, sees_all=request.ctx.is_admin)
        except FlavorNotFound as fault:
            raise InvalidResize(fault.message) from fault
    if flavor.id == server.flavor["id"]:
        raise InvalidResize(f"Server {server.id} has flavor {flavor.id} already: a resize gives it another one.")
    _check_disks(server, flavor)
    if server.image is not None:
        least_mib = server.image.get("min_ram_mib") or 0
        if least_mib > flavor.memory_mib:
            raise InvalidServer(
                f"Flavor's memory is too small for the server's image: it has {flavor.memory_mib} MiB, "
                f"the image needs {least_mib}."
            )
        requests.check_requirements(flavor, server.image, request.service.rules)
    return flavor


def _check_disks(server: Server, flavor: Flavor) -> None:
    """Raises InvalidResize for a flavor with smaller disks: what is on them would be cut off."""
    old = server.flavor
    if flavor.root_gib == 0 and old["root_gib"] > 0:
        raise InvalidResize("Resize to zero disk flavor is not allowed.")
    for what, before, after in (
        ("root disk", old["root_gib"], flavor.root_gib),
        ("ephemeral disk", old["ephemeral_gib"], flavor.ephemeral_gib),
    ):
        if after < before:
            raise InvalidResize(
                f"Flavor {flavor.name} has a {what} of {after} GiB, the server one of {before} GiB: disks can only "
                "become larger."
            )
    if server.local_disks:
        block_devices.check_room(msgspec.convert(server.local_disks, list[LocalDisk]), flavor)


async def _reserve(tx: RegionTx, server: Server, flavor: Flavor) -> None:
    """Counts the larger of both flavors, so that the server can go either way. Raises QuotaExceeded."""
    more = {"cores": flavor.vcpus - server.vcpus, "ram": flavor.memory_mib - server.memory_mib}
    await quotas.check_growth(tx, server.project_id, server.user_id, more)
    both = {
        "vcpus": max(flavor.vcpus, server.vcpus),
        "memory_mib": max(flavor.memory_mib, server.memory_mib),
    }
    await mappings.change_server(tx, server.id, **both)


async def migrate_server(request: ComputeRequest, body: Any) -> None:
    """migrate: another host for a server whose guest is off meanwhile."""
    wanted = body.host if isinstance(body, ColdMigration) else None
    if wanted is not None:
        request.authorize(rule="os_compute_api:os-migrate-server:migrate:host")
    async with writing_server(request, unlocked=True) as found:
        server = found.server
        servers.check_ready(server, found.task, COLD_MIGRATE)
        await _source(found)
        if has_tpm(server.flavor["extra_specs"], (server.image or {}).get("properties", {})):
            raise InvalidMove(_TPM_STAYS)
        if wanted is not None:
            await check_target(found, wanted)
        await _begin(request, found, COLD_MIGRATE, programs.COLD_MIGRATE, ResizeArgs(requested_host=wanted or ""))


_TPM_STAYS = "The server has a TPM, whose state stays on its host: migrate it live."


async def _source(found: Found) -> Host:
    """Returns the server's host, which has to give the disks. Raises WrongState, HostDown."""
    server = found.server
    if server.host is None or server.launched_at is None:
        raise WrongState(server.id, RESIZE.action, f"vm_state {server.vm_state}: it was never built")
    source = await find_host(found, server.host)
    if not is_up(found.cell, source):
        raise HostDown(f"The host of server {server.id} does not answer: its disks cannot be brought from there.")
    return source


async def _begin(
    request: ComputeRequest,
    found: Found,
    operation: Operation,
    program: Program[Cell, ResizeArgs],
    args: ResizeArgs,
    flavor: Flavor | None = None,
) -> None:
    server, now, ctx = found.server, found.cell.clock.now(), request.ctx
    servers.check_state(server, operation.action, operation.begins_in)
    kind = migrations.COLD if flavor is None else migrations.RESIZE
    new_flavor = server.flavor if flavor is None else msgspec.to_builtins(flavor)
    asked_by = (ctx.project_id or "", ctx.user_id)
    migration = await migrations.insert(
        found.tx, server, kind, await _source(found), asked_by, now, new_flavor=new_flavor
    )
    args = msgspec.structs.replace(args, migration=migration.id)
    await servers.begin(found.tx, server, operation, task_for(request, program, server, args), now)


async def confirm_resize(request: ComputeRequest, _body: Any) -> None:
    """confirmResize: the server stays as it is now."""
    await _end(request, CONFIRM_RESIZE, programs.CONFIRM_RESIZE, migrations.CONFIRMING)


async def revert_resize(request: ComputeRequest, _body: Any) -> None:
    """revertResize: the server becomes what it was before the resize, its disks included."""
    await _end(request, REVERT_RESIZE, programs.REVERT_RESIZE, migrations.REVERTING)


async def _end(request: ComputeRequest, operation: Operation, program: Program[Cell, ResizeArgs], status: str) -> None:
    async with writing_server(request, unlocked=True) as found:
        server, now = found.server, found.cell.clock.now()
        servers.check_ready(server, found.task, operation)
        migration = await migrations.find_finished(found.tx, server.id)
        if migration is None:
            raise InvalidResize(f"Instance {server.id} has not been resized.")
        await migrations.change(found.tx, migration.id, now, status=status)
        task = task_for(request, program, server, ResizeArgs(migration=migration.id))
        await servers.begin(found.tx, server, operation, task, now)
