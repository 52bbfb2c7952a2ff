"""What keystone reads."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, old

IDENTITY: Options = {
    "token": [cfg.IntOpt("expiration", default=3600, min=60, help="Seconds a token is valid")],
    "fernet_tokens": [
        cfg.StrOpt("key_repository", default="/etc/keystone/fernet-keys/", help="Directory of the token keys")
    ],
    "security_compliance": [
        cfg.IntOpt(
            "lockout_failure_attempts",
            default=10,
            min=0,
            help="Failed log-ins in a row that lock an account, but not where its user has logged in before; 0: none",
        ),
        cfg.IntOpt("lockout_duration", default=300, min=1, help="Seconds until a locked account is free again"),
        cfg.IntOpt(
            "failures_before_delay",
            default=10,
            min=0,
            help="Failed log-ins of one address before the next ones from there are delayed; 0: none is",
        ),
    ],
    "eventlet_server": [
        cfg.PortOpt(
            "admin_port",
            default=None,
            help="A second port that serves the same, 35357 for clients of old; empty: none",
            deprecated_opts=old("admin_port", group="DEFAULT"),
        )
    ],
}
