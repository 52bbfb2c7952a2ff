"""Transport URLs, as `transport_url` spells them in the services' configuration files.

`rabbit://openstack:PASSWORD@controller`, several brokers and a virtual host in one:
`rabbit://u:p@one:5672,u:p@two:5672/cloud`. With `nats://` the brokers are NATS servers.
Source: the messaging library's documentation of transport URLs.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

PORTS = {"rabbit": 5672, "kombu": 5672, "nats": 4222}
"""By scheme: where a broker listens unless the URL says otherwise."""
_BROKER = re.compile(
    r"(?:(?P<user>[^:@]*)(?::(?P<password>[^@]*))?@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(?P<port>\d+))?"
)


class BadTransportUrl(Exception):
    """The sentence says what is wrong, and never holds the password."""


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_transport_url(url: str) -> list[Broker]:
    """The brokers, in the order they are tried. Raises BadTransportUrl."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in PORTS:
        raise BadTransportUrl(
            f"a transport URL begins with rabbit:// or nats://, not with {scheme.partition(':')[0]!r}"
        )
    hosts, _, path = rest.partition("?")[0].partition("/")
    virtual_host = unquote(path) or "/"
    # A password may hold a comma only as %2C: every comma parts two brokers.
    return [_broker(scheme, text, number, virtual_host) for number, text in enumerate(hosts.split(","), 1)]


def _broker(scheme: str, text: str, number: int, virtual_host: str) -> Broker:
    match = _BROKER.fullmatch(text)
    port = int(match["port"] or PORTS[scheme]) if match is not None else 0
    if match is None or port not in range(1, 65536):
        raise BadTransportUrl(f"broker {number} of the transport URL is not of the form USER:PASSWORD@HOST:PORT")
    nobody = "" if scheme == "nats" else "guest"
    return Broker(
        match["host"].strip("[]"),
        port,
        unquote(match["user"] or nobody),
        unquote(match["password"] or (nobody if match["user"] is None else "")),
        virtual_host,
    )
