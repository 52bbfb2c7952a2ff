"""The disks that a server has by its image and its flavor."""

import pytest

from kilonova.compute.agent.spec import (
    BlankSource,
    ConfigDriveSource,
    ImageSource,
    SpecFlavor,
    SpecImage,
    SwapSource,
)
from kilonova.compute.servers.disks import local_disks

IMAGE = SpecImage("i1", "qcow2", 1, "")


def test_a_server_has_a_disk_for_each_thing_that_it_asked_for() -> None:
    flavor = SpecFlavor("1", "m1.tiny", 1, 32, 2, ephemeral_gib=3, swap_mib=8)
    found = local_disks(flavor, IMAGE, config_drive=True)
    assert [(each.name, each.place.device, each.place.serial, each.source) for each in found] == [
        ("disk", "vda", "root", ImageSource(IMAGE, 2)),
        ("disk.eph0", "vdb", "ephemeral0", BlankSource(3, "ephemeral0")),
        ("disk.swap", "vdc", "swap", SwapSource(8)),
        ("disk.config", "vdd", "config-2", ConfigDriveSource()),
    ]
    assert {each.place.bus for each in found} == {"virtio"}
    assert {each.place.boot_order for each in found} == {None}


def test_without_an_image_the_root_disk_is_blank_and_without_a_size_there_is_none() -> None:
    (root,) = local_disks(SpecFlavor("1", "m1.tiny", 1, 32, 2), None, config_drive=False)
    assert (root.name, root.source) == ("disk", BlankSource(2))
    assert local_disks(SpecFlavor("1", "m1.tiny", 1, 32, 0), None, config_drive=False) == ()


@pytest.mark.parametrize(("bus", "device"), [("scsi", "sda"), ("sata", "sda"), ("ide", "hda"), ("", "vda")])
def test_the_image_chooses_the_bus(bus: str, device: str) -> None:
    image = SpecImage("i1", "qcow2", 1, "", properties={"hw_disk_bus": bus})
    (root,) = local_disks(SpecFlavor("1", "m1.tiny", 1, 32, 0), image, config_drive=False)
    assert (root.place.device, root.place.bus) == (device, bus or "virtio")


@pytest.mark.parametrize(
    ("properties", "devices"),
    [
        ({"img_root_device_name": "/dev/sda"}, ["sda", "vda"]),
        ({"root_device_name": "hda1"}, ["hda", "vda"]),
        ({"img_root_device_name": "/dev/sda", "hw_disk_bus": "sata"}, ["sda", "sdb"]),
        ({"hw_cdrom_bus": "sata"}, ["vda", "sda"]),
    ],
)
def test_the_root_disk_s_name_and_the_cdrom_s_bus(properties: dict[str, str], devices: list[str]) -> None:
    image = SpecImage("i1", "qcow2", 1, "", properties=properties)
    found = local_disks(SpecFlavor("1", "m1.tiny", 1, 32, 0), image, config_drive=True)
    assert [disk.place.device for disk in found] == devices


def test_a_bus_that_no_host_has_is_passed_on_for_the_host_to_refuse() -> None:
    image = SpecImage("i1", "qcow2", 1, "", properties={"hw_disk_bus": "xen"})
    (root,) = local_disks(SpecFlavor("1", "m1.tiny", 1, 32, 0), image, config_drive=False)
    assert root.place.bus == "xen"
