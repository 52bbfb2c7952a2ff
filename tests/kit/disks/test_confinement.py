"""Bytes of users are touched by an account that owns nothing else, within limits."""

import sys
from pathlib import Path

import pytest

from kilonova.kit import host_commands
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.confinement import check_reachable, give, qemu_account
from kilonova.kit.disks.qemu_img import MEMORY_BYTES, SLACK_BYTES
from kilonova.kit.host_commands import HostError

root = pytest.mark.root


@root
async def test_a_command_runs_as_qemus_account_in_none_of_our_groups() -> None:
    account = qemu_account()
    assert account is not None
    told = await host_commands.run(["id", "-u"], timeout_seconds=10, account=account)
    groups = await host_commands.run(["id", "-G"], timeout_seconds=10, account=account)
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
        await host_commands.run([sys.executable, "-c", code], timeout_seconds=30, limits=qemu_img.limits(0))
    await host_commands.run([sys.executable, "-c", code], timeout_seconds=30)


@root
async def test_the_account_cannot_read_what_it_was_not_given(tmp_path: Path) -> None:
    account = qemu_account()
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for path in (theirs, ours):
        path.write_text("x")
        path.chmod(0o600)
    give(theirs, account)
    assert await host_commands.run(["cat", theirs], timeout_seconds=10, account=account) == "x"
    with pytest.raises(HostError, match="Permission denied"):
        await host_commands.run(["cat", ours], timeout_seconds=10, account=account)


@root
def test_a_directory_that_keeps_qemu_out_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "instances"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    with pytest.raises(HostError, match=f"chmod o\\+x {inner.parent}"):
        check_reachable(inner, qemu_account())
    inner.parent.chmod(0o711)
    check_reachable(inner, qemu_account())
