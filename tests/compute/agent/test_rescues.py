"""Guests that boot from a rescue disk: what every driver does, and what real ones see."""

from typing import Any

import msgspec
import pytest

from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.spec import ServerSpec
from kilonova.compute.servers.rescue_disks import Rescue, with_rescue
from tests.compute.agent.rigs import MIB, LibvirtRig, Rig, make_spec, settle

replace = msgspec.structs.replace
OTHER_IMAGE = "0b2b5d29-6f2f-4d1e-9f3f-d9f2d0c7a002"


def rescued(rig: Rig, spec: ServerSpec, **changes: Any) -> ServerSpec:
    """The server as the next rescue of it has it."""
    image, number = rig.images.add(bytes(2 * MIB), image_id=OTHER_IMAGE), spec.reboot_count + 1
    rescue = replace(Rescue(image, number, "disk", "virtio", True, spec.config_drive), **changes)
    return replace(spec, disks=with_rescue(spec.disks, rescue), reboot_count=number, reboot_type="HARD")


@pytest.mark.parametrize("power", ["running", "stopped"])
async def test_a_rescue_boots_once_and_so_does_its_end(rig: Rig, power: str) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)), power=power)
    await settle(rig, spec)
    wanted = rescued(rig, replace(spec, power="running"))
    assert (await settle(rig, wanted)).power == "running"
    marker = await rig.boot_marker(spec.id)
    await rig.restart_agent()
    await settle(rig, wanted)
    assert await rig.boot_marker(spec.id) == marker
    over = replace(spec, power="running", reboot_count=wanted.reboot_count + 1, reboot_type="HARD")
    assert (await settle(rig, over)).power == "running"
    assert await rig.boot_marker(spec.id) != marker
    assert rig.images.fetched == [spec.image.id if spec.image else "", OTHER_IMAGE]


@pytest.mark.libvirt
@pytest.mark.parametrize(
    ("changes", "order"),
    [
        ({}, ["root", "config-2", "rescue"]),
        ({"is_stable": False}, ["rescue", "root", "config-2"]),
        ({"device": "cdrom", "bus": "ide"}, ["root", "config-2", "rescue"]),
        ({"bus": "usb"}, ["root", "config-2", "rescue"]),
    ],
)
async def test_a_real_guest_boots_from_the_rescue_disk_and_sees_its_own(
    libvirt_rig: LibvirtRig, changes: dict[str, Any], order: list[str]
) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)), config_drive=True)
    await settle(libvirt_rig, spec)
    wanted = rescued(libvirt_rig, spec, **changes)
    await settle(libvirt_rig, wanted)
    live = parse_xml(libvirt_rig.virsh("dumpxml", spec.id))
    disks = live.findall("devices/disk")
    assert {disk.findtext("serial") for disk in disks} == set(order)
    first = [disk.findtext("serial") for disk in disks if disk.find("boot") is not None]
    assert first == ["rescue"]
    kinds = {disk.findtext("serial"): disk.get("device") for disk in disks}
    assert kinds["rescue"] == changes.get("device", "disk")
    directory = libvirt_rig.options.instances_path / spec.id
    assert {path.name for path in directory.glob("*rescue*")} == {"disk.rescue-1", "disk.config.rescue-1"}
    await settle(libvirt_rig, replace(spec, reboot_count=2, reboot_type="HARD"))
    live = parse_xml(libvirt_rig.virsh("dumpxml", spec.id))
    assert {disk.findtext("serial") for disk in live.findall("devices/disk")} == {"root", "config-2"}
    assert list(directory.glob("*rescue*")) == []
