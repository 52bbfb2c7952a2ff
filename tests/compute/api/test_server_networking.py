"""Interfaces and security groups of a server, asked of the real network service."""

from typing import Any

from kilonova.compute.api import server_interfaces
from kilonova.compute.servers import servers
from kilonova.compute.tables import tasks


async def make_group(nova: Any, name: str, by: str = "demo") -> str:
    networking = await nova.networking(by)
    response = await networking.post("/v2.0/security-groups", json={"security_group": {"name": name}})
    group_id: str = nova.body_of(response, 201)["security_group"]["id"]
    rule = {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp", "remote_ip_prefix": "10.0.0.0/8"}
    rule |= {"port_range_min": 22, "port_range_max": 23}  # type: ignore[dict-item]
    nova.body_of(await networking.post("/v2.0/security-group-rules", json={"security_group_rule": rule}), 201)
    return group_id


async def make_port(nova: Any, server_id: str, **fields: Any) -> dict[str, Any]:
    network = await nova.network()
    new = {"network_id": network["id"], "device_id": server_id, **fields}
    response = await (await nova.networking("demo")).post("/v2.0/ports", json={"port": new})
    port: dict[str, Any] = nova.body_of(response, 201)["port"]
    return port


async def test_interfaces_are_the_servers_ports(nova: Any) -> None:
    server, other = await nova.insert_server(), await nova.insert_server()
    port = await make_port(nova, server.id)
    url = f"/servers/{server.id}/os-interface"
    shown = {
        "net_id": port["network_id"],
        "port_id": port["id"],
        "mac_addr": port["mac_address"],
        "port_state": port["status"],
        "fixed_ips": port["fixed_ips"],
        "tag": None,
    }
    assert await nova.call("GET", url) == {"interfaceAttachments": [shown]}
    assert await nova.call("GET", f"{url}/{port['id']}") == {"interfaceAttachment": shown}
    old = (await nova.call("GET", url, version="2.69"))["interfaceAttachments"]
    assert "tag" not in old[0]
    assert await nova.call("GET", f"/servers/{other.id}/os-interface") == {"interfaceAttachments": []}
    await nova.refused("GET", f"/servers/{other.id}/os-interface/{port['id']}", 404)
    await nova.refused("GET", url, 404, by="other")


async def test_a_group_is_put_on_every_port_and_taken_off(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    port = await make_port(nova, server.id)
    group_id = await make_group(nova, "ssh")
    await nova.call("POST", f"{url}/action", 202, json={"addSecurityGroup": {"name": "ssh"}})
    await nova.call("POST", f"{url}/action", 202, json={"addSecurityGroup": {"name": group_id}})
    on_port = (await nova.service.network.show_port(port["id"])).security_groups
    assert sorted(on_port) == sorted([*port["security_groups"], group_id])
    names = [{"name": "default"}, {"name": "ssh"}]
    assert (await nova.call("GET", url))["server"]["security_groups"] == names
    listed = (await nova.call("GET", f"{url}/os-security-groups"))["security_groups"]
    assert [each["name"] for each in listed] == ["default", "ssh"]
    (rule,) = listed[1]["rules"]
    assert (rule["from_port"], rule["to_port"], rule["ip_protocol"]) == (22, 23, "tcp")
    assert (rule["ip_range"], rule["group"], rule["parent_group_id"]) == ({"cidr": "10.0.0.0/8"}, {}, group_id)
    assert {each["group"]["name"] for each in listed[0]["rules"]} == {"default"}
    for name in ("ssh", "default"):
        await nova.call("POST", f"{url}/action", 202, json={"removeSecurityGroup": {"name": name}})
    assert (await nova.service.network.show_port(port["id"])).security_groups == ()
    assert "security_groups" not in (await nova.call("GET", url))["server"]
    told = await nova.refused("POST", f"{url}/action", 404, json={"removeSecurityGroup": {"name": "ssh"}})
    assert "not associated" in told


async def test_groups_that_cannot_be_put_on_are_refused(nova: Any) -> None:
    server, locked = await nova.insert_server(), await nova.insert_server(locked=True)
    url = f"/servers/{server.id}/action"
    group_id = await make_group(nova, "ssh")
    theirs = await make_group(nova, "theirs", by="other")
    told = await nova.refused("POST", url, 400, json={"addSecurityGroup": {"name": "ssh"}})
    assert "no port with port security" in told
    port = await make_port(nova, server.id)
    for name in ("missing", theirs):
        await nova.refused("POST", url, 404, json={"addSecurityGroup": {"name": name}})
    await nova.refused("POST", url, 400, json={"addSecurityGroup": {}})
    add = {"addSecurityGroup": {"name": "ssh"}}
    await nova.refused("POST", url, 403, by="reader", json=add)
    await nova.refused("POST", url, 404, by="other", json=add)
    assert "is locked" in await nova.refused("POST", f"/servers/{locked.id}/action", 409, json=add)
    second = await make_group(nova, "ssh")
    assert "Multiple" in await nova.refused("POST", url, 409, json=add)
    assert not {group_id, second} & set((await nova.service.network.show_port(port["id"])).security_groups)


async def attach(nova: Any, server_id: str, **wanted: Any) -> dict[str, Any]:
    body = {"interfaceAttachment": wanted}
    shown: dict[str, Any] = await nova.call("POST", f"/servers/{server_id}/os-interface", json=body)
    return dict(shown["interfaceAttachment"])


async def end_task(nova: Any, server_id: str) -> None:
    async with nova.service.database.transaction() as tx:
        active = await tasks.active(tx, server_id)
        values = {"active_subject": None, "finished_at": nova.service.clock.now(), "outcome": "done"}
        await tasks.compare_and_set(tx, active, **values)


async def test_an_attached_interface_is_the_server_s_at_once(nova: Any) -> None:
    server, network = await nova.insert_server(), await nova.network()
    attached = await attach(nova, server.id, net_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}])
    assert attached["net_id"] == network["id"]
    assert [each["ip_address"] for each in attached["fixed_ips"]] == ["10.0.0.9"]
    port = await nova.service.network.show_port(attached["port_id"])
    assert (port.device_id, port.device_owner) == (server.id, "compute:nova")
    assert port.project_id == server.project_id
    shown = (await nova.call("GET", f"/servers/{server.id}"))["server"]
    assert [each["addr"] for each in shown["addresses"]["lan"]] == ["10.0.0.9"]
    assert shown["OS-EXT-STS:task_state"] is None
    (action, *_) = (await nova.call("GET", f"/servers/{server.id}/os-instance-actions"))["instanceActions"]
    assert action["action"] == "attach_interface"


