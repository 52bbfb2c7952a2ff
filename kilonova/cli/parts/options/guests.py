"""Options of guests that count where flavor and image say nothing."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import old

LIBVIRT = [
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
        deprecated_opts=old("cpu_model"),
    ),
    cfg.ListOpt(
        "cpu_model_extra_flags", default=[], help="What the processor has besides, or with `-` before it lacks"
    ),
    cfg.StrOpt(
        "images_type",
        default="default",
        help="Root disks: qcow2 (default) over a cached image; raw (flat): copies",
    ),
    cfg.ListOpt("disk_cachemodes", default=[], help="file=MODE, block=MODE, network=MODE; nothing: direct if possible"),
    cfg.StrOpt(
        "hw_disk_discard", default="unmap", choices=["unmap", "ignore"], help="What becomes of discarded blocks"
    ),
    cfg.ListOpt("hw_machine_type", default=[], help="x86_64=MACHINE, of guests whose image names none; nothing: pc"),
    cfg.IntOpt("mem_stats_period_seconds", default=10, min=0, help="Between reports of a guest's memory; 0: none"),
    cfg.IntOpt("num_pcie_ports", default=0, min=0, max=28, help="Slots of q35 guests for devices; 0: 16"),
    cfg.StrOpt("rng_dev_path", default="/dev/urandom", help="Where guests' random numbers come from"),
    cfg.BoolOpt("swtpm_enabled", default=False, help="Whether guests may have TPMs, which swtpm emulates"),
    cfg.StrOpt(
        "sysinfo_serial",
        default="unique",
        choices=["none", "os", "hardware", "auto", "unique"],
        help="Serial number of guests: their own, or one of the host's",
    ),
    cfg.StrOpt(
        "live_migration_inbound_addr", default="", help="Where other hosts reach this one's libvirt; empty: my_ip"
    ),
    cfg.StrOpt(
        "live_migration_scheme",
        default="tcp",
        choices=["tcp", "tls", "ssh"],
        help="How libvirt reaches the libvirt of another host",
    ),
    cfg.BoolOpt(
        "live_migration_with_native_tls",
        default=False,
        help="Whether QEMU encrypts, with its certificates, what it sends",
    ),
    cfg.BoolOpt(
        "live_migration_permit_post_copy",
        default=False,
        help="Whether a guest that is hastened goes on at once on the other host",
    ),
    cfg.BoolOpt(
        "live_migration_permit_auto_converge",
        default=False,
        help="Whether a guest that writes faster than it is copied is slowed down",
    ),
    cfg.IntOpt("live_migration_bandwidth", default=0, min=0, help="MiB a second; 0: as fast as it goes"),
    cfg.IntOpt("live_migration_downtime", default=500, min=100, help="Milliseconds that a guest may stand still"),
    cfg.IntOpt("live_migration_downtime_steps", default=10, min=3, help="In so many steps it comes to that"),
    cfg.IntOpt("live_migration_downtime_delay", default=75, min=3, help="Seconds between them, for each GiB"),
    cfg.IntOpt(
        "live_migration_completion_timeout", default=800, min=0, help="Seconds for each GiB to be moved; 0: no limit"
    ),
    cfg.StrOpt(
        "live_migration_timeout_action",
        default="abort",
        choices=["abort", "force_complete"],
        help="What becomes of a migration that takes longer",
    ),
    cfg.IntOpt("wait_soft_reboot_seconds", default=120, min=0, help="Until a soft reboot becomes a hard one"),
]
PROCESSORS = [
    cfg.StrOpt(
        "cpu_shared_set",
        default="",
        help="The host's processors that guests share, such as 2-7,^4; empty: all, or none beside dedicated ones",
        deprecated_opts=old("vcpu_pin_set", group="DEFAULT"),
    ),
    cfg.StrOpt("cpu_dedicated_set", default="", help="Those kept for guests that get processors of their own"),
]
PAGES = cfg.MultiStrOpt(
    "reserved_huge_pages", default=[], help="node:N,size:KIB,count:N: pages of a NUMA node kept for the host itself"
)
SHUTDOWN = cfg.IntOpt("shutdown_timeout", default=60, min=0, help="Seconds until a guest that stays up is cut off")
