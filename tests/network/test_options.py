"""What ML2's options do: which types networks have, which numbers, and what is refused at the start."""

from typing import Any

import pytest

from kilonova.kit.config import ConfigError
from tests.worlds import network

REFUSED = [
    ("ml2", "mechanism_drivers", ["linuxbrigde"], r"\[ml2\] mechanism_drivers: 'linuxbrigde' is no mechanism"),
    ("ml2", "mechanism_drivers", ["openvswitch"], "mechanisms that exist: linuxbridge"),
    (
        "ml2",
        "type_drivers",
        ["flat", "vxlam"],
        r"\[ml2\] type_drivers: 'vxlam' is no network type; there are flat, vlan",
    ),
    ("ml2", "tenant_network_types", ["vxlam"], r"\[ml2\] tenant_network_types: 'vxlam'"),
    ("ml2_type_vlan", "network_vlan_ranges", ["physnet1:1:4095"], r"\[ml2_type_vlan\] network_vlan_ranges: '1:4095'"),
    ("ml2_type_vxlan", "vni_ranges", ["1"], r"\[ml2_type_vxlan\] vni_ranges: '1' is not of the form 1:1000"),
    ("ml2_type_gre", "tunnel_id_ranges", ["9:1"], r"\[ml2_type_gre\] tunnel_id_ranges"),
    ("ml2_type_geneve", "vni_ranges", ["0:1"], r"\[ml2_type_geneve\] vni_ranges"),
]


@pytest.mark.parametrize(("group", "option", "value", "sentence"), REFUSED)
async def test_what_cannot_be_stops_the_start(
    identity: Any, group: str, option: str, value: list[str], sentence: str
) -> None:
    identity.cloud.settings[group] = {option: value}
    with pytest.raises(ConfigError, match=sentence):
        await identity.cloud.add(network.SERVER)


@pytest.fixture
def settings(identity: Any) -> dict[str, Any]:
    """Those of a guide whose types nobody carries yet come first, and whose numbers begin elsewhere."""
    types = ["vlan", "gre", "vxlan", "geneve"]
    ml2 = {"mechanism_drivers": ["openvswitch", "linuxbridge"], "type_drivers": types, "tenant_network_types": types}
    identity.cloud.settings.update(ml2=ml2, ml2_type_vxlan={"vni_ranges": ["70:71"]})
    return ml2


async def test_projects_get_the_first_type_that_is_carried(settings: dict[str, Any], net: Any, body_of: Any) -> None:
    made = await net.create("networks", {}, by="admin")
    assert (made["provider:network_type"], made["provider:segmentation_id"]) == ("vxlan", 70)
    refused = await net.create("networks", {"provider:network_type": "local"}, by="admin", status=400)
    assert "'local' is none of this cloud's type_drivers; possible are ('vxlan',)" in refused["message"]
