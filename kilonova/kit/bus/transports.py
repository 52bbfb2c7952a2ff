"""Which transport a `transport_url` means. Each is only loaded where it is used."""

import ssl
from typing import Protocol

from kilonova.kit.bus.interface import Bus
from kilonova.kit.bus.notices import Publisher
from kilonova.kit.bus.transport_url import parse_transport_url


class BrokeredBus(Bus, Protocol):
    """A bus that has to connect."""

    async def start(self) -> None:
        """Begins to connect, and goes on doing so until closed; does not wait for a broker."""
        ...


def make_bus(transport_url: str, tls: ssl.SSLContext | None = None) -> BrokeredBus:
    """Not yet started. Raises BadTransportUrl."""
    brokers = parse_transport_url(transport_url)
    if transport_url.startswith("nats://"):
        from kilonova.kit.bus.nats import NatsBus

        return NatsBus(brokers, tls)
    from kilonova.kit.bus.rabbit import RabbitBus

    return RabbitBus(brokers, tls)


def make_publisher(transport_url: str, exchange: str, tls: ssl.SSLContext | None = None) -> Publisher:
    """Returns one that connects when it first publishes. Raises BadTransportUrl."""
    brokers = parse_transport_url(transport_url)
    if transport_url.startswith("nats://"):
        from kilonova.kit.bus.nats_notices import NatsPublisher

        return NatsPublisher(brokers, exchange, tls)
    from kilonova.kit.bus.rabbit_notices import RabbitPublisher

    return RabbitPublisher(brokers, exchange, tls)
