"""The contract of a mechanism: which ports it can bind where, and what it has to tell hosts for that."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from msgspec import Struct

from kilonova.network.segments.segment import Segment

AgentsOfHost = Mapping[str, Mapping[str, Any]]
"""Type of each agent that is registered on a host → what the agent has told of itself."""


class Context(Struct, frozen=True):
    """A port that is to be bound on a host."""

    network_id: str
    segment: Segment
    vnic_type: str
    agents: AgentsOfHost


class Binding(Struct, frozen=True):
    vif_type: str
    """How the hypervisor gives the guest the port."""
    vif_details: dict[str, Any] = {}


UNBOUND = Binding("unbound")
"""Of a port that is on no host."""
FAILED = Binding("binding_failed")
"""Of a port on a host where no mechanism can bind it."""


class Mechanism(Protocol):
    @property
    def name(self) -> str:
        """As ML2's `mechanism_drivers` knows it."""
        ...

    @property
    def carries(self) -> Collection[str]:
        """The network types whose ports it can bind."""
        ...

    @property
    def vnic_types(self) -> Collection[str]:
        """The kinds of ports that it can bind."""
        ...

    @property
    def sections(self) -> Collection[str]:
        """The sections (`network/sections/`) of a host's wanted state that it needs."""
        ...

    def bind(self, context: Context) -> Binding | None:
        """None: it cannot bind this port on this host."""
        ...
