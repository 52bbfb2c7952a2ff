"""cinder-volume: the agent of a back end."""
