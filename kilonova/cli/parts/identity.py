"""`keystone`: the identity API. Reads keystone.conf."""

import functools
from pathlib import Path

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.options import IDENTITY
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.identity import fernet_keys, log_ins
from kilonova.identity.app import make_app
from kilonova.identity.service import Identity
from kilonova.identity.tables import metadata
from kilonova.kit.config import ConfigError

PORT = 5000
SCHEMA = Schema("identity", metadata, "keystone-manage db_sync")


async def open_identity(ground: Ground) -> Identity:
    return await ground.shared("identity", functools.partial(_make, ground))


async def _make(ground: Ground) -> Identity:
    config, database = ground.config, await ground.database(SCHEMA)
    directory = Path(config.fernet_tokens.key_repository)
    try:
        keys = fernet_keys.load(directory)
    except FileNotFoundError as error:
        raise ConfigError(f"{directory} holds no token key: run `keystone-manage fernet_setup` first") from error
    compliance = config.security_compliance
    return Identity(
        database,
        keys,
        await ground.bus(is_needed=False),
        token_seconds=config.token.expiration,
        clock=ground.clock,
        limits=log_ins.Limits(compliance.lockout_failure_attempts, compliance.lockout_duration),
        failures_before_delay=compliance.failures_before_delay,
    )


async def build(ground: Ground) -> Running:
    config = ground.config
    app = make_app(await open_identity(ground))
    ports = [config.bind_port or PORT, config.eventlet_server.admin_port]
    return Running([Api("identity", app, config.bind_host, port) for port in dict.fromkeys(ports) if port])


API = Part("keystone", "keystone", [IDENTITY], build)
