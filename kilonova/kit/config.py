"""Configuration: oslo.config INI files, every option declared here with its default and what it does.

One process (`kilonova up`) reads one file, `<state>/kilonova.conf`; group and option names are upstream's where
upstream has them, so that what an operator learns here holds in the guides' files too.
"""

from pathlib import Path
from typing import Any

from oslo_config import cfg

OPTIONS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [
        cfg.StrOpt("host", help="Name of this host: agents register under it"),
        cfg.StrOpt("my_ip", default="127.0.0.1", help="Address the APIs listen on and the catalog names"),
        cfg.StrOpt("region_name", default="RegionOne", help="The region in the catalog"),
        cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts that name none"),
        cfg.StrOpt("compute_driver", default="libvirt", choices=["libvirt", "fake"], help="Hypervisor of the agents"),
        cfg.IntOpt("fake_hosts", default=1, min=1, help="Simulated hosts with the fake driver"),
        cfg.StrOpt("log_level", default="INFO", help="Least level that is logged"),
    ],
    "metrics": [
        cfg.PortOpt("port", default=None, help="Where the process tells its counters, in the OpenMetrics format"),
        cfg.StrOpt("listen", default="127.0.0.1", help="Address of that port"),
    ],
    "passwords": [
        cfg.StrOpt(name, secret=True, help=f"Password of the user {name}")
        for name in ("admin", "demo", "nova", "glance", "placement", "neutron")
    ],
    "token": [cfg.IntOpt("expiration", default=3600, min=60, help="Seconds a token is valid")],
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
    "glance_store": [
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
    "libvirt": [
        cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"], help="auto asks the CPU's flags"),
        cfg.StrOpt("connection_uri", default="", help="A libvirt URI; empty: the system's, or a private libvirtd"),
    ],
    "linux_bridge": [
        cfg.DictOpt("bridge_mappings", default={}, help="physical network:bridge that exists, used as it is"),
        cfg.DictOpt("physical_interface_mappings", default={}, help="physical network:interface that joins brq…"),
    ],
    "vxlan": [
        cfg.StrOpt("local_ip", help="Underlay address; without one vxlan networks stay inside this host"),
        cfg.BoolOpt("l2_population", default=False, help="Forward known addresses instead of flooding"),
    ],
    "neutron": [
        cfg.StrOpt("metadata_proxy_shared_secret", secret=True, help="Signs what network agents ask compute"),
    ],
}


class ConfigError(Exception):
    """A file that cannot be used: the message names the file, the option and what is allowed."""


def load(path: Path) -> Any:
    """Reads `path`; values are reached as `config.my_ip`, `config.libvirt.virt_type`. Raises ConfigError."""
    config = cfg.ConfigOpts()
    for group, options in OPTIONS.items():
        config.register_opts(options, group=None if group == "DEFAULT" else group)
    try:
        config([], project="kilonova", default_config_files=[str(path)], default_config_dirs=[])
        for group, options in OPTIONS.items():
            for option in options:
                # Values are parsed when first read: read them all now, so that a bad one stops the start.
                getattr(config if group == "DEFAULT" else getattr(config, group), option.dest)
    except (cfg.Error, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config
