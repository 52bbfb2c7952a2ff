"""What the operator has every server ask: traits for its image, and aggregates kept for projects or for traits."""

from typing import Any

import pytest

from kilonova.compute.scheduling.plan import make_plan
from kilonova.compute.scheduling.request_filters import has_own_aggregate, traits_for
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.rules import Rules
from tests.compute.scheduling.worlds import in_aggregates, make_host, make_wanted

PROPERTIES = {"hw_disk_bus": "scsi", "hw_video_model": "qxl", "hw_vif_model": "ne2k-pci", "os_distro": "debian"}


def test_an_image_asks_for_traits_only_where_the_operator_wants_that() -> None:
    assert traits_for("qcow2", PROPERTIES, Rules()) == []
    assert traits_for("qcow2", PROPERTIES, Rules(query_placement_for_image_type_support=True)) == [
        "COMPUTE_IMAGE_TYPE_QCOW2"
    ]
    assert traits_for("", {}, Rules(query_placement_for_image_type_support=True, image_metadata_prefilter=True)) == []
    assert traits_for("raw", PROPERTIES, Rules(image_metadata_prefilter=True)) == [
        "COMPUTE_STORAGE_BUS_SCSI",
        "COMPUTE_GRAPHICS_MODEL_QXL",
        "COMPUTE_NET_VIF_MODEL_NE2K_PCI",
    ]
    with pytest.raises(UnusableSpec, match="in the format docker"):
        traits_for("docker", {}, Rules(query_placement_for_image_type_support=True))


HOSTS = [
    make_host("theirs", aggregates=in_aggregates({"filter_tenant_id": "other"})),
    make_host("mine", aggregates=in_aggregates({"ssd": "true"}, {"filter_tenant_id9": "x, me"})),
    make_host("gold", aggregates=in_aggregates({"trait:CUSTOM_GOLD": "required", "trait:CUSTOM_RED": "no"})),
    make_host("free"),
]
EVERYBODY = [aggregate for host in HOSTS for aggregate in host.aggregates]
KEYS = frozenset(key for each in EVERYBODY for key in each.metadata)


def left(project_id: str = "me", traits: tuple[str, ...] = (), **rules: Any) -> list[str]:
    wanted = make_wanted(
        project_id=project_id,
        required_traits=traits,
        aggregate_keys=KEYS,
        has_own_aggregate=has_own_aggregate(EVERYBODY, project_id),
        rules=Rules(**rules),
    )
    return sorted(each.host for each in make_plan(HOSTS, [each.id for each in HOSTS], wanted).hosts)


EVERY = ["free", "gold", "mine", "theirs"]


def test_a_project_stays_in_its_own_aggregates() -> None:
    assert left() == EVERY
    assert left(limit_tenants_to_placement_aggregate=True) == ["mine"]
    assert left("nobody", limit_tenants_to_placement_aggregate=True) == EVERY
    assert left("nobody", placement_aggregate_required_for_tenants=True) == EVERY
    both = {"limit_tenants_to_placement_aggregate": True, "placement_aggregate_required_for_tenants": True}
    assert left("nobody", **both) == []
    assert left("other", **both) == ["theirs"]


def test_an_aggregate_with_traits_is_kept_for_servers_that_require_them() -> None:
    assert left(enable_isolated_aggregate_filtering=True) == ["free", "mine", "theirs"]
    assert left(traits=("CUSTOM_GOLD",), enable_isolated_aggregate_filtering=True) == EVERY
    assert left(traits=("CUSTOM_RED",), enable_isolated_aggregate_filtering=True) == ["free", "mine", "theirs"]
