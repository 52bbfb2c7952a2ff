"""What `kilonova up` and the commands beside it read."""

from oslo_config import cfg

from kilonova.cli.parts.options.compute import COMPUTE
from kilonova.cli.parts.options.image import IMAGE
from kilonova.cli.parts.options.spelling import Options

UP: Options = {
    "DEFAULT": [
        cfg.StrOpt("region_name", default="RegionOne", help="The region in the catalog"),
        cfg.StrOpt("compute_driver", default="libvirt", choices=["libvirt", "fake"], help="Hypervisor of the agents"),
        cfg.IntOpt("fake_hosts", default=1, min=1, help="Simulated hosts with the fake driver"),
        cfg.StrOpt("log_level", default="INFO", help="Least level that is logged"),
    ],
    "passwords": [
        cfg.StrOpt(name, secret=True, help=f"Password of the user {name}")
        for name in ("admin", "demo", "nova", "glance", "placement", "neutron", "cinder")
    ],
    "libvirt": COMPUTE["libvirt"],
    "glance_store": IMAGE["glance_store"],
    "neutron": [each for each in COMPUTE["neutron"] if each.name == "metadata_proxy_shared_secret"],
}
"""What `kilonova up` and the commands beside it read from kilonova.conf, besides what its parts read there."""