async def test_an_interface_waits_for_another_one_s_end(nova: Any, monkeypatch: Any) -> None:
    server, network = await nova.insert_server(), await nova.network()
    first = await attach(nova, server.id, net_id=network["id"])
    monkeypatch.setattr(server_interfaces, "PATIENCE_SECONDS", 0.2)
    url = f"/servers/{server.id}/os-interface"
    assert "another interface" in await nova.refused("DELETE", f"{url}/{first['port_id']}", 409)
    told = await nova.refused("POST", url, 409, json={"interfaceAttachment": {"net_id": network["id"]}})
    assert "another interface" in told
    assert [each.id for each in await nova.service.network.list_ports(device_id=server.id)] == [first["port_id"]]
    await end_task(nova, server.id)
    await nova.call("DELETE", f"{url}/{first['port_id']}", 202)
    assert (await nova.call("GET", f"/servers/{server.id}"))["server"]["addresses"] == {}
    await end_task(nova, server.id)
    await nova.refused("DELETE", f"{url}/{first['port_id']}", 404)


async def test_without_a_name_the_only_network_is_taken(nova: Any) -> None:
    server, network = await nova.insert_server(), await nova.network()
    assert (await attach(nova, server.id))["net_id"] == network["id"]


async def test_interfaces_that_cannot_be_attached_are_refused(nova: Any) -> None:
    server, network = await nova.insert_server(), await nova.network()
    foreign = await nova.network(by="other")
    taken = await make_port(nova, server.id)
    nobody = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"
    url = f"/servers/{server.id}/os-interface"
    refusals = [
        ({"net_id": network["id"], "port_id": taken["id"]}, 400, "both"),
        ({"port_id": nobody, "fixed_ips": [{"ip_address": "10.0.0.9"}]}, 400, "network_id"),
        ({"net_id": network["id"], "fixed_ips": [{"ip_address": "ten"}]}, 400, "fixed_ips"),
        ({"net_id": network["id"], "fixed_ips": [{"ip_address": "10.9.0.9"}]}, 400, "10.9.0.9"),
        ({"net_id": network["id"], "tag": "out,er"}, 400, "tag"),
        ({"net_id": "lan"}, 400, "net_id"),
        ({"net_id": nobody}, 404, nobody),
        ({"net_id": foreign["id"]}, 404, foreign["id"]),
        ({"port_id": nobody}, 404, nobody),
        ({"port_id": taken["id"]}, 409, "in use"),
    ]
    for wanted, status, part in refusals:
        assert part in await nova.refused("POST", url, status, json={"interfaceAttachment": wanted}), wanted
    await nova.refused("POST", url, 400, json={})
    await nova.refused("POST", url, 404, json={"interfaceAttachment": {}}, by="other")
    await nova.refused("POST", url, 403, json={"interfaceAttachment": {}}, by="reader")
    await nova.refused("DELETE", f"{url}/{nobody}", 404)
    asleep, locked = await nova.insert_server(vm_state="suspended"), await nova.insert_server(locked=True)
    for other in (asleep, locked):
        body = {"interfaceAttachment": {"net_id": network["id"]}}
        await nova.refused("POST", f"/servers/{other.id}/os-interface", 409, json=body)
    ports = await nova.service.network.list_ports()
    assert [port.id for port in ports if port.device_owner.startswith("compute:")] == []


