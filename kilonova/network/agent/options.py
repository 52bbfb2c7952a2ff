"""What an operator chooses for a host: the agent's options, in one place, with upstream's names where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True)
class LinuxOptions:
    state_dir: Path
    """`<state_dir>/dhcp/<network id>/` holds the files of that network's dnsmasq."""
    bridge_mappings: Mapping[str, str] = field(default_factory=dict)
    """physical network → a bridge of the operator's, used as it is."""
    physical_interface_mappings: Mapping[str, str] = field(default_factory=dict)
    """physical network → an interface that joins the network's own `brq…`."""
    local_ip: str | None = None
    """Underlay address of this host. None: vxlan networks stay inside this host, and no tunnel port is opened."""
    vxlan_port: int = 4789
    l2_population: bool = False
    firewall_enabled: bool = True
    force_metadata: bool = True
    """Send guests to the DHCP port for metadata even where a router could answer; so a lease stays right when a router
    comes or goes. False: only on subnets without a router on this host (upstream's enable_isolated_metadata)."""
    nova_metadata_url: str = "http://127.0.0.1:8775"
    metadata_proxy_shared_secret: str = field(default="", repr=False)
    metadata_transport: httpx.AsyncBaseTransport | None = None
    """How to reach the compute metadata API when not over the network (one process: its ASGI application)."""
    verify_seconds: float = 30.0
    """How long a namespace that was converged and whose document has not changed is believed before it is looked into
    again. Whether it exists, is plugged and has its dnsmasq is looked at in every pass."""
