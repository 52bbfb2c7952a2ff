"""Filters: pure questions about one host, under upstream's names.

Each answers None when the host will do, or the reason it will not, as a phrase for the account.
"""

from collections.abc import Callable
from typing import Any

from kilonova.compute.scheduling.capabilities import compute_capabilities_filter
from kilonova.compute.scheduling.hosts import HostState, Wanted

Filter = Callable[[HostState, Wanted], str | None]


def compute_filter(host: HostState, wanted: Wanted) -> str | None:
    """ComputeFilter: the host answers and is not disabled."""
    if host.is_disabled:
        return f"is disabled ({host.disabled_reason})" if host.disabled_reason else "is disabled"
    if not host.is_up:
        if host.seconds_since_answer is None:
            return "has not answered since this service started"
        return f"has not answered for {host.seconds_since_answer:.0f} s"
    return None


def availability_zone_filter(host: HostState, wanted: Wanted) -> str | None:
    """AvailabilityZoneFilter: the host is in the zone that was asked for."""
    if wanted.requested_zone in (None, host.availability_zone):
        return None
    return f"is in zone {host.availability_zone}, not {wanted.requested_zone}"


def requested_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """The host an administrator named, if one did."""
    if wanted.requested_host in (None, host.host, host.hypervisor_hostname):
        return None
    return f"is not the requested host {wanted.requested_host}"


def retry_filter(host: HostState, wanted: Wanted) -> str | None:
    """A host that has failed to build this server is not tried again."""
    return "has failed to build this server" if host.host in wanted.excluded_hosts else None


IMAGE_PROPERTIES = (("hw_architecture", "architecture"), ("img_hv_type", "hypervisor_type"), ("hw_vm_mode", "vm_mode"))
"""What an image may ask for, by its newer and its older name, in the order of a host's supported instances."""


def image_properties_filter(host: HostState, wanted: Wanted) -> str | None:
    """ImagePropertiesFilter: the host runs guests of the image's architecture, hypervisor type and vm mode."""
    properties = wanted.image_properties
    asked = [(properties.get(new) or properties.get(old) or "").lower() for new, old in IMAGE_PROPERTIES]
    if not any(asked):
        return None
    for supported in host.supported_instances:
        if all(not one or one == other.lower() for one, other in zip(asked, supported, strict=True)):
            return None
    runs = ", ".join("/".join(each) for each in host.supported_instances) or "nothing that is known"
    return f"runs {runs}, not {'/'.join(one or '*' for one in asked)}"


def server_group_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """ServerGroupAffinityFilter: members of the group share a host."""
    group = wanted.group
    if group is None or group.policy != "affinity" or not group.members_on or host.host in group.members_on:
        return None
    return "is not the host of the server group's other members"


def server_group_anti_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """ServerGroupAntiAffinityFilter: no more members of the group on a host than its rule allows."""
    group = wanted.group
    if group is None or group.policy != "anti-affinity" or group.members_on.get(host.host, 0) < group.most_on_a_host:
        return None
    return f"has {group.members_on[host.host]} of the server group's members, {group.most_on_a_host} allowed"


def same_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """SameHostFilter: the hint `same_host` names servers this one must join."""
    named = _server_ids(wanted.scheduler_hints.get("same_host"))
    if named and host.host not in {wanted.hosts_of_servers.get(each) for each in named}:
        return "holds none of the servers named in same_host"
    return None


def different_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """DifferentHostFilter: the hint `different_host` names servers this one must avoid."""
    named = _server_ids(wanted.scheduler_hints.get("different_host"))
    if host.host in {wanted.hosts_of_servers.get(each) for each in named}:
        return "holds a server named in different_host"
    return None


def _server_ids(hint: Any) -> list[str]:
    if hint is None:
        return []
    return [str(each) for each in hint] if isinstance(hint, list) else [str(hint)]


def _is_always_asked(_wanted: Wanted) -> bool:
    return True


def _names_an_image_property(wanted: Wanted) -> bool:
    return any(wanted.image_properties.get(name) for names in IMAGE_PROPERTIES for name in names[:2])


DEFAULT_FILTERS: tuple[tuple[str, Filter, Callable[[Wanted], object]], ...] = (
    ("ComputeFilter", compute_filter, _is_always_asked),
    ("RetryFilter", retry_filter, lambda wanted: wanted.excluded_hosts),
    ("AvailabilityZoneFilter", availability_zone_filter, lambda wanted: wanted.requested_zone is not None),
    ("RequestedHostFilter", requested_host_filter, lambda wanted: wanted.requested_host is not None),
    ("ComputeCapabilitiesFilter", compute_capabilities_filter, lambda wanted: wanted.extra_specs),
    ("ImagePropertiesFilter", image_properties_filter, _names_an_image_property),
    ("ServerGroupAntiAffinityFilter", server_group_anti_affinity_filter, lambda wanted: wanted.group),
    ("ServerGroupAffinityFilter", server_group_affinity_filter, lambda wanted: wanted.group),
    ("SameHostFilter", same_host_filter, lambda wanted: wanted.scheduler_hints),
    ("DifferentHostFilter", different_host_filter, lambda wanted: wanted.scheduler_hints),
)
"""(upstream's name, the question, whether a server asks it at all): cheap and most telling first."""
