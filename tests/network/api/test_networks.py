"""Networks and subnets as stories."""

from typing import Any

import pytest

from kilonova.network.segments.flat import Flat
from kilonova.network.segments.offered import NAMES, Segments
from kilonova.network.segments.segment import Underlay
from kilonova.network.segments.vxlan import Vxlan


async def test_a_network_is_created_shown_listed_changed_and_deleted(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {"name": "lan", "description": "mine"})
    assert (network["status"], network["mtu"], network["admin_state_up"], network["subnets"]) == (
        "ACTIVE",
        1450,
        True,
        [],
    )
    assert "provider:network_type" not in network
    url = f"/v2.0/networks/{network['id']}"
    assert body_of(await net.demo.get(url))["network"] == network
    seen_by_admin = body_of(await net.admin.get(url))["network"]
    assert (seen_by_admin["provider:network_type"], seen_by_admin["provider:segmentation_id"]) == ("vxlan", 1)
    changed = body_of(await net.demo.put(url, json={"network": {"name": "wan"}}))["network"]
    assert (changed["name"], changed["revision_number"]) == ("wan", 2)
    assert [each["id"] for each in body_of(await net.demo.get("/v2.0/networks?name=wan"))["networks"]] == [
        network["id"]
    ]
    assert (await net.demo.delete(url)).status_code == 204
    missing = body_of(await net.demo.get(url), 404)["NeutronError"]
    assert missing == {
        "type": "NetworkNotFound",
        "message": f"Network {network['id']} could not be found.",
        "detail": "",
    }


async def test_networks_take_different_segments_until_they_are_used_up(net: Any) -> None:
    net.service.segments = Segments([Vxlan([(5, 6)])], carried=["vxlan"])
    for _ in range(2):
        await net.create("networks", {})
    error = await net.create("networks", {}, status=503)
    assert error["type"] == "NoNetworkAvailable"


NOT_A_MEMBER_S = [
    ({"shared": True}, 403, "shared"),
    ({"router:external": True}, 403, "router:external"),
    ({"provider:network_type": "flat", "provider:physical_network": "x"}, 403, "provider:network_type"),
    ({"colour": "red"}, 400, "unknown field `colour`"),
    ({"name": "x" * 256}, 400, "length <= 255"),
    ({"mtu": 9000}, 400, "maximum is 1450"),
]


async def test_a_member_is_refused_what_he_may_not_or_cannot_have(net: Any) -> None:
    for fields, status, sentence in NOT_A_MEMBER_S:
        assert sentence in (await net.create("networks", fields, status=status))["message"], fields


NO_SEGMENTS = [
    ({"provider:network_type": "flat"}, 400, "InvalidInput"),
    ({"provider:network_type": "gre"}, 400, "InvalidInput"),
    ({"provider:network_type": "vxlan", "provider:segmentation_id": 1 << 24}, 400, "InvalidInput"),
    ({"provider:network_type": "vxlan", "provider:physical_network": "x"}, 400, "InvalidInput"),
    ({"provider:network_type": "local", "provider:segmentation_id": 4}, 400, "InvalidInput"),
]


async def test_a_segment_that_cannot_be_is_refused(net: Any) -> None:
    for fields, status, kind in NO_SEGMENTS:
        assert (await net.create("networks", fields, by="admin", status=status))["type"] == kind, fields


async def test_a_segment_is_named_as_one_of_a_list_too(net: Any, body_of: Any) -> None:
    flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    await net.create("networks", {"segments": [flat]}, status=403)
    made = await net.create("networks", {"segments": [flat]}, by="admin")
    assert {**made, **flat} == made
    tunnel = {"provider:network_type": "vxlan", "provider:segmentation_id": 7}
    for fields, sentence in (
        ({"segments": [tunnel, flat]}, "more than one segment are not served"),
        ({"segments": [tunnel], "provider:network_type": "vxlan"}, "cannot both be set"),
        ({"segments": [{**tunnel, "colour": "red"}]}, "unknown field"),
    ):
        assert sentence in (await net.create("networks", fields, by="admin", status=400))["message"]
    assert (await net.create("networks", {"segments": []}))["mtu"] == 1450


async def test_a_segment_is_taken_once(net: Any) -> None:
    flat = {"provider:network_type": "flat", "provider:physical_network": "provider"}
    await net.create("networks", flat, by="admin")
    assert (await net.create("networks", flat, by="admin", status=409))["type"] == "FlatNetworkInUse"
    tunnel = {"provider:network_type": "vxlan", "provider:segmentation_id": 77}
    await net.create("networks", tunnel, by="admin")
    assert (await net.create("networks", tunnel, by="admin", status=409))["type"] == "TunnelIdInUse"


