"""/servers/{id}/os-server-password: what the guest has left as its administrator's password, sealed by itself.

It posts it to the metadata service, encrypted with the server's key pair: nobody here can read it.
"""

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server, writing_server
from kilonova.compute.servers import servers


async def show_password(request: ComputeRequest) -> dict[str, str]:
    async with reading_server(request) as found:
        return {"password": found.server.sealed_password}


async def clear_password(request: ComputeRequest) -> None:
    async with writing_server(request) as found:
        await servers.change(found.tx, found.server.id, request.service.clock.now(), sealed_password="")
