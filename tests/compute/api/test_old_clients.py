"""What clients from before microversions ask compute for: images, networks, floating addresses, extensions."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kilonova.block_storage import volumes
from kilonova.compute.api.server_floating_ips import _lead
from kilonova.kit.errors import Conflict

OLD = {"version": "2.35"}
MISSING = "0b6c9f0e-0000-4000-8000-000000000000"


async def plugged(nova: Any, *, with_router: bool = True) -> tuple[Any, dict[str, Any]]:
    """A server with a port on a network that a router joins to the outside; and that port."""
    network, networking = await nova.network(), await nova.networking("demo")
    if with_router:
        outside = await nova.outside()
        new = {"router": {"name": "edge", "external_gateway_info": {"network_id": outside}}}
        router = nova.body_of(await networking.post("/v2.0/routers", json=new), 201)["router"]
        subnets = (await networking.get(f"/v2.0/subnets?network_id={network['id']}")).json()["subnets"]
        url = f"/v2.0/routers/{router['id']}/add_router_interface"
        nova.body_of(await networking.put(url, json={"subnet_id": subnets[0]["id"]}))
    return await with_port(nova, network["id"])


async def with_port(nova: Any, network_id: str) -> tuple[Any, dict[str, Any]]:
    server = await nova.insert_server()
    new = {"network_id": network_id, "device_id": server.id, "device_owner": "compute:nova"}
    response = await (await nova.networking("demo")).post("/v2.0/ports", json={"port": new})
    return server, nova.body_of(response, 201)["port"]


async def test_images_are_listed_and_shown_as_the_image_service_has_them(nova: Any) -> None:
    first = await nova.image(name="cirros", min_disk=1, hw_disk_bus="virtio")
    second = await nova.image(name="debian", upload=False)
    hidden = await nova.image("other", name="theirs", visibility="private")
    listed = (await nova.call("GET", "/images", **OLD))["images"]
    assert {each["id"]: each["name"] for each in listed} == {first: "cirros", second: "debian"}
    assert [each["rel"] for each in listed[0]["links"]] == ["self", "bookmark"]
    shown = (await nova.call("GET", f"/images/{first}", **OLD))["image"]
    assert (shown["status"], shown["progress"], shown["minDisk"], shown["minRam"]) == ("ACTIVE", 100, 1, 0)
    assert (shown["metadata"], shown["OS-EXT-IMG-SIZE:size"]) == ({"hw_disk_bus": "virtio"}, 1 << 16)
    assert shown in (await nova.call("GET", "/images/detail", **OLD))["images"]
    assert (await nova.call("GET", f"/images/{second}", **OLD))["image"]["status"] == "SAVING"
    url = f"/images/{first}/metadata"
    assert await nova.call("GET", url, version="2.38") == {"metadata": {"hw_disk_bus": "virtio"}}
    assert await nova.call("GET", f"{url}/hw_disk_bus", version="2.38") == {"meta": {"hw_disk_bus": "virtio"}}
    await nova.refused("GET", f"{url}/colour", 404, version="2.38")
    for image_id in (hidden, MISSING, "cirros", "1"):
        await nova.refused("GET", f"/images/{image_id}", 404, **OLD)
    for path in ("/images", "/images/detail", f"/images/{first}"):
        await nova.refused("GET", path, 404, version="2.36")


IMAGES = {
    "": ["alpine", "cirros", "debian"],
    "name=cirros": ["cirros"],
    "status=ACTIVE": ["alpine", "cirros"],
    "status=saving": ["debian"],
    "status=DELETED": [],
    "minDisk=2": ["alpine"],
    "property-colour=red": ["cirros"],
    "changes-since=2020-01-01T00:00:00Z": ["alpine", "cirros", "debian"],
    "changes-since=2100-01-01T00:00:00Z": [],
}


async def test_images_are_filtered_and_come_in_pages(nova: Any) -> None:
    await nova.image(name="alpine", min_disk=2)
    await nova.image(name="cirros", colour="red")
    await nova.image(name="debian", upload=False)
    found = {query: (await nova.call("GET", f"/images?{query}", **OLD))["images"] for query in IMAGES}
    assert {query: sorted(each["name"] for each in listed) for query, listed in found.items()} == IMAGES
    seen, url = [], "/images/detail?limit=2"
    while url:
        page = await nova.call("GET", url, **OLD)
        seen += [each["name"] for each in page["images"]]
        url = page.get("images_links", [{"href": ""}])[0]["href"].partition("/v2.1")[2]
    assert sorted(seen) == ["alpine", "cirros", "debian"]
    for query in ("limit=x", "status=HUNGRY", "minDisk=much", "changes-since=soon", f"marker={MISSING}"):
        await nova.refused("GET", f"/images?{query}", 400, **OLD)


async def test_networks_and_pools_are_the_network_service_s(nova: Any) -> None:
    network, outside = await nova.network(), await nova.outside()
    await nova.network(by="other", name="theirs")
    shown = (await nova.call("GET", f"/os-networks/{network['id']}", **OLD))["network"]
    assert (shown["id"], shown["label"], shown["cidr"], shown["vlan"]) == (network["id"], "lan", None, None)
    listed = (await nova.call("GET", "/os-networks", **OLD))["networks"]
    assert {each["label"] for each in listed} == {"lan", "public"}
    mine = {"id": network["id"], "label": "lan", "cidr": "None"}
    assert mine in (await nova.call("GET", "/os-tenant-networks", **OLD))["networks"]
    assert await nova.call("GET", f"/os-tenant-networks/{network['id']}", **OLD) == {"network": mine}
    assert await nova.call("GET", "/os-floating-ip-pools", **OLD) == {"floating_ip_pools": [{"name": "public"}]}
    for path in ("/os-networks", "/os-tenant-networks"):
        for network_id in (MISSING, "lan"):
            await nova.refused("GET", f"{path}/{network_id}", 404, **OLD)
        await nova.refused("GET", path, 404, version="2.36")
    assert outside


async def test_floating_addresses_are_taken_shown_and_given_back(nova: Any) -> None:
    url = "/os-floating-ips"
    assert "pool not found" in await nova.refused("POST", url, 404, json={"pool": None}, **OLD)
    await nova.outside()
    made = (await nova.call("POST", url, json={"pool": "public"}, **OLD))["floating_ip"]
    assert (made["pool"], made["fixed_ip"], made["instance_id"]) == ("public", None, None)
    other = (await nova.call("POST", url, by="other", json={}, **OLD))["floating_ip"]
    assert await nova.call("GET", url, **OLD) == {"floating_ips": [made]}
    assert await nova.call("GET", f"{url}/{made['id']}", **OLD) == {"floating_ip": made}
    for floating_id in (other["id"], MISSING, "7"):
        await nova.refused("GET", f"{url}/{floating_id}", 404, **OLD)
        await nova.refused("DELETE", f"{url}/{floating_id}", 404, **OLD)
    await nova.refused("POST", url, 404, json={"pool": "private"}, **OLD)
    await nova.refused("POST", url, 403, by="reader", json={"pool": "public"}, **OLD)
    await nova.outside("second")
    assert "several pools" in await nova.refused("POST", url, 400, json={}, **OLD)
    await nova.call("DELETE", f"{url}/{made['id']}", 202, **OLD)
    assert await nova.call("GET", url, **OLD) == {"floating_ips": []}


async def test_a_floating_address_leads_to_a_server_and_no_longer(nova: Any) -> None:
    server, port = await plugged(nova)
    fixed = port["fixed_ips"][0]["ip_address"]
    floating = (await nova.call("POST", "/os-floating-ips", json={}, **OLD))["floating_ip"]
    url, old = f"/servers/{server.id}/action", {"version": "2.43"}
    add = {"addFloatingIp": {"address": floating["ip"]}}
    await nova.call("POST", url, 202, json=add, **old)
    shown = (await nova.call("GET", f"/os-floating-ips/{floating['id']}", **OLD))["floating_ip"]
    assert (shown["fixed_ip"], shown["instance_id"]) == (fixed, server.id)
    await nova.call("POST", url, 202, json=add, **old)
    remove = {"removeFloatingIp": {"address": floating["ip"]}}
    await nova.call("POST", url, 202, json=remove, **old)
    shown = (await nova.call("GET", f"/os-floating-ips/{floating['id']}", **OLD))["floating_ip"]
    assert (shown["fixed_ip"], shown["instance_id"]) == (None, None)
    for body, status, sentence in (
        (remove, 409, "not associated"),
        ({"addFloatingIp": {"address": "172.24.4.200"}}, 404, "172.24.4.200 not found"),
        ({"removeFloatingIp": {"address": "172.24.4.200"}}, 404, "172.24.4.200 not found"),
        ({"addFloatingIp": {"address": "x"}}, 400, "Invalid input for address"),
        ({"addFloatingIp": {"address": floating["ip"], "fixed_address": "10.0.0.250"}}, 400, "is not assigned"),
        ({"addFloatingIp": {}}, 400, "address"),
    ):
        assert sentence in await nova.refused("POST", url, status, json=body, **old)
    await nova.call(
        "POST", url, 202, json={"addFloatingIp": {"address": floating["ip"], "fixed_address": fixed}}, **old
    )
    await nova.refused("POST", url, 403, by="reader", json=add, **old)
    await nova.refused("POST", url, 404, by="other", json=add, **old)
    bare = await nova.insert_server()
    assert "No fixed IPs" in await nova.refused("POST", f"/servers/{bare.id}/action", 400, json=add, **old)
    await nova.refused("POST", url, 404, json=add, version="2.44")


async def test_of_eight_that_take_a_free_floating_address_at_once_one_has_it(nova: Any) -> None:
    _server, first = await plugged(nova)
    ports = [first, *[(await with_port(nova, first["network_id"]))[1] for _ in range(7)]]
    made = (await nova.call("POST", "/os-floating-ips", json={}, **OLD))["floating_ip"]
    token = await nova.identity.token("demo")
    request: Any = SimpleNamespace(service=nova.service, ctx=SimpleNamespace(token=token))
    floating = await nova.service.network.show_floating_ip(made["id"], token)
    outcomes = await asyncio.gather(
        *(_lead(request, floating, {"port_id": port["id"]}) for port in ports), return_exceptions=True
    )
    assert [type(each) for each in outcomes if each is not None] == [Conflict] * 7
    winner = ports[outcomes.index(None)]
    assert (await nova.service.network.show_floating_ip(made["id"])).port_id == winner["id"]


async def test_extensions_say_what_is_here(nova: Any) -> None:
    listed = (await nova.call("GET", "/extensions", version="2.1"))["extensions"]
    names = {each["alias"]: each["name"] for each in listed}
    assert names["os-keypairs"] == "Keypairs"
    assert not {"os-shelve", "os-rescue", "os-migrate-server"} & set(names)
    shown = (await nova.call("GET", "/extensions/os-server-groups"))["extension"]
    assert shown in listed
    await nova.refused("GET", "/extensions/os-shelve", 404)


async def test_a_host_shows_what_is_used_of_it_and_by_whom(nova: Any) -> None:
    await nova.register_host()
    mine = await nova.insert_server()
    await nova.insert_server("other")
    rows = (await nova.call("GET", "/os-hosts/node1", by="admin", version="2.42"))["host"]
    shown = {each["resource"]["project"]: each["resource"] for each in rows}
    assert shown["(total)"] == {"host": "node1", "project": "(total)", "cpu": 4, "memory_mb": 8192, "disk_gb": 40}
    assert (shown["(used_now)"]["cpu"], shown["(used_max)"]["memory_mb"]) == (2, 1024)
    assert shown[mine.project_id]["disk_gb"] == 1
    await nova.refused("GET", "/os-hosts/node9", 404, by="admin", version="2.42")
    await nova.refused("GET", "/os-hosts/node1", 403, version="2.42")
    await nova.refused("GET", "/os-hosts/node1", 404, by="admin", version="2.43")


async def test_a_server_has_no_migrations_and_no_volumes_at_first(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}"
    for query in ("", "?host=node1&status=running&instance_uuid=x", "?limit=10&changes-since=2026-01-01T00:00:00Z"):
        assert await nova.call("GET", f"/os-migrations{query}", by="admin") == {"migrations": []}
    await nova.refused("GET", "/os-migrations?colour=red", 400, by="admin")
    await nova.refused("GET", "/os-migrations", 403)
    assert await nova.call("GET", f"{url}/migrations", by="admin") == {"migrations": []}
    await nova.refused("GET", f"{url}/migrations/1", 404, by="admin")
    await nova.refused("GET", f"{url}/migrations", 404, by="admin", version="2.22")
    for version in ("2.1", "2.104"):
        got = await nova.call("GET", f"{url}/os-volume_attachments", version=version)
        assert got == {"volumeAttachments": []}
    attachment = {"volumeAttachment": {"volumeId": MISSING}}
    assert MISSING in await nova.refused("POST", f"{url}/os-volume_attachments", 404, json=attachment)
    for method in ("GET", "DELETE"):
        await nova.refused(method, f"{url}/os-volume_attachments/{MISSING}", 404)
    attachment["volumeAttachment"]["delete_on_termination"] = True
    await nova.refused("PUT", f"{url}/os-volume_attachments/{MISSING}", 404, json=attachment)
    await nova.refused("GET", f"{url}/os-volume_attachments", 404, by="other")
    await nova.refused("POST", f"{url}/os-volume_attachments", 403, by="reader", json=attachment)


async def test_quota_classes_take_server_groups_in_every_version(nova: Any) -> None:
    body = {"quota_class_set": {"server_groups": 7, "server_group_members": 8}}
    url = "/os-quota-class-sets/default"
    for version in ("2.1", "2.49", "2.104"):
        await nova.call("PUT", url, by="admin", version=version, json=body)
    shown = (await nova.call("GET", url, by="admin"))["quota_class_set"]
    assert (shown["server_groups"], shown["server_group_members"]) == (7, 8)


async def test_paths_may_say_the_format_and_have_slashes_too_many(nova: Any) -> None:
    caller, server = await nova.api("demo"), await nova.insert_server()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwYG/LmvAJfXjvNcGMBzx8hQDQnPDqUDqPYXS4ZS3Hs"
    body = {"keypair": {"name": "old.json", "public_key": key}}
    await nova.call("POST", "/os-keypairs", 201, json=body)
    for path in (
        "/v2.1/servers/detail.json",
        "/v2/servers.json",
        f"/v2.1/servers/{server.id}.json",
        f"/v2/{server.project_id}/servers/{server.id}.json",
        f"/v2/{server.project_id}/os-quota-sets/{server.project_id}.json",
        "/v2.1//limits",
        "//v2//servers",
        f"/v2.1/{server.project_id}//servers//detail.json",
        "/v2.1/os-keypairs/old.json",
    ):
        response = await caller.get(f"http://service.local{path}")
        assert response.status_code == 200, (path, response.text)
    for path in ("/v2.1/os-keypairs/old", "/v2.1/servers/x.json"):
        assert (await caller.get(path)).status_code == 404


BOOT = (
    ("GET", "/v2/{project}/images/cirros", 404),
    ("GET", "/v2/{project}/images", 200),
    ("GET", "/v2/{project}/images/{image}", 200),
    ("GET", "/v2/{project}/flavors/m1.tiny", 404),
    ("GET", "/v2/{project}/flavors?is_public=None", 200),
    ("GET", "/v2/{project}/flavors/1", 200),
    ("GET", "/v2/{project}/os-networks/lan", 404),
    ("GET", "/v2/{project}/os-networks", 200),
)
"""What `nova boot --image cirros --flavor m1.tiny --nic net-name=lan` asked for before it created the server."""


async def test_nova_boot_of_2014_finds_image_flavor_and_network_by_name(nova: Any) -> None:
    await nova.flavor(id="1")
    await nova.register_host()
    image, network, project = await nova.image(), await nova.network(), (await nova.who("demo")).project_id
    caller = await nova.api("demo")
    for method, template, status in BOOT:
        path = template.format(project=project, image=image)
        response = await caller.request(method, path)
        assert response.status_code == status, (path, response.text)
    server = {
        "name": "web",
        "imageRef": image,
        "flavorRef": "1",
        "min_count": 1,
        "max_count": 1,
        "networks": [{"uuid": network["id"]}],
        "security_groups": [{"name": "default"}],
        "config_drive": "",
        "metadata": {},
        "personality": [],
        "OS-DCF:diskConfig": "AUTO",
    }
    made = nova.body_of(await caller.post(f"/v2/{project}/servers", json={"server": server}), 202)["server"]
    assert (await nova.server(made["id"])).requested_networks == [{"network_id": network["id"]}]


@pytest.mark.parametrize("path", ["/images/detail", "/os-floating-ips", "/os-networks", "/os-tenant-networks"])
async def test_a_service_that_is_away_is_503(nova: Any, path: str) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"broken"})

    for name in ("image", "network"):
        client = getattr(nova.service, name)
        setattr(nova.service, name, type(client)(nova.identity.remote(name, broken, "nova")))
    assert "could not be asked" in await nova.refused("GET", path, 503, **OLD)


async def test_metadata_of_an_image_is_written_through_compute(nova: Any) -> None:
    image_id = await nova.image("demo", name="mine", visibility="private", colour="red")
    url, old = f"/images/{image_id}/metadata", {"version": "2.38"}
    added = await nova.call("POST", url, json={"metadata": {"a:b. c": "1", "size_class": "small"}}, **old)
    assert added == {"metadata": {"colour": "red", "a:b. c": "1", "size_class": "small"}}
    assert await nova.call("PUT", f"{url}/colour", json={"meta": {"colour": "blue"}}, **old) == {
        "meta": {"colour": "blue"}
    }
    replaced = await nova.call("PUT", url, json={"metadata": {"colour": "green", "new": "x"}}, **old)
    assert replaced == {"metadata": {"colour": "green", "new": "x"}}
    await nova.call("DELETE", f"{url}/new", 204, **old)
    assert await nova.call("GET", url, **old) == {"metadata": {"colour": "green"}}
    await nova.refused("DELETE", f"{url}/new", 404, **old)
    await nova.refused("PUT", f"{url}/colour", 400, json={"meta": {"shade": "dark"}}, **old)
    for name in ("name", "status", "visibility", "tags"):
        told = await nova.refused("POST", url, 400, json={"metadata": {name: "public"}}, **old)
        assert "change it in the image service" in told
    assert (await nova.call("GET", f"/images/{image_id}", **OLD))["image"]["name"] == "mine"
    await nova.refused("POST", url, 404, json={"metadata": {"a": "b"}}, version="2.39")
    many = {f"p{n}": "v" for n in range(128)}
    await nova.refused("POST", url, 400, json={"metadata": many}, **old)


async def test_only_who_may_change_an_image_changes_it_through_compute(nova: Any) -> None:
    public = await nova.image(name="cirros")
    hidden = await nova.image("other", name="theirs", visibility="private")
    for image_id, status in ((public, 403), (hidden, 404), (MISSING, 404), ("cirros", 404)):
        await nova.refused("DELETE", f"/images/{image_id}", status, **OLD)
        await nova.refused("POST", f"/images/{image_id}/metadata", status, json={"metadata": {"a": "b"}}, **OLD)
    mine = await nova.image("demo", name="mine", visibility="private", protected=True)
    assert "protected" in await nova.refused("DELETE", f"/images/{mine}", 403, **OLD)
    other = await nova.image("demo", name="mine", visibility="private")
    await nova.call("DELETE", f"/images/{other}", 204, **OLD)
    await nova.refused("GET", f"/images/{other}", 404, **OLD)
    await nova.refused("DELETE", f"/images/{mine}", 404, version="2.36")


async def test_volumes_are_passed_on_to_block_storage(nova: Any) -> None:
    new = {"size": 2, "display_name": "data", "display_description": "of mine", "metadata": {"a": "b"}}
    made = (await nova.call("POST", "/os-volumes", json={"volume": new}, **OLD))["volume"]
    shown = {"displayName": "data", "displayDescription": "of mine", "size": 2, "metadata": {"a": "b"}}
    assert {name: made[name] for name in shown} == shown
    assert (made["status"], made["attachments"]) == ("creating", [{}])
    for url in ("/os-volumes", "/os-volumes/detail?limit=10"):
        assert [each["id"] for each in (await nova.call("GET", url, **OLD))["volumes"]] == [made["id"]]
    assert (await nova.call("GET", f"/os-volumes/{made['id']}", **OLD))["volume"]["displayName"] == "data"
    assert (await nova.call("GET", "/os-volumes?limit=1&offset=1", **OLD)) == {"volumes": []}
    # It is still being made, which nobody does here.
    assert "creating" in await nova.refused("DELETE", f"/os-volumes/{made['id']}", 400, **OLD)
    for method in ("GET", "DELETE"):
        for other in (MISSING, "data"):
            assert "could not be found" in await nova.refused(method, f"/os-volumes/{other}", 404, **OLD)
        assert made["id"] in await nova.refused(method, f"/os-volumes/{made['id']}", 404, by="other", **OLD)
    for wrong, sentence in (({}, "size"), ({"size": 0}, "size"), ({"size": "much"}, "size")):
        assert sentence in await nova.refused("POST", "/os-volumes", 400, json={"volume": wrong}, **OLD)
    await nova.refused("POST", "/os-volumes", 403, by="reader", json={"volume": new}, **OLD)
    await nova.refused("GET", "/os-volumes", 404, version="2.36")


async def test_snapshots_are_passed_on_to_block_storage(nova: Any) -> None:
    volume_id = await nova.volume()
    async with nova.identity.cloud.services["block_storage"].database.transaction() as tx:
        volume = await volumes.find(tx, volume_id, None)
        await volumes.change(tx, volume, nova.service.clock.now(), status="available", host="node1@file#file")
    new = {"volume_id": volume_id, "display_name": "before", "display_description": "the change"}
    made = (await nova.call("POST", "/os-snapshots", json={"snapshot": new}, **OLD))["snapshot"]
    assert (made["displayName"], made["displayDescription"], made["volumeId"]) == ("before", "the change", volume_id)
    for url in ("/os-snapshots", "/os-snapshots/detail"):
        assert [each["id"] for each in (await nova.call("GET", url, **OLD))["snapshots"]] == [made["id"]]
    assert (await nova.call("GET", f"/os-snapshots/{made['id']}", **OLD))["snapshot"]["status"] == "creating"
    assert "creating" in await nova.refused("DELETE", f"/os-snapshots/{made['id']}", 400, **OLD)
    for method in ("GET", "DELETE"):
        assert "could not be found" in await nova.refused(method, f"/os-snapshots/{MISSING}", 404, **OLD)
    wrong = {"snapshot": {"volume_id": MISSING}}
    assert MISSING in await nova.refused("POST", "/os-snapshots", 404, json=wrong, **OLD)
    await nova.refused("POST", "/os-snapshots", 403, by="reader", json={"snapshot": new}, **OLD)
    await nova.refused("GET", "/os-snapshots", 404, version="2.36")


async def test_hosts_are_neither_disabled_nor_switched_off_here(nova: Any) -> None:
    await nova.register_host("node1")
    admin = {"by": "admin", "version": "2.42"}
    told = await nova.refused("PUT", "/os-hosts/node1", 501, json={"status": "disable"}, **admin)
    assert "disable the host's service nova-compute" in told
    for body in ({}, {"status": "invalid"}, {"status": "enable", "maintenance_mode": "on"}, {"mode": "enable"}):
        await nova.refused("PUT", "/os-hosts/node1", 400, json=body, **admin)
    await nova.refused("PUT", "/os-hosts/node1", 403, json={"status": "disable"}, version="2.42")
    for change in ("startup", "reboot", "shutdown"):
        assert "not managed here" in await nova.refused("GET", f"/os-hosts/node1/{change}", 501, **admin)
        await nova.refused("GET", f"/os-hosts/node9/{change}", 404, **admin)
        await nova.refused("GET", f"/os-hosts/node1/{change}", 403, version="2.42")
    await nova.refused("PUT", "/os-hosts/node9", 404, json={"status": "enable"}, **admin)
    await nova.refused("PUT", "/os-hosts/node1", 404, json={}, by="admin", version="2.43")