async def test_projects_see_their_own_shared_and_external_networks(net: Any, body_of: Any) -> None:
    mine = await net.create("networks", {"name": "mine"})
    outside, _ = await net.outside()
    assert {each["id"] for each in body_of(await net.demo.get("/v2.0/networks"))["networks"]} == {
        mine["id"],
        outside["id"],
    }
    assert {each["id"] for each in body_of(await net.other.get("/v2.0/networks"))["networks"]} == {outside["id"]}
    assert (await net.other.get(f"/v2.0/networks/{mine['id']}")).status_code == 404
    assert (await net.other.delete(f"/v2.0/networks/{mine['id']}")).status_code == 404
    assert (await net.demo.delete(f"/v2.0/networks/{outside['id']}")).status_code == 403
    assert (await net.reader.get(f"/v2.0/networks/{mine['id']}")).status_code == 200
    assert (await net.reader.delete(f"/v2.0/networks/{mine['id']}")).status_code == 403


async def test_a_network_in_use_is_not_deleted(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    error = body_of(await net.demo.delete(f"/v2.0/networks/{network['id']}"), 409)["NeutronError"]
    assert error["type"] == "NetworkInUse"
    await net.demo.delete(f"/v2.0/ports/{port['id']}")
    assert (await net.demo.delete(f"/v2.0/networks/{network['id']}")).status_code == 204
    assert body_of(await net.demo.get("/v2.0/subnets"))["subnets"] == []


async def test_an_external_network_goes_with_the_floating_ips_that_serve_nobody(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    await net.create("floatingips", {"floating_network_id": outside["id"]})
    assert (await net.admin.delete(f"/v2.0/networks/{outside['id']}")).status_code == 204
    for collection in ("floatingips", "ports"):
        assert body_of(await net.admin.get(f"/v2.0/{collection}"))[collection] == []


async def follow(net: Any, body_of: Any, page: Any, rel: str) -> Any:
    """The page a list's link leads to."""
    (href,) = [link["href"] for link in page["networks_links"] if link["rel"] == rel]
    return body_of(await net.demo.get(href.partition("service.local")[2]))


async def test_lists_are_filtered_sorted_paged_and_cut_to_fields(net: Any, body_of: Any) -> None:
    for name in ("c", "a", "b"):
        await net.create("networks", {"name": name})
    page = body_of(await net.demo.get("/v2.0/networks?sort_key=name&sort_dir=desc&limit=2&fields=name&fields=id"))
    assert [each["name"] for each in page["networks"]] == ["c", "b"]
    assert set(page["networks"][0]) == {"name", "id"}
    following = await follow(net, body_of, page, "next")
    assert [each["name"] for each in following["networks"]] == ["a"]
    assert [link["rel"] for link in following["networks_links"]] == ["previous"]
    before = await follow(net, body_of, following, "previous")
    assert [each["name"] for each in before["networks"]] == ["c", "b"]
    nothing = await follow(net, body_of, before, "previous")
    assert (nothing["networks"], [link["rel"] for link in nothing["networks_links"]]) == ([], ["next"])
    both = body_of(await net.demo.get("/v2.0/networks?name=a&name=b"))["networks"]
    assert {each["name"] for each in both} == {"a", "b"}
    for query in ("colour=red", "limit=many", "sort_key=colour", "sort_key=name&sort_dir=up", "marker=nothing"):
        assert (await net.demo.get(f"/v2.0/networks?{query}")).status_code == 400, query


async def test_one_external_network_is_the_default(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    url = f"/v2.0/networks/{outside['id']}"
    assert body_of(await net.admin.put(url, json={"network": {"is_default": True}}))["network"]["is_default"] is True
    more = {"router:external": True, "is_default": True}
    assert (await net.create("networks", more, by="admin", status=409))["type"] == "DefaultExternalNetworkExists"
    await net.create("networks", {"is_default": True}, by="admin", status=400)
    await net.create("networks", {"is_default": True}, status=403)


async def test_what_others_use_is_not_taken_from_them(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    url = f"/v2.0/networks/{outside['id']}"
    await net.create("ports", {"network_id": outside["id"]})
    refused = await net.admin.put(url, json={"network": {"shared": False}})
    assert body_of(refused, 409)["NeutronError"]["type"] == "InvalidSharedSetting"
    await net.create("floatingips", {"floating_network_id": outside["id"]})
    refused = await net.admin.put(url, json={"network": {"router:external": False}})
    assert body_of(refused, 409)["NeutronError"]["type"] == "ExternalNetworkInUse"


NO_MTUS = [1451, 67, 65536, "x"]


async def test_an_mtu_the_segment_does_not_carry_is_refused(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {"mtu": 0})
    assert network["mtu"] == 1450
    for mtu in NO_MTUS:
        body_of(await net.demo.put(f"/v2.0/networks/{network['id']}", json={"network": {"mtu": mtu}}), 400)


async def test_tunnels_are_as_wide_as_the_underlay_and_their_way_let_them(net: Any) -> None:
    net.service.segments = Segments([Flat(), Vxlan([(1, 9)])], carried=NAMES, underlay=Underlay(9000, 1550))
    assert (await net.create("networks", {}))["mtu"] == 1500
    assert (await net.outside())[0]["mtu"] == 9000


async def test_a_network_keeps_its_segment(net: Any, body_of: Any) -> None:
    outside, _ = await net.outside()
    url = f"/v2.0/networks/{outside['id']}"
    same = {"provider:network_type": "flat", "provider:physical_network": "provider", "name": "x"}
    assert body_of(await net.admin.put(url, json={"network": same}))["network"]["name"] == "x"
    body_of(await net.admin.put(url, json={"network": {"provider:network_type": "vxlan"}}), 400)
    body_of(await net.admin.put(url, json={"network": {"provider:segmentation_id": 4}}), 400)


SELECTIONS = [
    ("status=ACTIVE", ["a", "b", "c"]),
    ("status=DOWN", []),
    ("admin_state_up=false", ["b"]),
    ("mtu=1300", ["b"]),
    ("mtu=99999999999999999", []),
    ("project_id=nobody", []),
    ("changed_since=2000-01-01T00:00:00", ["a", "b", "c"]),
    ("changed_since=2999-01-01T00:00:00Z", []),
    ("sort_key=mtu&sort_dir=asc&sort_key=name&sort_dir=desc", ["b", "c", "a"]),
    ("sort_key=status&sort_dir=desc&limit=2", ["a", "b"]),
    ("limit=1&page_reverse=true", ["c"]),
    ("limit=0", ["a", "b", "c"]),
]


async def test_networks_are_selected(net: Any, body_of: Any) -> None:
    for fields in ({"name": "a"}, {"name": "b", "admin_state_up": False, "mtu": 1300}, {"name": "c"}):
        await net.create("networks", fields)
    for query, names in SELECTIONS:
        found = body_of(await net.demo.get(f"/v2.0/networks?{query}"))["networks"]
        assert [each["name"] for each in found] == names, query


NO_FILTERS = [
    "mtu=x",
    "mtu=9999999999999999999999",
    "shared=perhaps",
    "changed_since=now",
    "limit=-1",
    "created_at=2026-01-01",
]


async def test_a_filter_that_cannot_be_is_refused(net: Any, body_of: Any) -> None:
    for query in NO_FILTERS:
        assert body_of(await net.demo.get(f"/v2.0/networks?{query}"), 400)["NeutronError"]["type"] == "HTTPBadRequest"


async def test_a_list_is_walked_page_by_page_in_any_order(net: Any, body_of: Any) -> None:
    for number in range(5):
        await net.create(
            "subnets",
            {
                "network_id": (await net.create("networks", {}))["id"],
                "ip_version": 4,
                "cidr": f"10.{number}.0.0/24",
                "gateway_ip": None if number % 2 else f"10.{number}.0.9",
            },
        )
    query = "sort_key=gateway_ip&sort_dir=desc&sort_key=cidr&sort_dir=asc"
    everything = [each["id"] for each in body_of(await net.demo.get(f"/v2.0/subnets?{query}"))["subnets"]]
    walked: list[str] = []
    page = body_of(await net.demo.get(f"/v2.0/subnets?{query}&limit=2"))
    while page["subnets"]:
        walked += [each["id"] for each in page["subnets"]]
        links = [link["href"] for link in page["subnets_links"] if link["rel"] == "next"]
        if not links:
            break
        page = body_of(await net.demo.get(links[0].partition("service.local")[2]))
    assert walked == everything


async def test_a_subnet_gets_gateway_and_pools_by_itself(net: Any, body_of: Any) -> None:
    network, subnet = await net.lan("10.1.2.0/28")
    assert subnet["gateway_ip"] == "10.1.2.1"
    assert subnet["allocation_pools"] == [{"start": "10.1.2.2", "end": "10.1.2.14"}]
    assert body_of(await net.demo.get(f"/v2.0/networks/{network['id']}"))["network"]["subnets"] == [subnet["id"]]
    url = f"/v2.0/subnets/{subnet['id']}"
    changes = {"dns_nameservers": ["9.9.9.9"], "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.1.2.3"}]}
    changed = body_of(await net.demo.put(url, json={"subnet": changes}))["subnet"]
    assert {**changed, **changes} == changed
    assert (await net.demo.delete(url)).status_code == 204


NO_SUBNETS = [
    ({"cidr": "10.0.0.0/31"}, "incompatible with DHCP"),
    ({"cidr": "10.12.0.0"}, "needs the length of its prefix"),
    ({"cidr": "10.12.0.0/255.255.0.0"}, "needs the length of its prefix"),
    ({"cidr": "10.12.0.0/33"}, "not a valid IP subnet"),
    ({"cidr": "x/24"}, "not a valid IP subnet"),
    ({"cidr": "fd00::/64"}, "not of ip_version 4"),
    ({"cidr": None}, "cidr must be specified"),
    ({"ip_version": 5}, "Invalid enum value"),
    ({"gateway_ip": "10.0.0.255"}, "not a usable address"),
    ({"gateway_ip": "no"}, "not a valid IP address"),
    ({"allocation_pools": [{"start": "10.0.1.1", "end": "10.0.1.9"}]}, "spans beyond the subnet cidr 10.0.0.0/24"),
    ({"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.2"}]}, "10.0.0.9-10.0.0.2 is not valid"),
    ({"allocation_pools": [{"start": "10.0.0.2"}]}, "missing required field `end`"),
    ({"dns_nameservers": ["x"]}, "dns_nameservers"),
    ({"host_routes": [{"destination": "10.0.0.0/8"}]}, "missing required field `nexthop`"),
    ({"ipv6_ra_mode": "slaac"}, "ip_version 6"),
    ({"ipv6_ra_mode": "guess"}, "Invalid enum value"),
    ({"ip_version": 6, "cidr": "fd00::/80", "ipv6_ra_mode": "slaac"}, "need a /64"),
    ({"ip_version": 6, "cidr": "fd00::/48", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}, "need a /64"),
    ({"ip_version": 6, "cidr": "fd00::/48", "ipv6_address_mode": "dhcpv6-stateless"}, "need a /64"),
    ({"ip_version": 6, "cidr": "fd00::/48", "ipv6_address_mode": "dhcpv6-stateful"}, "/64 or longer"),
    ({"ip_version": 6, "cidr": "fd00::/63", "ipv6_ra_mode": "dhcpv6-stateful"}, "/64 or longer"),
    ({"ip_version": 6, "cidr": "fd00::/63", "enable_dhcp": True}, "/64 or longer"),
    ({"ip_version": 6, "cidr": "fd00::/64", "ipv6_ra_mode": "slaac", "enable_dhcp": False}, "enable_dhcp"),
    (
        {
            "ip_version": 6,
            "cidr": "fd00::/64",
            "ipv6_ra_mode": "slaac",
            "ipv6_address_mode": "dhcpv6-stateful",
        },
        "same value",
    ),
    ({"ip_version": 6, "cidr": "::/64"}, "not supported"),
    ({"cidr": "224.0.0.0/24"}, "DHCP"),
    ({"service_types": ["pigeon"]}, "valid device owner"),
    ({"dns_nameservers": [f"9.9.9.{n}" for n in range(6)]}, "exceeds the limit 5"),
    ({"dns_nameservers": ["9.9.9.9", "9.9.9.9"]}, "Duplicate nameserver"),
    ({"dns_nameservers": ["fd00::1"]}, "ip_version 4"),
    ({"host_routes": [{"destination": f"10.{n}.0.0/24", "nexthop": "10.0.0.2"} for n in range(21)]}, "limit 20"),
    ({"host_routes": [{"destination": "10.9.0.0/24", "nexthop": "fd00::1"}]}, "ip_version 4"),
    ({"prefixlen": 24}, "subnet pools are not served"),
    ({"segment_id": "x"}, "not served"),
]


