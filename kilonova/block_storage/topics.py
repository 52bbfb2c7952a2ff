"""The bus's topics on which block storage's server side and its agents find each other."""

AGENT_BINARY = "cinder-volume"
"""The agents' name in front of users, and in the topic each one serves: `cinder-volume.HOST@BACKEND`."""

TASKS_TOPIC = "block_storage.tasks"
"""A task was committed; the payload names the subjects whose running operation it replaces, or nothing."""

REGISTRY_TOPIC = "block_storage.registry"
"""The server side's: agents register and report there."""
