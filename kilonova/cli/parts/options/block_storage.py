"""The options that the programs of cinder.conf read."""

import copy
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, old, workers

QUOTAS = (
    ("volumes", 10),
    ("snapshots", 10),
    ("gigabytes", 1000),
    ("backups", 10),
    ("backup_gigabytes", 1000),
    ("groups", 10),
)
"""Default limits of a project, for those that neither the project nor its quota class sets."""

ENABLED_BACKENDS = cfg.ListOpt(
    "enabled_backends", default=[], help="Sections that are a back end each; empty: [DEFAULT] is the only one"
)
SHARED_SECTION = "backend_defaults"
"""The section whose options hold for every section that enabled_backends names and that does not set them itself."""

BACKEND = [
    cfg.StrOpt("volume_backend_name", default="", help="The name types ask for; empty: the section's"),
    cfg.StrOpt("backend_host", default="", help="Name of the host in HOST@SECTION; empty: host"),
    cfg.StrOpt("file_volumes_path", default="$state_path/volumes", help="Directory of the volumes' files"),
    cfg.StrOpt("file_volumes_format", default="qcow2", choices=["qcow2", "raw"], help="Format of new volumes"),
    cfg.IntOpt("reserved_percentage", default=0, min=0, max=100, help="Percent of a pool that are kept back"),
    cfg.StrOpt(
        "max_over_subscription_ratio",
        default="20.0",
        regex=r"^(auto|\d{1,6}(\.\d{1,6})?)$",
        help="How many times its capacity a pool may promise, or auto",
    ),
    cfg.StrOpt("backend_availability_zone", default="", help="Zone of the back end; empty: storage_availability_zone"),
    cfg.StrOpt("volumes_dir", default="$state_path/volumes", help="Directory of lvm's records, a folder each group"),
    cfg.StrOpt("volume_group", default="cinder-volumes", help="lvm: the volume group"),
    cfg.StrOpt("lvm_conf_file", default="/etc/cinder/lvm.conf", help="lvm: LVM's settings; not there: the host's own"),
    cfg.StrOpt("lvm_type", default="default", choices=["default", "thin"], help="lvm: linear volumes, or thin"),
    cfg.StrOpt("volume_clear", default="zero", choices=["zero", "none"], help="lvm: overwrite the room of new volumes"),
    cfg.StrOpt(
        "target_protocol",
        default="iscsi",
        choices=["iscsi"],
        help="lvm: how hosts reach volumes",
        deprecated_opts=old("iscsi_protocol"),
    ),
    cfg.StrOpt(
        "target_helper",
        default="tgtadm",
        choices=["tgtadm", "lioadm"],
        help="lvm: what serves the targets: tgtd, or the kernel",
        deprecated_opts=old("iscsi_helper"),
    ),
    cfg.StrOpt(
        "target_prefix",
        default="iqn.2010-10.org.openstack:",
        regex=r"^iqn\.[a-z0-9.:-]{1,80}$",
        help="lvm: the beginning of the targets' names",
        deprecated_opts=old("iscsi_target_prefix"),
    ),
    cfg.StrOpt(
        "target_ip_address",
        default="$my_ip",
        help="lvm: address at which hosts reach the targets",
        deprecated_opts=old("iscsi_ip_address"),
    ),
    cfg.StrOpt("nfs_shares_config", default="/etc/cinder/nfs_shares", help="nfs: file of SERVER:/DIRECTORY lines"),
    cfg.StrOpt("nfs_mount_point_base", default="$state_path/mnt", help="nfs: directory under which shares are mounted"),
    cfg.StrOpt("nfs_mount_options", default="", help="nfs: options of all mounts"),
    cfg.BoolOpt("nfs_sparsed_volumes", default=True, help="nfs: raw volumes take no room before it is used"),
    cfg.BoolOpt("nfs_qcow2_volumes", default=False, help="nfs: volumes are qcow2"),
    cfg.PortOpt("target_port", default=3260, help="lvm: its port", deprecated_opts=old("iscsi_port")),
]
"""A back end's options beside its driver, in [DEFAULT] or in a section that enabled_backends names."""


BACKUPS = [
    cfg.StrOpt("backup_driver", default="posix", help="What keeps backups: posix, nfs or fake"),
    cfg.StrOpt("backup_posix_path", default="$state_path/backup", help="posix: directory of the backups"),
    cfg.StrOpt("backup_share", default="", help="nfs: SERVER:/DIRECTORY of the backups"),
    cfg.StrOpt("backup_mount_point_base", default="$state_path/backup_mount", help="nfs: where it is mounted"),
    cfg.StrOpt("backup_mount_options", default="", help="nfs: options of the mount"),
    cfg.IntOpt("backup_file_size", default=4 << 20, min=1 << 20, max=64 << 20, help="Bytes of a chunk, whole MiB"),
    cfg.StrOpt(
        "backup_compression_algorithm",
        default="zlib",
        choices=["zlib", "bz2", "none"],
        help="How chunks are compressed",
    ),
]
"""Options of cinder-backup."""


