"""Loopback ports for servers that tests and measurements start."""

import socket
import time


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now, each another."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for_port(port: int, timeout_seconds: float) -> None:
    """Until somebody accepts connections. Raises OSError when nobody does in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
