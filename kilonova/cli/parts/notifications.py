"""From the options about notifications to who publishes them; off unless a driver is named and the format is served."""

from collections.abc import Sequence

from kilonova.cli.daemons.broker import tls_of, transport_url
from kilonova.cli.grounds.ground import Ground
from kilonova.cli.parts.part import Work
from kilonova.compute.notifications.notifier import Notifier
from kilonova.kit.bus.notices import Publisher
from kilonova.kit.bus.transport_url import BadTransportUrl
from kilonova.kit.bus.transports import make_publisher
from kilonova.kit.config import ConfigError
from kilonova.kit.log import logger

log = logger(__name__)

DRIVER, SILENT = "messagingv2", ("", "noop")
EXCHANGE = "nova"


async def open_notifier(ground: Ground) -> Notifier | None:
    """Returns the one of this process; None where nothing is to be told. Raises ConfigError."""
    return await ground.shared("notifier", lambda: _make(ground))


async def _make(ground: Ground) -> Notifier | None:
    config = ground.config
    drivers = [each for each in config.oslo_messaging_notifications.driver if each not in SILENT]
    if not drivers:
        return None
    _refuse_unknown(drivers)
    kind = config.notifications.notification_format
    if kind != "versioned":
        log.warning("unversioned notifications are not sent", notification_format=kind, served="versioned")
    if kind == "unversioned":
        return None
    return Notifier(
        _publisher(ground),
        host=ground.hosts[0],
        topics=config.notifications.versioned_notifications_topics,
        on_states=config.notifications.notify_on_state_change or "",
        clock=ground.clock,
    )


def _refuse_unknown(drivers: Sequence[str]) -> None:
    for each in drivers:
        if each != DRIVER:
            raise ConfigError(
                f"[oslo_messaging_notifications] driver: {each!r} is none of {DRIVER}, noop: notifications go to a "
                "broker, in the envelope of version 2.0, or nowhere"
            )


def _publisher(ground: Ground) -> Publisher:
    """Raises ConfigError."""
    config = ground.config
    url = config.oslo_messaging_notifications.transport_url or transport_url(config)
    if not url:
        raise ConfigError(
            "[oslo_messaging_notifications] transport_url is missing: rabbit://USER:PASSWORD@HOST, or nats://…"
        )
    try:
        return make_publisher(url, EXCHANGE, tls_of(config))
    except BadTransportUrl as error:
        raise ConfigError(f"[oslo_messaging_notifications] transport_url: {error}") from error


def publish_notices(ground: Ground, notifier: Notifier | None) -> list[Work]:
    """Returns the work of one part of the process: they share a notifier."""
    return [notifier.run] if notifier is not None and ground.is_first("notices are published") else []
