"""The operator's options of block storage as a whole."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

DEFAULT_TYPE = "__DEFAULT__"
"""The name of the type that the first migration makes."""
DEFAULT_FILTERS = ("AvailabilityZoneFilter", "CapacityFilter", "CapabilitiesFilter")
DEFAULT_WEIGHERS = ("CapacityWeigher",)


class VolumeOptions(Struct, frozen=True, kw_only=True):
    default_zone: str = "nova"
    """The zone of volumes that are asked for without one."""
    allows_other_zone: bool = False
    """Whether a zone that does not exist is taken for the default one."""
    default_type: str = DEFAULT_TYPE
    quotas: Mapping[str, int] = {}
    """Resource → default limit, where it is not upstream's."""
    snapshots_take_gigabytes: bool = True
    filters: Sequence[str] = DEFAULT_FILTERS
    weighers: Sequence[str] = DEFAULT_WEIGHERS
    capacity_weight: float = 1.0
    allocated_weight: float = -1.0
    volume_number_weight: float = -1.0
    most_attempts: int = 3
    """Back ends that a volume is tried on."""
    scheduler_host: str = ""
