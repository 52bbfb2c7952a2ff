"""A guest runs as an account that owns nothing else, and its disks are that account's alone."""

import stat
from pathlib import Path

import pytest

from kilonova.compute.agent.drivers.libvirtd import sandbox_processes
from kilonova.kit.disks.confinement import qemu_account
from tests.compute.agent.rigs import LibvirtRig, make_spec, settle


@pytest.mark.libvirt
async def test_a_guest_runs_as_qemus_account_under_seccomp_with_disks_of_its_own(libvirt_rig: LibvirtRig) -> None:
    account = qemu_account()
    assert account is not None
    spec = make_spec(libvirt_rig.images.add(bytes(1 << 20)))
    assert (await settle(libvirt_rig, spec)).power == "running"
    running = [pid for pid, name in sandbox_processes(libvirt_rig.sandbox).items() if name.startswith("qemu")]
    assert running
    for pid in running:
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert set(status["Uid"].split()) == {str(account.user_id)}
        assert status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) == 0
    instances = libvirt_rig.options.instances_path
    for path in (instances, instances / "_base", instances / spec.id):
        assert stat.S_IMODE(path.stat().st_mode) == 0o711, path
    for path in (instances / spec.id / "disk", *(instances / "_base").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert (instances / spec.id / "disk").stat().st_uid == account.user_id
