"""A DHCPv6 client for tests: asks for an address, or only for the rest (RFC 8415)."""

import os
import socket
import struct
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address

_SOLICIT, _ADVERTISE, _REQUEST, _REPLY, _INFORMATION_REQUEST = 1, 2, 3, 7, 11
_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_ADDRESS, _REQUESTED, _ELAPSED = 1, 2, 3, 5, 6, 8
_WANTED = (23, 24, 59, 60)
_RELAYS_AND_SERVERS = "ff02::1:2"

Options = dict[int, bytes]


@dataclass
class Answer:
    address: str | None
    options: Options = field(default_factory=dict)

    def addresses(self, code: int) -> list[str]:
        raw = self.options.get(code, b"")
        return [str(IPv6Address(raw[start : start + 16])) for start in range(0, len(raw), 16)]


def ask_for_address(mac_address: str, *, within_seconds: float = 5) -> Answer | None:
    """SOLICIT and REQUEST on eth0 of the calling thread's namespace; None when nobody gives an address in time."""
    identity = _option(_IA_NA, struct.pack("!III", 1, 0, 0))
    with _client() as client:
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            offer = _exchange(client, mac_address, (_SOLICIT, _ADVERTISE), identity)
            if offer is None or _IA_ADDRESS not in _parse(offer.get(_IA_NA, b"")[12:]):
                continue
            chosen = _option(_SERVER_ID, offer[_SERVER_ID]) + _option(_IA_NA, offer[_IA_NA])
            reply = _exchange(client, mac_address, (_REQUEST, _REPLY), chosen)
            if reply is not None:
                given = _parse(reply[_IA_NA][12:])[_IA_ADDRESS]
                return Answer(str(IPv6Address(given[:16])), reply)
    return None


def ask_for_the_rest(mac_address: str, *, within_seconds: float = 5) -> Answer | None:
    """INFORMATION-REQUEST, for who has an address."""
    with _client() as client:
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            reply = _exchange(client, mac_address, (_INFORMATION_REQUEST, _REPLY), b"")
            if reply is not None:
                return Answer(None, reply)
    return None


def _client() -> socket.socket:
    client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    client.bind(("::", 546))
    client.settimeout(0.5)
    return client


def _exchange(client: socket.socket, mac_address: str, kinds: tuple[int, int], options: bytes) -> Options | None:
    transaction = os.urandom(3)
    identity = struct.pack("!HH", 3, 1) + bytes.fromhex(mac_address.replace(":", ""))
    wanted = struct.pack(f"!{len(_WANTED)}H", *_WANTED)
    asked = _option(_CLIENT_ID, identity) + _option(_REQUESTED, wanted) + _option(_ELAPSED, b"\0\0") + options
    try:
        client.sendto(bytes((kinds[0],)) + transaction + asked, (_RELAYS_AND_SERVERS, 547))
        while True:
            answer = client.recv(2000)
            if answer[0] == kinds[1] and answer[1:4] == transaction:
                return _parse(answer[4:])
    except OSError:
        # Nobody answers, or the link-local address is not ready yet.
        time.sleep(0.1)
        return None


def _option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def _parse(raw: bytes) -> Options:
    found: Options = {}
    while len(raw) >= 4:
        code, length = struct.unpack("!HH", raw[:4])
        found[code] = raw[4 : 4 + length]
        raw = raw[4 + length :]
    return found
