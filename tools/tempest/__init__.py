"""What is run of upstream's Tempest, and what it runs against; `tools.conformance_tempest` runs it."""
