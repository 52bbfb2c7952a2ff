"""What the programs of nova.conf read."""

from oslo_config import cfg

from kilonova.cli.parts.options.consoles import CONSOLES
from kilonova.cli.parts.options.guests import LIBVIRT, PAGES, PROCESSORS, SHUTDOWN
from kilonova.cli.parts.options.spelling import Options, credentials, old, workers

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
        workers("osapi_compute_workers"),
        cfg.StrOpt("metadata_listen", default="0.0.0.0", help="Address the metadata API listens on"),  # noqa: S104
        cfg.PortOpt("metadata_listen_port", default=8775, help="Port the metadata API listens on"),
        workers("metadata_workers"),
        cfg.ListOpt("enabled_apis", default=["osapi_compute", "metadata"], help="Which APIs nova-api serves"),
        cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts that name none"),
        cfg.ListOpt(
            "non_inheritable_image_properties",
            default=["cache_in_nova", "bittorrent"],
            help="Properties that an image made of a server does not have from the server's image",
        ),
        cfg.IntOpt(
            "reclaim_instance_interval",
            default=0,
            min=0,
            help="Seconds in which a deleted server can be restored; 0: it is destroyed at once",
        ),
        cfg.IntOpt(
            "shelved_offload_time",
            default=0,
            min=-1,
            help="Seconds in which a shelved server keeps its host; -1: until somebody offloads it",
        ),
        cfg.IntOpt(
            "resize_confirm_window",
            default=0,
            min=0,
            help="Seconds after which a resize that nobody has confirmed is; 0: it waits",
        ),
        cfg.BoolOpt(
            "allow_resize_to_same_host",
            default=True,
            help="Whether a server may get its new flavor on the host that it is on",
        ),
        *(
            option
            for kind, initial, of in (
                ("cpu", 4.0, "Virtual processors for each of the host's"),
                ("ram", 1.0, "Memory of servers for each MiB of the host's"),
                ("disk", 1.0, "Disk of servers for each GiB of the host's"),
            )
            for option in (
                cfg.FloatOpt(f"{kind}_allocation_ratio", min=0.0, help=f"{of}; not set, or 0: what placement has"),
                cfg.FloatOpt(f"initial_{kind}_allocation_ratio", default=initial, min=0.1, help=f"{of}, at first"),
            )
        ),
        cfg.IntOpt("reserved_host_cpus", default=0, min=0, help="Processors kept for the host itself"),
        cfg.IntOpt("reserved_host_memory_mb", default=512, min=0, help="MiB of memory kept for the host itself"),
        cfg.IntOpt("reserved_host_disk_mb", default=0, min=0, help="MiB of disk kept for the host itself"),
        PAGES,
        SHUTDOWN,
        cfg.StrOpt("web", default="", help="Directory of the console proxies' pages; empty: noVNC's, or spice-html5's"),
    ],
    "compute": [
        cfg.StrOpt(
            "provider_config_location",
            default="/etc/nova/provider_config/",
            help="Directory of *.yaml that say what the host's resource providers have beside what it sees",
        ),
        *PROCESSORS,
    ],
    "conductor": [workers("workers")],
    "api_database": [
        cfg.StrOpt("connection", default="", secret=True, help="URL of the region's database; empty: [database] is it")
    ],
    "scheduler": [
        workers("workers"),
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
            "snapshot_image_format",
            default="qcow2",
            choices=["qcow2", "raw"],
            help="Disk format of the images that are made of servers",
        ),
        cfg.StrOpt("connection_uri", default="qemu:///system", help="Where libvirt is; empty: a libvirtd of its own"),
        *LIBVIRT,
    ],
    "fake": [
        # As large as upstream's is, so that the same loads fit.
        cfg.IntOpt("vcpus", default=1000, min=1, help="Processors of a simulated host"),
        cfg.IntOpt("memory_mb", default=800_000, min=1, help="Its memory in MiB"),
        cfg.IntOpt("disk_gb", default=600_000, min=1, help="Its disk in GiB"),
        cfg.IntOpt("numa_nodes", default=0, min=0, max=64, help="Its NUMA nodes, all alike; 0: it tells none"),
        cfg.IntOpt("threads_per_core", default=1, min=1, max=8, help="Of its processors, how many are one core"),
        cfg.ListOpt("huge_pages", default=[], help="SIZE_IN_KIB:COUNT of each node"),
    ],
    "glance": [
        cfg.ListOpt(
            "api_servers",
            default=[],
            help="Where images are; empty: the catalog says it",
            deprecated_opts=old("glance_api_servers", group="DEFAULT"),
        )
    ],
    "notifications": [
        cfg.StrOpt(
            "notification_format",
            default="unversioned",
            choices=["unversioned", "versioned", "both"],
            help="Only versioned ones are sent, and with `both` no others either",
        ),
        cfg.ListOpt(
            "versioned_notifications_topics",
            default=["versioned_notifications"],
            help="Where they go to, with .info or .error behind each",
        ),
        cfg.StrOpt(
            "notify_on_state_change",
            choices=["vm_state", "vm_and_task_state"],
            help="Of which changes of a server's state an instance.update tells; not set: of none",
        ),
    ],
    "oslo_messaging_notifications": [
        cfg.MultiStrOpt(
            "driver",
            default=[],
            help="messagingv2: notifications are sent; noop, or none: they are not",
            deprecated_opts=old("notification_driver", group="DEFAULT"),
        ),
        cfg.StrOpt(
            "transport_url", default="", secret=True, help="The broker that they go to; empty: the one of [DEFAULT]"
        ),
    ],
    **CONSOLES,
    "placement": credentials(),
    "cinder": credentials(),
    "neutron": credentials(
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What metadata agents sign with"),
    ),
}
