"""What the daemons read from their configuration files: groups and names are upstream's, with the old spellings.

`SERVED` says what each option does here. `WITHOUT_EFFECT` are those that files written for the guides hold and that
change nothing, each with the reason, which is logged once at the start. Anything else in a file stops the start.
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
        cfg.StrOpt("project_domain_name", default="Default", help="Domain of the project"),
        cfg.StrOpt(
            "region_name", default="", help="Region of the catalog to use", deprecated_opts=_old("os_region_name")
        ),
        *extra,
    ]


COMMON: Options = {
    "DEFAULT": [
        cfg.StrOpt("my_ip", default="127.0.0.1", help="Address of this host"),
        cfg.StrOpt("host", default="", help="Name of this host; empty: what the system calls itself"),
        cfg.StrOpt("transport_url", default="", secret=True, help="The broker: rabbit://USER:PASSWORD@HOST"),
        cfg.StrOpt("rabbit_host", default="", help="Old spelling of the broker's host"),
        cfg.StrOpt("rabbit_userid", default="guest", help="Old spelling of the broker's user"),
        cfg.StrOpt("rabbit_password", default="guest", secret=True, help="Old spelling of the broker's password"),
        cfg.BoolOpt("debug", default=False, help="Log at level DEBUG"),
        cfg.StrOpt("log_file", default="", help="Where the log goes; empty: standard error"),
        cfg.StrOpt("bind_host", default="0.0.0.0", help="Address the API listens on"),  # noqa: S104 - as the guides have it
        cfg.PortOpt("bind_port", default=None, help="Port the API listens on; empty: the service's own"),
    ],
    "database": [cfg.StrOpt("connection", default="", secret=True, help="URL of the service's database")],
    "keystone_authtoken": _credentials(
        cfg.StrOpt(
            "www_authenticate_uri",
            default="",
            help="What callers without a token are told",
            deprecated_opts=_old("auth_uri"),
        )
    ),
    "oslo_messaging_rabbit": [
        cfg.BoolOpt("ssl", default=False, help="Speak TLS with the broker"),
        cfg.StrOpt("ssl_ca_file", default="", help="Certificates that sign the broker's"),
    ],
}
IDENTITY: Options = {
    "token": [
        cfg.IntOpt("expiration", default=3600, min=60, help="Seconds a token is valid"),
        cfg.StrOpt("provider", default="fernet", choices=["fernet"], help="The kind of token"),
    ],
    "fernet_tokens": [
        cfg.StrOpt("key_repository", default="/etc/keystone/fernet-keys/", help="Directory of the token keys")
    ],
}
IMAGE: Options = {
    "glance_store": [
        cfg.StrOpt("filesystem_store_datadir", default="/var/lib/glance/images/", help="Directory of the images"),
        cfg.IntOpt("image_size_cap", default=1 << 40, min=1, help="Largest image in bytes that may be uploaded"),
    ],
}
COMPUTE: Options = {
    "DEFAULT": [
        cfg.StrOpt("compute_driver", default="libvirt.LibvirtDriver", help="libvirt.LibvirtDriver, fake.FakeDriver"),
        cfg.StrOpt("state_path", default="/var/lib/nova", help="Directory of what this host keeps"),
        cfg.StrOpt("instances_path", default="$state_path/instances", help="Directory of the servers' disks"),
        cfg.StrOpt("osapi_compute_listen", default="0.0.0.0", help="Address the API listens on"),  # noqa: S104
        cfg.PortOpt("osapi_compute_listen_port", default=8774, help="Port the API listens on"),
        cfg.StrOpt("metadata_listen", default="0.0.0.0", help="Address the metadata API listens on"),  # noqa: S104
        cfg.PortOpt("metadata_listen_port", default=8775, help="Port the metadata API listens on"),
        cfg.ListOpt("enabled_apis", default=["osapi_compute", "metadata"], help="Which APIs nova-api serves"),
        cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts that name none"),
    ],
    "libvirt": [
        cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"], help="auto asks the CPU's flags"),
        cfg.StrOpt("connection_uri", default="", help="A libvirt URI; empty: the system's, or a private libvirtd"),
    ],
    "glance": [
        cfg.ListOpt(
            "api_servers",
            default=[],
            help="Where images are; empty: the catalog says it",
            deprecated_opts=_old("glance_api_servers", group="DEFAULT"),
        )
    ],
    "placement": _credentials(),
    "neutron": _credentials(
        cfg.BoolOpt("service_metadata_proxy", default=False, help="Trust what metadata agents sign"),
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What they sign with"),
    ),
}
NETWORK: Options = {
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
        cfg.StrOpt("nova_metadata_host", default="127.0.0.1", help="Where the metadata API is"),
        cfg.PortOpt("nova_metadata_port", default=8775, help="Its port"),
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What requests to it are signed with"),
        cfg.StrOpt("network_driver", default="linux", choices=["linux", "fake"], help="What networks are made of"),
    ],
}

_ONE_KIND = "there is only one kind here"
_NO_TUNING = "nothing here needs it"
WITHOUT_EFFECT: Mapping[str, str] = {
    "DEFAULT.auth_strategy": "callers are always checked at identity",
    "DEFAULT.rpc_backend": "transport_url names the broker",
    "DEFAULT.verbose": "levels above DEBUG are always logged",
    "DEFAULT.use_neutron": "networks are always the network service's",
    "DEFAULT.firewall_driver": "ports are filtered by the network agent",
    "DEFAULT.linuxnet_interface_driver": "interfaces are the network agent's",
    "DEFAULT.core_plugin": _ONE_KIND,
    "DEFAULT.service_plugins": "routers are always served",
    "DEFAULT.allow_overlapping_ips": "addresses of different networks always may overlap",
    "DEFAULT.interface_driver": _ONE_KIND,
    "DEFAULT.dhcp_driver": _ONE_KIND,
    "DEFAULT.enable_isolated_metadata": "metadata is always served in the network's namespace",
    "DEFAULT.force_metadata": "metadata is always served in the network's namespace",
    "DEFAULT.notify_nova_on_port_status_changes": "compute is always told",
    "DEFAULT.notify_nova_on_port_data_changes": "compute is always told",
    "DEFAULT.dhcp_agents_per_network": "one host serves a network's addresses",
    "DEFAULT.admin_token": "identity is bootstrapped with a password instead",
    "DEFAULT.log_dir": "log_file, or what starts the process, says where the log goes",
    "DEFAULT.rootwrap_config": "agents run with the rights they need",
    "DEFAULT.osapi_compute_workers": "an API is one process; start more of them for more",
    "api_database.connection": "until there are cells, everything of compute is in [database]",
    "api.auth_strategy": "callers are always checked at identity",
    "keystone_authtoken.memcached_servers": "checked tokens are remembered in the process",
    "keystone_authtoken.auth_type": "a password is the one way",
    "keystone_authtoken.auth_plugin": "a password is the one way",
    "keystone_authtoken.service_token_roles_required": _NO_TUNING,
    "service_user.send_service_user_token": "services show their own tokens where they act for themselves",
    "placement.auth_type": "a password is the one way",
    "placement.auth_plugin": "a password is the one way",
    "neutron.url": "the catalog says where networks are",
    "neutron.auth_type": "a password is the one way",
    "neutron.auth_plugin": "a password is the one way",
    "nova.auth_type": "a password is the one way",
    "vnc.enabled": "graphical consoles are not served yet",
    "vnc.vncserver_listen": "graphical consoles are not served yet",
    "vnc.server_listen": "graphical consoles are not served yet",
    "vnc.vncserver_proxyclient_address": "graphical consoles are not served yet",
    "vnc.server_proxyclient_address": "graphical consoles are not served yet",
    "vnc.novncproxy_base_url": "graphical consoles are not served yet",
    "scheduler.discover_hosts_in_cells_interval": "a host is known as soon as it registers",
    "oslo_concurrency.lock_path": "nothing is locked in files",
    "paste_deploy.flavor": "callers are always checked at identity",
    "glance_store.stores": _ONE_KIND,
    "glance_store.default_store": _ONE_KIND,
    "ml2.type_drivers": "flat, vxlan and local networks are served",
    "ml2.tenant_network_types": "projects get vxlan networks",
    "ml2.mechanism_drivers": "agents are linuxbridge agents",
    "ml2.extension_drivers": "port security and DNS names are always served",
    "securitygroup.enable_security_group": "ports are always filtered",
    "securitygroup.enable_ipset": "members are always kept in sets",
    "securitygroup.firewall_driver": _ONE_KIND,
}
ANY_OF = {"service_user": "services show their own tokens where they act for themselves"}
"""Groups of which nothing has an effect."""
