"""A guest moves from one host to another with its memory and its disks, driven at both ends as agents drive it.

Runs before a cloud is installed on the hosts: its agents would remove a server that no cloud knows.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tools.lab import Lab
from tools.lab.hosts import Host, wait_for
from tools.stages import ROOT, VENV

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

DIRECTORY = "/var/lib/migrating"

DRIVE = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, "ROOT")
import msgspec
from kilonova.kit.host_commands import HostError
from kilonova.compute.agent.drivers.libvirt import LibvirtDriver
from kilonova.compute.agent.drivers.options import LibvirtOptions
from kilonova.compute.agent.spec import Arrival, SpecFlavor
from tests.compute.agent.rigs import Images, make_spec

COUNTING_GUEST = bytes.fromhex(
    "b80103b90200b60031db8ec3bb007ccd13fcb341bafd03eca82074fb88d8b2f8ee43b486b90f00ba4042cd15ebe6"
)
# Writes itself to the second sector of its disk, then A, B, C and so on to its serial line, one a second.

async def main(what, address, server_id, presence, arrival):
    directory = Path("DIRECTORY")
    options = LibvirtOptions(directory, directory / "instances", "host", address, connection_uri="qemu:///system")
    images = Images()
    driver = LibvirtDriver(options, images.fetch, lambda path, disk_format: None, lambda server_id: None, images.upload)
    image = images.add((COUNTING_GUEST.ljust(510, b"\\0") + b"\\x55\\xaa").ljust(1 << 20, b"\\0"))
    flavor = SpecFlavor("1", "m1.nano", 1, 32, 0, ephemeral_gib=1, swap_mib=8)
    spec = make_spec(image, server_id, flavor=flavor, config_drive=True, presence=presence)
    try:
        while True:
            match what:
                case "ensure":
                    seen = await driver.ensure_server(spec, 1)
                case "migrate":
                    seen = await driver.ensure_migration(spec, msgspec.json.decode(arrival, type=Arrival), 1)
                case "begin":
                    seen = await driver.ensure_migration(spec, msgspec.json.decode(arrival, type=Arrival), 1)
                    await asyncio.sleep(0.3)
                    break
                case "release":
                    await driver.release_server(server_id, 1)
                    seen = await driver.observe_server(server_id)
            if not seen.progress:
                break
            await asyncio.sleep(0.05)
        found = msgspec.to_builtins(seen)
        found["console"] = await driver.console_log(server_id, None)
        print(json.dumps(found))
    except HostError as error:
        print(json.dumps({"error": error.reason}))
    finally:
        await driver.close()

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Ends:
    source: Host
    target: Host
    server_id: str

    def drive(self, host: Host, what: str, presence: str, arrival: Any = None) -> dict[str, Any]:
        """What the driver on a host answers when nothing is going on any more."""
        script = DRIVE.replace("ROOT", str(ROOT)).replace("DIRECTORY", DIRECTORY)
        words = [what, host.address, self.server_id, presence, json.dumps(arrival)]
        found: dict[str, Any] = json.loads(host.run([VENV / "bin/python", "-c", script, *words]).stdout)
        return found

    def disk(self, name: str) -> str:
        return f"{DIRECTORY}/instances/{self.server_id}/{name}"


@pytest.fixture
def ends(lab: Lab) -> Iterator[Ends]:
    for name in ("compute1", "compute2"):
        lab.start_libvirtd(name)
    made = Ends(lab.host("compute1"), lab.host("compute2"), str(uuid.uuid4()))
    yield made
    for host in (made.source, made.target):
        assert made.drive(host, "release", "home")["power"] == "absent"
        assert host.run(["virsh", "list", "--all", "--name"]).stdout.strip() == ""
        host.run(["rm", "-r", DIRECTORY])


def letters(console: str) -> str:
    """What the counting guest has written, without what was written before it."""
    found = re.search(r"[A-Z\[\\\]^_`a-z]+\Z", console.strip())
    return found[0] if found else ""


def sectors(host: Host, disk: str) -> tuple[bytes, bytes]:
    """The first two sectors of a root disk whose guest is off."""
    host.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, f"{DIRECTORY}/raw"])
    content = host.path(f"{DIRECTORY}/raw").read_bytes()
    return content[:512], content[512:1024]


def test_a_guest_goes_on_with_its_memory_and_its_disks_on_another_host(ends: Ends) -> None:
    assert ends.drive(ends.source, "ensure", "home")["power"] == "running"
    wait_for(lambda: "D" in letters(ends.drive(ends.source, "ensure", "home")["console"]), "the guest counts", 30)
    expected = ends.drive(ends.target, "ensure", "incoming")
    assert expected["power"] == "absent"
    assert expected["arrival"]["address"] == f"qemu+tcp://{ends.target.address}/system"
    # The agent that begins it dies; the next one finds it under way, or done.
    ends.drive(ends.source, "begin", "leaving", expected["arrival"])
    left = ends.drive(ends.source, "migrate", "leaving", expected["arrival"])
    assert left.get("error", "") == ""
    assert left["power"] == "absent"
    last = letters(left["console"])[-1]
    arrived = ends.drive(ends.target, "ensure", "home")
    assert arrived["power"] == "running"
    wait_for(lambda: letters(ends.drive(ends.target, "ensure", "home")["console"]), "the guest goes on counting", 30)
    first = letters(ends.drive(ends.target, "ensure", "home")["console"])[0]
    assert ord(first) == ord(last) + 1, f"the guest wrote {last} here and {first} there"
    ends.target.run(["virsh", "destroy", ends.server_id])
    first_sector, second_sector = sectors(ends.target, ends.disk("disk"))
    assert first_sector.endswith(b"\x55\xaa") and second_sector == first_sector
    assert ends.drive(ends.target, "ensure", "home")["power"] == "running"


def test_a_migration_that_cannot_reach_the_other_host_leaves_the_guest_running(ends: Ends) -> None:
    ends.drive(ends.source, "ensure", "home")
    expected = ends.drive(ends.target, "ensure", "incoming")
    nowhere = {**expected["arrival"], "address": "qemu+tcp://compute9/system"}
    assert "compute9" in ends.drive(ends.source, "migrate", "leaving", nowhere)["error"]
    assert ends.drive(ends.source, "ensure", "home")["power"] == "running"
