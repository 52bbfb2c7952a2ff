"""Runs host commands: argument lists only, never a shell; a failing one becomes a HostError with its last words."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from kilonova.compute.agent.driver import HostError
from kilonova.compute.agent.drivers.confinement import Account, limited

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": os.environ.get("HOME", "/root"),
}


async def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    timeout_seconds: float,
    new_session: bool = False,
    account: Account | None = None,
    most_file_bytes: int | None = None,
) -> str:
    """What the command wrote to stdout. Raises HostError when it is missing, fails or takes too long (it is killed).

    With `new_session` the command and what it starts leave our session, so that they outlive this process. With an
    `account` it runs as that one, in none of our groups; with `most_file_bytes` under the limits of `confinement`, its
    files as large as that.
    """
    name = os.fspath(arguments[0])
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.user_id, "group": account.group_id, "extra_groups": []}
    try:
        process = await asyncio.create_subprocess_exec(
            *(arguments if most_file_bytes is None else limited(arguments, file_bytes=most_file_bytes)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=ENVIRONMENT,
            start_new_session=new_session,
            **identity,
        )
    except FileNotFoundError as error:
        raise HostError(f"The command {name} is not installed on this host.") from error
    try:
        async with asyncio.timeout(timeout_seconds):
            output, complaint = await process.communicate()
    except TimeoutError as error:
        raise HostError(f"{name} did not end within {timeout_seconds:.0f} seconds.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise HostError(f"{name} failed with status {process.returncode}: {_last_words(complaint)}")
    return output.decode(errors="replace")


def _last_words(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-600:] or "it gave no reason"
