"""The domain definition, element by element."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import msgspec
import pytest

from kilonova.compute.agent.devices import disks, interfaces
from kilonova.compute.agent.drivers.domain_xml import (
    DomainPlan,
    definition_digest,
    disks_of,
    interfaces_of,
    kilonova_version,
    parse_xml,
    render_disk,
    render_domain,
)
from kilonova.compute.agent.drivers.domain_xml.secrets import render_secret
from kilonova.compute.agent.drivers.options import ConsoleOptions, GuestCpu, ScreenOptions, SerialOptions
from kilonova.compute.agent.spec import DiskPlace, MetadataPort, SpecFlavor, SpecImage, SpecPort
from kilonova.compute.servers.disks import device_name
from kilonova.kit.connectors import Chap, ConnectedTarget
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import make_document, make_spec

SERVER_ID = "0e6cbd5a-4a3b-4c3c-9a34-1f0d7b1f6a11"
PORT = SpecPort("p1", "n1", "fa:16:3e:00:00:2a", 1450, "tap6a0f5b7e-11")
DIRECTORY = Path("/var/lib/nova/instances") / SERVER_ID
NOVA = "{http://openstack.org/xmlns/libvirt/nova/1.1}"


def make_plan(
    *, properties: dict[str, str] | None = None, spec: dict[str, Any] | None = None, **plan: Any
) -> DomainPlan:
    image = SpecImage("i1", "qcow2", 1, "", properties=properties or {})
    found = make_spec(image, SERVER_ID, ports=(PORT,), config_drive=True, **(spec or {}))
    planned = disks.plan(found, DIRECTORY, {}), tuple(interfaces.plan(found).values())
    return DomainPlan(found, plan.pop("virt_type", "qemu"), *planned, DIRECTORY / "console.log", **plan)


def render(**changes: Any) -> Element:
    return parse_xml(render_domain(make_plan(**changes)))


def found(element: Element, path: str) -> Element:
    child = element.find(path)
    assert child is not None, path
    return child


def test_name_uuid_memory_and_vcpus_are_those_of_the_server() -> None:
    domain = render(spec={"flavor": SpecFlavor("1", "m1.small", 2, 2048, 20)})
    assert domain.get("type") == "qemu"
    assert domain.findtext("name") == "instance-0e6cbd5a"
    assert domain.findtext("uuid") == SERVER_ID
    assert (domain.findtext("memory"), found(domain, "memory").get("unit")) == ("2048", "MiB")
    assert domain.findtext("vcpu") == "2"


def test_the_smbios_tells_cloud_init_where_it_is() -> None:
    domain = render()
    entries = {str(entry.get("name")): entry.text for entry in domain.findall("sysinfo/system/entry")}
    assert entries == {
        "manufacturer": "OpenStack Foundation",
        "product": "OpenStack Nova",
        "version": kilonova_version(),
        "serial": SERVER_ID,
        "uuid": SERVER_ID,
        "family": "Virtual Machine",
    }
    assert found(domain, "os/smbios").get("mode") == "sysinfo"


def test_the_metadata_names_flavor_owner_image_and_addresses() -> None:
    address = {"ip_address": "10.0.0.5"}
    port = MetadataPort("p1", PORT.mac_address, "n1", 1450, PORT.tap, (address,))
    domain = render(spec={"metadata_document": make_document(SERVER_ID, ports=(port,))})
    instance = found(domain, f"metadata/{NOVA}instance")
    assert instance.findtext(f"{NOVA}name") == "web <1>"
    flavor = found(instance, f"{NOVA}flavor")
    assert flavor.get("name") == "m1.nano"
    assert {child.tag.removeprefix(NOVA): child.text for child in flavor} == {
        "memory": "32",
        "disk": "0",
        "swap": "0",
        "ephemeral": "0",
        "vcpus": "1",
    }
    assert found(instance, f"{NOVA}owner/{NOVA}project").get("uuid") == "p1"
    assert found(instance, f"{NOVA}owner/{NOVA}user").get("uuid") == "u1"
    assert found(instance, f"{NOVA}root").get("uuid") == "i1"
    assert found(instance, f"{NOVA}ports/{NOVA}port/{NOVA}ip").attrib == {
        "type": "fixed",
        "address": "10.0.0.5",
        "ipVersion": "4",
    }


def test_the_config_drive_is_a_virtio_disk_that_cloud_kernels_see() -> None:
    root, config = render().findall("devices/disk")
    assert (root.get("device"), found(root, "target").attrib) == ("disk", {"dev": "vda", "bus": "virtio"})
    assert found(root, "driver").attrib == {"name": "qemu", "type": "qcow2", "cache": "none", "discard": "unmap"}
    assert found(root, "source").get("file") == str(DIRECTORY / "disk")
    assert (config.get("device"), found(config, "target").attrib) == ("disk", {"dev": "vdb", "bus": "virtio"})
    assert (found(config, "driver").get("type"), config.findtext("serial")) == ("raw", "config-2")
    assert config.find("readonly") is not None
    assert root.find("readonly") is None


def test_on_buses_without_read_only_disks_the_config_drive_is_a_cdrom() -> None:
    root, config = render(properties={"hw_disk_bus": "ide"}).findall("devices/disk")
    assert (root.get("device"), config.get("device")) == ("disk", "cdrom")
    assert found(config, "target").attrib == {"dev": "hdb", "bus": "ide"}
    for bus, kind, name in (("scsi", "cdrom", "sda"), ("sata", "cdrom", "sda"), ("virtio", "disk", "vdb")):
        root, config = render(properties={"hw_cdrom_bus": bus}).findall("devices/disk")
        assert found(root, "target").attrib == {"dev": "vda", "bus": "virtio"}
        assert (config.get("device"), found(config, "target").attrib) == (kind, {"dev": name, "bus": bus})


def test_the_port_is_a_tap_with_its_mtu_that_is_left_to_the_network_agent_to_plug() -> None:
    interface = found(render(), "devices/interface")
    assert interface.get("type") == "ethernet"
    assert found(interface, "mac").get("address") == PORT.mac_address
    assert interface.find("source") is None
    assert found(interface, "target").get("dev") == PORT.tap
    assert found(interface, "model").get("type") == "virtio"
    assert found(interface, "mtu").get("size") == "1450"


def test_console_screen_and_random_numbers() -> None:
    domain = render()
    assert found(domain, "devices/serial/log").attrib == {"file": str(DIRECTORY / "console.log"), "append": "off"}
    assert found(domain, "devices/graphics").attrib == {"type": "vnc", "port": "-1", "autoport": "yes"}
    assert found(domain, "devices/graphics/listen").get("address") == "127.0.0.1"
    assert domain.findtext("devices/rng/backend") == "/dev/urandom"
    assert found(domain, "devices/memballoon").get("model") == "virtio"
    assert found(domain, "features/acpi") is not None


def test_the_host_says_which_consoles_there_are() -> None:
    both = ConsoleOptions(vnc=ScreenOptions(keymap="en-us"), spice=ScreenOptions(listen="10.0.0.31"))
    domain = render(consoles=both)
    vnc, spice = domain.findall("devices/graphics")
    assert (vnc.get("type"), vnc.get("keymap"), found(vnc, "listen").get("address")) == ("vnc", "en-us", "127.0.0.1")
    assert (spice.get("type"), spice.get("keymap"), found(spice, "listen").get("address")) == (
        *("spice", None),
        "10.0.0.31",
    )
    assert found(domain, "devices/channel/target").attrib == {"type": "virtio", "name": "com.redhat.spice.0"}
    assert found(domain, "devices/video/model").get("type") == "qxl"
    plain = render(consoles=ConsoleOptions(vnc=None, spice=ScreenOptions(), has_spice_agent=False))
    assert [each.get("type") for each in plain.findall("devices/graphics")] == ["spice"]
    assert plain.find("devices/channel") is None
    assert render(consoles=ConsoleOptions(vnc=None)).find("devices/graphics") is None


def test_a_serial_line_that_can_be_typed_on_keeps_its_log() -> None:
    serial = found(render(consoles=ConsoleOptions(serial=SerialOptions()), serial_port=10007), "devices/serial")
    assert serial.get("type") == "tcp"
    assert found(serial, "source").attrib == {"mode": "bind", "host": "127.0.0.1", "service": "10007"}
    assert found(serial, "log").get("file") == str(DIRECTORY / "console.log")


@pytest.mark.parametrize(("virt_type", "mode"), [("kvm", "host-model"), ("qemu", "maximum")])
def test_the_cpu_is_the_hosts_under_kvm_and_all_that_qemu_has_otherwise(virt_type: str, mode: str) -> None:
    domain = render(virt_type=virt_type)
    assert (domain.get("type"), found(domain, "cpu").get("mode")) == (virt_type, mode)


def test_a_pcie_guest_has_ports_for_devices_that_come_later() -> None:
    domain = render(properties={"hw_machine_type": "q35"})
    models = [controller.get("model") for controller in domain.findall("devices/controller")]
    assert models[0] == "pcie-root"
    assert models.count("pcie-root-port") == 16
    assert render().find("devices/controller") is None


def test_the_image_chooses_machine_bus_and_card_before_the_host() -> None:
    assert found(render(), "os/type").get("machine") == "pc"
    assert found(render(machine_type="q35"), "os/type").get("machine") == "q35"
    properties = {
        "hw_machine_type": "pc-i440fx-7.2",
        "hw_disk_bus": "scsi",
        "hw_vif_model": "e1000",
        "hw_video_model": "cirrus",
        "hw_pointer_model": "ps2mouse",
    }
    domain = render(machine_type="q35", properties=properties)
    assert found(domain, "os/type").get("machine") == "pc-i440fx-7.2"
    assert found(domain, "devices/disk/target").attrib == {"dev": "sda", "bus": "scsi"}
    assert found(domain, "devices/controller").get("model") == "virtio-scsi"
    assert found(domain, "devices/interface/model").get("type") == "e1000"
    assert found(domain, "devices/video/model").get("type") == "cirrus"
    assert domain.find("devices/input") is None


def test_an_image_property_the_host_cannot_honour_is_an_error_naming_it() -> None:
    with pytest.raises(HostError, match="image property hw_disk_bus is 'xen'"):
        render(properties={"hw_disk_bus": "xen"})
    with pytest.raises(HostError, match="hw_vif_model=wifi"):
        render(properties={"hw_vif_model": "wifi"})


def test_the_same_plan_gives_the_same_bytes_and_another_one_another_digest() -> None:
    xml = render_domain(make_plan())
    assert render_domain(make_plan()) == xml
    digest = definition_digest(xml)
    assert digest is not None and len(digest) == 64
    assert definition_digest(render_domain(make_plan(spec={"display_name": "other"}))) != digest
    elsewhere = ConsoleOptions(vnc=ScreenOptions(listen="0.0.0.0"))
    assert definition_digest(render_domain(make_plan(consoles=elsewhere))) != digest


def test_a_definition_without_our_mark_has_no_digest() -> None:
    assert definition_digest("<domain><metadata/></domain>") is None
    assert definition_digest("<domain/>") is None


def test_a_name_cannot_break_out_of_the_definition() -> None:
    domain = render(spec={"display_name": "</nova:name><evil/>\x00\x08\ud800&'\""})
    assert domain.findtext(f"metadata/{NOVA}instance/{NOVA}name") == "</nova:name><evil/>&'\""


def test_disks_are_named_as_on_their_bus() -> None:
    assert [device_name(bus, 1) for bus in disks.BUSES] == ["vdb", "sdb", "sdb", "hdb", "sdb"]


def test_a_guest_boots_from_its_first_disk_unless_the_disks_say_in_which_order() -> None:
    plan = make_plan()
    assert found(parse_xml(render_domain(plan)), "os/boot").get("dev") == "hd"
    root, config = plan.disks
    ordered = replace(plan, disks=(root, replace(config, place=msgspec.structs.replace(config.place, boot_order=1))))
    domain = parse_xml(render_domain(ordered))
    assert domain.find("os/boot") is None
    assert [disk.find("boot") is not None for disk in domain.findall("devices/disk")] == [False, True]


def test_what_a_definition_has_is_read_back() -> None:
    xml = render_domain(make_plan())
    assert list(interfaces_of(xml)) == [PORT.tap]
    assert list(disks_of(xml)) == ["root", "config-2"]


def test_a_server_without_image_has_no_root_in_its_metadata() -> None:
    plan = make_plan()
    plan = replace(plan, spec=msgspec.structs.replace(plan.spec, image=None))
    assert parse_xml(render_domain(plan)).find(f"metadata/{NOVA}instance/{NOVA}root") is None


def test_the_processor_of_guests_can_be_chosen() -> None:
    assert found(render(guest_cpu=GuestCpu("none")), "cpu").get("mode") is None
    assert found(render(guest_cpu=GuestCpu("host-passthrough")), "cpu").get("mode") == "host-passthrough"
    custom = found(render(guest_cpu=GuestCpu("custom", "Haswell")), "cpu")
    assert (custom.get("mode"), custom.findtext("model")) == ("custom", "Haswell")
    features = found(render(guest_cpu=GuestCpu("host-model", features=("pcid", "+vmx", "-avx"))), "cpu")
    assert [(each.get("policy"), each.get("name")) for each in features.findall("feature")] == [
        ("require", "pcid"),
        ("require", "vmx"),
        ("disable", "avx"),
    ]


def test_a_volume_behind_a_target_is_opened_by_qemu_with_a_secret_that_libvirt_has() -> None:
    target = ConnectedTarget(
        host="fd00::1", port=3260, target="iqn.a:b", unit=1, chap=Chap(username="u", secret="correct horse")
    )
    disk = disks.PlannedDisk(DiskPlace("vdb", "virtio", "v1"), target, "raw", is_volume=True)
    text = render_disk(make_plan(), disk)
    shown = parse_xml(text)
    assert (shown.get("type"), found(shown, "driver").get("type")) == ("network", "raw")
    assert found(shown, "source").attrib == {"protocol": "iscsi", "name": "iqn.a:b/1"}
    assert found(shown, "source/host").attrib == {"name": "fd00::1", "port": "3260"}
    assert found(shown, "source/auth").attrib == {"username": "u"}
    secret_id = found(shown, "source/auth/secret").get("uuid")
    secret = parse_xml(render_secret("iqn.a:b"))
    assert (secret.findtext("uuid"), secret.findtext("usage/target")) == (secret_id, "iqn.a:b")
    assert (secret.get("ephemeral"), secret.get("private")) == ("yes", "yes")
    assert "correct horse" not in text
    alone = replace(disk, source=msgspec.structs.replace(target, chap=None))
    assert parse_xml(render_disk(make_plan(), alone)).find("source/auth") is None
