"""What the daemons read from their configuration files: groups and names are upstream's, with the old spellings.

Each option says what it does here. What files written for the guides hold beside them is in `without_effect.py`, with
the reason; anything else in a file stops the start.
"""

from collections.abc import Mapping, Sequence

from oslo_config import cfg

Options = Mapping[str, Sequence[cfg.Opt]]


def _old(*names: str, group: str | None = None) -> list[cfg.DeprecatedOpt]:
    return [cfg.DeprecatedOpt(name, group=group) for name in names]


def _credentials(*extra: cfg.Opt) -> list[cfg.Opt]:
    """How a service proves who it is, wherever it has to."""
    return [
        cfg.StrOpt("auth_url", default="http://127.0.0.1:5000", help="Where identity is"),
        cfg.StrOpt("username", default="", help="The service's user", deprecated_opts=_old("user_name", "admin_user")),
        cfg.StrOpt("password", default="", secret=True, help="Its password", deprecated_opts=_old("admin_password")),
        cfg.StrOpt(
            "project_name",
            default="service",
            help="The project it works in",
            deprecated_opts=_old("tenant_name", "admin_tenant_name"),
        ),
        cfg.StrOpt("user_domain_name", default="Default", help="Domain of the user"),
        cfg.StrOpt("user_domain_id", default="", help="The same by its id, which goes before the name"),
        cfg.StrOpt("project_domain_name", default="Default", help="Domain of the project"),
        cfg.StrOpt("project_domain_id", default="", help="The same by its id, which goes before the name"),
        cfg.StrOpt(
            "region_name", default="", help="Region of the catalog to use", deprecated_opts=_old("os_region_name")
        ),
        *extra,
    ]


def _old_broker_options() -> list[cfg.Opt]:
    """The broker's parts, where there is no transport_url."""

    def also_in_default(name: str) -> list[cfg.DeprecatedOpt]:
        return _old(name, group="DEFAULT")

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


def _once(name: str) -> list[cfg.DeprecatedOpt]:
    """An option of consoles that stood in [DEFAULT] once, and was called otherwise in its own group then."""
    return [*_old(name), *_old(name, group="DEFAULT")]


