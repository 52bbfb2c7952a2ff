"""POST /servers: what is accepted, what is refused and why. Nothing is built: a row and its task are the result."""

import base64
from typing import Any

import pytest

from kilonova.compute.programs import placing
from kilonova.compute.scheduling.rules import FILTERS, Rules
from kilonova.compute.servers import admin_passwords, servers, specs
from kilonova.compute.tables import tasks
from kilonova.image.client import ImageClient
from kilonova.kit.tasks import Task

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwYG/LmvAJfXjvNcGMBzx8hQDQnPDqUDqPYXS4ZS3Hs"
MISSING = "0b6c9f0e-0000-4000-8000-000000000000"


@pytest.fixture
async def ready(nova: Any) -> Any:
    """A flavor, an image and a host; `base` is the least a request needs."""
    await nova.flavor(id="1")
    image_id = await nova.image()
    await nova.register_host()
    nova.base = {"name": "web", "flavorRef": "1", "imageRef": image_id, "networks": "none"}
    return nova


async def create(ready: Any, status: int = 202, *, hints: Any = None, **changes: Any) -> Any:
    call = {name: changes.pop(name) for name in ("by", "version") if name in changes}
    new = {key: value for key, value in {**ready.base, **changes}.items() if value is not ...}
    body = {"server": new, **({} if hints is None else {"os:scheduler_hints": hints})}
    return await ready.call("POST", "/servers", status, json=body, **call)


async def refused(ready: Any, status: int, **changes: Any) -> str:
    ((_kind, fault),) = (await create(ready, status, **changes)).items()
    listed = await ready.call("GET", "/servers?all_tenants=1", by="admin")
    assert listed["servers"] == []
    return str(fault["message"])


async def task_of(ready: Any, server_id: str) -> Task:
    async with ready.service.database.reading() as tx:
        found: Task = (await tasks.of_subject(tx, server_id))[0]
    return found


async def test_a_server_is_accepted_with_its_build_task_in_one_commit(ready: Any) -> None:
    response = await (await ready.api("demo")).post(
        "/v2.1/servers", json={"server": ready.base}, headers={"openstack-api-version": "compute latest"}
    )
    made = ready.body_of(response, 202)["server"]
    assert response.headers["location"] == f"http://service.local/v2.1/servers/{made['id']}"
    assert (made["OS-DCF:diskConfig"], made["security_groups"]) == ("MANUAL", [{"name": "default"}])
    assert len(made["adminPass"]) == 12
    shown = (await ready.call("GET", f"/servers/{made['id']}"))["server"]
    assert (shown["status"], shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:task_state"]) == (
        "BUILD",
        "building",
        "scheduling",
    )
    assert (shown["name"], shown["OS-EXT-SRV-ATTR:hostname"], shown["addresses"]) == ("web", "web", {})
    assert shown["flavor"]["original_name"] == "m1.tiny"
    assert shown["image"]["id"] == ready.base["imageRef"]
    task = await task_of(ready, made["id"])
    assert (task.program, task.step, task.request_id) == (
        "build",
        "schedule",
        response.headers["x-openstack-request-id"],
    )


