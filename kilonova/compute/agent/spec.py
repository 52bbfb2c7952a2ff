"""What a server should be on its host, and what the host answers: the words compute's programs and agent share.

The agent gets the whole `ServerSpec` each time (design §2): first boot, repair and restart are one call.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute.scheduling.numa.hosts import HostTopology
from kilonova.kit.connectors import Connection

MOST_OF_A_CLASS = 0x7FFFFFFF
RELEASE = 2
"""Counts the releases whose agents and conductors speak with each other in another way than those before."""
PowerState = Literal["running", "stopped", "paused", "suspended", "crashed", "absent"]
WantedPower = Literal["running", "stopped", "paused", "suspended"]
ConsoleKind = Literal["vnc", "spice", "serial"]
"""What is spoken with a guest's screen, or that it is its serial line."""

SnapshotStage = Literal["copied", "uploaded", "absent"]
"""The stage a copy is wanted in: a file on the host, uploaded to the image service, or gone."""

Quiescence = Literal["no", "wanted", "required"]
"""Whether the guest's file systems are to be still in the moment of a copy; `required`: else there is none."""

Presence = Literal["home", "incoming", "leaving", "offering", "left"]
"""A host's part in a server: it runs the server, a move brings the server to it, or a migration takes the guest away.
`offering`: it has ended the guest and serves the disks to another host; `left`: it has ended the guest and keeps the
disks, in case that the server comes back."""

FormerDisks = Literal["gone", "kept", "back"]
"""The fate of the disks as they were before a resize on the same host: nobody needs them, they are kept beside those in
use, or they are put back in their place."""


class SpecFlavor(Struct, frozen=True):
    id: str
    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    """0 means: as large as the image."""
    ephemeral_gib: int = 0
    swap_mib: int = 0
    extra_specs: dict[str, str] = {}


class SpecImage(Struct, frozen=True):
    id: str
    disk_format: str
    size_bytes: int
    sha512: str
    min_disk_gib: int = 0
    properties: dict[str, str] = {}
    """Image properties as the image service gives them (`hw_machine_type`, `hw_disk_bus`, `hw_vif_model` …)."""


class DiskPlace(Struct, frozen=True):
    """Where a guest finds a disk."""

    device: str
    """The disk's name on the host, such as `vda`; a guest may give it another one."""
    bus: str
    serial: str
    """Tells the disks of a guest apart, inside the guest and on the host."""
    boot_order: int | None = None
    """Disks are booted from in this order; where none has one, the guest boots from the first in the list."""
    is_cdrom: bool = False


class ImageSource(Struct, frozen=True, tag_field="kind", tag="image"):
    """A disk that begins as an image's copy."""

    image: SpecImage
    size_gib: int
    """0 means: as large as the image."""
    is_whole: bool = False
    """Whether the disk holds all of the image itself: nobody else has that one, and it is to be deleted."""


class BlankSource(Struct, frozen=True, tag_field="kind", tag="blank"):
    """An empty disk."""

    size_gib: int
    file_system_label: str = ""
    """The label of the file system that is made on it; empty: none is."""
    file_system: Literal["ext2", "ext3", "ext4"] = "ext4"


class SwapSource(Struct, frozen=True, tag_field="kind", tag="swap"):
    """A disk that is a swap area."""

    size_mib: int


class ConfigDriveSource(Struct, frozen=True, tag_field="kind", tag="config_drive"):
    """A read-only disk of files that tell the guest what the metadata document says when the disk is made."""


class VolumeSource(Struct, frozen=True, tag_field="kind", tag="volume"):
    """A volume, which outlives the server. A running guest gets and loses it at once."""

    volume_id: str
    connection: Connection
    is_readonly: bool = False
    is_shared: bool = False
    """Whether other servers may have it at the same time."""
    limits: dict[str, int] = {}
    """The most that the guest may do with it in a second, by the names that QoS specs and libvirt's `iotune` have."""


DiskSource = ImageSource | BlankSource | SwapSource | ConfigDriveSource | VolumeSource


