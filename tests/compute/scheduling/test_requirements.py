"""What is asked of placement: the flavor's amounts, changed and added to by extra specs and image properties."""

from typing import Any

import pytest

from kilonova.compute.scheduling.requirements import Group, Requirements, UnusableSpec, requirements_of

OWN = {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 6}


def flavor(**specs: str) -> dict[str, Any]:
    amounts = {"vcpus": 2, "memory_mib": 512, "root_gib": 4, "ephemeral_gib": 1, "swap_mib": 512}
    return {**amounts, "extra_specs": specs}


@pytest.mark.parametrize(
    ("specs", "properties", "needed"),
    [
        ({}, {}, Requirements(OWN)),
        ({"hw:cpu_policy": "shared"}, {"hw_disk_bus": "virtio"}, Requirements(OWN)),
        ({"resources1:VGPU": "0"}, {}, Requirements(OWN)),
        ({"resources:CUSTOM_GOLD": "1"}, {}, Requirements({**OWN, "CUSTOM_GOLD": 1})),
        ({"resources:VCPU": "0", "resources:DISK_GB": "9"}, {}, Requirements({"MEMORY_MB": 512, "DISK_GB": 9})),
        (
            {"trait:B": "required", "trait:C": "forbidden"},
            {"trait:A": "required"},
            Requirements(OWN, ("A", "B"), ("C",)),
        ),
        (
            {"resources1:CUSTOM_GOLD": "2", "resources1:VGPU": "0", "trait1:A": "required", "trait1:B": "forbidden"},
            {"trait:C": "required"},
            Requirements(OWN, ("C",), (), (Group("1", {"CUSTOM_GOLD": 2}, ("A",), ("B",)),)),
        ),
        (
            {"resources_NET:CUSTOM_GOLD": "1", "resources2:VGPU": "1", "group_policy": "isolate"},
            {},
            Requirements(OWN, (), (), (Group("2", {"VGPU": 1}), Group("_NET", {"CUSTOM_GOLD": 1})), "isolate"),
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
        ({"resources1:VCPU": "some"}, {}),
        ({"trait_NET:X": "required"}, {}),
        ({"trait_NET:X": "wanted", "resources_NET:VGPU": "1"}, {}),
        ({"group_policy": "together"}, {}),
        ({"group_policy": "together", "resources1:VGPU": "1"}, {}),
        ({}, {"trait:X": "forbidden"}),
        ({}, {"trait:X": ""}),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(specs: Any, properties: Any) -> None:
    with pytest.raises(UnusableSpec, match="|".join([*specs, *properties])):
        requirements_of(flavor(**specs), properties)


def test_several_groups_say_how_they_are_placed_and_there_are_not_too_many() -> None:
    two = {"resources1:VGPU": "1", "resources2:VGPU": "1"}
    with pytest.raises(UnusableSpec, match="need a group_policy"):
        requirements_of(flavor(**two), {})
    assert len(requirements_of(flavor(**two, group_policy="none"), {}).groups) == 2
    many = {f"resources{number}:VGPU": "1" for number in range(17)}
    with pytest.raises(UnusableSpec, match="16 groups of resources at most, got 17"):
        requirements_of(flavor(**many, group_policy="none"), {})
