"""Weighers: which of the pools that a volume may be on it goes to, by upstream's names.

Each weigher's values are spread over 0 to 1 among the pools, and multiplied by the operator's weight.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scheduling.pools import Pool

Weigher = Callable[[Pool], float]


def free_capacity(pool: Pool) -> float:
    """Returns the GiB that a thin pool can still promise, or that another one has free."""
    if not pool.is_thin:
        return pool.free_gib
    return pool.total_gib * pool.over_subscription_ratio - pool.provisioned_gib


def chance(_pool: Pool) -> float:
    return random.random()  # noqa: S311 - spreads volumes, keeps no secret


WEIGHERS: Mapping[str, Weigher] = {
    "CapacityWeigher": free_capacity,
    "AllocatedCapacityWeigher": lambda pool: float(pool.provisioned_gib),
    "VolumeNumberWeigher": lambda pool: float(pool.volumes),
    "ChanceWeigher": chance,
}


def weight_of(name: str, options: VolumeOptions) -> float:
    return {
        "CapacityWeigher": options.capacity_weight,
        "AllocatedCapacityWeigher": options.allocated_weight,
        "VolumeNumberWeigher": options.volume_number_weight,
    }.get(name, 1.0)


def best(pools: Sequence[Pool], options: VolumeOptions) -> Pool:
    """Returns the pool of the greatest weight; among equals the first by name."""
    ordered = sorted(pools, key=lambda pool: pool.host)
    weights = [0.0] * len(ordered)
    for name in options.weighers:
        values = [WEIGHERS[name](pool) for pool in ordered]
        least, spread = min(values), max(values) - min(values)
        for place, value in enumerate(values):
            weights[place] += weight_of(name, options) * ((value - least) / spread if spread else 0.0)
    return ordered[max(range(len(ordered)), key=lambda place: (weights[place], -place))]
