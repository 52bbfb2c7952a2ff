"""`keystone`: the identity API. Reads keystone.conf."""

from pathlib import Path

from kilonova.cli.daemons.broker import open_bus, transport_url
from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import IDENTITY
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import open_database
from kilonova.identity import fernet_keys, log_ins
from kilonova.identity.app import make_app
from kilonova.identity.service import Identity
from kilonova.identity.tables import metadata
from kilonova.kit.bus import InProcessBus
from kilonova.kit.config import ConfigError

PORT = 5000


async def build(found: Read, daemon: Daemon) -> None:
    config = found.config
    database = open_database(config, "identity", metadata, "keystone-manage db_sync")
    daemon.closing.push_async_callback(database.close)
    # Without a broker the other services hear of a revocation when they next ask, not at once.
    bus = await open_bus(config) if transport_url(config) else InProcessBus()
    daemon.closing.push_async_callback(bus.close)
    try:
        keys = fernet_keys.load(Path(config.fernet_tokens.key_repository))
    except FileNotFoundError as error:
        directory = config.fernet_tokens.key_repository
        raise ConfigError(f"{directory} holds no token key: run `keystone-manage fernet_setup`") from error
    compliance = config.security_compliance
    identity = Identity(
        database,
        keys,
        bus,
        token_seconds=config.token.expiration,
        limits=log_ins.Limits(compliance.lockout_failure_attempts, compliance.lockout_duration),
        failures_before_delay=compliance.failures_before_delay,
    )
    ports = [config.bind_port or PORT, config.eventlet_server.admin_port]
    app = make_app(identity)
    daemon.apis += [("identity", app, config.bind_host, port) for port in dict.fromkeys(ports) if port]


def run() -> int:
    return main("keystone", "keystone", [IDENTITY], build)
