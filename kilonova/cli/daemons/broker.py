"""What agents stand on too: the broker, and the name of their host. Nothing of databases is loaded for it."""

import socket
import ssl
from typing import Any
from urllib.parse import quote

from kilonova.kit.bus import Bus
from kilonova.kit.bus.transport_url import BadTransportUrl
from kilonova.kit.bus.transports import make_bus
from kilonova.kit.config import ConfigError


def host_name(config: Any) -> str:
    return config.host or socket.gethostname()


def transport_url(config: Any) -> str:
    """Of `transport_url`, or of the old spellings; empty where there is neither."""
    old = config.oslo_messaging_rabbit
    if config.transport_url or not old.rabbit_host:
        url: str = config.transport_url
        return url
    return f"rabbit://{old.rabbit_userid}:{quote(old.rabbit_password, safe='')}@{old.rabbit_host}:{old.rabbit_port}"


def tls_of(config: Any) -> ssl.SSLContext | None:
    """Returns what the broker's certificate is checked with; None where TLS is not spoken."""
    if not config.oslo_messaging_rabbit.ssl:
        return None
    return ssl.create_default_context(cafile=config.oslo_messaging_rabbit.ssl_ca_file or None)


async def open_bus(config: Any) -> Bus:
    """Raises ConfigError."""
    url = transport_url(config)
    if not url:
        raise ConfigError("[DEFAULT] transport_url is missing: rabbit://USER:PASSWORD@HOST")
    return await open_bus_at(url, config)


async def open_bus_at(url: str, config: Any) -> Bus:
    """Raises ConfigError."""
    try:
        bus = make_bus(url, tls_of(config))
    except BadTransportUrl as error:
        raise ConfigError(f"[DEFAULT] transport_url: {error}") from error
    await bus.start()
    return bus
