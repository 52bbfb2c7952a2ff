"""Pools as the scheduler sees them, and what is asked of one."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

AUTO = "auto"
RATIO_WITHOUT_USE = 20.0
"""The ratio of a pool that is set to `auto` and holds nothing yet: upstream's default."""


class Pool(Struct, frozen=True, kw_only=True):
    host: str
    """`HOST@BACKEND#POOL`"""
    availability_zone: str
    stats: Mapping[str, Any]
    """PoolStats as the agent told them."""
    volumes: int
    provisioned_gib: int

    @property
    def total_gib(self) -> float:
        return float(self.stats["total_capacity_gb"])

    @property
    def free_gib(self) -> float:
        """The free capacity beyond the part that is kept back."""
        kept_back_gib = math.floor(self.total_gib * float(self.stats["reserved_percentage"]) / 100)
        return float(self.stats["free_capacity_gb"]) - kept_back_gib

    @property
    def is_thin(self) -> bool:
        return bool(self.stats["thin_provisioning_support"])

    @property
    def over_subscription_ratio(self) -> float:
        """The multiple of its capacity that a pool may promise. `auto`: by what volumes have taken so far."""
        told = str(self.stats["max_over_subscription_ratio"])
        if told != AUTO:
            return float(told)
        used = self.total_gib - float(self.stats["free_capacity_gb"])
        return RATIO_WITHOUT_USE if used <= 0 or not self.provisioned_gib else 1 + self.provisioned_gib / used


def pools_of(backend: str, zone: str, told: Iterable[Mapping[str, Any]]) -> list[Pool]:
    """Returns a back end's pools, as its agent told of them, with nothing on them."""
    return [
        Pool(host=f"{backend}#{stats['pool_name']}", availability_zone=zone, stats=stats, volumes=0, provisioned_gib=0)
        for stats in told
    ]


class Request(Struct, frozen=True, kw_only=True):
    size_gib: int
    availability_zone: str
    extra_specs: Mapping[str, str] = {}
    attempted: tuple[str, ...] = ()
    """Pools that have failed already."""
    same_hosts: frozenset[str] = frozenset()
    """Pools, one of which it has to be, of the hint `same_host`."""
    different_hosts: frozenset[str] = frozenset()
    """Pools that it must not be on, of the hint `different_host`."""
