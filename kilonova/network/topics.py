"""Where network's parts find each other on the bus: what the server side and its agents both have to know."""

AGENT_BINARY = "neutron-linuxbridge-agent"
"""The agents' name in front of users, and in the topic each one serves."""

REGISTRY_TOPIC = "network.registry"
"""The server side's: agents register, ask and report there."""

WAKE_TOPIC = "network.agents.wake"
"""Wanted state has changed: every agent looks."""

EVENTS_TOPIC = "network.events.wake"
"""There may be something to tell compute."""
