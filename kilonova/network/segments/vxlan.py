"""VXLAN networks (RFC 7348)."""

from kilonova.network.segments.tunnels import Tunnelled


class Vxlan(Tunnelled, frozen=True):
    name = "vxlan"
    number_name = "VNI"
    largest_number = (1 << 24) - 1
    overhead_bytes = 50