async def test_a_subnet_is_the_network_that_its_cidr_is_in(net: Any) -> None:
    network = await net.create("networks", {})
    four = {"network_id": network["id"], "ip_version": 4, "cidr": "10.11.0.5/24", "allocation_pools": []}
    made = await net.create("subnets", four)
    assert (made["cidr"], made["gateway_ip"]) == ("10.11.0.0/24", "10.11.0.1")
    assert made["allocation_pools"] == [{"start": "10.11.0.2", "end": "10.11.0.254"}]
    six = {"network_id": network["id"], "ip_version": 6, "cidr": "FD00:0::5/64"}
    assert (await net.create("subnets", six))["cidr"] == "fd00::/64"


async def test_a_large_ipv6_subnet_says_that_dhcp_does_not_serve_it(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    six = {"network_id": network["id"], "ip_version": 6}
    large = await net.create("subnets", {**six, "cidr": "fd00:1::/48"})
    assert large["enable_dhcp"] is False
    url = f"/v2.0/subnets/{large['id']}"
    answer = await net.demo.put(url, json={"subnet": {"enable_dhcp": True}})
    assert (answer.status_code, "/64 or longer" in answer.text) == (400, True)
    changed = body_of(await net.demo.put(url, json={"subnet": {"name": "large", "enable_dhcp": False}}))["subnet"]
    assert (changed["name"], changed["enable_dhcp"]) == ("large", False)
    for prefix in (64, 80):
        stateful = {"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
        fits = await net.create("subnets", {**six, **stateful, "cidr": f"fd00:2:0:{prefix}::/{prefix}"})
        assert fits["enable_dhcp"] is True


BOOLEANS = [("yes", True), ("ON", True), ("1", True), (1, True), ("t", True), ("Off", False), ("n", False), (0, False)]


async def test_booleans_come_as_words_too(net: Any, body_of: Any) -> None:
    for text, value in BOOLEANS:
        made = await net.create("networks", {"admin_state_up": text, "port_security_enabled": text})
        assert (made["admin_state_up"], made["port_security_enabled"]) == (value, value), text
        wanted = {"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/24", "enable_dhcp": text}
        assert (await net.create("subnets", wanted))["enable_dhcp"] is value, text
        port = await net.create("ports", {"network_id": made["id"], "admin_state_up": text})
        assert port["admin_state_up"] is value, text
        changed = {"port": {"admin_state_up": not value if isinstance(text, int) else text}}
        body_of(await net.demo.put(f"/v2.0/ports/{port['id']}", json=changed))
    for text in ("perhaps", "", 2, "yes\n", None):
        assert (await net.create("networks", {"admin_state_up": text}, status=400))["type"] == "HTTPBadRequest", text


async def test_a_subnet_that_cannot_be_is_refused(net: Any) -> None:
    network = await net.create("networks", {})
    for fields, sentence in NO_SUBNETS:
        wanted = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **fields}
        assert sentence in (await net.create("subnets", wanted, status=400))["message"], fields


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}, "GatewayConflictWithAllocationPools"),
        (
            {"allocation_pools": [{"start": "10.0.0.5", "end": "10.0.0.9"}, {"start": "10.0.0.9", "end": "10.0.0.10"}]},
            "OverlappingAllocationPools",
        ),
    ],
)
async def test_pools_that_clash_are_refused(net: Any, fields: dict[str, Any], kind: str) -> None:
    network = await net.create("networks", {})
    wanted = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24", **fields}
    assert (await net.create("subnets", wanted, status=409))["type"] == kind


