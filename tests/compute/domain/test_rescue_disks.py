"""The disks of a server that is rescued."""

import pytest

from kilonova.compute.agent.spec import ConfigDriveSource, ImageSource, SpecFlavor, SpecImage
from kilonova.compute.errors import InvalidServer
from kilonova.compute.servers.disks import local_disks
from kilonova.compute.servers.rescue_disks import Rescue, plan, with_rescue

IMAGE, OTHER = SpecImage("i1", "qcow2", 1, ""), SpecImage("i2", "qcow2", 1, "")
FLAVOR = SpecFlavor("1", "m1.tiny", 1, 32, 2, ephemeral_gib=3)


def rescued(*, config_drive: bool = False, **changes: object) -> list[tuple[str, str, int | None]]:
    wanted = {"device": "disk", "bus": "virtio", "is_stable": True, "has_config_drive": config_drive, **changes}
    disks = with_rescue(local_disks(FLAVOR, IMAGE, config_drive=config_drive), Rescue(OTHER, 4, **wanted))  # type: ignore[arg-type]
    assert len({each.place.device for each in disks}) == len(disks)
    return [(each.name, each.place.device, each.place.boot_order) for each in disks]


def test_a_stable_rescue_leaves_the_disks_where_they_are() -> None:
    assert rescued() == [("disk", "vda", None), ("disk.eph0", "vdb", None), ("disk.rescue-4", "vdc", 1)]
    assert rescued(bus="scsi")[-1] == ("disk.rescue-4", "sda", 1)


def test_otherwise_the_rescue_disk_is_the_first() -> None:
    assert rescued(is_stable=False) == [("disk.rescue-4", "vda", 1), ("disk", "vdb", None), ("disk.eph0", "vdc", None)]


def test_the_config_drive_of_a_rescue_is_another_one() -> None:
    assert rescued(config_drive=True)[-2:] == [("disk.config.rescue-4", "vdc", None), ("disk.rescue-4", "vdd", 1)]
    disks = with_rescue(local_disks(FLAVOR, IMAGE, config_drive=False), Rescue(OTHER, 4, "disk", "virtio", True, True))
    assert [type(each.source) for each in disks][-2:] == [ConfigDriveSource, ImageSource]


def test_a_cdrom_is_one() -> None:
    disks = with_rescue(local_disks(FLAVOR, IMAGE, config_drive=False), Rescue(OTHER, 4, "cdrom", "ide", True, False))
    assert [each.place.is_cdrom for each in disks] == [False, False, True]
    assert disks[-1].place.device == "hda"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, ("disk", "scsi", False)),
        ({"hw_rescue_device": "cdrom"}, ("cdrom", "scsi", True)),
        ({"hw_rescue_bus": "ide"}, ("disk", "ide", True)),
        ({"hw_rescue_bus": "usb"}, ("disk", "usb", True)),
        ({"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}, ("disk", "virtio", True)),
    ],
)
def test_the_image_says_where_its_disk_is(properties: dict[str, str], expected: tuple[str, str, bool]) -> None:
    own = {"properties": {"hw_disk_bus": "scsi"}}
    found = plan({"properties": properties}, own, 1, has_config_drive=False)
    assert (found["device"], found["bus"], found["is_stable"]) == expected


@pytest.mark.parametrize("properties", [{"hw_rescue_device": "floppy"}, {"hw_rescue_bus": "fdc"}])
def test_what_no_host_can_do_is_refused(properties: dict[str, str]) -> None:
    with pytest.raises(InvalidServer, match=f"image property {next(iter(properties))}"):
        plan({"properties": properties}, None, 1, has_config_drive=False)
