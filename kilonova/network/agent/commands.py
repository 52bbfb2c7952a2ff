"""Host commands: argument lists only, input on stdin, and an error that says what the command said.

A command that is not installed is a `HostProblem` naming the Debian package that brings it.
"""

import os
import subprocess
from collections.abc import Sequence

from kilonova.network.agent.ledger import HostProblem

PACKAGES = {
    "conntrack": "conntrack",
    "dnsmasq": "dnsmasq-base",
    "ebtables-restore": "ebtables",
    "ebtables-save": "ebtables",
    "ip6tables-restore": "iptables",
    "ip6tables-save": "iptables",
    "ipset": "ipset",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
}
"""Command → the Debian package that brings it; everything this agent runs is listed."""

KERNEL_MODULES = {
    "conntrack": "nf_conntrack_netlink",
    "ebtables-restore": "ebtable_nat",
    "ip6tables-restore": "xt_physdev, xt_CT, xt_set, xt_mac and xt_conntrack",
    "ipset": "ip_set and ip_set_hash_net",
    "iptables-restore": "xt_physdev, xt_CT, xt_set, xt_mac, xt_conntrack and xt_nat",
}
"""Command → modules without which the kernel refuses what it asks for."""

TIMEOUT_SECONDS = 30


def run(argv: Sequence[str], *, stdin: str = "") -> str:
    """Run a command in the calling thread's network namespace and return its stdout; blocks, so call it in a thread.

    Raises HostProblem when it is missing, fails or does not end in time.
    """
    try:
        # The input is a file in memory, not a pipe: a batch whose agent dies is still read to its end.
        with os.fdopen(os.memfd_create("stdin"), "w+") as batch:
            batch.write(stdin)
            batch.seek(0)
            done = subprocess.run(
                list(argv), stdin=batch, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
    except FileNotFoundError as error:
        package = PACKAGES.get(argv[0], argv[0])
        raise HostProblem(f"{argv[0]} is not installed on this host: install the package {package}.") from error
    except subprocess.TimeoutExpired as error:
        raise HostProblem(f"{argv[0]} did not finish within {TIMEOUT_SECONDS} seconds.") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        needed = KERNEL_MODULES.get(argv[0])
        advice = (
            f" (it needs the kernel modules {needed}; if they are missing, load them with modprobe)" if needed else ""
        )
        raise HostProblem(f"{argv[0]} failed: {said}{advice}.")
    return done.stdout