def _workers(name: str) -> cfg.Opt:
    return cfg.IntOpt(name, default=1, min=1, help="Processes of the daemon; `--workers` goes before it")


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
    "keystone_authtoken": _credentials(
        cfg.StrOpt(
            "www_authenticate_uri",
            default="",
            help="What callers without a token are told",
            deprecated_opts=_old("auth_uri"),
        ),
        cfg.StrOpt("cafile", default="", help="Certificates that sign those of identity and the other services"),
        cfg.BoolOpt("insecure", default=False, help="Take any certificate of theirs"),
        cfg.ListOpt(
            "memcached_servers",
            default=[],
            help="HOST:PORT of each: checked tokens are shared with the service's other processes",
            deprecated_opts=_old("memcache_servers"),
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
        cfg.BoolOpt("ssl", default=False, help="Speak TLS with the broker", deprecated_opts=_old("rabbit_use_ssl")),
        cfg.StrOpt(
            "ssl_ca_file",
            default="",
            help="Certificates that sign the broker's",
            deprecated_opts=_old("kombu_ssl_ca_certs"),
        ),
    ],
}
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
            deprecated_opts=_old("admin_port", group="DEFAULT"),
        )
    ],
}
IMAGE: Options = {
    "DEFAULT": [_workers("workers")],
    "glance_store": [
        cfg.StrOpt("filesystem_store_datadir", default="/var/lib/glance/images/", help="Directory of the images"),
        cfg.IntOpt("image_size_cap", default=1 << 40, min=1, help="Largest image in bytes that may be uploaded"),
        cfg.IntOpt(
            "filesystem_store_reserve",
            default=-1,
            min=-1,
            help="Bytes of their file system that uploads leave free; -1: 5 % of it, at most 1 GiB",
        ),
    ],
    "quota": [
        cfg.IntOpt("image_count_total", default=1000, min=-1, help="Most images of a project; -1: no limit"),
        cfg.IntOpt("image_size_total", default=256_000, min=-1, help="Most MiB of a project's images; -1: no limit"),
    ],
}
PLACEMENT: Options = {
    "placement_database": [
        cfg.StrOpt("connection", default="", secret=True, help="URL of placement's database; goes before [database]")
    ],
}
CONSOLES: Options = {
    "vnc": [
        cfg.BoolOpt("enabled", default=True, help="Servers have screens for VNC", deprecated_opts=_once("vnc_enabled")),
        cfg.StrOpt(
            "server_listen",
            default="127.0.0.1",
            help="Address the servers' screens are served on, on their host",
            deprecated_opts=_once("vncserver_listen"),
        ),
        cfg.StrOpt(
            "server_proxyclient_address",
            default="127.0.0.1",
            help="Where the proxy reaches this host's screens",
            deprecated_opts=_once("vncserver_proxyclient_address"),
        ),
        cfg.StrOpt(
            "keymap",
            default="",
            help="Keyboard of the servers, as QEMU names it; empty: as the user's is",
            deprecated_opts=_once("vnc_keymap"),
        ),
        cfg.StrOpt(
            "novncproxy_base_url",
            default="http://127.0.0.1:6080/vnc_auto.html",
            help="The proxy's page, as users reach it",
            deprecated_opts=_old("novncproxy_base_url", group="DEFAULT"),
        ),
        cfg.StrOpt(
            "novncproxy_host",
            default="0.0.0.0",  # noqa: S104 - as the guides have it
            help="Address the proxy listens on",
            deprecated_opts=_old("novncproxy_host", group="DEFAULT"),
        ),
        cfg.PortOpt(
            "novncproxy_port",
            default=6080,
            help="Its port",
            deprecated_opts=_old("novncproxy_port", group="DEFAULT"),
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
            deprecated_opts=_old("console_token_ttl", group="DEFAULT"),
        )
    ],
    "console": [
        cfg.ListOpt(
            "allowed_origins",
            default=[],
            help="Names of hosts, besides the proxies' own, whose pages may open consoles",
            deprecated_opts=_old("console_allowed_origins", group="DEFAULT"),
        )
    ],
}
"""What compute hosts and the proxies in front of their consoles read."""
QUOTAS = (
    ("instances", 10),
    ("cores", 20),
    ("ram", 51200),
    ("metadata_items", 128),
    ("injected_files", 5),
    ("injected_file_content_bytes", 10240),
    ("injected_file_path_length", 255),
    ("key_pairs", 100),
    ("server_groups", 10),
    ("server_group_members", 10),
)
"""Default limits of a project, for those that neither the project nor its quota class sets; ram in MiB."""
COMPUTE: Options = {
    "DEFAULT": [
        cfg.StrOpt("compute_driver", default="libvirt.LibvirtDriver", help="libvirt.LibvirtDriver, fake.FakeDriver"),
        cfg.StrOpt("state_path", default="/var/lib/nova", help="Directory of what this host keeps"),
        cfg.StrOpt("instances_path", default="$state_path/instances", help="Directory of the servers' disks"),
        cfg.StrOpt("osapi_compute_listen", default="0.0.0.0", help="Address the API listens on"),  # noqa: S104
        cfg.PortOpt("osapi_compute_listen_port", default=8774, help="Port the API listens on"),
        _workers("osapi_compute_workers"),
        cfg.StrOpt("metadata_listen", default="0.0.0.0", help="Address the metadata API listens on"),  # noqa: S104
        cfg.PortOpt("metadata_listen_port", default=8775, help="Port the metadata API listens on"),
        _workers("metadata_workers"),
        cfg.ListOpt("enabled_apis", default=["osapi_compute", "metadata"], help="Which APIs nova-api serves"),
        cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts that name none"),
        cfg.FloatOpt("cpu_allocation_ratio", default=4.0, min=0.1, help="Virtual processors for each of the host's"),
        cfg.FloatOpt("ram_allocation_ratio", default=1.0, min=0.1, help="Memory of servers for each MiB of the host's"),
        cfg.FloatOpt("disk_allocation_ratio", default=1.0, min=0.1, help="Disk of servers for each GiB of the host's"),
        cfg.IntOpt("reserved_host_cpus", default=0, min=0, help="Processors kept for the host itself"),
        cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="MiB of memory kept for the host itself"),
        cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="MiB of disk kept for the host itself"),
        cfg.StrOpt("web", default="", help="Directory of the console proxies' pages; empty: noVNC's, or spice-html5's"),
    ],
    "conductor": [_workers("workers")],
    "api_database": [
        cfg.StrOpt("connection", default="", secret=True, help="URL of the region's database; empty: [database] is it")
    ],
    "scheduler": [
        _workers("workers"),
        cfg.IntOpt(
            "discover_hosts_in_cells_interval",
            default=-1,
            help="Seconds between searches for hosts that are not mapped to a cell; -1: never, hosts map themselves",
        ),
    ],
    "quota": [cfg.IntOpt(name, default=default, min=-1, help="-1: no limit") for name, default in QUOTAS],
    "libvirt": [
        cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"], help="auto asks the CPU's flags"),
        cfg.StrOpt(
            "cpu_mode",
            default="",
            choices=["", "host-model", "host-passthrough", "custom", "none"],
            help="Which processor guests see; empty: the host's model with KVM, all that is emulated without",
        ),
        cfg.ListOpt(
            "cpu_models",
            default=[],
            help="With cpu_mode custom: the model, as libvirt names it; of several the first",
            deprecated_opts=_old("cpu_model"),
        ),
        cfg.StrOpt("connection_uri", default="qemu:///system", help="Where libvirt is; empty: a libvirtd of its own"),
    ],
    "fake": [
        # As large as upstream's is, so that the same loads fit.
        cfg.IntOpt("vcpus", default=1000, min=1, help="Processors of a simulated host"),
        cfg.IntOpt("memory_mb", default=800_000, min=1, help="Its memory in MiB"),
        cfg.IntOpt("disk_gb", default=600_000, min=1, help="Its disk in GiB"),
    ],
    "glance": [
        cfg.ListOpt(
            "api_servers",
            default=[],
            help="Where images are; empty: the catalog says it",
            deprecated_opts=_old("glance_api_servers", group="DEFAULT"),
        )
    ],
    **CONSOLES,
    "placement": _credentials(),
    "neutron": _credentials(
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What metadata agents sign with"),
    ),
}
NETWORK: Options = {
    "DEFAULT": [
        cfg.IntOpt("global_physnet_mtu", default=1500, min=576, help="Bytes that fit through the underlay"),
        _workers("api_workers"),
    ],
    "ml2": [cfg.IntOpt("path_mtu", default=0, min=0, help="Bytes that fit between tunnels' ends; 0: as the underlay")],
    "nova": _credentials(),
    "ml2_type_flat": [cfg.ListOpt("flat_networks", default=["*"], help="Physical networks that may be flat")],
    "ml2_type_vxlan": [cfg.ListOpt("vni_ranges", default=["1:1000"], help="Numbers of vxlan networks")],
}
NETWORK_AGENT: Options = {
    "linux_bridge": [
        cfg.DictOpt("physical_interface_mappings", default={}, help="physical network:interface that joins brq…"),
        cfg.DictOpt("bridge_mappings", default={}, help="physical network:bridge that exists, used as it is"),
    ],
    "vxlan": [
        cfg.BoolOpt("enable_vxlan", default=True, help="Carry vxlan networks"),
        cfg.StrOpt("local_ip", default="", help="Underlay address; without one vxlan networks stay inside this host"),
        cfg.BoolOpt("l2_population", default=False, help="Forward known addresses instead of flooding"),
    ],
    "DEFAULT": [
        cfg.StrOpt("state_path", default="/var/lib/neutron", help="Directory of what this host keeps"),
        cfg.StrOpt(
            "nova_metadata_host",
            default="127.0.0.1",
            help="Where the metadata API is",
            deprecated_opts=_old("nova_metadata_ip"),
        ),
        cfg.PortOpt("nova_metadata_port", default=8775, help="Its port"),
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What requests to it are signed with"),
        cfg.StrOpt("network_driver", default="linux", choices=["linux", "fake"], help="What networks are made of"),
    ],
}

