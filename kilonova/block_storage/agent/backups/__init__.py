"""The side of the host that keeps backups (cinder-backup)."""
