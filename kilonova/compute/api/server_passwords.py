"""Passwords of a guest's administrator: the action changePassword, and what the guest has left, sealed by itself.

A guest posts its own to the metadata service, encrypted with the server's key pair: nobody here can read it.
"""

from msgspec import Struct, field

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server, writing_server
from kilonova.compute.servers import admin_passwords, servers
from kilonova.kit.http.bounds import Name


class NewPassword(Struct, forbid_unknown_fields=True):
    admin_pass: Name = field(name="adminPass")


async def show_password(request: ComputeRequest) -> dict[str, str]:
    async with reading_server(request) as found:
        return {"password": found.server.sealed_password}


async def clear_password(request: ComputeRequest) -> None:
    async with writing_server(request) as found:
        await servers.change(found.tx, found.server.id, request.service.clock.now(), sealed_password="")


async def change_password(request: ComputeRequest, body: NewPassword) -> None:
    """changePassword: sets it inside the guest, which has to run."""
    async with reading_server(request, unlocked=True) as found:
        cell, server = found.cell, found.server
    servers.check_state(server, "changePassword", ("active",))
    await admin_passwords.change(cell, server, body.admin_pass)
