"""The administrator's password of a new server, from the request to the guest's config drive.

It goes there alone: whoever runs anything in a guest can ask the metadata service, and the drive is root's. So a server
whose user names a password gets a drive. Until the drive is written the password is in the arguments of the task that
builds the server, and nowhere afterwards.
"""

from typing import Any

from kilonova.compute.tables import Server, tasks
from kilonova.compute.transactions import CellTx

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
