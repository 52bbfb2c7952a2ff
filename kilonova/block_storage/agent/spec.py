"""The types in which the server side and a back end's agent tell each other of volumes."""

from typing import Literal

from msgspec import Struct

GIB = 1 << 30


class Blank(Struct, frozen=True, tag_field="kind", tag="blank"):
    """Nothing: the volume reads as zeros."""


class ImageSource(Struct, frozen=True, kw_only=True, tag_field="kind", tag="image"):
    image_id: str
    disk_format: str
    size_bytes: int
    sha512: str
    """The SHA-512 of the data, in hexadecimal."""


class SnapshotSource(Struct, frozen=True, kw_only=True, tag_field="kind", tag="snapshot"):
    snapshot_id: str
    volume_id: str
    """The volume that the snapshot is of."""


class VolumeSource(Struct, frozen=True, kw_only=True, tag_field="kind", tag="volume"):
    volume_id: str


Source = Blank | ImageSource | SnapshotSource | VolumeSource


class VolumeSpec(Struct, frozen=True):
    id: str
    size_gib: int
    source: Source
    pool: str = ""
    """The pool that was chosen; a back end with one pool needs no telling."""


class Observation(Struct, frozen=True):
    """Progress of a back end with what it was asked for."""

    is_done: bool
    progress: str = ""
    """A phrase such as `downloading image …: 42 %`, while it is not done."""


class PoolStats(Struct, frozen=True, kw_only=True):
    """A pool of a back end, in the words in which scheduler statistics are shown."""

    pool_name: str
    volume_backend_name: str
    storage_protocol: str
    total_capacity_gb: float
    free_capacity_gb: float
    reserved_percentage: int = 0
    max_over_subscription_ratio: str = "20.0"
    """A number, or `auto`."""
    thin_provisioning_support: bool = True
    thick_provisioning_support: bool = False
    multiattach: bool = False
    driver_version: str = "1.0"
    vendor_name: str = "Kilonova"
    QoS_support: bool = False
    online_extend_support: bool = False
    backend_state: Literal["up", "down"] = "up"
    trouble: str = ""
    """The fault of the pool, or in reaching its volumes, in the back end's own words; empty: there is none."""
