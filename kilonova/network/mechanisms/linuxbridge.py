"""Linux bridges: a guest's tap joins the network's bridge, which the host's bridge agent makes and guards."""

from collections.abc import Collection
from typing import ClassVar

from msgspec import Struct

from kilonova.network import parts
from kilonova.network.mechanisms.mechanism import Binding, Context
from kilonova.network.wanted import BRIDGE_PREFIX, device_name

AGENT_TYPE = parts.AGENT_TYPES[parts.BRIDGE]


class LinuxBridge(Struct, frozen=True):
    name: ClassVar[str] = "linuxbridge"
    carries: ClassVar[Collection[str]] = ("flat", "vxlan", "local")
    vnic_types: ClassVar[Collection[str]] = ("normal",)
    sections: ClassVar[Collection[str]] = ("networks", "ports", "groups", "members", "stations", "peers")

    def bind(self, context: Context) -> Binding | None:
        if AGENT_TYPE not in context.agents or context.segment.network_type not in self.carries:
            return None
        mappings = context.agents[AGENT_TYPE].get("bridge_mappings") or {}
        # The operator's own bridge for a mapped physical network.
        mapped = mappings.get(context.segment.physical_network or "")
        bridge = mapped or device_name(BRIDGE_PREFIX, context.network_id)
        return Binding("bridge", {"connectivity": "l2", "port_filter": True, "bridge_name": bridge})
