"""Hear of taps at once: the kernel's own announcements of devices, read on the loop.

The rule: a message only wakes. What there really is, the next `converge` sees for itself; lost messages cost nothing.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator

from kilonova.network.agent.links import OWN_GROUPS, PLUGGED_GROUP
from kilonova.network.wanted import TAP_PREFIX

_RTMGRP_LINK = 1
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_IFLA_IFNAME, _IFLA_GROUP = 3, 27
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")


def _parse_attributes(raw: bytes) -> dict[int, bytes]:
    attributes: dict[int, bytes] = {}
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if length < _ATTRIBUTE.size:
            break
        attributes[kind & 0x3FFF] = raw[_ATTRIBUTE.size : length]
        raw = raw[(length + 3) & ~3 :]
    return attributes


def parse_tap_changes(raw: bytes) -> Iterator[str]:
    """Names of taps in a netlink datagram that have come and are not plugged, or have gone (rtnetlink(7))."""
    while len(raw) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(raw)
        if length < _HEADER.size + _LINK.size:
            break
        family = raw[_HEADER.size]
        attributes = _parse_attributes(raw[_HEADER.size + _LINK.size : length])
        raw = raw[(length + 3) & ~3 :]
        name = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        # Messages of the bridge family tell of membership, which is mostly our own doing.
        if family != socket.AF_UNSPEC or not name.startswith(TAP_PREFIX):
            continue
        group = int.from_bytes(attributes.get(_IFLA_GROUP, b"")[:4], sys.byteorder)
        if kind == _RTM_DELLINK or (kind == _RTM_NEWLINK and group not in (PLUGGED_GROUP, *OWN_GROUPS)):
            yield name


class TapWatch:
    """Calls `wake` on the running loop whenever a tap comes or goes in this process's network namespace."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK))
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        try:
            raw = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            # The kernel had more to say than the socket holds (ENOBUFS): something came or went.
            self._wake()
            return
        if any(True for _ in parse_tap_changes(raw)):
            self._wake()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
