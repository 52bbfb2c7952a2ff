"""`nova-manage libvirt` and `image_property`: what a server remembers of its image, shown and changed.

A server keeps the properties that its image had; the machine it is, `hw_machine_type`, is one of them. A change has its
effect when the server is next started. Words and exit codes are upstream's.
Source: the Compute command reference, "nova-manage libvirt" and "nova-manage image_property".
"""

from typing import Any

from kilonova.cli.daemons.region_commands import Command, Refused, Region, command
from kilonova.cli.frames import render_frame
from kilonova.compute.errors import WrongState
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.servers import image_properties
from kilonova.compute.servers.image_properties import MACHINE_TYPE, UnknownMachine, UnknownProperty
from kilonova.kit.clock import SystemClock


async def _show_machine_type(region: Region, asked: Any) -> int:
    _database, server = await region.server(asked.instance_uuid, code=2)
    found = image_properties.of(server).get(MACHINE_TYPE)
    if found is None:
        raise Refused(3, f"Server {server.id} has no machine type of its own: its host's is used when it is started.")
    print(f"Machine type: {found}")
    return 0


async def _change_machine_type(region: Region, asked: Any) -> int:
    database, server = await region.server(asked.instance_uuid, code=2)
    wanted, before = asked.machine_type, image_properties.of(server).get(MACHINE_TYPE)
    try:
        image_properties.check_machine(wanted)
    except UnknownMachine as error:
        raise Refused(5, str(error)) from error
    if before and not asked.force and not image_properties.is_same_kind(before, wanted):
        raise Refused(
            4, f"Server {server.id} is a {before}, which a {wanted} is not: its guest may not start. Say --force."
        )
    await _write(region, database, server.id, {MACHINE_TYPE: wanted})
    print(f"Server {server.id} has the machine type {wanted} now, before {before or 'that of its host'}.")
    return 0


async def _list_unset(region: Region, asked: Any) -> int:
    """Returns 3 when there are any."""
    if asked.cell_uuid:
        databases = [region.open(await region.cell(asked.cell_uuid, 2))]
    else:
        databases = await region.databases(everywhere=True)
    unset = [each for database in databases for each in await image_properties.without(database, MACHINE_TYPE)]
    if not unset:
        print("Every server has a machine type of its own.")
        return 0
    print(render_frame(("Instance UUID",), [(each,) for each in sorted(unset)]))
    return 3


async def _show_property(region: Region, asked: Any) -> int:
    _database, server = await region.server(asked.instance_uuid, code=2)
    found = image_properties.of(server).get(asked.property)
    if found is None:
        raise Refused(3, f"Server {server.id} has no image property {asked.property}.")
    print(found)
    return 0


async def _set_properties(region: Region, asked: Any) -> int:
    database, server = await region.server(asked.instance_uuid, code=2)
    changes: dict[str, str] = {}
    for each in asked.property:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise Refused(4, f"--property: {each!r} is not NAME=VALUE.")
        changes[name] = value
    await _write(region, database, server.id, changes)
    return 0


async def _write(region: Region, database: Any, server_id: str, changes: dict[str, str]) -> None:
    """Raises Refused."""
    try:
        await image_properties.change(database, server_id, changes, SystemClock().now())
    except WrongState as error:
        raise Refused(3, error.message) from error
    except UnknownProperty as error:
        raise Refused(4, str(error)) from error
    except UnusableSpec as error:
        raise Refused(5, str(error)) from error


def image_commands() -> dict[str, Command]:
    return {
        "libvirt get_machine_type": command("libvirt get_machine_type", _show_machine_type, words=("instance_uuid",)),
        "libvirt update_machine_type": command(
            "libvirt update_machine_type",
            _change_machine_type,
            words=("instance_uuid", "machine_type"),
            flags=("--force",),
        ),
        "libvirt list_unset_machine_type": command("libvirt list_unset_machine_type", _list_unset, "--cell-uuid"),
        "image_property show": command("image_property show", _show_property, words=("instance_uuid", "property")),
        "image_property set": command(
            "image_property set", _set_properties, words=("instance_uuid",), repeated=("--property",)
        ),
    }