async def test_every_field_of_a_request_reaches_the_row(ready: Any) -> None:
    await ready.call("POST", "/os-keypairs", 201, json={"keypair": {"name": "mine", "public_key": ED25519}})
    network = await ready.network()
    made = await create(
        ready,
        name="Web One",
        networks=[{"uuid": network["id"], "fixed_ip": "10.0.0.9"}],
        key_name="mine",
        metadata={"role": "front"},
        user_data=base64.b64encode(b"#!/bin/sh\n").decode(),
        config_drive="true",
        availability_zone="nova",
        security_groups=[{"name": "default"}],
        adminPass="my own",
        accessIPv4="192.0.2.1",
        accessIPv6="2001:0db8:0000::0001",
        description="front end",
        tags=["b", "a", "a"],
        hostname="front.example.org",
        hints={"different_host": [MISSING]},
        **{"OS-DCF:diskConfig": "AUTO"},
    )
    assert made["server"]["adminPass"] == "my own"
    row = await ready.server(made["server"]["id"])
    assert (row.name, row.hostname, row.description) == ("Web One", "front.example.org", "front end")
    assert (row.key_name, row.public_key) == ("mine", ED25519)
    assert (row.metadata, row.tags, row.user_data) == ({"role": "front"}, ["a", "b"], b"#!/bin/sh\n")
    assert (row.config_drive, row.requested_zone, row.requested_host) == (True, "nova", None)
    assert (row.access_ip_v4, row.access_ip_v6, row.disk_config) == ("192.0.2.1", "2001:db8::1", "AUTO")
    assert row.requested_networks == [{"network_id": network["id"], "fixed_ip": "10.0.0.9"}]
    assert row.scheduler_hints == {"different_host": [MISSING]}
    shown = (await ready.call("GET", f"/servers/{row.id}"))["server"]
    assert (shown["config_drive"], shown["key_name"], shown["tags"]) == ("True", "mine", ["a", "b"])
    assert (shown["pinned_availability_zone"], shown["scheduler_hints"]) == ("nova", {"different_host": [MISSING]})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"flavorRef": "9"}, "Flavor 9 could not be found."),
    ({"imageRef": MISSING}, f"Image {MISSING} could not be found."),
    ({"imageRef": ""}, "imageRef is required"),
    ({"imageRef": ...}, "imageRef is required"),
    ({"networks": [{"uuid": MISSING}]}, f"Network {MISSING} could not be found."),
    ({"networks": [{"port": MISSING}]}, f"Port id {MISSING} could not be found."),
    ({"networks": [{"uuid": "lan"}]}, "$.server.networks[0].uuid"),
    ({"networks": [{}]}, "names a uuid or a port"),
    ({"networks": [{"port": MISSING}, {"port": MISSING}]}, "specified twice"),
    ({"networks": [{"port": MISSING, "fixed_ip": "10.0.0.5"}]}, "cannot be used with port"),
    ({"networks": [{"net": MISSING}]}, "unknown field `net`"),
    ({"networks": ...}, "networks is required"),
    ({"networks": "some"}, "networks"),
    ({"networks": "auto"}, "no network to choose"),
    ({"key_name": "nobody's"}, "Invalid key_name provided"),
    ({"user_data": "not base64!"}, "base64"),
    ({"user_data": base64.b64encode(b"x" * 60_000).decode()}, "65535"),
    ({"name": ""}, "length >= 1"),
    ({"name": " padded"}, "matching regex"),
    ({"name": "tab\tinside"}, "matching regex"),
    ({"name": "x" * 256}, "length <= 255"),
    ({"name": ...}, "missing required field `name`"),
    ({"flavorRef": ...}, "missing required field `flavorRef`"),
    ({"min_count": 2, "max_count": 1}, "min_count must be <= max_count"),
    ({"min_count": 0}, ">= 1"),
    ({"max_count": "x"}, "max_count"),
    ({"max_count": 2, "hostname": "one"}, "one server only"),
    ({"max_count": 2, "networks": [{"port": MISSING}]}, "cannot share a port"),
    ({"min_count": 2, "networks": [{"uuid": MISSING, "fixed_ip": "10.0.0.5"}]}, "cannot share a port"),
    ({"metadata": {"bad/key": "x"}}, "metadata"),
    ({"metadata": {"key": "x" * 256}}, "metadata"),
    ({"metadata": {"key": {}}}, "metadata"),
    ({"networks": [{"uuid": MISSING, "tag": "x/y"}]}, "tag"),
    ({"tags": ["a,b"]}, "tags"),
    ({"tags": ["x" * 61]}, "tags"),
    ({"tags": [f"t{number}" for number in range(51)]}, "tags"),
    ({"config_drive": "perhaps"}, "config_drive"),
    ({"availability_zone": "mars"}, "not available: mars; available are nova"),
    ({"accessIPv4": "2001:db8::1"}, "accessIPv4"),
    ({"accessIPv6": "192.0.2.1"}, "accessIPv6"),
    ({"hostname": "under_score!"}, "hostname"),
    ({"description": "x" * 256}, "description"),
    ({"OS-DCF:diskConfig": "SOMETIMES"}, "diskConfig"),
    ({"security_groups": [{"name": "nosuch"}]}, "Security group nosuch could not be found."),
    ({"security_groups": [{"id": "x"}]}, "security_groups"),
    ({"hints": {"group": MISSING}}, "group"),
    ({"hints": {"same_host": "web"}}, "by UUID"),
    (
        {"block_device_mapping_v2": [{"source_type": "volume", "uuid": MISSING, "boot_index": 0}]},
        f"Volume {MISSING} could not be found",
    ),
    ({"return_reservation_id": "perhaps"}, "return_reservation_id"),
    ({"colour": "blue"}, "unknown field `colour`"),
]


