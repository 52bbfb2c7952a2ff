"""Interfaces and security groups of a server, asked of the real network service."""

from typing import Any


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
    on_port = (await nova.service.network.show_port(port["id"]))["security_groups"]
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
    assert (await nova.service.network.show_port(port["id"]))["security_groups"] == []
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
    assert not {group_id, second} & set((await nova.service.network.show_port(port["id"]))["security_groups"])
