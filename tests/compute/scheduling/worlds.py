"""Hosts and wishes for the scheduler's tests."""

from typing import Any

from kilonova.compute.scheduling.filters import FILTERS
from kilonova.compute.scheduling.hosts import HostAggregate, HostState, Wanted
from kilonova.compute.scheduling.rules import Rules

CAPACITY = {"VCPU": 16, "MEMORY_MB": 8192, "DISK_GB": 40}


def make_host(name: str = "node1", **changes: Any) -> HostState:
    values: dict[str, Any] = {
        "id": f"id-of-{name}",
        "host": name,
        "hypervisor_hostname": f"{name}.example.org",
        "availability_zone": "nova",
        "is_up": True,
        "is_disabled": False,
        "disabled_reason": None,
        "seconds_since_answer": 1.0,
        "servers": 0,
        "hypervisor_type": "QEMU",
        "supported_instances": (("x86_64", "qemu", "hvm"),),
        "capacity": dict(CAPACITY),
        "used": {},
        **changes,
    }
    return HostState(**values)


def make_wanted(**changes: Any) -> Wanted:
    return Wanted(**{"server_id": "s", "resources": {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}, **changes})


def in_aggregates(*metadata: dict[str, str]) -> tuple[HostAggregate, ...]:
    return tuple(HostAggregate(f"aggregate{number}", each) for number, each in enumerate(metadata))


def with_all_filters(**changes: Any) -> Rules:
    return Rules(filters=tuple(FILTERS), **changes)


def room_on(hosts: list[HostState], wanted: Wanted) -> list[str]:
    """Who placement would offer: those with enough of everything free."""
    return [each.id for each in hosts if all(each.free(name) >= n for name, n in wanted.resources.items())]