async def test_a_server_that_cannot_be_meant_is_400_and_leaves_nothing(ready: Any) -> None:
    told = [(changes, await refused(ready, 400, **changes)) for changes, _ in REFUSED]
    assert [each for each, (_, sentence) in zip(told, REFUSED, strict=True) if sentence not in each[1]] == []


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"upload": False}, "its status is queued, not active"),
    ({"min_ram": 1024}, "the image needs 1024"),
    ({"min_disk": 2}, "the image needs 2 GiB"),
    ({"virtual_gib": 3}, "the image needs 3 GiB"),
]


async def test_an_image_that_does_not_fit_is_400(ready: Any) -> None:
    for image, sentence in UNFIT:
        assert sentence in await refused(ready, 400, imageRef=await ready.image(**image))


async def test_an_image_of_another_project_is_not_there(ready: Any) -> None:
    image_id = await ready.image("other", visibility="private")
    assert await refused(ready, 400, imageRef=image_id) == f"Image {image_id} could not be found."
    await create(ready, by="other", imageRef=image_id)


async def test_a_server_keeps_what_its_image_was(ready: Any) -> None:
    image_id = await ready.image(min_disk=1, hw_disk_bus="scsi", os_distro="debian")
    row = await ready.server((await create(ready, imageRef=image_id))["server"]["id"])
    assert row.image == {
        "id": image_id,
        "disk_format": "qcow2",
        "size_bytes": 1 << 16,
        "sha512": row.image["sha512"],
        "min_disk_gib": 1,
        "min_ram_mib": 0,
        "properties": {"hw_disk_bus": "scsi", "os_distro": "debian"},
    }
    assert len(row.image["sha512"]) == 128


NEWER: list[tuple[str, Any, int]] = [
    ("description", "x", 19),
    ("tags", ["a"], 52),
    ("host", "node1", 74),
    ("hypervisor_hostname", "node1.example.org", 74),
    ("hostname", "front", 90),
]


async def test_fields_are_refused_before_the_version_that_brought_them(ready: Any) -> None:
    for name, value, since in NEWER:
        networks = "none" if since > 37 else ...
        refusal = await create(ready, 400, by="admin", version=f"2.{since - 1}", **{name: value, "networks": networks})
        assert f"'{name}' was unexpected" in refusal["badRequest"]["message"]
        await create(ready, by="admin", version=f"2.{since}", **{name: value, "networks": networks})


async def test_personality_went_with_2_57_and_was_never_served(ready: Any) -> None:
    files = [{"path": "/etc/motd", "contents": ""}]
    assert "cannot be injected" in await refused(ready, 400, version="2.56", personality=files)
    assert "'personality' was unexpected" in await refused(ready, 400, version="2.57", personality=files)


async def test_a_host_name_may_have_a_domain_from_2_94_on(ready: Any) -> None:
    assert "2.94" in await refused(ready, 400, version="2.93", hostname="front.example.org")
    await create(ready, version="2.94", hostname="front.example.org")


