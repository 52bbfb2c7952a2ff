"""The action changePassword."""

from typing import Any

import pytest

from kilonova.compute.agent.contract import SET_ADMIN_PASSWORD, PasswordArguments
from kilonova.kit.host_commands import HostError


def image(**properties: str) -> dict[str, Any]:
    return {"id": "i1", "properties": {"hw_qemu_guest_agent": "yes", **properties}}


@pytest.mark.parametrize(
    ("properties", "user"),
    [({}, "root"), ({"os_type": "windows"}, "Administrator"), ({"os_admin_user": "debian"}, "debian")],
)
async def test_the_password_of_the_guest_s_administrator_is_set(
    nova: Any, properties: dict[str, str], user: str
) -> None:
    asked: list[PasswordArguments] = []

    async def set_password(arguments: PasswordArguments) -> None:
        asked.append(arguments)

    server = await nova.insert_server(image=image(**properties))
    stop = nova.service.bus.serve("nova-compute.node1", dict([SET_ADMIN_PASSWORD.served_by(set_password)]))
    await nova.call("POST", f"/servers/{server.id}/action", 202, json={"changePassword": {"adminPass": "Secret1"}})
    assert asked == [PasswordArguments(server.id, user, "Secret1")]
    stop()


async def test_why_a_password_cannot_be_set(nova: Any) -> None:
    async def set_password(_arguments: PasswordArguments) -> None:
        raise HostError("The QEMU guest agent does not answer.")

    body = {"changePassword": {"adminPass": "Secret1"}}
    plain = await nova.insert_server(image={"id": "i1", "properties": {}})
    assert "hw_qemu_guest_agent=yes" in await nova.refused("POST", f"/servers/{plain.id}/action", 409, json=body)
    server = await nova.insert_server(image=image())
    url = f"/servers/{server.id}/action"
    assert "does not answer" in await nova.refused("POST", url, 409, json=body)
    stop = nova.service.bus.serve("nova-compute.node1", dict([SET_ADMIN_PASSWORD.served_by(set_password)]))
    assert "guest agent does not answer" in await nova.refused("POST", url, 409, json=body)
    stop()
    stopped = await nova.insert_server(image=image(), vm_state="stopped")
    told = await nova.refused("POST", f"/servers/{stopped.id}/action", 409, json=body)
    assert told == f"Cannot 'changePassword' instance {stopped.id} while it is in vm_state stopped"
    unplaced = await nova.insert_server(image=image(), host=None)
    assert "on no host yet" in await nova.refused("POST", f"/servers/{unplaced.id}/action", 409, json=body)


@pytest.mark.parametrize(
    "body", [None, {}, {"adminPass": None}, {"adminPass": 7}, {"adminPass": "x" * 256}, {"a": "b"}]
)
async def test_a_password_is_a_text(nova: Any, body: Any) -> None:
    server = await nova.insert_server(image=image())
    await nova.refused("POST", f"/servers/{server.id}/action", 400, json={"changePassword": body})
    await nova.refused(
        "POST", f"/servers/{server.id}/action", 404, by="other", json={"changePassword": {"adminPass": "x"}}
    )
