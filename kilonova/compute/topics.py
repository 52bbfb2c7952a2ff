"""Where compute's parts find each other on the bus: what the server side and its agents both have to know."""

AGENT_BINARY = "nova-compute"
"""The agents' name in front of users, and in the topic each one serves."""

REGISTRY_TOPIC = "compute.registry"
"""The server side's: agents register and report there."""
