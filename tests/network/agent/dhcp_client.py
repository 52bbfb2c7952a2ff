"""A DHCP client for tests: asks once and returns what it was offered (RFC 2131, 2132)."""

import os
import socket
import struct
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address

_MAGIC = bytes((99, 130, 83, 99))
_DISCOVER, _REQUEST, _ACK = 1, 3, 5
_REQUESTED_OPTIONS = bytes((1, 3, 6, 12, 15, 26, 42, 51, 54, 66, 67, 121, 249))


@dataclass
class Lease:
    address: str
    options: dict[int, bytes] = field(default_factory=dict)

    def addresses(self, code: int) -> list[str]:
        raw = self.options.get(code, b"")
        return [str(IPv4Address(raw[start : start + 4])) for start in range(0, len(raw), 4)]

    @property
    def mtu(self) -> int:
        return int.from_bytes(self.options[26])

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Option 121 as (destination, gateway)."""
        raw, found = self.options.get(121, b""), []
        while raw:
            length = raw[0]
            octets = (length + 7) // 8
            destination = IPv4Address(raw[1 : 1 + octets].ljust(4, b"\0"))
            found.append((f"{destination}/{length}", str(IPv4Address(raw[1 + octets : 5 + octets]))))
            raw = raw[5 + octets :]
        return found


def ask_for_lease(mac_address: str, *, within_seconds: float = 3) -> Lease | None:
    """DISCOVER and REQUEST on eth0 of the calling thread's namespace; None when nobody grants a lease in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        client.bind(("0.0.0.0", 68))
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            offer = _exchange(client, mac_address, _DISCOVER, b"")
            if offer is not None:
                chosen = bytes((50, 4)) + IPv4Address(offer.address).packed + bytes((54, 4)) + offer.options[54]
                lease = _exchange(client, mac_address, _REQUEST, chosen)
                if lease is not None and lease.options[53] == bytes((_ACK,)):
                    return lease
    return None


def _exchange(client: socket.socket, mac_address: str, kind: int, options: bytes) -> Lease | None:
    transaction = os.urandom(4)
    hardware = bytes.fromhex(mac_address.replace(":", ""))
    header = struct.pack("!BBBB4sHH16x16s192x", 1, 1, 6, 0, transaction, 0, 0x8000, hardware.ljust(16, b"\0"))
    asked = bytes((53, 1, kind, 55, len(_REQUESTED_OPTIONS))) + _REQUESTED_OPTIONS + options + b"\xff"
    client.sendto(header + _MAGIC + asked, ("255.255.255.255", 67))
    client.settimeout(0.5)
    try:
        while True:
            answer = client.recv(2000)
            if answer[4:8] == transaction:
                return Lease(str(IPv4Address(answer[16:20])), _parse_options(answer[240:]))
    except TimeoutError:
        return None


def _parse_options(raw: bytes) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while raw and raw[0] != 255:
        if raw[0] == 0:
            raw = raw[1:]
            continue
        code, length = raw[0], raw[1]
        options[code] = options.get(code, b"") + raw[2 : 2 + length]
        raw = raw[2 + length :]
    return options
