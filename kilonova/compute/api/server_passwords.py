"""/servers/{id}/os-server-password: what the guest has left as its administrator's password, sealed by itself.

It posts it to the metadata service, encrypted with the server's key pair: nobody here can read it.
"""

from kilonova.compute import servers
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.servers import fetch_server


async def show_password(request: ComputeRequest) -> dict[str, str]:
    async with request.service.database.reading() as tx:
        return {"password": (await fetch_server(tx, request)).server.sealed_password}


async def clear_password(request: ComputeRequest) -> None:
    async with request.service.database.transaction() as tx:
        server = (await fetch_server(tx, request)).server
        await servers.change(tx, server.id, request.service.clock.now(), sealed_password="")
