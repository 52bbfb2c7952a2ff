"""What a compute host is told about itself: the options of the libvirt driver and of its daemon."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

VirtType = Literal["kvm", "qemu"]


@dataclass(frozen=True)
class LibvirtOptions:
    """`state_dir` holds what belongs to this host's private libvirtd; `instances_path` the servers' directories."""

    state_dir: Path
    instances_path: Path
    hostname: str
    host_ip: str
    virt_type: VirtType | Literal["auto"] = "auto"
    """`auto` asks the CPU flags, not the KVM node (`pick_virt_type`)."""
    connection_uri: str = ""
    """A fixed libvirt URI; empty means: the system's libvirtd when it is usable, else a private one."""
    use_system_libvirtd: bool = True
    machine_type: str = ""
    """Empty means the default of `domain_xml`; the image property `hw_machine_type` wins over both."""
    vnc_listen: str = "127.0.0.1"
    shutdown_timeout_seconds: float = 60.0
    """How long a guest may take to power off before it is cut off; `os_shutdown_timeout` of an image wins."""
    soft_reboot_timeout_seconds: float = 120.0
    reserved_disk_bytes: int = 64 << 20
    """What a download must leave free on the file system of `instances_path`."""