DiskName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$(?!\n)")]


class SpecDisk(Struct, frozen=True):
    name: DiskName
    """The name of the disk's file in the server's directory; for a volume, its id."""
    place: DiskPlace
    source: DiskSource
    tag: str = ""
    """The name under which its owner finds it in the guest's metadata."""


class TapPlug(Struct, frozen=True, tag_field="kind", tag="tap"):
    """The hypervisor makes a tap and leaves it to the network agent, which plugs it into a bridge."""


class OpenVSwitchPlug(Struct, frozen=True, tag_field="kind", tag="ovs"):
    """The hypervisor makes a tap and plugs it into a bridge of Open vSwitch."""

    bridge: str
    interface_id: str
    """What the bridge's controller knows the port by."""


Plug = TapPlug | OpenVSwitchPlug


class SpecPort(Struct, frozen=True):
    id: str
    network_id: str
    mac_address: str
    mtu: int
    tap: str
    """The device that the hypervisor makes. The network agent sees it come and plugs it into its network, so the two
    agents need no order between them."""
    vnic_type: str = "normal"
    plug: Plug = TapPlug()


class GuestCell(Struct, frozen=True):
    """A NUMA node of a guest, and where on the host it lies."""

    id: int
    cpus: tuple[int, ...]
    """The guest's processors that belong to it."""
    memory_mib: int
    host_cell: int
    """The host's NUMA node that its memory comes from."""
    pinned: dict[int, int] = {}
    """The guest's processor → the host's, of those that have one of their own."""
    floating_cpus: tuple[int, ...] = ()
    """The host's processors for those of the node that have none of their own; empty: there are none."""
    page_kib: int = 0
    """Size of its pages; 0: the host's ordinary ones."""


class GuestPlacement(Struct, frozen=True):
    """Where on its host a guest's processors and memory lie: the scheduler fits it, the host obeys."""

    cells: tuple[GuestCell, ...]
    emulator_cpus: tuple[int, ...] = ()
    """The host's processors for the guest's own threads; empty: wherever its processors run."""
    realtime_cpus: tuple[int, ...] = ()
    """The guest's processors that go before all else on the host."""
    taken_cpus: tuple[int, ...] = ()
    """The host's processors that no other guest gets: the guest's own, and those that it keeps others from."""


class OfferedDisk(Struct, frozen=True):
    """A disk that another host can copy."""

    name: DiskName
    size_bytes: int
    """The size that a guest sees."""
    data_bytes: int
    """The room that its data take."""


class DiskOffer(Struct, frozen=True):
    """The place where a host serves a server's disks, over NBD."""

    address: str
    port: int
    key: str
    """The secret that the two hosts share, in hexadecimal digits."""
    disks: tuple[OfferedDisk, ...]


class ServerSpec(Struct, frozen=True):
    id: str
    """Also the domain's UUID and the name of the instance directory."""
    instance_name: str
    """Domain name, `instance-0000002a`."""
    display_name: str
    project_id: str
    user_id: str
    power: WantedPower
    flavor: SpecFlavor
    image: SpecImage | None
    ports: tuple[SpecPort, ...]
    metadata_document: "MetadataDocument"
    config_drive: bool = False
    """Read only by agents of the release before this one, which make disks of the flavor's sizes and of this."""
    disks: tuple[SpecDisk, ...] = ()
    """In the order in which the guest shall see them. Records of the release before this one have none."""
    presence: Presence = "home"
    reboot_count: int = 0
    """Raised by each accepted reboot; the agent reboots when it is above the count it has recorded."""
    reboot_type: Literal["SOFT", "HARD"] = "SOFT"
    rebuild_count: int = 0
    """Raised by each accepted rebuild; the agent makes the disks anew when it is above the count it has recorded."""
    keeps_ephemeral: bool = False
    """Whether a rebuild leaves the disks that are neither the root nor the config drive."""
    placement: GuestPlacement | None = None
    """None: anywhere on the host."""
    kernel: SpecImage | None = None
    """Booted without a boot loader; None: the guest boots from its disks."""
    ramdisk: SpecImage | None = None
    """The image of the kernel's first file system."""
    former_disks: FormerDisks = "gone"
    disks_from: DiskOffer | None = None
    """The host that a server which is incoming gets its disks from; None: they are made here."""


