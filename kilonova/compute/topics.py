"""Where compute's parts find each other on the bus: what the server side and its agents both have to know."""

AGENT_BINARY = "nova-compute"
"""The agents' name in front of users, and in the topic each one serves."""

TASKS_TOPIC = "compute.tasks"
"""A task was committed; the payload names the server whose running operation it replaces, or nothing."""

REGISTRY_TOPIC = "compute.registry"
"""The server side's: agents register and report there."""
