"""DHCP options of single ports: which there are, and what may be in them. Pure.

They become lines of a file that the network's DHCP server reads, beside those of other projects' ports: what could end
a line or begin a comment is refused. Names are the server's own (`dnsmasq --help dhcp` and `dhcp6`), from the registry
of RFC 2132 and its successors; others go by their number.
"""

import ipaddress
import re
from collections.abc import Mapping

from kilonova.network.errors import InvalidInput

ADDRESSES = frozenset(
    "netmask router dns-server log-server lpr-server swap-server policy-filter router-solicitation static-route "
    "nis-server ntp-server netbios-ns netbios-dd x-windows-fs x-windows-dm nis+-server mobile-ip-home smtp-server "
    "pop3-server nntp-server irc-server tftp-server-address server-ip-address".split()
)
"""IPv4 addresses, separated by commas."""
NUMBERS = frozenset(
    "time-offset boot-file-size max-datagram-reassembly default-ttl mtu arp-timeout tcp-ttl tcp-keepalive T1 T2 "
    "netbios-nodetype ip-forward-enable non-local-source-routing all-subnets-local router-discovery "
    "trailer-encapsulation ethernet-encap ipv6-only".split()
)
TEXTS = frozenset(
    "domain-name root-path extension-path nis-domain netbios-scope vendor-class nis+-domain tftp-server bootfile-name "
    "user-class rapid-commit client-arch client-interface-id client-machine-id posix-timezone tzdb-timezone "
    "domain-search sip-server classless-static-route vendor-id-encap".split()
)
IPV6_ADDRESSES = frozenset("sip-server dns-server nis-server nis+-server sntp-server ntp-server".split())
IPV6_OTHERS = frozenset(
    "sip-server-domain domain-search nis-domain nis+-domain information-refresh-time posix-timezone tzdb-timezone "
    "bootfile-url bootfile-param".split()
)
KNOWN: Mapping[int, frozenset[str]] = {4: ADDRESSES | NUMBERS | TEXTS, 6: IPV6_ADDRESSES | IPV6_OTHERS}
"""IP version → the names of its options."""
MOST_NUMBER: Mapping[int, int] = {4: 255, 6: 65535}

_VALUE = re.compile(r"(?!#)[ !#-\[\]-~]+")
"""What can be printed, without quotes and backslashes, which the server gives a meaning of their own."""


def is_sendable(name: str, value: str, ip_version: int) -> bool:
    try:
        check(name, value, ip_version)
    except InvalidInput:
        return False
    return True


def check(name: str, value: str, ip_version: int) -> None:
    """Raises InvalidInput for an option that the server would not know, or a value it would not send."""
    is_number = name.isascii() and name.isdecimal()
    if name not in KNOWN[ip_version] and not (is_number and 1 <= int(name) <= MOST_NUMBER[ip_version]):
        raise InvalidInput(
            f"extra DHCP option {name!r} is not known for IPv{ip_version}: possible are numbers from 1 to "
            f"{MOST_NUMBER[ip_version]}, and {', '.join(sorted(KNOWN[ip_version]))}."
        )
    if not _VALUE.fullmatch(value) or " #" in value:
        raise InvalidInput(
            f"extra DHCP option {name} has a value with characters that cannot be sent: letters, digits and signs "
            'are possible, but ", \\, and # at the beginning of a word.'
        )
    if ip_version == 4 and name in NUMBERS and not (value.isdecimal() and int(value) < 1 << 32):
        raise InvalidInput(f"extra DHCP option {name} is a number, which {value!r} is not.")
    if name in (ADDRESSES if ip_version == 4 else IPV6_ADDRESSES):
        for each in value.split(","):
            _check_address(name, each.strip("[] "), ip_version)


def _check_address(name: str, text: str, ip_version: int) -> None:
    try:
        fits = ipaddress.ip_address(text).version == ip_version
    except ValueError:
        fits = False
    if not fits:
        raise InvalidInput(f"extra DHCP option {name} is IPv{ip_version} addresses, which {text!r} is not.")
