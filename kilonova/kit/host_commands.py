"""Runs host commands: argument lists only, never a shell; a failing one becomes a HostError with its last words."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": os.environ.get("HOME", "/root"),
}


class HostError(Exception):
    """The host cannot do what was asked; `reason` is a sentence naming the thing that is in the way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the host that a command can run as."""

    name: str
    user_id: int
    group_id: int
    group_name: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a command, at which the kernel ends it; it never dumps core."""

    memory_bytes: int
    cpu_seconds: int
    files: int
    """Descriptors open at once."""
    file_bytes: int
    """Size of each file that it writes."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command, as whom it runs and within which limits. Without an account it runs as this process."""

    arguments: Sequence[str | os.PathLike[str]]
    timeout_seconds: float
    account: Account | None = None
    limits: Limits | None = None


async def carry_out(command: Command) -> str:
    """Runs a command like `run`."""
    return await run(
        command.arguments,
        timeout_seconds=command.timeout_seconds,
        account=command.account,
        limits=command.limits,
    )


async def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    timeout_seconds: float,
    new_session: bool = False,
    account: Account | None = None,
    limits: Limits | None = None,
) -> str:
    """Returns the command's stdout. Raises HostError when it is missing, fails or takes too long (it is killed).

    With `new_session` the command and what it starts leave our session, so that they outlive this process. With an
    `account` it runs as that one, in none of our groups.
    """
    name = os.fspath(arguments[0])
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.user_id, "group": account.group_id, "extra_groups": []}
    try:
        process = await asyncio.create_subprocess_exec(
            *(arguments if limits is None else limited(arguments, limits)),
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
        raise HostError(
            f"{name} failed with status {process.returncode}: {last_words(complaint.decode(errors='replace'))}"
        )
    return output.decode(errors="replace")


def limited(command: Sequence[str | os.PathLike[str]], limits: Limits) -> list[str | os.PathLike[str]]:
    """The command under its limits."""
    return [
        "prlimit",
        f"--as={limits.memory_bytes}",
        f"--cpu={limits.cpu_seconds}",
        f"--nofile={limits.files}",
        f"--fsize={limits.file_bytes}",
        "--core=0",
        "--",
        *command,
    ]


def last_words(complaint: str) -> str:
    """The end of what a command complained of, on one line."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-600:] or "it gave no reason"
