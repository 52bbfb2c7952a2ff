"""What compute hosts and the proxies in front of their consoles read."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, old, once

CONSOLES: Options = {
    "vnc": [
        cfg.BoolOpt("enabled", default=True, help="Servers have screens for VNC", deprecated_opts=once("vnc_enabled")),
        cfg.StrOpt(
            "server_listen",
            default="127.0.0.1",
            help="Address the servers' screens are served on, on their host",
            deprecated_opts=once("vncserver_listen"),
        ),
        cfg.StrOpt(
            "server_proxyclient_address",
            default="127.0.0.1",
            help="Where the proxy reaches this host's screens",
            deprecated_opts=once("vncserver_proxyclient_address"),
        ),
        cfg.StrOpt(
            "keymap",
            default="",
            help="Keyboard of the servers, as QEMU names it; empty: as the user's is",
            deprecated_opts=once("vnc_keymap"),
        ),
        cfg.StrOpt(
            "novncproxy_base_url",
            default="http://127.0.0.1:6080/vnc_auto.html",
            help="The proxy's page, as users reach it",
            deprecated_opts=old("novncproxy_base_url", group="DEFAULT"),
        ),
        cfg.StrOpt(
            "novncproxy_host",
            default="0.0.0.0",  # noqa: S104 - as the guides have it
            help="Address the proxy listens on",
            deprecated_opts=old("novncproxy_host", group="DEFAULT"),
        ),
        cfg.PortOpt(
            "novncproxy_port",
            default=6080,
            help="Its port",
            deprecated_opts=old("novncproxy_port", group="DEFAULT"),
        ),
    ],
    "spice": [
        cfg.BoolOpt("enabled", default=False, help="Servers have screens for SPICE"),
        cfg.BoolOpt("agent_enabled", default=True, help="Servers have a channel for SPICE's agent in the guest"),
        cfg.StrOpt("keymap", default="", help="Keyboard of the servers, as QEMU names it; empty: as the user's is"),
        cfg.StrOpt("server_listen", default="127.0.0.1", help="Address the screens are served on, on their host"),
        cfg.StrOpt(
            "server_proxyclient_address", default="127.0.0.1", help="Where the proxy reaches this host's screens"
        ),
        cfg.StrOpt(
            "html5proxy_base_url",
            default="http://127.0.0.1:6082/spice_auto.html",
            help="The proxy's page, as users reach it",
        ),
        cfg.StrOpt(
            "spice_direct_proxy_base_url",
            default="",
            help="A proxy for SPICE clients that are no browsers, as users reach it; empty: there is none",
        ),
        cfg.StrOpt("html5proxy_host", default="0.0.0.0", help="Address the proxy listens on"),  # noqa: S104
        cfg.PortOpt("html5proxy_port", default=6082, help="Its port"),
    ],
    "serial_console": [
        cfg.BoolOpt("enabled", default=False, help="Servers' serial lines can be typed on"),
        cfg.StrOpt("port_range", default="10000:20000", help="Ports for them on each host, FIRST:LAST"),
        cfg.StrOpt("proxyclient_address", default="127.0.0.1", help="Address those ports are on"),
        cfg.StrOpt("base_url", default="ws://127.0.0.1:6083/", help="The proxy, as users reach it"),
        cfg.StrOpt("serialproxy_host", default="0.0.0.0", help="Address the proxy listens on"),  # noqa: S104
        cfg.PortOpt("serialproxy_port", default=6083, help="Its port"),
    ],
    "consoleauth": [
        cfg.IntOpt(
            "token_ttl",
            default=600,
            min=1,
            help="Seconds in which a console can be opened after it was asked for",
            deprecated_opts=old("console_token_ttl", group="DEFAULT"),
        )
    ],
    "console": [
        cfg.ListOpt(
            "allowed_origins",
            default=[],
            help="Names of hosts, besides the proxies' own, whose pages may open consoles",
            deprecated_opts=old("console_allowed_origins", group="DEFAULT"),
        )
    ],
}
"""What compute hosts and the proxies in front of their consoles read."""
