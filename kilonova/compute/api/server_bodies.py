"""Bodies of /servers: what a new server may be asked for, and what of one can be changed.

Source: Compute API reference, "Create Server", "Update Server". Text that other calls are made of has its type here.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api.bodies import Name
from kilonova.kit.http import bounds
from kilonova.kit.http.bounds import MAX_INT64, Free, Id, Int32, LongText, Text, Uuid, Word
from kilonova.kit.http.versions import since, until

MOST_TAGS = 50
MOST_METADATA = 1024
"""Items of one body; how many a server may have is a quota."""
MOST_LISTED = 64
"""Networks, security groups and block devices of one server."""

MetadataKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$(?!\n)")]
MetadataValue = Annotated[str, Meta(max_length=255)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MOST_METADATA)]
Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$(?!\n)")]
Tags = Annotated[list[Tag], Meta(max_length=MOST_TAGS)]
DeviceTag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$(?!\n)")]
"""The name under which a guest finds a device in its metadata."""
HostName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._-]+$(?!\n)")]
"""Name of a host, or a server's hostname; the latter is one label before version 2.94, and may have a domain since."""
Description = Annotated[str, Meta(max_length=255)]
HowMany = Annotated[int, Meta(ge=1, le=bounds.MAX_INT32)]
Hints = Annotated[dict[bounds.Name, Free], Meta(max_length=MOST_LISTED)]


class NetworkRequest(Struct, forbid_unknown_fields=True):
    uuid: Uuid | None = None
    port: Uuid | None = None
    fixed_ip: Word | None = None
    tag: Annotated[DeviceTag | UnsetType, since("2.32")] = UNSET


class GroupName(Struct, forbid_unknown_fields=True):
    name: Name


class BlockDevice(Struct, forbid_unknown_fields=True):
    source_type: Word
    destination_type: Word | None = None
    uuid: Uuid | None = None
    boot_index: Int32 | None = None
    delete_on_termination: bool | Word | UnsetType = UNSET
    no_device: bool | Word = False
    device_name: bounds.Name | None = None
    device_type: Word | None = None
    disk_bus: Word | None = None
    guest_format: Word | None = None
    volume_size: Int32 | None = None
    tag: Annotated[DeviceTag | None | UnsetType, since("2.32")] = UNSET
    volume_type: Annotated[bounds.Name | None | UnsetType, since("2.67")] = UNSET


class NewServer(Struct, forbid_unknown_fields=True):
    name: Name
    flavor_ref: Text | Annotated[int, Meta(ge=0, le=MAX_INT64)] = field(name="flavorRef")
    image_ref: Text | None = field(default=None, name="imageRef")
    networks: Annotated[list[NetworkRequest], Meta(max_length=MOST_LISTED)] | Literal["auto", "none"] | None = None
    key_name: bounds.Name | None = None
    min_count: HowMany = 1
    max_count: HowMany | None = None
    metadata: Metadata = {}
    user_data: LongText | None = None
    config_drive: bool | Word | None = None
    availability_zone: Name | None = None
    security_groups: Annotated[list[GroupName], Meta(max_length=MOST_LISTED)] = []
    admin_pass: bounds.Name | None = field(default=None, name="adminPass")
    access_ip_v4: Word | UnsetType = field(default=UNSET, name="accessIPv4")
    access_ip_v6: Word | UnsetType = field(default=UNSET, name="accessIPv6")
    disk_config: Literal["AUTO", "MANUAL"] = field(default="MANUAL", name="OS-DCF:diskConfig")
    block_device_mapping_v2: Annotated[list[BlockDevice], Meta(max_length=MOST_LISTED)] = []
    return_reservation_id: bool | Word = False
    description: Annotated[Description | None | UnsetType, since("2.19")] = UNSET
    tags: Annotated[Tags | UnsetType, since("2.52")] = UNSET
    host: Annotated[HostName | UnsetType, since("2.74")] = UNSET
    hypervisor_hostname: Annotated[HostName | UnsetType, since("2.74")] = UNSET
    hostname: Annotated[HostName | UnsetType, since("2.90")] = UNSET
    personality: Annotated[
        Annotated[list[Annotated[dict[Id, LongText], Meta(max_length=2)]], Meta(max_length=MOST_LISTED)] | UnsetType,
        until("2.56"),
    ] = UNSET


class NewServerBody(Struct, forbid_unknown_fields=True):
    server: NewServer
    scheduler_hints: Hints = field(default_factory=dict, name="os:scheduler_hints")
    older_scheduler_hints: Hints = field(default_factory=dict, name="OS-SCH-HNT:scheduler_hints")


class ChangedServer(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    access_ip_v4: Word | UnsetType = field(default=UNSET, name="accessIPv4")
    access_ip_v6: Word | UnsetType = field(default=UNSET, name="accessIPv6")
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    description: Annotated[Description | None | UnsetType, since("2.19")] = UNSET
    hostname: Annotated[HostName | UnsetType, since("2.90")] = UNSET
    pinned_availability_zone: Annotated[Name | None | UnsetType, since("2.104")] = UNSET


class ChangedServerBody(Struct, forbid_unknown_fields=True):
    server: ChangedServer