async def test_before_2_37_no_networks_means_the_only_one(ready: Any) -> None:
    assert "2.37" in await refused(ready, 400, version="2.36", networks="none")
    first = await create(ready, version="2.36", networks=...)
    assert (await ready.server(first["server"]["id"])).requested_networks == []
    network = await ready.network()
    second = await create(ready, version="2.36", networks=...)
    assert (await ready.server(second["server"]["id"])).requested_networks == [{"network_id": network["id"]}]
    await ready.network(name="another")
    for version, networks in (("2.36", ...), ("latest", "auto")):
        answer = await create(ready, 409, version=version, networks=networks)
        assert "Multiple possible networks" in answer["conflictingRequest"]["message"]


async def test_a_network_of_another_project_is_not_there(ready: Any) -> None:
    network = await ready.network("other")
    assert "could not be found" in await refused(ready, 400, networks=[{"uuid": network["id"]}])


async def test_a_port_that_is_in_use_is_409(ready: Any) -> None:
    network = await ready.network()
    new = {"network_id": network["id"], "device_id": MISSING}
    response = await (await ready.networking("demo")).post("/v2.0/ports", json={"port": new})
    port_id = ready.body_of(response, 201)["port"]["id"]
    assert "still in use" in await refused(ready, 409, networks=[{"port": port_id}])
    await (await ready.networking("demo")).put(f"/v2.0/ports/{port_id}", json={"port": {"device_id": ""}})
    made = await create(ready, networks=[{"port": port_id}])
    assert (await ready.server(made["server"]["id"])).requested_networks == [{"port_id": port_id}]


async def test_only_administrators_attach_to_an_external_network_that_is_not_shared(ready: Any) -> None:
    physical = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    network = await ready.network("admin", **{"router:external": True}, **physical)
    await refused(ready, 403, networks=[{"uuid": network["id"]}])
    await create(ready, by="admin", networks=[{"uuid": network["id"]}])


async def test_several_servers_are_numbered_and_share_a_reservation(ready: Any) -> None:
    answer = await create(ready, min_count="2", max_count=3, return_reservation_id=True)
    reservation = answer["reservation_id"]
    assert reservation.startswith("r-")
    listed = (await ready.call("GET", f"/servers?reservation_id={reservation}"))["servers"]
    assert sorted(each["name"] for each in listed) == ["web-1", "web-2", "web-3"]
    rows = [await ready.server(each["id"]) for each in listed]
    assert sorted(row.launch_index for row in rows) == [0, 1, 2]
    assert sorted(row.number for row in rows) == [1, 2, 3]


async def test_a_forced_host_is_for_administrators(ready: Any) -> None:
    await ready.register_host("node2", zone="west")
    for changes in (
        {"availability_zone": "nova:node1"},
        {"host": "node1"},
        {"hypervisor_hostname": "node1.example.org"},
    ):
        await refused(ready, 403, **changes)
        made = await create(ready, by="admin", **changes)
        assert (await ready.server(made["server"]["id"])).requested_host == "node1"
        await ready.call("DELETE", f"/servers/{made['server']['id']}", 204, by="admin")
        await _forget(ready, made["server"]["id"])
    assert "could not be found" in await refused(ready, 400, by="admin", host="node9")
    mixed = {"host": "node1", "hypervisor_hostname": "node2.example.org"}
    assert "could not be found" in await refused(ready, 400, by="admin", **mixed)
    both = {"host": "node1", "availability_zone": "nova:node1"}
    assert "exclude" in await refused(ready, 400, by="admin", **both)
    assert "Unable to parse" in await refused(ready, 400, by="admin", availability_zone="a:b:c:d")
    # The zone was a slip: the host says where.
    made = await create(ready, by="admin", availability_zone="nova:node2")
    row = await ready.server(made["server"]["id"])
    assert (row.requested_zone, row.requested_host) == (None, "node2")


