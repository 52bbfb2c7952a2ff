"""Limits of a guest's disks and interfaces, which the flavor alone sets; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kilonova.compute.hardware.asked import Asked

MOST = 1 << 53
DISK_LIMITS = tuple(f"disk_{way}_{unit}_sec" for unit in ("bytes", "iops") for way in ("total", "read", "write"))


@dataclass(frozen=True)
class Bandwidth:
    """In KiB a second, and KiB that may go at once at `peak`; None: not limited."""

    average: int
    peak: int | None = None
    burst: int | None = None


@dataclass(frozen=True)
class Limits:
    disk: Mapping[str, int] = field(default_factory=dict)
    """libvirt's name of a limit, such as `read_iops_sec` → the most a second, of each disk."""
    inbound: Bandwidth | None = None
    """The limits of each interface, as the guest sees directions."""
    outbound: Bandwidth | None = None


def limits_of(asked: Asked) -> Limits:
    """Raises UnusableSpec. 0 is no limit."""
    disk = {}
    for name in DISK_LIMITS:
        said = asked.by_flavor(f"quota:{name}")
        if said is not None and said.whole(0, MOST):
            disk[name.removeprefix("disk_")] = int(said.value)
    for unit in ("bytes", "iops"):
        total = asked.by_flavor(f"quota:disk_total_{unit}_sec")
        if (
            total is not None
            and f"total_{unit}_sec" in disk
            and disk.keys() & {f"read_{unit}_sec", f"write_{unit}_sec"}
        ):
            raise total.unusable("and a total excludes limits of reading and of writing")
    return Limits(disk, _bandwidth(asked, "inbound"), _bandwidth(asked, "outbound"))


def _bandwidth(asked: Asked, way: str) -> Bandwidth | None:
    found: dict[str, int] = {}
    for kind in ("average", "peak", "burst"):
        said = asked.by_flavor(f"quota:vif_{way}_{kind}")
        if said is None or not said.whole(0, MOST):
            continue
        if kind != "average" and "average" not in found:
            raise said.unusable(f"which needs quota:vif_{way}_average")
        found[kind] = int(said.value)
    return Bandwidth(**found) if found else None