PROJECTS: Mapping[str, Sequence[Options]] = {
    "keystone": [IDENTITY],
    "glance": [IMAGE],
    # In the releases where placement was a part of nova, its options stand in nova's file.
    "placement": [PLACEMENT, COMPUTE],
    "nova": [COMPUTE, PLACEMENT],
    "neutron": [NETWORK, NETWORK_AGENT],
}
"""A project's daemons share files: what one of them does not read may be another's."""

UP: Options = {
    "DEFAULT": [
        cfg.StrOpt("region_name", default="RegionOne", help="The region in the catalog"),
        cfg.StrOpt("compute_driver", default="libvirt", choices=["libvirt", "fake"], help="Hypervisor of the agents"),
        cfg.IntOpt("fake_hosts", default=1, min=1, help="Simulated hosts with the fake driver"),
        cfg.StrOpt("log_level", default="INFO", help="Least level that is logged"),
    ],
    "passwords": [
        cfg.StrOpt(name, secret=True, help=f"Password of the user {name}")
        for name in ("admin", "demo", "nova", "glance", "placement", "neutron")
    ],
    "libvirt": COMPUTE["libvirt"],
    "glance_store": IMAGE["glance_store"],
    "neutron": [each for each in COMPUTE["neutron"] if each.name == "metadata_proxy_shared_secret"],
}
"""What `kilonova up` and the commands beside it read from kilonova.conf, besides what its parts read there."""
