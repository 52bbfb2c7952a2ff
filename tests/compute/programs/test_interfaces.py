"""Ports that join a server and leave it, on hosts that answer and on silent ones."""

from typing import Any

from kilonova.compute.api import events
from tests.compute.programs.stories import silence, tidy

URL = "/v2.1/servers/{}/os-interface"


async def built(world: Any) -> str:
    server = await world.insert_server(networks=[])
    await world.run()
    return str(server.id)


async def bring_port(world: Any) -> str:
    made = await world.network_client.post("/v2.0/ports", json={"port": {"network_id": world.network_id}})
    return str(made.json()["port"]["id"])


async def attach(world: Any, server_id: str, **wanted: Any) -> dict[str, Any]:
    response = await world.client.post(URL.format(server_id), json={"interfaceAttachment": wanted})
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()["interfaceAttachment"]
    return shown


async def detach(world: Any, server_id: str, port_id: str) -> None:
    response = await world.client.delete(f"{URL.format(server_id)}/{port_id}")
    assert response.status_code == 202, response.text


async def shown(world: Any, server_id: str) -> list[str]:
    response = await world.client.get(URL.format(server_id))
    return [each["port_id"] for each in response.json()["interfaceAttachments"]]


def on_host(world: Any, server_id: str) -> list[str]:
    """Ports the host was told of last."""
    return [port.id for port in world.hosts["node1"].servers[server_id].spec.ports]


async def test_a_new_port_joins_and_is_deleted_when_it_leaves(world: Any) -> None:
    server_id = await built(world)
    attached = await attach(world, server_id, net_id=world.network_id, fixed_ips=[{"ip_address": "10.0.0.77"}])
    assert [each["ip_address"] for each in attached["fixed_ips"]] == ["10.0.0.77"]
    await world.run()
    assert await shown(world, server_id) == on_host(world, server_id) == [attached["port_id"]]
    addresses = (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]["addresses"]
    assert [each["addr"] for each in addresses["lan"]] == ["10.0.0.77"]
    await detach(world, server_id, attached["port_id"])
    await world.run()
    assert await shown(world, server_id) == on_host(world, server_id) == []
    assert (await world.leftovers())["ports"] == []
    assert (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]["addresses"] == {}


async def test_a_brought_port_is_given_back_when_it_leaves_and_when_the_server_goes(world: Any) -> None:
    server_id, port_id = await built(world), await bring_port(world)
    for leave in (lambda: detach(world, server_id, port_id), lambda: world.destroy(server_id)):
        await attach(world, server_id, port_id=port_id)
        await world.run()
        assert (await world.compute.network.show_port(port_id)).host == "node1"
        await leave()
        await world.run()
        port = await world.compute.network.show_port(port_id)
        assert (port.device_id, port.device_owner, port.host) == ("", "", "")


async def test_a_port_that_another_device_took_meanwhile_is_let_alone(world: Any) -> None:
    server_id, port_id = await built(world), await bring_port(world)
    await attach(world, server_id, port_id=port_id)
    await world.network_client.put(f"/v2.0/ports/{port_id}", json={"port": {"device_id": "router"}})
    await world.run()
    (task, *_) = await world.tasks_of(server_id)
    assert task.error == f"The port could not be bound: Port {port_id} is still in use by router."
    assert (await world.compute.network.show_port(port_id)).device_id == "router"
    assert (await world.server(server_id)).ports == []


async def test_a_failed_attachment_leaves_the_server_as_it_was(world: Any) -> None:
    server_id = await built(world)
    await silence(world, server_id)
    await attach(world, server_id, net_id=world.network_id)
    await world.run()
    await tidy(world, server_id)
    server = await world.server(server_id)
    assert (server.vm_state, server.ports) == ("active", [])
    assert (await world.leftovers())["ports"] == []
    (task, *_) = await world.tasks_of(server_id)
    assert "does not answer" in task.error


async def test_a_failed_detachment_leaves_the_port_where_it_was(world: Any) -> None:
    server_id = await built(world)
    attached = await attach(world, server_id, net_id=world.network_id)
    await world.run()
    await silence(world, server_id)
    await detach(world, server_id, attached["port_id"])
    assert (await world.server(server_id)).ports == []
    await world.run()
    await tidy(world, server_id)
    assert [each["id"] for each in (await world.server(server_id)).ports] == [attached["port_id"]]
    assert await shown(world, server_id) == on_host(world, server_id) == [attached["port_id"]]


async def test_a_stopped_server_gets_its_interface_with_its_next_start(world: Any) -> None:
    server_id = await built(world)
    await world.client.post(f"/v2.1/servers/{server_id}/action", json={"os-stop": None})
    await world.run()
    attached = await attach(world, server_id, net_id=world.network_id)
    await world.run()
    assert world.hosts["node1"].servers[server_id].power == "stopped"
    assert on_host(world, server_id) == [attached["port_id"]]


async def test_a_tag_is_shown_and_told_to_the_guest_from_the_attachment_on(world: Any) -> None:
    server_id = await built(world)
    newest = {"OpenStack-API-Version": "compute 2.70"}
    body = {"interfaceAttachment": {"net_id": world.network_id, "tag": "outer"}}
    response = await world.client.post(URL.format(server_id), json=body, headers=newest)
    assert response.json()["interfaceAttachment"]["tag"] == "outer"
    await world.run()
    response = await world.client.get(URL.format(server_id), headers=newest)
    assert [each["tag"] for each in response.json()["interfaceAttachments"]] == ["outer"]
    (device,) = world.hosts["node1"].servers[server_id].spec.metadata_document.devices
    assert (device.type, device.tag) == ("nic", "outer")
    await events.refresh_ports(world.compute, await world.server(server_id))
    assert [entry.get("tag") for entry in (await world.server(server_id)).ports] == ["outer"]


async def test_an_interface_of_a_new_server_keeps_its_tag(world: Any) -> None:
    server = await world.insert_server(networks=[{"network_id": world.network_id, "tag": "front"}])
    await world.run()
    assert [entry["tag"] for entry in (await world.server(server.id)).ports] == ["front"]
    (device,) = world.hosts["node1"].servers[server.id].spec.metadata_document.devices
    assert (device.type, device.tag) == ("nic", "front")
