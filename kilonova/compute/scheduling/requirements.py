"""What a flavor and an image ask of placement: amounts of resource classes, and traits. Pure.

Source: the flavor extra specs `resources:CLASS=n` (0 takes a class out) and `trait:NAME=required|forbidden`, each also
with the suffix of a group that one provider has to give (`resources1:`, `trait_NET:`), `group_policy`, and the image
property `trait:NAME=required` (compute admin guide, "Extra specs", "Scheduling").
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

_KEY = re.compile(r"(resources|trait)([a-zA-Z0-9_-]{1,64})?:(.+)")
POLICY, POLICIES = "group_policy", ("none", "isolate")
MOST_GROUPS = 16
"""Placement looks for all ways to put them together."""


class UnusableSpec(Exception):
    """An extra spec or image property that cannot be met here; the message is a sentence for the user."""


class Group(Struct, frozen=True):
    """Resources that one provider has to give; placement finds which one."""

    suffix: str
    """Empty for what the host has to give, with all that is below it."""
    resources: dict[str, int]
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


class Requirements(Struct, frozen=True):
    resources: dict[str, int]
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    """Those with a suffix."""
    group_policy: str = ""


def requirements_of(flavor: Mapping[str, Any], image_properties: Mapping[str, str]) -> Requirements:
    """`flavor` has the fields of `tables.Flavor`. Raises UnusableSpec.

    The amounts are the flavor's alone, which administrators make: an image is any member's to describe, and adds
    traits that the host must have.
    """
    specs: Mapping[str, str] = flavor["extra_specs"]
    amounts: dict[str, dict[str, int]] = {"": _amounts(flavor)}
    traits: dict[str, dict[str, str]] = {"": {}}
    for key, value in specs.items():
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        kind, suffix, name = match.group(1), match.group(2) or "", match.group(3)
        if kind == "resources":
            amounts.setdefault(suffix, {})[name] = _amount(key, value)
        elif value not in ("required", "forbidden"):
            raise UnusableSpec(f"{key}: a trait is required or forbidden, got {value!r}.")
        else:
            traits.setdefault(suffix, {})[name] = value
    _add_traits_of_image(traits[""], image_properties)
    groups = {
        suffix: _group(suffix, amounts.get(suffix, {}), traits.get(suffix, {})) for suffix in {**amounts, **traits}
    }
    own = groups.pop("")
    groups = {suffix: group for suffix, group in groups.items() if group != Group(suffix, {})}
    policy = specs.get(POLICY, "")
    _check_groups(groups, policy)
    return Requirements(
        own.resources, own.required, own.forbidden, tuple(groups[suffix] for suffix in sorted(groups)), policy
    )


def _add_traits_of_image(traits: dict[str, str], image_properties: Mapping[str, str]) -> None:
    for key, value in image_properties.items():
        kind, _, name = key.partition(":")
        if kind != "trait":
            continue
        if value != "required":
            raise UnusableSpec(f"{key}: an image can only require a trait, got {value!r}.")
        if traits.setdefault(name, value) != value:
            raise UnusableSpec(f"{key}: flavor and image contradict each other.")


def _group(suffix: str, amounts: Mapping[str, int], traits: Mapping[str, str]) -> Group:
    return Group(
        suffix,
        {name: amount for name, amount in amounts.items() if amount},
        tuple(sorted(name for name, value in traits.items() if value == "required")),
        tuple(sorted(name for name, value in traits.items() if value == "forbidden")),
    )


def _check_groups(groups: Mapping[str, Group], policy: str) -> None:
    if policy and policy not in POLICIES:
        raise UnusableSpec(f"{POLICY}: groups are placed by none or isolate, got {policy!r}.")
    if len(groups) > MOST_GROUPS:
        raise UnusableSpec(f"A flavor has {MOST_GROUPS} groups of resources at most, got {len(groups)}.")
    for suffix, group in groups.items():
        if not group.resources:
            name = [*group.required, *group.forbidden][0]
            raise UnusableSpec(f"trait{suffix}:{name}: the group has no resources{suffix} that a provider could give.")
    if len(groups) > 1 and not policy:
        raise UnusableSpec(f"Several groups of resources need a {POLICY}: none or isolate.")


def _amount(key: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 10:
        raise UnusableSpec(f"{key}: the amount of a resource is a whole number, got {value!r}.")
    return int(value)


def _amounts(flavor: Mapping[str, Any]) -> dict[str, int]:
    """The flavor's own, disk rounded up to GiB with its swap."""
    swap_gib = -(-flavor["swap_mib"] // 1024)
    disk_gib = flavor["root_gib"] + flavor["ephemeral_gib"] + swap_gib
    return {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["memory_mib"], "DISK_GB": disk_gib}
