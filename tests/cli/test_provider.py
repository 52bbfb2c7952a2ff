"""The provider bridge keeps clear of everything the host uses, and only our own is ever removed."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kilonova.cli.provider import (
    BRIDGE,
    CANDIDATES,
    ProviderError,
    ensure_provider_bridge,
    find_collision,
    pick_range,
    read_provider,
    remove_provider_bridge,
)
from kilonova.cli.state import StateDir
from tests.network.agent.hosts import Host, on_own_host

FIRST, SECOND = IPv4Network("172.24.4.0/24"), IPv4Network("10.9.4.0/24")


def test_the_first_range_is_taken_on_a_host_that_uses_none_of_them() -> None:
    assert pick_range([IPv4Network("192.0.2.0/24")], [IPv4Address("10.255.255.53")], [FIRST, SECOND]) == FIRST


@pytest.mark.parametrize("route", ["172.24.4.0/24", "172.16.0.0/12", "172.24.4.7/32", "172.24.0.0/16"])
def test_a_range_that_a_route_overlaps_is_passed_over(route: str) -> None:
    assert pick_range([IPv4Network(route)], [], [FIRST, SECOND]) == SECOND


def test_a_range_with_the_host_s_resolver_in_it_is_passed_over() -> None:
    assert pick_range([], [IPv4Address("172.24.4.53")], [FIRST, SECOND]) == SECOND


@pytest.mark.parametrize("route", ["0.0.0.0/0", "128.0.0.0/1"])
def test_a_route_to_the_rest_of_the_world_is_no_collision(route: str) -> None:
    assert pick_range([IPv4Network(route)], [], [FIRST]) == FIRST


def test_a_host_that_uses_every_range_is_told_so() -> None:
    with pytest.raises(ProviderError, match="collides with a route or a resolver"):
        pick_range([IPv4Network("172.0.0.0/8"), IPv4Network("10.0.0.0/8")], [], [FIRST, SECOND])


def test_no_candidate_is_a_documentation_range_or_overlaps_another() -> None:
    documentation = [IPv4Network(cidr) for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for place, candidate in enumerate(CANDIDATES):
        assert candidate.is_private
        assert find_collision(candidate, [*documentation, *CANDIDATES[place + 1 :]], []) is None


def links(host: Host) -> set[str]:
    return {link["ifname"] for link in json.loads(host.run("ip", "-json", "link", "show"))}


def addresses(host: Host) -> list[str]:
    shown = json.loads(host.run("ip", "-json", "address", "show", "dev", BRIDGE))[0]["addr_info"]
    return [f"{each['local']}/{each['prefixlen']}" for each in shown]


@on_own_host
async def test_the_bridge_is_made_once_found_again_and_removed_without_a_trace(host: Host) -> None:
    state = StateDir(host.state_dir)
    before = links(host), host.run("ip", "route", "show", "table", "all")
    made = await ensure_provider_bridge(state)
    first = host.run("ip", "-details", "link", "show", BRIDGE)
    assert addresses(host) == [f"{made.host_address}/24"]
    assert "UP" in first and "group 27504" in first
    assert host.succeeds("ping", "-c", "1", "-W", "1", made.host_address)
    assert await ensure_provider_bridge(state) == made == read_provider(state)
    assert host.run("ip", "-details", "link", "show", BRIDGE).split("\n")[0] == first.split("\n")[0]
    await remove_provider_bridge(state)
    assert (links(host), host.run("ip", "route", "show", "table", "all")) == before
    await remove_provider_bridge(state)
    assert await ensure_provider_bridge(state) == made


@on_own_host
async def test_the_range_stays_the_same_when_the_bridge_went_with_a_reboot(host: Host) -> None:
    state = StateDir(host.state_dir)
    host.run("ip", "link", "add", "up0", "type", "bridge")
    host.run("ip", "address", "add", "172.24.4.2/24", "dev", "up0")
    host.run("ip", "link", "set", "up0", "up")
    made = await ensure_provider_bridge(state)
    assert made.cidr == str(CANDIDATES[1])
    host.run("ip", "link", "del", BRIDGE)
    host.run("ip", "link", "del", "up0")
    assert await ensure_provider_bridge(state) == made


def test_a_cloud_that_never_had_a_bridge_has_no_range(tmp_path: Path) -> None:
    assert read_provider(StateDir(tmp_path)) is None


@on_own_host
async def test_a_range_that_the_host_came_to_use_is_refused_by_name(host: Host) -> None:
    state = StateDir(host.state_dir)
    await ensure_provider_bridge(state)
    host.run("ip", "link", "del", BRIDGE)
    host.run("ip", "route", "add", "172.24.0.0/16", "dev", "lo")
    with pytest.raises(ProviderError, match=r"collide with 172\.24\.0\.0/16"):
        await ensure_provider_bridge(state)
    assert BRIDGE not in links(host)


@on_own_host
async def test_a_stranger_s_bridge_of_that_name_is_neither_used_nor_removed(host: Host) -> None:
    host.run("ip", "link", "add", BRIDGE, "type", "bridge")
    with pytest.raises(ProviderError, match=f"interface {BRIDGE} that Kilonova did not make"):
        await ensure_provider_bridge(StateDir(host.state_dir))
    await remove_provider_bridge(StateDir(host.state_dir))
    assert BRIDGE in links(host)


@on_own_host
async def test_another_cloud_s_bridge_is_refused_with_the_command_that_takes_it_down(host: Host) -> None:
    theirs, ours = StateDir(host.state_dir / "theirs"), StateDir(host.state_dir / "ours")
    await ensure_provider_bridge(theirs)
    with pytest.raises(ProviderError, match=f" down --all --state-dir {theirs.path}"):
        await ensure_provider_bridge(ours)
    await remove_provider_bridge(ours)
    assert BRIDGE in links(host)


@on_own_host
async def test_a_record_that_cannot_be_read_is_named(host: Host) -> None:
    state = StateDir(host.state_dir)
    Path(state.provider_file).write_text("{")
    with pytest.raises(ProviderError, match=r"provider\.json cannot be read"):
        await ensure_provider_bridge(state)
    assert BRIDGE not in links(host)
