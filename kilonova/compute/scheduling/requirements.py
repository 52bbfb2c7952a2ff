"""What a flavor and an image ask of placement: amounts of resource classes, and traits. Pure.

Source: the flavor extra specs `resources:CLASS=n` (0 takes a class out) and `trait:NAME=required|forbidden`, the image
property `trait:NAME=required` (compute admin guide, "Extra specs", "Scheduling").
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

_GRANULAR = re.compile(r"(resources|trait)[a-zA-Z0-9_-]{1,64}:.+|group_policy")


class UnusableSpec(Exception):
    """An extra spec or image property that cannot be met here; the message is a sentence for the user."""


class Requirements(Struct, frozen=True):
    resources: dict[str, int]
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


def requirements_of(flavor: Mapping[str, Any], image_properties: Mapping[str, str]) -> Requirements:
    """`flavor` has the fields of `tables.Flavor`. Raises UnusableSpec.

    The amounts are the flavor's alone, which administrators make: an image is any member's to describe, and adds
    traits that the host must have.
    """
    specs: Mapping[str, str] = flavor["extra_specs"]
    amounts = _amounts(flavor)
    traits: dict[str, str] = {}
    for key, value in specs.items():
        if _GRANULAR.fullmatch(key):
            raise UnusableSpec(f"{key}: numbered groups of resources and traits are not served here.")
        kind, _, name = key.partition(":")
        if kind == "resources":
            amounts[name] = _amount(key, value)
        elif kind == "trait":
            if value not in ("required", "forbidden"):
                raise UnusableSpec(f"{key}: a trait is required or forbidden, got {value!r}.")
            traits[name] = value
    for key, value in image_properties.items():
        kind, _, name = key.partition(":")
        if kind != "trait":
            continue
        if value != "required":
            raise UnusableSpec(f"{key}: an image can only require a trait, got {value!r}.")
        if traits.setdefault(name, value) != value:
            raise UnusableSpec(f"{key}: flavor and image contradict each other.")
    return Requirements(
        resources={name: amount for name, amount in amounts.items() if amount},
        required=tuple(sorted(name for name, value in traits.items() if value == "required")),
        forbidden=tuple(sorted(name for name, value in traits.items() if value == "forbidden")),
    )


def _amount(key: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 10:
        raise UnusableSpec(f"{key}: the amount of a resource is a whole number, got {value!r}.")
    return int(value)


def _amounts(flavor: Mapping[str, Any]) -> dict[str, int]:
    """The flavor's own, disk rounded up to GiB with its swap."""
    swap_gib = -(-flavor["swap_mib"] // 1024)
    disk_gib = flavor["root_gib"] + flavor["ephemeral_gib"] + swap_gib
    return {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["memory_mib"], "DISK_GB": disk_gib}