async def _forget(ready: Any, server_id: str) -> None:
    async with ready.service.database.transaction() as tx:
        await servers.forget(tx, await servers.find(tx, server_id), ready.service.clock.now())


async def test_a_password_goes_with_the_build_to_a_config_drive_and_brings_one(ready: Any) -> None:
    for fields, told in (
        ({"adminPass": "my own", "config_drive": True}, True),
        ({"config_drive": True}, True),
        ({"adminPass": "my own"}, True),
        ({"adminPass": "my own", "config_drive": False}, True),
        ({"adminPass": ""}, False),
        ({"imageRef": await ready.image(img_config_drive="mandatory")}, True),
        ({"imageRef": await ready.image(img_config_drive="optional")}, False),
    ):
        made = (await create(ready, **fields))["server"]
        assert made["adminPass"] == (fields.get("adminPass") or made["adminPass"])
        args = (await task_of(ready, made["id"])).args
        assert args.get(admin_passwords.ARGUMENT) == (made["adminPass"] if told else None)
        assert (await ready.server(made["id"])).config_drive is told


async def test_what_flavor_image_and_hints_ask_for_and_nobody_does_is_refused(ready: Any) -> None:
    url = "/flavors/1/os-extra_specs"
    await ready.call("POST", url, by="admin", version="2.1", json={"extra_specs": {"hw:mem_encryption": "true"}})
    told = await refused(ready, 400)
    assert told.startswith("The flavor asks for hw:mem_encryption=true, which cannot be done: ")
    await ready.call("PUT", f"{url}/hw:mem_encryption", by="admin", json={"hw:mem_encryption": "false"})
    told = await refused(ready, 400, imageRef=await ready.image(hw_firmware_type="coreboot"))
    assert told == "The image asks for hw_firmware_type=coreboot, and possible are bios, uefi."
    for name in ("target_cell", "different_cell"):
        told = await refused(ready, 400, hints={name: "x"})
        assert told == f"The scheduler hint {name} cannot be obeyed here yet."
    await create(ready, hints={"colour": "red"})


async def test_what_a_filter_goes_by_is_refused_where_that_is_not_enabled(ready: Any) -> None:
    told = await refused(ready, 400, hints={"query": '["=", "$host", "node1"]'})
    assert told == "The scheduler hint query is obeyed by JsonFilter, which is not enabled in this cloud."
    url, key = "/flavors/1/os-extra_specs", "aggregate_instance_extra_specs:ssd"
    await ready.call("POST", url, by="admin", version="2.1", json={"extra_specs": {key: "true"}})
    told = await refused(ready, 400)
    assert told.startswith(f"The flavor asks for {key}, which AggregateInstanceExtraSpecsFilter goes by")
    ready.service.rules = Rules(filters=(*FILTERS, "JsonFilter", "AggregateInstanceExtraSpecsFilter"))
    assert "query is no JSON" in await refused(ready, 400, hints={"query": "["})
    await create(ready, hints={"query": '["=", "$host", "node1"]'})


