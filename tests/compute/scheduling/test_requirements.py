"""What is asked of placement: the flavor's amounts, changed and added to by extra specs and image properties."""

from typing import Any

import pytest

from kilonova.compute.scheduling.requirements import Requirements, UnusableSpec, requirements_of

OWN = {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 6}


def flavor(**specs: str) -> dict[str, Any]:
    amounts = {"vcpus": 2, "memory_mib": 512, "root_gib": 4, "ephemeral_gib": 1, "swap_mib": 512}
    return {**amounts, "extra_specs": specs}


@pytest.mark.parametrize(
    ("specs", "properties", "needed"),
    [
        ({}, {}, Requirements(OWN)),
        ({"hw:cpu_policy": "shared"}, {"hw_disk_bus": "virtio"}, Requirements(OWN)),
        ({"resources:CUSTOM_GOLD": "1"}, {}, Requirements({**OWN, "CUSTOM_GOLD": 1})),
        ({"resources:VCPU": "0", "resources:DISK_GB": "9"}, {}, Requirements({"MEMORY_MB": 512, "DISK_GB": 9})),
        (
            {"trait:B": "required", "trait:C": "forbidden"},
            {"trait:A": "required"},
            Requirements(OWN, ("A", "B"), ("C",)),
        ),
    ],
)
def test_requirements_are_the_flavors_with_what_specs_say(specs: Any, properties: Any, needed: Requirements) -> None:
    assert requirements_of(flavor(**specs), properties) == needed


NOTES = (
    "resources:MEMORY_MB",
    "resources:VCPU",
    "resources1:VCPU",
    "resources:CUSTOM_GOLD",
    "group_policy",
    "trait1:X",
)


@pytest.mark.parametrize("name", NOTES)
@pytest.mark.parametrize("value", ["0", "1", "65024", "many", "required"])
def test_an_image_changes_nothing_of_what_is_claimed(name: str, value: str) -> None:
    assert requirements_of(flavor(), {name: value}) == Requirements(OWN)


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        ({"resources:VCPU": "many"}, {}),
        ({"trait:X": "wanted"}, {}),
        ({"trait:X": "forbidden"}, {"trait:X": "required"}),
        ({"resources1:VCPU": "1"}, {}),
        ({"trait_NET:X": "required"}, {}),
        ({"group_policy": "isolate"}, {}),
        ({}, {"trait:X": "forbidden"}),
        ({}, {"trait:X": ""}),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(specs: Any, properties: Any) -> None:
    with pytest.raises(UnusableSpec, match="|".join([*specs, *properties])):
        requirements_of(flavor(**specs), properties)
