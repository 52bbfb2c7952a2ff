"""A server with a port, on a host whose network is a namespace of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.libvirt, pytest.mark.root]

SCENARIO = """
import asyncio, json, subprocess, sys
from pathlib import Path
import msgspec
from kilonova.kit.host_commands import HostError
from kilonova.compute.agent.drivers.libvirtd import stop_private_libvirtd
from kilonova.compute.agent.drivers.options import LibvirtOptions
from kilonova.compute.agent.spec import SpecPort
from tests.compute.agent.rigs import LibvirtRig, make_spec, settle

def link(name):
    command = ["ip", "-details", "-json", "link", "show", name]
    result = subprocess.run(command, capture_output=True)
    return json.loads(result.stdout)[0] if result.returncode == 0 else None

async def main(state_dir):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    options = LibvirtOptions(state_dir, state_dir / "instances", "host1", "127.0.0.1", use_system_libvirtd=False)
    rig = LibvirtRig(options)
    port = SpecPort("p1", "n1", "fa:16:3e:00:00:01", 1442, "tap01234567-89")
    spec = make_spec(rig.images.add(bytes(1 << 20)), ports=(port,))
    found = {}
    try:
        found["power"] = (await settle(rig, spec)).power
        found["tap"] = link(port.tap)
        second = msgspec.structs.replace(port, id="p2", mac_address="fa:16:3e:00:00:02", tap="tap-second")
        both = msgspec.structs.replace(spec, ports=(port, second))
        for _ in range(2):
            found["joined"] = (await settle(rig, both)).power
        found["second"] = link(second.tap)
        for _ in range(2):
            found["leaving"] = (await rig.driver.ensure_server(spec, 1)).progress
        await rig.driver.ensure_server(msgspec.structs.replace(spec, power="stopped"), 1)
        await settle(rig, msgspec.structs.replace(spec, reboot_count=1, reboot_type="HARD"))
        found["second after a start"] = link(second.tap)
        twin = make_spec(spec.image, ports=(port,))
        try:
            await settle(rig, twin)
        except HostError as error:
            found["twin"] = error.reason
        await rig.driver.release_server(spec.id, 1)
        found["tap after"] = link(port.tap)
    finally:
        await rig.close()
        await stop_private_libvirtd(state_dir)
    print(json.dumps(found))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_the_tap_is_made_and_plugged_into_nothing(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-c", SCENARIO, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["power"] == "running"
    assert ("master" in found["tap"], found["tap"]["mtu"], "UP" in found["tap"]["flags"]) == (False, 1442, True)
    assert (found["joined"], "master" in found["second"]) == ("running", False)
    assert found["leaving"] == "the guest has yet to let go of tap-second"
    assert found["second after a start"] is None
    assert "tap01234567-89" in found["twin"]
    assert found["tap after"] is None