def _driver(default: str) -> cfg.Opt:
    return cfg.StrOpt("volume_driver", default=default, help="What keeps the volumes: file, nfs, lvm or fake")


def enabled_backends(config: Any) -> list[str]:
    """Returns the names of the sections that are back ends; none where [DEFAULT] is the only one."""
    return [name for each in getattr(config, "enabled_backends", None) or () if (name := each.strip())]


def backend_sections(config: Any) -> Options:
    """Returns the options of the sections that enabled_backends names. Those that are not set there are None."""
    names = [name for name in enabled_backends(config) if name not in ("DEFAULT", SHARED_SECTION)]
    return {name: [_without_default(option) for option in (_driver(""), *BACKEND)] for name in names}


def _without_default(option: cfg.Opt) -> cfg.Opt:
    unset = copy.copy(option)
    unset.default = None
    return unset


def idle_reason(config: Any, group: str, name: str, with_drivers: Iterable[str]) -> str | None:
    """Returns the reason why a back end's option has no effect; None for one that has, and for one of no back end.

    `with_drivers` are the sections that name a driver.
    """
    enabled = enabled_backends(config)
    is_shared = any(name == option.dest for option in (_driver(""), *BACKEND))
    if group == "DEFAULT" and is_shared and enabled:
        return "enabled_backends names the sections that are read; [backend_defaults] holds for all of them"
    if group == SHARED_SECTION and is_shared and not enabled:
        return "enabled_backends names no section"
    if group in with_drivers and group not in (*enabled, "DEFAULT", SHARED_SECTION):
        return "enabled_backends does not name this section"
    return None


BLOCK_STORAGE: Options = {
    "DEFAULT": [
        cfg.StrOpt("state_path", default="/var/lib/cinder", help="Directory of what this host keeps"),
        cfg.StrOpt("osapi_volume_listen", default="0.0.0.0", help="Address the API listens on"),  # noqa: S104
        cfg.PortOpt("osapi_volume_listen_port", default=8776, help="Port the API listens on"),
        workers("osapi_volume_workers"),
        cfg.StrOpt("storage_availability_zone", default="nova", help="Zone of back ends that name none"),
        cfg.StrOpt(
            "default_availability_zone",
            default="",
            help="Zone of volumes asked for without one; empty: storage_availability_zone",
        ),
        cfg.BoolOpt(
            "allow_availability_zone_fallback", default=False, help="Take the default zone for one that is not there"
        ),
        cfg.StrOpt("default_volume_type", default="__DEFAULT__", help="Type of volumes for which none is named"),
        cfg.ListOpt("glance_api_servers", default=[], help="Where images are; empty: glance_host, or the catalog"),
        cfg.StrOpt(
            "image_conversion_dir",
            default="$state_path/conversion",
            help="Directory of the copies of volumes that are on their way to the image service",
        ),
        cfg.StrOpt("glance_host", default="", help="Host of the image service; empty: the catalog says it"),
        cfg.PortOpt("glance_port", default=9292, help="Its port there"),
        *(cfg.IntOpt(f"quota_{name}", default=default, min=-1, help="-1: no limit") for name, default in QUOTAS),
        cfg.IntOpt("per_volume_size_limit", default=-1, min=-1, help="Most GiB of one volume; -1: no limit"),
        cfg.BoolOpt("no_snapshot_gb_quota", default=False, help="Snapshots take no gigabytes of the quota"),
        cfg.ListOpt(
            "scheduler_default_filters",
            default=["AvailabilityZoneFilter", "CapacityFilter", "CapabilitiesFilter"],
            help="Which pools a volume may be on",
        ),
        cfg.ListOpt("scheduler_default_weighers", default=["CapacityWeigher"], help="Which of them it goes to"),
        cfg.FloatOpt("capacity_weight_multiplier", default=1.0, help="Weight of what a pool can still promise"),
        cfg.FloatOpt("allocated_capacity_weight_multiplier", default=-1.0, help="Weight of what a pool has promised"),
        cfg.FloatOpt("volume_number_multiplier", default=-1.0, help="Weight of a pool's volumes"),
        cfg.IntOpt("scheduler_max_attempts", default=3, min=1, help="Pools that a volume is tried on"),
        *BACKUPS,
        ENABLED_BACKENDS,
        _driver("file"),
        *BACKEND,
    ],
    SHARED_SECTION: [_driver(""), *BACKEND],
}
