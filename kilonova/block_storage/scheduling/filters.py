"""Filters: which pools a volume may be on, by upstream's names.

Source: Block Storage administration guide, "Scheduler filters", and the operators of extra specs.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kilonova.block_storage.scheduling.pools import Pool, Request

Filter = Callable[[Pool, Request], bool]

OUTSIDE_SCOPE = ("capabilities",)
"""The one scope of extra specs that back ends are chosen by; those of others are for whoever knows them."""
NOT_CAPABILITIES = ("multiattach", "resource_type")


def has_capacity(pool: Pool, request: Request) -> bool:
    """Whether there is room: by what is promised where the pool is thin, by what is free where it is not."""
    size = request.size_gib
    if not pool.is_thin or request.extra_specs.get("provisioning:type") == "thick":
        return pool.free_gib >= size
    if pool.total_gib <= 0:
        return False
    ratio = pool.over_subscription_ratio
    if (pool.provisioned_gib + size) / pool.total_gib > ratio:
        return False
    return pool.free_gib * ratio >= size


def is_in_zone(pool: Pool, request: Request) -> bool:
    return pool.availability_zone == request.availability_zone


def has_capabilities(pool: Pool, request: Request) -> bool:
    """Whether the pool has what the type's extra specs ask for."""
    for key, wanted in request.extra_specs.items():
        scope, colon, name = key.partition(":")
        if colon and scope not in OUTSIDE_SCOPE:
            continue
        name = name if colon else key
        if name in NOT_CAPABILITIES and not colon:
            if name == "multiattach" and wanted.lower() == "<is> true" and not pool.stats.get("multiattach"):
                return False
            continue
        if name not in pool.stats or not matches(pool.stats[name], wanted):
            return False
    return True


def fits_type(pool: Pool, extra_specs: Mapping[str, str]) -> bool:
    """Whether the pool has what the extra specs of a volume type ask for."""
    return has_capabilities(
        pool, Request(size_gib=0, availability_zone=pool.availability_zone, extra_specs=extra_specs)
    )


_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s>=": operator.ge,
    "s>": operator.gt,
    "s<=": operator.le,
    "s<": operator.lt,
}


def matches(told: Any, wanted: str) -> bool:
    """Whether what a pool tells is what an extra spec wants, which may begin with an operator."""
    word, _, rest = wanted.strip().partition(" ")
    value = rest.strip()
    if word == "<or>":
        return any(str(told) == each.strip() for each in wanted.split("<or>") if each.strip())
    if word == "<in>":
        return value in str(told)
    if word == "<is>":
        return _as_boolean(told) == _as_boolean(value)
    if word in _TEXTS:
        return _TEXTS[word](str(told), value)
    if word in _NUMBERS:
        try:
            return _NUMBERS[word](float(told), float(value))
        except (TypeError, ValueError):
            return False
    return str(told).lower() == wanted.strip().lower() if isinstance(told, bool) else str(told) == wanted.strip()


def _as_boolean(value: Any) -> bool:
    return str(value).strip().lower() in ("1", "t", "true", "on", "y", "yes")


def was_not_attempted(pool: Pool, request: Request) -> bool:
    return pool.host not in request.attempted


def is_different(pool: Pool, request: Request) -> bool:
    return pool.host not in request.different_hosts


def is_same(pool: Pool, request: Request) -> bool:
    return not request.same_hosts or pool.host in request.same_hosts


FILTERS: Mapping[str, Filter] = {
    "AvailabilityZoneFilter": is_in_zone,
    "CapacityFilter": has_capacity,
    "CapabilitiesFilter": has_capabilities,
    "IgnoreAttemptedHostsFilter": was_not_attempted,
    "DifferentBackendFilter": is_different,
    "SameBackendFilter": is_same,
}


ALWAYS = ("IgnoreAttemptedHostsFilter", "SameBackendFilter", "DifferentBackendFilter")
"""Filters that are asked whatever the operator's are: no pool is tried twice, and a hint is obeyed."""


def passing(pools: Iterable[Pool], request: Request, names: Iterable[str]) -> tuple[list[Pool], str]:
    """Returns the pools that pass, and an account of what each filter has left, for when none does."""
    left, account = list(pools), []
    account.append(f"{len(left)} pools")
    for name in dict.fromkeys((*ALWAYS, *names)):
        left = [pool for pool in left if FILTERS[name](pool, request)]
        account.append(f"{name} leaves {len(left)}")
    return left, ", ".join(account)
