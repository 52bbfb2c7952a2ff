"""Compute hosts: their registration and reports, aggregates and zones, and the daemons that control them."""
