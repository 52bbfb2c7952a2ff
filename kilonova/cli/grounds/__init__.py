"""Grounds give a part its database, bus, neighbours and options: from a daemon's files, or in one process."""
