"""What an answer does not show its caller, no question tells: neither which rows a filter leaves, nor their order."""

from typing import Any

import pytest

from kilonova.kit.http.lists import Listing
from kilonova.network import floating_ips, networks, ports, routers, security_groups, subnets

LISTINGS: dict[str, Listing] = {
    "networks": networks.LISTING,
    "subnets": subnets.LISTING,
    "ports": ports.LISTING,
    "routers": routers.LISTING,
    "floatingips": floating_ips.LISTING,
    "security-groups": security_groups.LISTING,
    "security-group-rules": security_groups.RULES_LISTING,
}
EXTERNAL_ONLY = {("networks", "is_default")}
"""Shown of external networks alone, and False of all others."""


@pytest.mark.parametrize("collection", LISTINGS)
async def test_nobody_lists_by_what_he_is_not_shown(net: Any, body_of: Any, collection: str) -> None:
    outside, _ = await net.outside()
    network, _ = await net.lan()
    await net.create("ports", {"network_id": network["id"]})
    await net.create("routers", {})
    await net.create("floatingips", {"floating_network_id": outside["id"]})
    url, listing = f"/v2.0/{collection}", LISTINGS[collection]
    shown = set.intersection(*(set(each) for each in body_of(await net.demo.get(url))[collection.replace("-", "_")]))
    hidden = {each for each in listing.sorts if each not in shown and (collection, each) not in EXTERNAL_ONLY}
    assert hidden == set(listing.rules)
    for name in hidden:
        for query in ({"sort_key": name}, {name: "7"}):
            refused = body_of(await net.demo.get(url, params=query), 403)["NeutronError"]
            assert f"disallows to list by {name}" in refused["message"]
            body_of(await net.admin.get(url, params=query))
    for name in shown & listing.sorts.keys():
        body_of(await net.demo.get(url, params={"sort_key": name}))


async def test_a_revision_of_thousands_of_digits_is_no_revision(net: Any, body_of: Any) -> None:
    network = await net.create("networks", {})
    url = f"/v2.0/networks/{network['id']}"
    for number in ("9" * 5000, "9" * 20, "٣" * 3, "-1", ""):
        headers = {"if-match": f"revision_number={number}".encode()}
        answer = await net.demo.put(url, json={"network": {"name": "x"}}, headers=headers)
        assert answer.status_code in (400, 412), (number[:9], answer.text)
    assert body_of(await net.demo.get(url))["network"]["name"] == ""
