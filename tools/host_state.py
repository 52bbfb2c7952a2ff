"""What programs can leave on a host: links, namespaces, rules, sets, domains, processes, directories.

Two snapshots around a run show what it left behind.
"""

import re
import subprocess
from pathlib import Path

DIRECTORIES = [
    Path(name) for name in ("/var/lib/kilonova", "/run/kilonova", "/var/log/kilonova", "/var/cache/kilonova")
]
CLOUD_LINK = re.compile(r"(brq|tap|vxlan-|qr-|qg-)[0-9a-f]|br-provider$")
CLOUD_NAMESPACE = re.compile(r"(qdhcp|qrouter)-")
RULE_COUNTERS = re.compile(r" \[\d+:\d+\]$")


def lines_of(*command: str) -> list[str]:
    """A command's lines; none where the host has no such command, or the daemon it asks does not answer."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def links() -> set[str]:
    return {line.split()[0].partition("@")[0] for line in lines_of("ip", "-brief", "link")}


def namespaces() -> set[str]:
    return {line.split()[0] for line in lines_of("ip", "netns", "list")}


def rules() -> set[str]:
    """Packet filter chains and rules without their counters; a table that was merely looked at is nobody's change."""
    lines = lines_of("iptables-save") + lines_of("ip6tables-save") + lines_of("ebtables-save")
    stripped = {RULE_COUNTERS.sub("", line) for line in lines if line[0] in ":-"}
    return {line for line in stripped if not (line[0] == ":" and line.endswith(" ACCEPT"))}


def domains() -> set[str]:
    return set(lines_of("virsh", "--connect", "qemu:///system", "list", "--all", "--name"))


def processes() -> set[str]:
    """Command lines, without the kernel's threads and the listing itself."""
    return {line for line in lines_of("ps", "-eo", "args=") if line[0] != "[" and not line.startswith("ps ")}


def snapshot() -> set[str]:
    """Everything there is now, each as `kind: what`."""
    kinds = {
        "link": links(),
        "namespace": namespaces(),
        "rule": rules(),
        "ipset": set(lines_of("ipset", "list", "-name")),
        "domain": domains(),
        "process": processes(),
        "directory": {str(path) for path in DIRECTORIES if path.exists()},
    }
    return {f"{kind}: {what}" for kind, found in kinds.items() for what in found}


def cloud_leftovers() -> list[str]:
    """Links and namespaces with names that only a cloud gives."""
    found = [f"link {name}" for name in links() if CLOUD_LINK.match(name)]
    return sorted(found + [f"namespace {name}" for name in namespaces() if CLOUD_NAMESPACE.match(name)])