async def test_addresses_and_networks_that_cannot_do_are_refused_at_once(ready: Any) -> None:
    network = await ready.network()
    networking = await ready.networking("demo")
    taken = {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    ready.body_of(await networking.post("/v2.0/ports", json={"port": taken}), 201)
    bare = ready.body_of(await networking.post("/v2.0/networks", json={"network": {"name": "bare"}}), 201)["network"]
    for wanted, sentence in (
        ({"uuid": network["id"], "fixed_ip": "10.0.0"}, "Invalid fixed IP Address 10.0.0."),
        ({"uuid": network["id"], "fixed_ip": "10.0.0.9/24"}, "Invalid fixed IP Address"),
        ({"uuid": network["id"], "fixed_ip": "10.0.0.9"}, "10.0.0.9 is already in use"),
        ({"uuid": network["id"], "fixed_ip": "10.9.0.9"}, "10.9.0.9 is not in a subnet of network"),
        ({"uuid": network["id"], "fixed_ip": "fd00::9"}, "fd00::9 is not in a subnet of network"),
        ({"uuid": bare["id"]}, f"Network {bare['id']} requires a subnet"),
    ):
        assert sentence in await refused(ready, 400, networks=[wanted])
    server = await ready.insert_server()
    attached = {"interfaceAttachment": {"net_id": bare["id"]}}
    assert "requires a subnet" in await ready.refused("POST", f"/servers/{server.id}/os-interface", 400, json=attached)
    await create(ready, networks=[{"uuid": network["id"], "fixed_ip": "10.0.0.10"}])


@pytest.mark.parametrize("amount", ["1", "65024"])
async def test_an_image_claims_neither_more_nor_less_than_the_flavor(ready: Any, amount: str) -> None:
    noted = {"resources:MEMORY_MB": amount, "resources:VCPU": "0", "trait:HW_CPU_X86_AVX": "required"}
    image_id = await ready.image("demo", visibility="private", **noted)
    made = (await create(ready, imageRef=image_id))["server"]
    wanted = (await placing.look(ready.service.here, made["id"], ())).wanted
    assert wanted.resources == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
    assert wanted.required_traits == ("HW_CPU_X86_AVX",)


@pytest.mark.parametrize("ending", ["\n", "\r\n", " ", "\t"])
async def test_user_data_may_come_in_lines(ready: Any, ending: str) -> None:
    """As `base64` and many libraries write it: 76 characters and a line break."""
    script = b"#!/bin/sh\n" + b"echo hello\n" * 40
    lines = base64.encodebytes(script).decode().split("\n")
    made = await create(ready, user_data=ending.join(lines))
    assert (await ready.server(made["server"]["id"])).user_data == script
    assert "65535" in await refused_beside(ready, 400, user_data=("QUFB" + ending) * 16_384)


async def refused_beside(ready: Any, status: int, **changes: Any) -> str:
    """The sentence of a refusal where there are servers already."""
    ((_kind, fault),) = (await create(ready, status, **changes)).items()
    return str(fault["message"])


async def test_a_key_in_the_form_it_was_given_reaches_the_guest_as_one_line(ready: Any) -> None:
    key = f"{ED25519} me@example.org\n"
    made = await ready.call("POST", "/os-keypairs", 201, json={"keypair": {"name": "mine", "public_key": key}})
    assert made["keypair"]["public_key"] == key
    assert (await ready.call("GET", "/os-keypairs/mine"))["keypair"]["public_key"] == key
    row = await ready.server((await create(ready, key_name="mine"))["server"]["id"])
    assert specs.metadata_document(row, specs.PlannedPorts()).public_keys == {"mine": key.strip()}


async def test_a_flavor_without_a_disk_is_for_administrators(ready: Any) -> None:
    await ready.flavor("diskless", id="0", disk=0)
    assert "zero disk" in await refused(ready, 403, flavorRef="0")
    await create(ready, by="admin", flavorRef="0")


async def test_readers_and_strangers_create_nothing(ready: Any) -> None:
    await refused(ready, 403, by="reader")
    await ready.flavor("secret", id="s", **{"os-flavor-access:is_public": False})
    assert "Flavor s could not be found." in await refused(ready, 400, flavorRef="s")


async def test_names_of_hosts_come_from_names_of_servers(ready: Any) -> None:
    for name, hostname in (
        ("Web_1 (old)", "web-1-old"),
        ("front.example.org", "front-example-org"),
        ("a" * 80, "a" * 63),
        ("...", None),
        ("Zürich", "zrich"),
    ):
        made = await create(ready, name=name)
        row = await ready.server(made["server"]["id"])
        assert row.hostname == (hostname or f"server-{row.id}")


async def test_an_image_service_that_is_away_is_503_and_leaves_nothing(ready: Any) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"broken"})

    ready.service.image = ImageClient(ready.identity.remote("image", broken, "nova"))
    assert "image" in await refused(ready, 503)
