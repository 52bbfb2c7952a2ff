"""GRE networks (RFC 2890)."""

from kilonova.network.segments.tunnels import Tunnelled


class Gre(Tunnelled, frozen=True):
    name = "gre"
    number_name = "GRE key"
    # A key has 32 bits; no column of the database holds the last.
    largest_number = (1 << 31) - 1
    overhead_bytes = 42