async def test_subnets_of_one_network_do_not_overlap(net: Any) -> None:
    network, _ = await net.lan("10.0.0.0/24")
    again = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.128/25"}
    assert "overlaps" in (await net.create("subnets", again, status=400))["message"]


async def test_a_subnet_in_use_is_not_deleted_and_its_gateway_not_moved(net: Any, body_of: Any) -> None:
    _, subnet = await net.lan()
    router = await net.create("routers", {})
    plugged = {"subnet_id": subnet["id"]}
    body_of(await net.demo.put(f"/v2.0/routers/{router['id']}/add_router_interface", json=plugged))
    url = f"/v2.0/subnets/{subnet['id']}"
    assert body_of(await net.demo.delete(url), 409)["NeutronError"]["type"] == "SubnetInUse"
    moved = await net.demo.put(url, json={"subnet": {"gateway_ip": "10.0.0.2", "allocation_pools": []}})
    assert body_of(moved, 409)["NeutronError"]["type"] == "GatewayIpInUse"


async def test_somebody_elses_network_takes_no_subnet(net: Any) -> None:
    network, _ = await net.lan()
    wanted = {"network_id": network["id"], "ip_version": 4, "cidr": "10.5.0.0/24"}
    await net.create("subnets", wanted, by="other", status=404)