class MetadataPort(Struct, frozen=True):
    port_id: str
    mac_address: str
    network_id: str
    mtu: int
    tap: str
    fixed_ips: tuple[dict[str, Any], ...]
    """`{"ip_address", "prefix_length", "gateway_ip", "dns_nameservers", "host_routes", "dhcp", "ipv6_address_mode"}`
    each."""
    floating_ips: tuple[str, ...] = ()
    link_type: str = "bridge"
    """How the port is plugged on the host, as `network_data.json` names it: bridge, ovs or phy."""


class TaggedDevice(Struct, frozen=True):
    """A device that its owner has given a name for the guest to find it by."""

    type: Literal["nic", "disk"]
    tag: str
    mac_address: str = ""
    """The MAC address of an interface."""
    serial: str = ""
    """The serial of a disk."""
    device: str = ""
    """A disk's name on the host, such as `vdb`."""


class MetadataDocument(Struct, frozen=True):
    """Everything a guest may ask about itself; the EC2 and OpenStack trees and the config drive render from it."""

    server_id: str
    name: str
    hostname: str
    project_id: str
    availability_zone: str
    launch_index: int
    reservation_id: str
    instance_type: str
    ami_id: str
    kernel_id: str | None
    ramdisk_id: str | None
    ec2_instance_id: str
    metadata: dict[str, str]
    public_keys: dict[str, str]
    """Key name → OpenSSH public key line."""
    user_data: bytes | None
    security_groups: tuple[str, ...]
    ports: tuple[MetadataPort, ...]
    random_seed: bytes
    admin_password: str | None = None
    key_type: str = "ssh"
    """Of the public keys: `ssh`, or `x509` for certificates."""
    sealed_password: str = ""
    """What the guest itself has posted, for its owner to fetch."""
    root_device_name: str = "/dev/vda"
    devices: tuple[TaggedDevice, ...] = ()


class Milestone(Struct):
    """Something the host did to bring a server into being, with its own times."""

    what: str
    """`fetch_image`, `make_disks`, `define_domain` or `start_domain`."""
    started_at: datetime
    finished_at: datetime | None


class Arrival(Struct, frozen=True):
    """What a host that a server comes to has to tell the host that the server leaves."""

    address: str
    """Of its hypervisor, as the other host's reaches it."""
    definition: str
    """The server on that host, in the hypervisor's words."""


class Transfer(Struct, frozen=True):
    """The progress of a migration in bytes. Memory and blocks that the guest writes meanwhile are copied again."""

    memory_total_bytes: int = 0
    memory_processed_bytes: int = 0
    memory_remaining_bytes: int = 0
    disk_total_bytes: int = 0
    disk_processed_bytes: int = 0
    disk_remaining_bytes: int = 0
    elapsed_ms: int = 0
    """Since it began."""


class ServerObservation(Struct):
    """What the host really has for one server id."""

    id: str
    power: PowerState
    epoch: int = 0
    message: str = ""
    """Why it is not as wanted, in a sentence for the server's fault; empty when it is."""
    progress: str = ""
    """What is going on, such as `downloading image 42 %`; empty when nothing is."""
    milestones: tuple[Milestone, ...] = ()
    """What was done since this agent was started, for whoever asked for the server."""
    arrival: Arrival | None = None
    """Set as soon as a host is ready for the guest of a server that is incoming."""
    transfer: Transfer | None = None
    """The progress of a migration that is under way."""
    offer: DiskOffer | None = None
    """Set as soon as the disks of a server that is offered can be copied."""


class SnapshotSpec(Struct, frozen=True):
    """A copy of a server's root disk, on its way to become an image."""

    server_id: str
    image_id: str
    """The id of the image, which waits for its data."""
    stage: SnapshotStage
    quiesce: Quiescence = "no"


