"""What every daemon reads."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, credentials, old


def _old_broker_options() -> list[cfg.Opt]:
    """The broker's parts, where there is no transport_url."""

    def also_in_default(name: str) -> list[cfg.DeprecatedOpt]:
        return old(name, group="DEFAULT")

    return [
        cfg.StrOpt(
            "rabbit_host",
            default="",
            help="Old spelling of the broker's host, where there is no transport_url",
            deprecated_opts=also_in_default("rabbit_host"),
        ),
        cfg.PortOpt(
            "rabbit_port",
            default=5672,
            help="Old spelling of the broker's port",
            deprecated_opts=also_in_default("rabbit_port"),
        ),
        cfg.StrOpt(
            "rabbit_userid",
            default="guest",
            help="Old spelling of the broker's user",
            deprecated_opts=also_in_default("rabbit_userid"),
        ),
        cfg.StrOpt(
            "rabbit_password",
            default="guest",
            secret=True,
            help="Old spelling of the broker's password",
            deprecated_opts=also_in_default("rabbit_password"),
        ),
    ]


COMMON: Options = {
    "DEFAULT": [
        cfg.StrOpt("my_ip", default="127.0.0.1", help="Address of this host"),
        cfg.StrOpt("host", default="", help="Name of this host; empty: what the system calls itself"),
        cfg.StrOpt("transport_url", default="", secret=True, help="The broker: rabbit://USER:PASSWORD@HOST"),
        cfg.BoolOpt("debug", default=False, help="Log at level DEBUG"),
        cfg.StrOpt("log_file", default="", help="Where the log goes; empty: standard error"),
        cfg.StrOpt("log_dir", default="", help="Directory of log_file; alone: the log is DIRECTORY/PROGRAM.log"),
        cfg.StrOpt("bind_host", default="0.0.0.0", help="Address the API listens on"),  # noqa: S104 - as the guides have it
        cfg.PortOpt("bind_port", default=None, help="Port the API listens on; empty: the service's own"),
    ],
    "metrics": [
        cfg.PortOpt("port", default=None, help="Where the process tells its counters, in the OpenMetrics format"),
        cfg.StrOpt("listen", default="127.0.0.1", help="Address of that port"),
    ],
    "wsgi": [
        cfg.IntOpt("max_connections", default=0, min=0, help="In all; 0: as the limit of open descriptors allows"),
        cfg.IntOpt("max_connections_per_address", default=512, min=0, help="0: no limit, for a cloud behind a proxy"),
        cfg.IntOpt("max_header_bytes", default=65_536, min=1024, help="A request's first line and headers"),
        cfg.IntOpt("header_timeout", default=30, min=1, help="Seconds a request's headers may take"),
        cfg.IntOpt("client_socket_timeout", default=60, min=1, help="Seconds a body may come to a halt"),
        cfg.IntOpt("keep_alive_timeout", default=75, min=1, help="Seconds an idle connection is kept"),
    ],
    "oslo_middleware": [
        cfg.BoolOpt("enable_proxy_headers_parsing", default=False, help="Believe X-Forwarded-Proto and -For"),
        cfg.ListOpt("trusted_proxies", default=["127.0.0.1", "::1"], help="Of which addresses they are believed"),
    ],
    "database": [cfg.StrOpt("connection", default="", secret=True, help="URL of the service's database")],
    "keystone_authtoken": credentials(
        cfg.StrOpt(
            "www_authenticate_uri",
            default="",
            help="What callers without a token are told",
            deprecated_opts=old("auth_uri"),
        ),
        cfg.StrOpt("cafile", default="", help="Certificates that sign those of identity and the other services"),
        cfg.BoolOpt("insecure", default=False, help="Take any certificate of theirs"),
        cfg.ListOpt(
            "memcached_servers",
            default=[],
            help="HOST:PORT of each: checked tokens are shared with the service's other processes",
            deprecated_opts=old("memcache_servers"),
        ),
        cfg.StrOpt(
            "memcache_secret_key",
            default="",
            secret=True,
            help="Seals what is shared, the same in every process of the service; empty: its password does",
        ),
        cfg.IntOpt("token_cache_time", default=300, min=0, help="Seconds until identity is asked about a token again"),
    ),
    "oslo_messaging_rabbit": [
        *_old_broker_options(),
        cfg.BoolOpt("ssl", default=False, help="Speak TLS with the broker", deprecated_opts=old("rabbit_use_ssl")),
        cfg.StrOpt(
            "ssl_ca_file",
            default="",
            help="Certificates that sign the broker's",
            deprecated_opts=old("kombu_ssl_ca_certs"),
        ),
    ],
}
