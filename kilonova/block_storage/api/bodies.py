"""Types of the bodies that block storage's API reads."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.block_storage.metadata import MOST_ITEMS
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32, Free, Id, Name, Open, Uuid, Word
from kilonova.kit.http.queries import whole_number, yes_or_no
from kilonova.kit.http.versions import since

Description = Annotated[str, Meta(max_length=255)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Value = Annotated[str, Meta(max_length=255)]
Metadata = Annotated[dict[Key, Value], Meta(max_length=MOST_ITEMS)]
Size = Annotated[int, Meta(ge=1, le=MAX_INT32)] | Word
Flag = bool | Word
SpecKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]+$(?!\n)")]
Specs = Annotated[dict[SpecKey, Value], Meta(max_length=MOST_ITEMS)]
Hints = Annotated[dict[Name, Free], Meta(max_length=64)]
Connector = Annotated[dict[Name, Free], Meta(max_length=64)]
Mode = Literal["rw", "ro"]
UploadFormat = Literal["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "ploop"]
Visibility = Literal["private", "shared", "community", "public"]


def size_of(size: int | str) -> int:
    """Raises BadRequest for a text that is no size."""
    return size if isinstance(size, int) else whole_number("size", size, least=1)


def flag_of(name: str, value: bool | str) -> bool:
    """Raises BadRequest for a text that is no boolean."""
    return value if isinstance(value, bool) else yes_or_no(name, value)


def name_of(*names: str | None | UnsetType) -> str | None:
    """The first name that is given, without white space at its ends."""
    return next((each.strip() for each in names if isinstance(each, str)), None)


class NewVolume(Struct, forbid_unknown_fields=True):
    size: Size | None = None
    name: Name | None = None
    display_name: Name | None = None
    description: Description | None = None
    display_description: Description | None = None
    availability_zone: Name | None = None
    volume_type: Id | None = None
    snapshot_id: Uuid | None = None
    source_volid: Uuid | None = None
    image_ref: Uuid | None = field(default=None, name="imageRef")
    image_id: Uuid | None = None
    metadata: Metadata | None = None
    multiattach: Flag | None = None
    backup_id: Annotated[Uuid | None | UnsetType, since("3.47")] = UNSET
    consistencygroup_id: Uuid | None = None
    group_id: Uuid | None = None
    source_replica: Uuid | None = None

    def refuse_unserved(self) -> None:
        """Raises BadRequest for what cannot be asked for yet."""
        if self.consistencygroup_id is not None or self.group_id is not None:
            raise BadRequest("There are no groups of volumes here yet.")
        if self.source_replica is not None:
            raise BadRequest("Volumes are not replicated: source_replica names nothing.")
        if self.multiattach is not None and flag_of("multiattach", self.multiattach):
            raise BadRequest("multiattach is a matter of the volume's type: its extra spec multiattach=<is> True.")


class NewVolumeBody(Struct):
    volume: NewVolume
    hints: Hints | None = field(default=None, name="OS-SCH-HNT:scheduler_hints")
    plain_hints: Hints | None = field(default=None, name="scheduler_hints")


class Change(Struct, forbid_unknown_fields=True):
    def require_some(self) -> None:
        """Raises BadRequest for a change of nothing."""
        if all(getattr(self, each) is UNSET for each in self.__struct_fields__):
            raise BadRequest("A change names at least one of name, description, metadata.")


class ChangedThing(Change):
    name: Name | None | UnsetType = UNSET
    display_name: Name | None | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    display_description: Description | None | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET

    def new_name(self, known: str | None) -> str | None:
        if self.name is UNSET and self.display_name is UNSET:
            return known
        return name_of(self.name, self.display_name)

    def new_description(self, known: str | None) -> str | None:
        given = [each for each in (self.description, self.display_description) if each is not UNSET]
        return given[0] if given else known


class ChangedVolumeBody(Struct, forbid_unknown_fields=True):
    volume: ChangedThing


class NewSnapshot(Struct, forbid_unknown_fields=True):
    volume_id: Uuid
    name: Name | None = None
    display_name: Name | None = None
    description: Description | None = None
    display_description: Description | None = None
    force: Flag | None = None
    metadata: Metadata | None = None


class NewSnapshotBody(Struct, forbid_unknown_fields=True):
    snapshot: NewSnapshot


class ChangedSnapshotBody(Struct, forbid_unknown_fields=True):
    snapshot: ChangedThing


class NewBackup(Struct, forbid_unknown_fields=True):
    volume_id: Uuid
    snapshot_id: Uuid | None = None
    name: Name | None = None
    description: Description | None = None
    container: Name | None = None
    incremental: Flag = False
    force: Flag = False
    metadata: Annotated[Metadata | None | UnsetType, since("3.43")] = UNSET
    availability_zone: Annotated[Name | None | UnsetType, since("3.51")] = UNSET


class NewBackupBody(Struct, forbid_unknown_fields=True):
    backup: NewBackup


class ChangedBackup(Change):
    name: Name | None | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    metadata: Annotated[Metadata | UnsetType, since("3.43")] = UNSET


class ChangedBackupBody(Struct, forbid_unknown_fields=True):
    backup: ChangedBackup


class Restore(Struct, forbid_unknown_fields=True):
    volume_id: Uuid | None = None
    name: Name | None = None


class RestoreBody(Struct, forbid_unknown_fields=True):
    restore: Restore


class ExportedBackup(Struct, forbid_unknown_fields=True):
    backup_service: Annotated[str, Meta(min_length=1, max_length=255)]
    backup_url: Annotated[str, Meta(min_length=1, max_length=131072)]


class ExportedBackupBody(Struct, forbid_unknown_fields=True):
    backup_record: ExportedBackup = field(name="backup-record")


class MetadataBody(Struct, forbid_unknown_fields=True):
    metadata: Metadata


class MetadataItemBody(Struct, forbid_unknown_fields=True):
    meta: Annotated[dict[Key, Value], Meta(min_length=1, max_length=1)]


class ImageMetadata(Struct, forbid_unknown_fields=True):
    metadata: Metadata


class ImageMetadataKey(Struct, forbid_unknown_fields=True):
    key: Key


class Extension(Struct, forbid_unknown_fields=True):
    new_size: Size


class Revert(Struct, forbid_unknown_fields=True):
    snapshot_id: Uuid


class ResetStatus(Struct, forbid_unknown_fields=True):
    status: Word | UnsetType = UNSET
    attach_status: Word | UnsetType = UNSET
    migration_status: Word | None | UnsetType = UNSET


class Bootable(Struct, forbid_unknown_fields=True):
    bootable: Flag


class ReadOnly(Struct, forbid_unknown_fields=True):
    readonly: Flag


class Upload(Struct, forbid_unknown_fields=True):
    image_name: Key
    force: Flag = False
    disk_format: UploadFormat | None = "raw"
    container_format: Literal["bare"] | None = "bare"
    visibility: Annotated[Visibility | UnsetType, since("3.1")] = UNSET
    protected: Annotated[Flag | UnsetType, since("3.1")] = UNSET


class Retype(Struct, forbid_unknown_fields=True):
    new_type: Id
    migration_policy: Literal["never", "on-demand"] | None = None


class Attach(Struct, forbid_unknown_fields=True):
    mountpoint: Name
    instance_uuid: Uuid | None = None
    host_name: Name | None = None
    mode: Mode | None = None


class Detach(Struct, forbid_unknown_fields=True):
    attachment_id: Uuid | None = None


class ForceDetach(Struct, forbid_unknown_fields=True):
    attachment_id: Uuid | None = None
    connector: Connector | None = None


class Connecting(Struct, forbid_unknown_fields=True):
    connector: Connector


class NewAttachment(Struct, forbid_unknown_fields=True):
    volume_uuid: Uuid
    instance_uuid: Uuid | None = None
    connector: Connector | None = None
    mode: Annotated[Mode | None | UnsetType, since("3.54")] = UNSET


class NewAttachmentBody(Struct, forbid_unknown_fields=True):
    attachment: NewAttachment


class ChangedAttachment(Struct, forbid_unknown_fields=True):
    connector: Connector


class ChangedAttachmentBody(Struct, forbid_unknown_fields=True):
    attachment: ChangedAttachment


class NewOldTransfer(Struct, forbid_unknown_fields=True):
    volume_id: Uuid
    name: Name | None = None


class NewOldTransferBody(Struct, forbid_unknown_fields=True):
    transfer: NewOldTransfer


class NewTransfer(Struct, forbid_unknown_fields=True):
    volume_id: Uuid
    name: Name | None = None
    no_snapshots: Annotated[Flag | UnsetType, since("3.55")] = UNSET


class NewTransferBody(Struct, forbid_unknown_fields=True):
    transfer: NewTransfer


class Acceptance(Struct, forbid_unknown_fields=True):
    auth_key: Annotated[str, Meta(min_length=1, max_length=255)]


class AcceptBody(Struct, forbid_unknown_fields=True):
    accept: Acceptance


class QosOpen(Open):
    """Specs stand beside the fields that are named."""

    extra_type = Value


Consumer = Literal["front-end", "back-end", "both"]


class NewQosSpecs(QosOpen):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    consumer: Consumer = "back-end"


class NewQosSpecsBody(Struct, forbid_unknown_fields=True):
    qos_specs: NewQosSpecs


class ChangedQosSpecs(QosOpen):
    consumer: Consumer | UnsetType = UNSET


class ChangedQosSpecsBody(Struct, forbid_unknown_fields=True):
    qos_specs: ChangedQosSpecs


class QosKeys(Struct, forbid_unknown_fields=True):
    keys: Annotated[list[Key], Meta(max_length=64)]


class HostChange(Struct, forbid_unknown_fields=True):
    status: Literal["enable", "disable"]


class NewType(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Description | None = None
    is_public: Flag | UnsetType = UNSET
    access_is_public: Flag | UnsetType = field(default=UNSET, name="os-volume-type-access:is_public")
    extra_specs: Specs | None = None


class NewTypeBody(Struct, forbid_unknown_fields=True):
    volume_type: NewType


class ChangedType(Struct, forbid_unknown_fields=True):
    name: Name | None | UnsetType = UNSET
    description: Description | None | UnsetType = UNSET
    is_public: Flag | UnsetType = UNSET
    access_is_public: Flag | UnsetType = field(default=UNSET, name="os-volume-type-access:is_public")

    @property
    def publicity(self) -> bool | None:
        """Whether every project is to see the type, under whichever name; None: as before. Raises BadRequest."""
        given = (("os-volume-type-access:is_public", self.access_is_public), ("is_public", self.is_public))
        return next((flag_of(name, value) for name, value in given if isinstance(value, bool | str)), None)


class ChangedTypeBody(Struct, forbid_unknown_fields=True):
    volume_type: ChangedType


class SpecsBody(Struct, forbid_unknown_fields=True):
    extra_specs: Specs


OneSpec = Annotated[dict[SpecKey, Value], Meta(min_length=1, max_length=1)]


class Access(Struct, forbid_unknown_fields=True):
    project: Annotated[str, Meta(min_length=1, max_length=255)]


class DefaultTypeChoice(Struct, forbid_unknown_fields=True):
    volume_type: Id


class DefaultTypeBody(Struct, forbid_unknown_fields=True):
    default_type: DefaultTypeChoice


Limit = Annotated[int, Meta(ge=-1, le=MAX_INT32)] | Word


class QuotaSetBody(Struct, forbid_unknown_fields=True):
    quota_set: Annotated[dict[Name, Limit | bool | None], Meta(max_length=1024)]


class QuotaClassBody(Struct, forbid_unknown_fields=True):
    quota_class_set: Annotated[dict[Name, Limit | None], Meta(max_length=1024)]


class ServiceChange(Struct, forbid_unknown_fields=True):
    host: Name
    binary: Name = "cinder-volume"
    service: Name | None = None
    disabled_reason: Description | None = None
