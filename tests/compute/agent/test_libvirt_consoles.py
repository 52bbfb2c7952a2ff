"""Consoles of real guests: what speaks behind each, and which port a serial line gets."""

import asyncio
import shutil
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kilonova.compute.agent.driver import ConsoleNotOffered
from kilonova.compute.agent.drivers.options import ConsoleOptions, LibvirtOptions, ScreenOptions, SerialOptions
from kilonova.compute.agent.spec import ServerSpec
from kilonova.kit.host_commands import HostError
from kilonova.kit.testing.ports import free_ports
from tests.compute.agent.rigs import MIB, LibvirtRig, make_spec, settle
from tests.compute.agent.test_libvirt_driver import serial_writer

pytestmark = pytest.mark.libvirt


@pytest.fixture
async def ports() -> range:
    first = free_ports(1)[0]
    return range(first, first + 2)


@pytest.fixture
async def rig(libvirt_state_dir: Path, ports: range) -> AsyncIterator[LibvirtRig]:
    consoles = ConsoleOptions(
        vnc=None,
        spice=ScreenOptions(base_url="http://controller:6082/spice_auto.html", direct_url="http://controller:13002"),
        serial=SerialOptions(base_url="ws://controller:6083/", ports=ports),
    )
    instances = libvirt_state_dir / "instances"
    options = LibvirtOptions(libvirt_state_dir, instances, "host1", "127.0.0.1", use_system_libvirtd=False)
    made = LibvirtRig(replace(options, consoles=consoles))
    yield made
    await made.close()
    shutil.rmtree(instances, ignore_errors=True)


async def test_spice_is_spoken_where_it_is_offered(rig: LibvirtRig) -> None:
    spec = make_spec(rig.images.add(bytes(MIB)))
    await settle(rig, spec)
    found = await rig.driver.console_address(spec.id, "spice")
    assert found.base_url == "http://controller:6082/spice_auto.html"
    assert found.direct_url == "http://controller:13002"
    reader, writer = await asyncio.open_connection(found.host, found.port)
    # Source: the SPICE protocol, "Connection and Communication Setup": a link to the main channel, with nothing to say.
    link = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
    writer.write(b"REDQ" + struct.pack("<III", 2, 2, len(link)) + link)
    async with asyncio.timeout(10):
        assert await reader.readexactly(4) == b"REDQ"
    writer.close()
    with pytest.raises(ConsoleNotOffered, match="offers no vnc consoles"):
        await rig.driver.console_address(spec.id, "vnc")


async def test_a_serial_line_can_be_read_and_is_logged(rig: LibvirtRig, ports: range) -> None:
    spec = make_spec(rig.images.add(serial_writer(b"hello from the boot sector\r\n").ljust(MIB, b"\0")))
    await settle(rig, msgspec.structs.replace(spec, power="paused"))
    found = await rig.driver.console_address(spec.id, "serial")
    assert (found.port in ports, found.base_url) == (True, "ws://controller:6083/")
    reader, writer = await asyncio.open_connection(found.host, found.port)
    await settle(rig, spec)
    async with asyncio.timeout(60):
        await reader.readuntil(b"hello from the boot sector")
        while "hello" not in await rig.driver.console_log(spec.id, None):
            await asyncio.sleep(0.1)
    writer.close()


async def test_each_serial_line_has_a_port_of_its_own_and_keeps_it(rig: LibvirtRig, ports: range) -> None:
    image = rig.images.add(bytes(MIB))
    specs = [make_spec(image) for _ in ports]

    async def port_of(spec: ServerSpec) -> int:
        return (await rig.driver.console_address(spec.id, "serial")).port

    await asyncio.gather(*(settle(rig, each) for each in specs))
    first = [await port_of(each) for each in specs]
    assert sorted(first) == list(ports)
    for each in specs:
        await settle(rig, msgspec.structs.replace(each, reboot_count=1, reboot_type="HARD"))
    assert [await port_of(each) for each in specs] == first
    with pytest.raises(HostError, match=r"Every port from \d+ to \d+ .*port_range.* is in use"):
        await settle(rig, make_spec(image))


async def test_a_port_that_something_else_has_taken_is_passed_over(rig: LibvirtRig, ports: range) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[0]))
        other.listen()
        spec = make_spec(rig.images.add(bytes(MIB)))
        await settle(rig, spec)
    assert (await rig.driver.console_address(spec.id, "serial")).port == ports[1]


async def test_a_guest_from_before_has_no_console_until_it_is_started_again(
    libvirt_rig: LibvirtRig, ports: range
) -> None:
    spec = make_spec(libvirt_rig.images.add(bytes(MIB)))
    await settle(libvirt_rig, spec)
    libvirt_rig.options = replace(libvirt_rig.options, consoles=ConsoleOptions(serial=SerialOptions(ports=ports)))
    await libvirt_rig.restart_agent()
    await settle(libvirt_rig, spec)
    with pytest.raises(ConsoleNotOffered, match="stopped and started"):
        await libvirt_rig.driver.console_address(spec.id, "serial")
    await settle(libvirt_rig, msgspec.structs.replace(spec, reboot_count=1, reboot_type="HARD"))
    assert (await libvirt_rig.driver.console_address(spec.id, "serial")).port in ports