async def test_an_address_is_added_to_a_port_and_taken_away(nova: Any) -> None:
    server = await nova.insert_server()
    port = await make_port(nova, server.id)
    (first,) = [each["ip_address"] for each in port["fixed_ips"]]
    entry = {"id": port["id"], "network_name": "lan", "mac_address": port["mac_address"], "fixed_ips": [first]}
    entry |= {"network_id": port["network_id"], "floating_ips": [], "preserve": False}
    async with nova.service.database.transaction() as tx:
        await servers.change(tx, server.id, nova.service.clock.now(), ports=[entry])
    url, old = f"/servers/{server.id}/action", {"version": "2.43"}

    async def addresses() -> list[str]:
        (shown,) = (await nova.call("GET", f"/servers/{server.id}"))["server"]["addresses"].values()
        return [each["addr"] for each in shown]

    assert await addresses() == [first]
    add = {"addFixedIp": {"networkId": port["network_id"]}}
    await nova.call("POST", url, 202, json=add, **old)
    _, second = await addresses()
    on_port = (await nova.service.network.show_port(port["id"])).fixed_ips
    assert {each.ip_address for each in on_port} == {first, second}
    await nova.call("POST", url, 202, json={"removeFixedIp": {"address": second}}, **old)
    assert await addresses() == [first]
    for wrong, sentence in (
        ({"removeFixedIp": {"address": second}}, "no fixed IP"),
        ({"removeFixedIp": {"address": "x"}}, "address"),
        ({"addFixedIp": {"networkId": "lan"}}, "networkId is the UUID"),
        ({"addFixedIp": {"networkId": "0b6c9f0e-0000-4000-8000-000000000000"}}, "no port with addresses"),
    ):
        assert sentence in await nova.refused("POST", url, 400, json=wrong, **old)
    await nova.refused("POST", url, 404, json=add, version="2.44")
    await nova.refused("POST", url, 404, by="other", json=add, **old)
    await nova.refused("POST", url, 403, by="reader", json=add, **old)
