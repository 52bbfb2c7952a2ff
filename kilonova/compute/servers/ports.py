"""Which ports are a server's.

A port's `device_id` is its owner's to write, whatever server that names. So a server has the ports of its own project
that name it, and those its row keeps: what others point at it is not looked at.
"""

from collections.abc import Callable
from typing import Any

from kilonova.compute.tables import Server
from kilonova.kit.errors import Conflict
from kilonova.kit.http.client import RemoteFault
from kilonova.network.client import NetworkClient, Port

CHANGE_ATTEMPTS = 5
CHANGED_MEANWHILE = 412


async def of_server(network: NetworkClient, server: Server) -> list[Port]:
    found = await network.list_ports(device_id=server.id, project_id=server.project_id)
    missing = kept_ids(server) - {port.id for port in found}
    if missing:
        # Brought by an administrator, perhaps, from another project.
        found += await network.list_ports(device_id=server.id, id=sorted(missing))
    return found


async def by_ids(network: NetworkClient, server: Server, port_ids: list[str]) -> list[Port]:
    """Those of these that name the server still."""
    return await network.list_ports(device_id=server.id, id=port_ids) if port_ids else []


async def change(network: NetworkClient, port: Port, fields_of: Callable[[Port], dict[str, Any] | None]) -> Port:
    """Changes a port by what it is: when somebody else has changed it meanwhile, it is looked at anew.

    `fields_of`: what to write into a port as it is now; None for nothing. Raises Conflict when others never let up.
    """
    for _ in range(CHANGE_ATTEMPTS):
        fields = fields_of(port)
        if fields is None:
            return port
        try:
            return await network.update_port(port.id, fields, revision_number=port.revision_number)
        except RemoteFault as fault:
            if fault.status != CHANGED_MEANWHILE:
                raise
        port = await network.show_port(port.id)
    raise Conflict(f"Port {port.id} is being changed by others, over and over.")


def kept_ids(server: Server) -> set[str]:
    """Ids of the ports that the server was given, as its row has them."""
    asked = {wanted["port_id"] for wanted in server.requested_networks if wanted.get("port_id")}
    return asked | {port["id"] for port in server.ports}
