"""Targets of tgtd, which serves iSCSI without the kernel.

It is spoken to over its own socket: its command line would show every process of the host the secrets. Source: tgt's
`usr/tgtadm.h`, the requests and answers of `tgtadm`.
"""

import asyncio
import itertools
import os
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from kilonova.block_storage.agent.drivers.lvm.exports import UNIT, Export
from kilonova.kit.host_commands import HostError

SOCKET = "/var/run/tgtd/socket"
CONTROL_PORT = 0
TIMEOUT_SECONDS = 20.0

_REQUEST = struct.Struct("=ii64sIiQQIIIiII")
"""Mode, operation, driver, length, target, session, unit, connection, host, device type, direction, pack, force."""
_ANSWER = struct.Struct("=II")
_NO_UNIT_GIVEN = (1 << 64) - 1
_ATTEMPTS = 5


class Mode(IntEnum):
    TARGET = 1
    UNIT = 2
    ACCOUNT = 7


class Operation(IntEnum):
    NEW = 0
    DELETE = 1
    SHOW = 2
    BIND = 3


class _Code(IntEnum):
    NO_TARGET = 4
    TARGET_EXISTS = 9
    NO_USER = 15


_REASONS: Mapping[int, str] = {
    2: "it has no memory left",
    3: "its iSCSI driver does not work",
    4: "there is no such target",
    5: "there is no such logical unit",
    9: "the target is there already",
    10: "the logical unit is there already",
    14: "the account is there already",
    15: "there is no such account",
    16: "the target has too many accounts",
    17: "it cannot do that with what it was given",
    19: "the target is in use",
}


class TgtRefused(HostError):
    def __init__(self, doing: str, code: int) -> None:
        super().__init__(f"tgtd refuses to {doing}: {_REASONS.get(code, f'its error {code}')}.")
        self.code = code


class TgtAway(HostError):
    """No tgtd runs."""


@dataclass(frozen=True)
class TargetState:
    """A target as tgtd shows it."""

    number: int
    device: str
    """Path of logical unit 1; empty: it has none."""
    is_open: bool
    """Whether initiators are let in: that is done last."""


def socket_path() -> Path:
    """Returns the path of tgtd's socket, which its own programs take from the same variable."""
    return Path(f"{os.environ.get('TGT_IPC_SOCKET', SOCKET)}.{CONTROL_PORT}")


@dataclass(frozen=True)
class TgtTargets:
    socket_path: Path = field(default_factory=socket_path)

    async def find_all(self) -> set[str]:
        return set(await self._states())

    async def ensure(self, export: Export, device: Path) -> None:
        state = (await self._states()).get(export.target)
        if state is not None and state.is_open and state.device == str(device):
            return
        if state is not None:
            await self.remove(export)
        number = await self._add(export.target)
        try:
            await self._fill(number, export, device)
        except HostError:
            await self.remove(export)
            raise

    async def _add(self, name: str) -> int:
        """Makes an empty target under a number that is free; others take numbers at the same time."""
        for attempt in range(_ATTEMPTS):
            taken = {state.number for state in (await self._states()).values()}
            number = next(each for each in range(1, len(taken) + 2) if each not in taken)
            try:
                await self._ask(Mode.TARGET, Operation.NEW, f"make target {name}", f"targetname={name}", target=number)
            except TgtRefused as refused:
                if refused.code != _Code.TARGET_EXISTS or attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return number
        raise AssertionError("the last attempt raises")

    async def _fill(self, number: int, export: Export, device: Path) -> None:
        await self._forget_account(export.username)
        account = f"user={export.username},password={export.secret}"
        await self._ask(Mode.ACCOUNT, Operation.NEW, "make an account", account)
        path, doing = f"path={device}", f"serve {device}"
        await self._ask(Mode.UNIT, Operation.NEW, doing, path, target=number, unit=UNIT)
        user = f"user={export.username}"
        await self._ask(Mode.ACCOUNT, Operation.BIND, "let the account in", user, target=number)
        everywhere = "initiator-address=ALL"
        await self._ask(Mode.TARGET, Operation.BIND, f"open target {export.target}", everywhere, target=number)

    async def remove(self, export: Export) -> None:
        try:
            state = (await self._states()).get(export.target)
        except TgtAway:
            # It keeps nothing: when it comes back it has no targets.
            return
        if state is not None:
            doing = f"remove target {export.target}"
            try:
                await self._ask(Mode.TARGET, Operation.DELETE, doing, target=state.number, is_forced=True)
            except TgtRefused as refused:
                if refused.code != _Code.NO_TARGET:
                    raise
        await self._forget_account(export.username)

    async def _forget_account(self, username: str) -> None:
        try:
            await self._ask(Mode.ACCOUNT, Operation.DELETE, "remove an account", f"user={username}")
        except TgtRefused as refused:
            if refused.code != _Code.NO_USER:
                raise

    async def _states(self) -> dict[str, TargetState]:
        return read_targets(await self._ask(Mode.TARGET, Operation.SHOW, "show its targets"))

    async def _ask(
        self,
        mode: Mode,
        operation: Operation,
        doing: str,
        parameters: str = "",
        *,
        target: int = -1,
        unit: int = _NO_UNIT_GIVEN,
        is_forced: bool = False,
    ) -> str:
        words = parameters.encode() + b"\0" if parameters else b""
        request = _REQUEST.pack(
            mode,
            operation,
            b"iscsi",
            _REQUEST.size + len(words),
            target,
            0,
            unit,
            0,
            0,
            0,
            0,
            0,
            int(is_forced),
        )
        code, text = await asyncio.to_thread(self._exchange, request + words)
        if code != 0:
            raise TgtRefused(doing, code)
        return text

    def _exchange(self, request: bytes) -> tuple[int, str]:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(str(self.socket_path))
                connection.sendall(request)
                code, length = _ANSWER.unpack(_read(connection, _ANSWER.size))
                text = _read(connection, length - _ANSWER.size) if length > _ANSWER.size else b""
        except OSError as error:
            is_away = isinstance(error, FileNotFoundError | ConnectionRefusedError)
            raise (TgtAway if is_away else HostError)(
                f"tgtd does not answer at {self.socket_path} ({error.strerror or error}): start it, as with "
                "`systemctl start tgt`."
            ) from error
        return code, text.rstrip(b"\0").decode(errors="replace")


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("it closed the connection")
        data += piece
    return data


_TARGET = re.compile(r"^Target (\d+): (\S+)$", re.MULTILINE)
_UNIT = re.compile(rf"^ +LUN: {UNIT}\n(?:(?! +LUN: ).*\n)*? +Backing store path: (.*)$", re.MULTILINE)


def read_targets(shown: str) -> dict[str, TargetState]:
    """Returns name → state, of what tgtd shows of its targets."""
    heads = list(_TARGET.finditer(shown))
    found = {}
    for head, following in itertools.zip_longest(heads, heads[1:]):
        body = shown[head.end() : following.start() if following else len(shown)]
        unit = _UNIT.search(body)
        is_open = "ALL" in body.partition("ACL information:")[2].split()
        found[head.group(2)] = TargetState(int(head.group(1)), unit.group(1) if unit else "", is_open)
    return found
