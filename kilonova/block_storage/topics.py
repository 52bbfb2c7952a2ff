"""The bus's topics on which block storage's server side and its agents find each other."""

AGENT_BINARY = "cinder-volume"
"""The agents' name in front of users, and in the topic each one serves: `cinder-volume.HOST@BACKEND`."""

BACKUP_BINARY = "cinder-backup"
"""The name of what keeps backups, in front of users and in its topic, `cinder-backup.HOST`."""

TASKS_TOPIC = "block_storage.tasks"
"""A task was committed; the payload names the subjects whose running operation it replaces, or nothing."""

REGISTRY_TOPIC = "block_storage.registry"
"""The server side's: agents register and report there."""

BACKUP_REGISTRY_TOPIC = "block_storage.backup_registry"
"""The server side's: those that keep backups register and report there."""
