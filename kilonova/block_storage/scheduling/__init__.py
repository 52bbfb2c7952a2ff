"""Choosing the pool of a new volume: filters and weighers, as pure functions of what is asked and what there is."""
