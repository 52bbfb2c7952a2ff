"""Local disks that are asked for with a server, and the tags by which its guest finds its devices."""

from typing import Any

import pytest

from kilonova.compute.servers import specs
from tests.compute.api.test_server_create import create


@pytest.fixture
async def ready(nova: Any) -> Any:
    """A flavor, an image and a host; `base` is the least a request needs."""
    await nova.flavor(id="1")
    image_id = await nova.image()
    await nova.register_host()
    nova.base = {"name": "web", "flavorRef": "1", "imageRef": image_id, "networks": "none"}
    return nova


@pytest.fixture
async def roomy(ready: Any) -> Any:
    """A cloud with a flavor that has ephemeral disk and swap."""
    flavor = {"name": "m1.roomy", "ram": 64, "vcpus": 1, "disk": 1, "OS-FLV-EXT-DATA:ephemeral": 10, "swap": 512}
    made = (await ready.call("POST", "/flavors", by="admin", json={"flavor": flavor}))["flavor"]
    ready.base["flavorRef"] = made["id"]
    return ready


def root(ready: Any, **fields: Any) -> dict[str, Any]:
    image = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": ready.base["imageRef"]}
    return {**image, **fields}


def blank(size: int | None = None, **fields: Any) -> dict[str, Any]:
    disk = {"source_type": "blank", "destination_type": "local", "boot_index": -1, "delete_on_termination": True}
    return {**disk, **({} if size is None else {"volume_size": size}), **fields}


async def disks_of(ready: Any, **changes: Any) -> list[tuple[str, str, Any]]:
    made = (await create(ready, **changes))["server"]
    spec = specs.server_spec(await ready.server(made["id"]), specs.PlannedPorts())
    sizes = [getattr(disk.source, "size_gib", None) or getattr(disk.source, "size_mib", None) for disk in spec.disks]
    return [(disk.name, disk.place.device, size) for disk, size in zip(spec.disks, sizes, strict=True)]


async def test_without_a_word_the_disks_are_the_flavor_s(roomy: Any) -> None:
    assert await disks_of(roomy) == [("disk", "vda", 1), ("disk.eph0", "vdb", 10), ("disk.swap", "vdc", 512)]


async def test_the_flavor_s_sizes_are_split_over_several_disks(roomy: Any) -> None:
    swap = blank(256, guest_format="swap", disk_bus="scsi")
    asked = [root(roomy), blank(4, guest_format="ext3", disk_bus="scsi"), blank(6), swap]
    assert await disks_of(roomy, block_device_mapping_v2=asked) == [
        ("disk", "vda", 1),
        ("disk.eph0", "sda", 4),
        ("disk.eph1", "vdb", 6),
        ("disk.swap", "sdb", 256),
    ]
    assert await disks_of(roomy, block_device_mapping_v2=[root(roomy, disk_bus="scsi"), blank()]) == [
        ("disk", "sda", 1),
        ("disk.eph0", "vda", 10),
        ("disk.swap", "vdb", 512),
    ]


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ([blank(6), blank(5)], "The flavor has 10 GiB of ephemeral disk, and block_device_mapping_v2 asks for 11"),
        ([blank(1), blank()], "asks for 11"),
        ([blank(513, guest_format="swap")], "The flavor has 512 MiB of swap disk"),
        ([blank(1, guest_format="swap")] * 2, "one swap disk"),
        ([blank(1)] * 9, "8 local disks at most"),
        ([blank(0)], "volume_size 0 is not a size"),
        ([blank(1, boot_index=0)], "does not boot from a blank disk"),
        ([blank(1, guest_format="btrfs")], "guest_format 'btrfs' is none of ext2, ext3, ext4, swap"),
        ([blank(1, device_name="/dev/vdz")], "named in their order"),
        ([blank(1, disk_bus="xen")], "disk_bus 'xen' is none of"),
        ([blank(1, device_type="lun")], "device_type 'lun'"),
        ([blank(1, uuid="5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11")], "has no uuid"),
        ([blank(1, delete_on_termination=False)], "deleted with its server"),
        ([blank(1, destination_type="tape")], "A local disk is"),
        ([blank(1, volume_type="ssd")], "no volume_type"),
        ([{"source_type": "snapshot", "uuid": "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"}], "could not be found"),
    ],
)
async def test_disks_that_a_server_cannot_have_are_refused(roomy: Any, devices: list[Any], sentence: str) -> None:
    server = {**roomy.base, "block_device_mapping_v2": [root(roomy), *devices]}
    assert sentence in await roomy.refused("POST", "/servers", 400, json={"server": server})


async def test_two_root_disks_and_disks_that_the_flavor_has_not_are_refused(ready: Any) -> None:
    for devices, sentence in (([root(ready)] * 2, "one root disk"), ([blank()], "The flavor has 0 GiB of ephemeral")):
        server = {**ready.base, "block_device_mapping_v2": devices}
        assert sentence in await ready.refused("POST", "/servers", 400, json={"server": server})


async def test_tags_of_disks_and_interfaces_are_told_to_the_guest(roomy: Any) -> None:
    network = await roomy.network()
    made = await create(
        roomy,
        networks=[{"uuid": network["id"], "tag": "front"}],
        block_device_mapping_v2=[root(roomy, tag="boot"), blank(10, tag="scratch", disk_bus="scsi")],
    )
    server = await roomy.server(made["server"]["id"])
    assert server.requested_networks == [{"network_id": network["id"], "tag": "front"}]
    devices = specs.metadata_document(server, specs.PlannedPorts()).devices
    assert [(each.type, each.tag, each.serial, each.device) for each in devices] == [
        ("disk", "boot", "root", "vda"),
        ("disk", "scratch", "ephemeral0", "sda"),
    ]


@pytest.mark.parametrize(
    ("version", "of_interface", "of_disk"),
    [("2.31", 400, 400), ("2.32", 202, 202), ("2.36", 202, 400), ("2.41", 400, 400), ("2.42", 202, 202)],
)
async def test_devices_had_tags_lost_them_and_have_them_again(
    roomy: Any, version: str, of_interface: int, of_disk: int
) -> None:
    network = {"uuid": (await roomy.network())["id"]}
    call = {"version": version, "hostname": ...}
    await create(roomy, of_interface, networks=[{**network, "tag": "front"}], **call)
    await create(roomy, of_disk, networks=[network], block_device_mapping_v2=[root(roomy, tag="boot")], **call)
