"""The account that QEMU and qemu-img run as, and what it can reach: both read bytes that users wrote.

libvirt gives a guest's disks to that account while the guest runs.
"""

import grp
import os
import pwd
from functools import cache
from pathlib import Path

from kilonova.kit.host_commands import Account, HostError

ACCOUNTS = ("libvirt-qemu", "qemu")
"""QEMU's account, as distributions name it."""


@cache
def qemu_account() -> Account | None:
    """QEMU's account on this host; None where this process is not root, and everything is its own account's.

    Raises HostError when there is none to run QEMU as.
    """
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid, grp.getgrgid(found.pw_gid).gr_name)
    raise HostError(f"There is no account to run QEMU as ({' or '.join(ACCOUNTS)}): install libvirt-daemon-system.")


def give(path: Path, account: Account | None) -> None:
    """Lets the account alone read and write a file."""
    path.chmod(0o600)
    if account is not None:
        os.chown(path, account.user_id, account.group_id)


def check_reachable(directory: Path, account: Account | None) -> None:
    """Raises HostError when the account cannot get into the directory, naming the one that keeps it out."""
    if account is None:
        return
    for each in (*reversed(directory.parents), directory):
        status = each.stat()
        bit = 0o1
        if status.st_uid == account.user_id:
            bit = 0o100
        elif status.st_gid == account.group_id:
            bit = 0o10
        if not status.st_mode & bit:
            raise HostError(
                f"QEMU, which runs as {account.name}, cannot reach the servers' disks in {directory}: {each} has the "
                f"mode {status.st_mode & 0o7777:04o}. `chmod o+x {each}`, or choose another directory."
            )
