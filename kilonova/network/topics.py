"""Where network's parts find each other on the bus: what the server side and its agents both have to know."""

from kilonova.network import parts

AGENT_BINARY = parts.BRIDGE
"""The name, and in its topic, of the one process that plays all of a host's agents."""

REGISTRY_TOPIC = "network.registry"
"""The server side's: agents register, ask and report there."""

WAKE_TOPIC = "network.agents.wake"
"""Wanted state has changed: `{"concerned": [name, …]}` (`concerns.py`); agents that this concerns look."""

EVENTS_TOPIC = "network.events.wake"
"""There may be something to tell compute."""

HOSTS_CONCERNED = "network: hosts are concerned"
"""Wanted state has changed; about the names in `concerns.py`."""
EVENTS_WAIT = "network: events wait"
"""Compute is to be told something."""
