"""ComputeCapabilitiesFilter: operators, nested properties, and keys that are not its business."""

from typing import Any

import pytest

from kilonova.compute.scheduling.capabilities import compute_capabilities_filter, matches
from tests.compute.scheduling.worlds import make_host, make_wanted

CPU = {"arch": "x86_64", "vendor": "Intel", "features": ["aes", "avx"], "topology": {"cores": 4}}


@pytest.mark.parametrize(
    ("found", "requirement", "is_met"),
    [
        (8, "= 8", True),
        (9, "= 8", True),
        (7, "= 8", False),
        (8, "== 8", True),
        (9, "== 8", False),
        (9, "!= 8", True),
        (8, ">= 8", True),
        (8, "<= 7", False),
        ("text", ">= 7", False),
        ("abc", "s== abc", True),
        ("abc", "s!= abc", False),
        ("abc", "s< b", True),
        ("abc", "s<= abc", True),
        ("abc", "s> b", False),
        ("b", "s>= abc", True),
        ("x86_64", "<in> 86", True),
        (["aes", "avx"], "<in> av", False),
        (["aes", "avx"], "<all-in> aes avx", True),
        (["aes", "avx"], "<all-in> aes vmx", False),
        ("b", "<or> a <or> b", True),
        ("c", "<or> a <or> b", False),
        ("QEMU", "QEMU", True),
        (8, "8", True),
        ("QEMU", "KVM", False),
    ],
)
def test_a_requirement_is_an_operator_and_a_value(found: Any, requirement: str, is_met: bool) -> None:
    assert matches(found, requirement) is is_met


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ({}, None),
        ({"capabilities:hypervisor_type": "QEMU"}, None),
        ({"capabilities:hypervisor_type": "s== KVM"}, "does not meet capabilities:hypervisor_type=s== KVM"),
        ({"capabilities:cpu_info:topology:cores": ">= 4"}, None),
        (
            {"capabilities:cpu_info:features": "<all-in> aes vmx"},
            "does not meet capabilities:cpu_info:features=<all-in> aes vmx",
        ),
        ({"capabilities:free_ram_mb": ">= 8192"}, None),
        ({"capabilities:magic": "yes"}, "has no magic, which capabilities:magic asks for"),
        ({"capabilities:cpu_info:vendor:name": "x"}, "has no cpu_info:vendor:name"),
        ({"vcpus_total": ">= 17"}, "does not meet vcpus_total=>= 17"),
        ({"magic": "yes", "hw:cpu_policy": "shared", "trait:X": "required"}, None),
    ],
)
def test_a_host_is_asked_for_what_the_flavor_wants(specs: dict[str, str], reason: str | None) -> None:
    told = compute_capabilities_filter(make_host(inventory={"cpu_info": CPU}), make_wanted(extra_specs=specs))
    assert told is None if reason is None else reason in str(told)
