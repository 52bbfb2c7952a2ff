"""Block storage: volumes, their snapshots and types, and who is attached to them."""