class SnapshotObservation(Struct):
    """A host's answer about a copy."""

    disk_format: str
    """The copy's disk format, as the image service names it."""
    progress: str = ""
    """The work under way; empty once the stage is reached."""


class DiskUse(Struct, frozen=True):
    """What a disk has carried since its guest was started."""

    device: str
    """As the host calls it: `vda`."""
    read_bytes: int
    read_requests: int
    write_bytes: int
    write_requests: int
    errors: int


class InterfaceUse(Struct, frozen=True):
    """What an interface has carried since its guest was started, as the guest sees directions."""

    device: str
    """The tap on the host."""
    mac_address: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class ServerDiagnostics(Struct):
    """What a guest uses of its host just now."""

    driver: str
    hypervisor: str
    power: PowerState
    cpu_times_ns: tuple[int, ...]
    """Of each virtual CPU."""
    memory_kib: int
    """What the guest has just now; a balloon may have taken some."""
    memory_maximum_kib: int
    disks: tuple[DiskUse, ...]
    interfaces: tuple[InterfaceUse, ...]


class ConsoleAddress(Struct, frozen=True):
    """Where a console of a running guest is, as long as that guest runs."""

    host: str
    """As proxies reach it."""
    port: int
    base_url: str
    """Of the proxy that leads there, as users reach that; empty where none does."""
    boot: str
    """Another one after each start of the guest: a port that was read before may lead to another guest since."""
    direct_url: str = ""
    """The URL of the proxy for clients that are no browsers; empty: none leads there."""


class HostShare(Struct, frozen=True, kw_only=True):
    """How much of a host servers may have: a multiple of what is there, less what is kept for the host itself."""

    cpu_allocation_ratio: float = 4.0
    ram_allocation_ratio: float = 1.0
    disk_allocation_ratio: float = 1.0
    reserved_cpus: int = 0
    reserved_memory_mib: int = 512
    reserved_disk_gib: int = 0
    initial_ratios: tuple[str, ...] = ()
    """Resource classes whose ratio is one to begin with: what placement has been told since goes before it."""


class AddedInventory(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider's inventory of a resource class, as its operator says it."""

    total: Annotated[int, Meta(ge=1, le=MOST_OF_A_CLASS)]
    reserved: Annotated[int, Meta(ge=0, le=MOST_OF_A_CLASS)] = 0
    min_unit: Annotated[int, Meta(ge=1, le=MOST_OF_A_CLASS)] = 1
    max_unit: Annotated[int, Meta(ge=1, le=MOST_OF_A_CLASS)] = MOST_OF_A_CLASS
    step_size: Annotated[int, Meta(ge=1, le=MOST_OF_A_CLASS)] = 1
    allocation_ratio: Annotated[float, Meta(gt=0, le=1e6)] = 1.0


COMPUTE_NODE = "$COMPUTE_NODE"
"""Stands for the id of a host's own provider."""


class ProviderAddition(Struct, frozen=True, kw_only=True):
    """An operator's addition to a resource provider, beside what its agent sees. One of uuid and name is set."""

    uuid: str = ""
    """It may be `COMPUTE_NODE`."""
    name: str = ""
    inventories: dict[str, AddedInventory] = {}
    traits: tuple[str, ...] = ()


class HostInventory(Struct):
    """What a compute host offers: placement inventory and the hypervisor's row come from it."""

    hostname: str
    host_ip: str
    hypervisor_type: str
    hypervisor_version: int
    vcpus: int
    """The processors that guests share."""
    memory_mib: int
    disk_gib: int
    cpu_info: dict[str, Any]
    supported_instances: tuple[tuple[str, str, str], ...]
    """(architecture, hypervisor type, vm mode)."""
    traits: tuple[str, ...] = ()
    share: HostShare = HostShare()
    additions: tuple[ProviderAddition, ...] = ()
    release: int = 1
    """The agent's `RELEASE`; those of the first one do not tell it."""
    topology: HostTopology | None = None
    """Its NUMA nodes without any guests, as far as guests may have them; None: it does not tell them."""
