"""Bytes of users are touched by an account that owns nothing else, within limits."""

import stat
import sys
from pathlib import Path

import pytest

from kilonova.compute.agent.driver import HostError
from kilonova.compute.agent.drivers import commands
from kilonova.compute.agent.drivers.confinement import MEMORY_BYTES, SLACK_BYTES, check_reachable, give, qemu_account
from kilonova.compute.agent.drivers.libvirtd import sandbox_processes
from tests.compute.agent.rigs import LibvirtRig, make_spec, settle

root = pytest.mark.root


@root
async def test_a_command_runs_as_qemus_account_in_none_of_our_groups() -> None:
    account = qemu_account()
    assert account is not None
    told = await commands.run(["id", "-u"], timeout_seconds=10, account=account)
    groups = await commands.run(["id", "-G"], timeout_seconds=10, account=account)
    assert (int(told), groups.split()) == (account.user_id, [str(account.group_id)])


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (f"bytearray({MEMORY_BYTES + 1})", "MemoryError"),
        (
            f"import os; os.posix_fallocate(os.open('large', os.O_CREAT | os.O_WRONLY), 0, {SLACK_BYTES + 1})",
            "too large",
        ),
        ("[open('/dev/null').fileno() for _ in range(3)]; files = [open('/dev/null') for _ in range(200)]", "Too many"),
    ],
    ids=["memory", "file size", "descriptors"],
)
async def test_limits_end_what_a_crafted_image_makes_a_parser_do(
    script: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {script}"
    with pytest.raises(HostError, match=complaint):
        await commands.run([sys.executable, "-c", code], timeout_seconds=30, most_file_bytes=0)
    await commands.run([sys.executable, "-c", code], timeout_seconds=30)


@root
async def test_the_account_cannot_read_what_it_was_not_given(tmp_path: Path) -> None:
    account = qemu_account()
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for path in (theirs, ours):
        path.write_text("x")
        path.chmod(0o600)
    give(theirs, account)
    assert await commands.run(["cat", theirs], timeout_seconds=10, account=account) == "x"
    with pytest.raises(HostError, match="Permission denied"):
        await commands.run(["cat", ours], timeout_seconds=10, account=account)


@root
def test_a_directory_that_keeps_qemu_out_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "instances"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    with pytest.raises(HostError, match=f"chmod o\\+x {inner.parent}"):
        check_reachable(inner, qemu_account())
    inner.parent.chmod(0o711)
    check_reachable(inner, qemu_account())


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
