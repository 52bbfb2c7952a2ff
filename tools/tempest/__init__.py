"""The parts of upstream's Tempest that `tools.conformance_tempest` runs, and the clouds that they run against."""
