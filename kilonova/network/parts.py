"""The parts a host's network is made by. Each has the name of the executable that can run it alone.

One process may run one part, some or all; each part makes and removes only its own things on the host.
"""

from typing import Final

BRIDGE: Final = "neutron-linuxbridge-agent"
"""Bridges, tunnels, guests' taps and their filters."""

DHCP: Final = "neutron-dhcp-agent"
L3: Final = "neutron-l3-agent"
METADATA: Final = "neutron-metadata-agent"
"""Answers metadata in the namespaces that the two others have made."""

AGENT_TYPES: Final = {
    BRIDGE: "Linux bridge agent",
    DHCP: "DHCP agent",
    L3: "L3 agent",
    METADATA: "Metadata agent",
}
ALL: Final = tuple(AGENT_TYPES)
"""In the order in which one process makes them."""
