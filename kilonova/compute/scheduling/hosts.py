"""What the scheduler sees: hosts as they are now, and what is wanted. Plain data, taken once a decision."""

from typing import Any

from msgspec import Struct

from kilonova.compute.scheduling.numa.guests import GuestTopology
from kilonova.compute.scheduling.numa.hosts import HostTopology
from kilonova.compute.scheduling.requirements import Group
from kilonova.compute.scheduling.rules import Rules

Resources = dict[str, int]


class HostAggregate(Struct, frozen=True):
    """An aggregate of hosts, as far as placing goes by it."""

    id: str
    metadata: dict[str, str]


class HostState(Struct, frozen=True, gc=False):
    """One compute host at the moment of the decision."""

    id: str
    """The resource provider's id."""
    host: str
    hypervisor_hostname: str
    availability_zone: str
    is_disabled: bool
    disabled_reason: str | None
    servers: int
    hypervisor_type: str
    supported_instances: tuple[tuple[str, str, str], ...]
    """(architecture, hypervisor type, vm mode)."""
    capacity: Resources = {}
    used: Resources = {}
    is_up: bool = False
    seconds_since_answer: float | None = None
    """How long a host that is not up has been silent; None when it never answered, or is up."""
    hypervisor_version: int = 0
    building: int = 0
    """Of its servers, those being built now."""
    failed_builds: int = 0
    """Since the last that went well."""
    inventory: dict[str, Any] = {}
    """`HostInventory` as the agent sent it."""
    aggregates: tuple[HostAggregate, ...] = ()
    """Those the host is in."""
    topology: HostTopology | None = None
    """Its NUMA nodes, where its agent tells them."""
    offer: dict[str, Resources] = {}
    """Placement's offer of what to claim, by provider; empty for a host without room."""

    def free(self, resource: str) -> int:
        return self.capacity.get(resource, 0) - self.used.get(resource, 0)


class GroupRule(Struct, frozen=True):
    """The rule of the server's group, and where the other members are."""

    policy: str
    most_on_a_host: int
    members_on: dict[str, int]
    """Host → how many."""


class Wanted(Struct, frozen=True):
    """What one server needs."""

    server_id: str
    resources: Resources
    requested_zone: str | None = None
    requested_host: str | None = None
    excluded_hosts: tuple[str, ...] = ()
    """Hosts that were tried and failed, each with the reason kept in the task."""
    required_traits: tuple[str, ...] = ()
    forbidden_traits: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    """Groups of resources that single providers of the host have to give."""
    group_policy: str = ""
    topology: GuestTopology | None = None
    """The guest's demands on NUMA nodes; None: it has none."""
    extra_specs: dict[str, str] = {}
    image_properties: dict[str, str] = {}
    group: GroupRule | None = None
    scheduler_hints: dict[str, Any] = {}
    hosts_of_servers: dict[str, str] = {}
    """Server id → host, for the servers named in the hints."""
    project_id: str = ""
    flavor_name: str = ""
    image_id: str = ""
    aggregate_keys: frozenset[str] = frozenset()
    """The keys that some aggregate has in its metadata: where none has a key, no host need be asked for it."""
    has_own_aggregate: bool = False
    """Whether some aggregate is for the project (`filter_tenant_id`)."""
    images_like_it: dict[str, float] = {}
    """Host → how many properties the images of its servers share with this one's, where that is weighed."""
    rules: Rules = Rules()
