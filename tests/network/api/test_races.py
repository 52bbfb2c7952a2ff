"""Whoever takes a thing that one can have takes it by a conditional write: of many at once, one wins."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from kilonova.kit.http.client import RemoteFault

AT_ONCE = 8


def refusals(outcomes: Iterable[Any]) -> list[tuple[int, str]]:
    """Status and sentence of those that were refused."""
    return [(each.status, each.message) for each in outcomes if isinstance(each, RemoteFault)]


async def test_of_eight_servers_that_take_one_port_one_has_it(net: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    client, takers = net.client(), [f"server-{number}" for number in range(AT_ONCE)]
    outcomes = await asyncio.gather(
        *(client.take_port(port["id"], {"device_id": each}) for each in takers), return_exceptions=True
    )
    (winner,) = (each for each in outcomes if not isinstance(each, BaseException))
    refused = f"Port {port['id']} is still in use by {winner.device_id}."
    assert refusals(outcomes) == [(409, refused)] * (AT_ONCE - 1)
    assert (await client.show_port(port["id"])).device_id == winner.device_id


async def test_a_port_is_taken_again_by_who_has_it_and_while_others_change_it(net: Any, body_of: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    url, client = f"/v2.0/ports/{port['id']}", net.client()
    renamed, taken = await asyncio.gather(
        net.demo.put(url, json={"port": {"name": "renamed"}}), client.take_port(port["id"], {"device_id": "server"})
    )
    assert body_of(renamed)["port"]["name"] == "renamed"
    assert taken.device_id == "server"
    again = await client.take_port(port["id"], {"device_id": "server", "binding:host_id": "node1"})
    assert (again.device_id, again.host) == ("server", "node1")


async def test_a_port_of_another_project_is_not_found_by_who_takes_it(net: Any) -> None:
    network, _ = await net.lan()
    port = await net.create("ports", {"network_id": network["id"]})
    theirs = await net.identity.project_id("other")
    with pytest.raises(RemoteFault, match="could not be found") as caught:
        await net.client().take_port(port["id"], {"device_id": "server"}, project_id=theirs)
    assert caught.value.status == 404
    assert (await net.client().show_port(port["id"])).device_id == ""
