"""What a compute host is told about itself: the options of the libvirt driver and of its daemon."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kilonova.compute.agent.devices.disks import DiskOptions

VirtType = Literal["kvm", "qemu"]


@dataclass(frozen=True)
class ScreenOptions:
    """One way to a guest's screen."""

    listen: str = "127.0.0.1"
    """Address of this host that the guests' screens are served on."""
    address: str = "127.0.0.1"
    """Where proxies reach them: the same, or an address that leads there."""
    base_url: str = ""
    """Of the proxy, as users reach it."""
    keymap: str = ""
    """Empty: the guest gets the keys as the user's keyboard has them."""
    direct_url: str = ""
    """The URL of the proxy for clients that are no browsers; empty: there is none."""


@dataclass(frozen=True)
class SerialOptions:
    """Serial lines that can be typed on, each behind a TCP port of its guest."""

    address: str = "127.0.0.1"
    """Where they listen, and where proxies reach them."""
    base_url: str = ""
    ports: range = range(10000, 20001)


@dataclass(frozen=True)
class ConsoleOptions:
    """The kinds of consoles that this host gives its guests; None: not that kind."""

    vnc: ScreenOptions | None = ScreenOptions(base_url="http://127.0.0.1:6080/vnc_auto.html")
    spice: ScreenOptions | None = None
    has_spice_agent: bool = True
    """A channel for the agent in the guest that shares the clipboard and follows the window's size."""
    serial: SerialOptions | None = None


@dataclass(frozen=True)
class GuestCpu:
    """The processor model of guests: one of libvirt's modes, or `none` to leave the choice to QEMU."""

    mode: Literal["", "host-model", "host-passthrough", "custom", "none"] = ""
    """Empty: the host's model with KVM, all that is emulated without."""
    model: str = ""
    """The model's name in libvirt; only the mode `custom` has one."""
    features: tuple[str, ...] = ()
    """Names of libvirt that guests have besides; those that begin with `-` they lack."""


@dataclass(frozen=True)
class ReservedPages:
    """Pages of a NUMA node that guests do not get."""

    node: int
    size_kib: int
    count: int


@dataclass(frozen=True)
class HardwareOptions:
    """Hardware of a host's guests where neither flavor nor image says it."""

    pcie_ports: int = 16
    """Root ports of a q35 guest; each takes one device, and ports cannot be added while it runs."""
    random_device: str = "/dev/urandom"
    memory_report_seconds: int = 10
    """The pause between two reports of a guest's memory; 0: there are none."""
    smbios_serial: str = ""
    """The serial number that guests read; empty: each server's id. `-`: none."""
    discard: Literal["unmap", "ignore"] = "unmap"
    """Whether blocks that a guest discards are given back to the host."""
    shared_cpus: tuple[int, ...] = ()
    """The host's processors that guests share; empty: all, or none where some are dedicated."""
    dedicated_cpus: tuple[int, ...] = ()
    """Those that a guest can have for itself."""
    reserved_pages: tuple[ReservedPages, ...] = ()
    has_tpm_emulator: bool = False


@dataclass(frozen=True)
class MigrationOptions:
    """The way in which guests leave this host while they run, and come to it."""

    inbound_address: str = ""
    """The address at which other hosts reach this one's hypervisor; empty: the host's own."""
    scheme: str = "tcp"
    """The transport in libvirt's URI: tcp, tls or ssh."""
    uses_tls: bool = False
    """Whether QEMU's own connections are encrypted, with the certificates that QEMU has on both hosts."""
    permits_post_copy: bool = False
    """Whether a guest that is to be hastened goes on at once on the other host, and fetches its memory from there."""
    permits_auto_converge: bool = False
    """Whether a guest that writes faster than it is copied is slowed down."""
    bandwidth_mib_per_second: int = 0
    """0: as fast as it goes."""
    most_downtime_ms: int = 500
    """The longest that a guest may stand still at the end; reached in steps, as long as it does not come to an end."""
    downtime_steps: int = 10
    downtime_step_seconds: int = 75
    """Between two steps, for each GiB."""
    timeout_seconds: int = 800
    """The time that each GiB of memory and disks may take; 0: any."""
    at_timeout: Literal["abort", "force_complete"] = "abort"


SnapshotFormat = Literal["qcow2", "raw"]


@dataclass(frozen=True)
class LibvirtOptions:
    """`state_dir` holds this host's jobs and its private libvirtd; `instances_path` the servers' directories."""

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
    consoles: ConsoleOptions = ConsoleOptions()
    guest_cpu: GuestCpu = GuestCpu()
    snapshot_format: SnapshotFormat = "qcow2"
    """The disk format of images that are made of servers."""
    hardware: HardwareOptions = HardwareOptions()
    disks: DiskOptions = field(default_factory=DiskOptions)
    migrations: MigrationOptions = MigrationOptions()
    shutdown_timeout_seconds: float = 60.0
    """How long a guest may take to power off before it is cut off; `os_shutdown_timeout` of an image wins."""
    soft_reboot_timeout_seconds: float = 120.0
    reserved_disk_bytes: int = 64 << 20
    """What a download must leave free on the file system of `instances_path`."""
