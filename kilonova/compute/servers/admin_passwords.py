"""The administrator's password of a server: of a new one from the request to the guest's config drive, of a running
one through the agent in its guest.

A new one's goes there alone: whoever runs anything in a guest can ask the metadata service, and the drive is root's.
So a server whose user names a password gets a drive. Until the drive is written the password is in the arguments of the
task that builds the server, and nowhere afterwards.
"""

from typing import Any

from kilonova.compute.agent.contract import SET_ADMIN_PASSWORD, PasswordArguments
from kilonova.compute.errors import PasswordNotSet
from kilonova.compute.hardware.asked import Asked
from kilonova.compute.hardware.devices import devices_of
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server, tasks
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError

ARGUMENT = "admin_password"
"""The name of the field in the arguments of a build."""


def of_request(server: Server, password: str) -> str | None:
    """Returns what the task that builds the server is told. Without a config drive one that was made up gets into no
    guest.
    """
    return password if server.config_drive else None


def without(args: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if name != ARGUMENT}


async def forget(tx: CellTx, server_id: str) -> None:
    """Out of whatever was done to the server."""
    for task in await tasks.of_subject(tx, server_id):
        if ARGUMENT in task.args:
            table = tasks.tasks
            await tx.change(table, {"id": task.id}, args=without(task.args))


async def change(cell: Cell, server: Server, password: str) -> None:
    """Sets the password of the guest's administrator. Raises PasswordNotSet."""
    asked = Asked(server.flavor["extra_specs"], server.image["properties"] if server.image else {})
    guest, named = devices_of(asked), asked.by_image("os_admin_user")
    if not guest.has_guest_agent:
        raise PasswordNotSet(
            server.id, "its image does not say that it has a QEMU guest agent (hw_qemu_guest_agent=yes)."
        )
    if server.host is None:
        raise PasswordNotSet(server.id, "it is on no host yet.")
    user = named.value if named else "Administrator" if guest.is_windows else "root"
    try:
        await cell.agents.call(server.host, SET_ADMIN_PASSWORD, PasswordArguments(server.id, user, password))
    except (AgentUnreachable, RemoteError) as error:
        raise PasswordNotSet(server.id, str(error)) from error
