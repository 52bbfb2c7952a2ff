"""Geneve networks (RFC 8926)."""

from kilonova.network.segments.tunnels import Tunnelled


class Geneve(Tunnelled, frozen=True):
    name = "geneve"
    number_name = "VNI"
    largest_number = (1 << 24) - 1
    # Without options; upstream's `max_header_size` has the same default.
    overhead_bytes = 50
