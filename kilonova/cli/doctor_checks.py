"""The doctor's checks: pure questions about facts that were gathered before.

A check that finds nothing says so, and whatever is wrong comes with how to mend it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from kilonova.compute.agent.drivers.libvirtd import pick_virt_type

SERVICE_TYPES = ("identity", "image", "placement", "compute", "network", "block-storage")
DATABASES = tuple(each.replace("-", "_") for each in SERVICE_TYPES)
"""The name of each service's database, which is that of its package."""
INTERFACES = ("public", "internal", "admin")
PORTS = {
    5000: "identity",
    9292: "image",
    8778: "placement",
    8774: "compute",
    8775: "metadata",
    9696: "network",
    8776: "block-storage",
    6080: "console",
}
GUESSED_PASSWORDS = frozenset(
    "admin password secret openstack devstack changeme demo nova glance neutron placement cinder welcome123 "
    "metadata_secret".split()
)
SHORTEST_PASSWORD = 8
MOST_SKEW_SECONDS = 2.0
LEAST_FREE_BYTES = 1 << 30
TOOLS = {
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "dnsmasq": "dnsmasq-base",
    "iptables-restore": "iptables",
    "ipset": "ipset",
    "ebtables-restore": "ebtables",
    "conntrack": "conntrack",
}
"""Program → the Debian package that has it."""

Verdict = Literal["ok", "warning", "problem"]
Facts = Mapping[str, Any]
"""One thing as an API shows it."""


class Finding(msgspec.Struct, frozen=True):
    check: str
    verdict: Verdict
    what: str
    mend: str = ""


def check_virtualization(cpuinfo: str, *, has_kvm_node: bool, virt_type: str) -> list[Finding]:
    """CPU flags against virt_type; a KVM node that the CPU does not back is worse than none."""
    usable = pick_virt_type(cpuinfo, has_kvm_node=has_kvm_node)
    if virt_type == "kvm" and usable == "qemu":
        lacks = "the CPU has neither vmx nor svm" if has_kvm_node else "there is no /dev/kvm"
        mend = "set virt_type = qemu (or auto) in [libvirt], or switch virtualization on in the firmware"
        return [Finding("virtualization", "problem", f"virt_type is kvm, but {lacks}", mend)]
    if has_kvm_node and usable == "qemu":
        what = "/dev/kvm exists, but the CPU has neither vmx nor svm: guests would hang on it, so they are emulated"
        mend = "switch (nested) virtualization on; nothing else has to be done, the node is hidden from libvirt"
        return [Finding("virtualization", "warning", what, mend)]
    if usable == "qemu":
        what = "no hardware virtualization: guests are emulated, several times slower"
        return [Finding("virtualization", "warning", what, "switch virtualization on in the firmware or hypervisor")]
    return [Finding("virtualization", "ok", f"guests run under {usable if virt_type == 'auto' else virt_type}")]


def check_tools(missing: Sequence[str]) -> list[Finding]:
    if not missing:
        return [Finding("programs", "ok", "every program that agents call is installed")]
    packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
    return [Finding("programs", "problem", f"missing: {', '.join(missing)}", f"apt-get install {packages}")]


def check_disk(path: Path, free_bytes: int) -> list[Finding]:
    what = f"{free_bytes / (1 << 30):.1f} GiB free under {path}"
    if free_bytes < LEAST_FREE_BYTES:
        mend = "free some, or move the state directory: a full disk refuses images and pauses guests"
        return [Finding("disk", "problem", what, mend)]
    return [Finding("disk", "ok", what)]


def check_image_storage(path: Path, free_bytes: int, reserve_bytes: int) -> list[Finding]:
    """Uploads stop before the disk is full; what is deleted makes room."""
    what = f"{free_bytes / (1 << 20):.0f} MiB free, of which uploads leave {reserve_bytes / (1 << 20):.0f}"
    if free_bytes > reserve_bytes:
        return [Finding("image storage", "ok", what)]
    mend = "delete images, or give the disk more room: `openstack image delete` works on a full disk too"
    return [Finding("image storage", "problem", f"uploads are refused: {what} ({path})", mend)]


def check_bridge_filter(has_sysctl: bool) -> list[Finding]:
    if has_sysctl:
        return [Finding("bridge filter", "ok", "the kernel filters bridged traffic")]
    mend = "modprobe br_netfilter: without it security groups cannot be kept and ports stay DOWN"
    return [Finding("bridge filter", "problem", "the kernel does not filter bridged traffic", mend)]


def check_passwords(passwords: Mapping[str, str]) -> list[Finding]:
    """Passwords that anybody would try first."""
    weak = [
        user
        for user, password in passwords.items()
        if password.lower() in GUESSED_PASSWORDS
        or password.lower() == f"{user}_pass"
        or len(password) < SHORTEST_PASSWORD
    ]
    if not weak:
        return [Finding("passwords", "ok", "none is short or a default")]
    mend = "put long random ones into the configuration and start the cloud anew: it sets them"
    return [Finding("passwords", "problem", f"easily guessed: {', '.join(weak)}", mend)]


def check_address(address: str) -> list[Finding]:
    if address in ("0.0.0.0", "::"):  # noqa: S104 - this is what is warned of
        mend = "set my_ip to the address clients use: the catalog hands it out"
        return [Finding("address", "problem", f"the APIs listen on {address} and the catalog names it", mend)]
    if address not in ("127.0.0.1", "::1"):
        what = f"the APIs are reached from outside on {address}, without TLS"
        return [Finding("address", "warning", what, "let nothing but a trusted network reach it, or put TLS before it")]
    return [Finding("address", "ok", "the APIs are reached from this host only")]


def check_ports(taken: Iterable[int]) -> list[Finding]:
    findings = [
        Finding(
            "ports", "problem", f"port {port} ({PORTS[port]}) is in use", f"`ss -ltnp sport = :{port}` shows by what"
        )
        for port in taken
    ]
    return findings or [Finding("ports", "ok", "the APIs' ports are free")]


def check_catalog(services: Sequence[Facts], endpoints: Sequence[Facts], region: str) -> list[Finding]:
    """Every service with its three interfaces in this region, at addresses that lead somewhere."""
    ids = {each["type"]: each["id"] for each in services}
    findings = []
    for service in SERVICE_TYPES:
        if service not in ids:
            what = f"service {service} is not in the catalog"
            findings.append(
                Finding("catalog", "problem", what, f"openstack service create {service}; then its endpoints")
            )
            continue
        mine = [each for each in endpoints if each["service_id"] == ids[service] and each["region_id"] == region]
        lacking = [name for name in INTERFACES if name not in {each["interface"] for each in mine if each["enabled"]}]
        if lacking:
            mend = f"openstack endpoint create --region {region} {service} {lacking[0]} URL"
            findings.append(Finding("catalog", "problem", f"{service} has no {', '.join(lacking)} endpoint", mend))
        for each in mine:
            if urlsplit(each["url"]).hostname in ("0.0.0.0", "::"):  # noqa: S104 - this is what is warned of
                mend = f"openstack endpoint set --url URL {each['id']}"
                what = f"{service}'s {each['interface']} endpoint is {each['url']}"
                findings.append(Finding("catalog", "problem", what, mend))
    return findings or [Finding("catalog", "ok", "every service has its endpoints")]


class Clock(msgspec.Struct, frozen=True):
    """What the clock of one API's host showed. `theirs` is None when nothing answered."""

    service: str
    url: str
    theirs: datetime | None
    ours: datetime


def check_clocks(clocks: Sequence[Clock]) -> list[Finding]:
    """Every API answers at its address in the catalog, and its host has the time that this one has."""
    findings = []
    for clock in clocks:
        if clock.theirs is None:
            mend = "look whether the process runs there; if it has moved, openstack endpoint set --url URL ID"
            findings.append(Finding("endpoints", "problem", f"{clock.service} does not answer at {clock.url}", mend))
            continue
        skew = (clock.theirs - clock.ours).total_seconds()
        if abs(skew) > MOST_SKEW_SECONDS:
            what = f"the clock of {clock.service}'s host ({clock.url}) is {skew:+.0f} s off this host's"
            mend = "run a time daemon (chrony) on both hosts: tokens expire early or late otherwise"
            findings.append(Finding("clock", "problem", what, mend))
    if findings or not clocks:
        return findings
    return [Finding("clock", "ok", "every API answers, and its host's clock agrees with this one's")]


def check_agents_clocks(agents: Sequence[Facts]) -> list[Finding]:
    """A host's agent sends its own time with every report; the network service shows how far that was off."""
    skews = {each["host"]: each["configurations"].get("clock_skew_seconds", 0.0) for each in agents}
    mend = "run a time daemon (chrony) there: certificates, tokens and logs go by the clock"
    return [
        Finding("clock", "problem", f"the clock of host {host} is {seconds:+.0f} s off the network service's", mend)
        for host, seconds in sorted(skews.items())
        if abs(seconds) > MOST_SKEW_SECONDS
    ]


NEEDED_RESOURCES = frozenset({"VCPU", "MEMORY_MB", "DISK_GB"})


def check_hosts(
    computes: Sequence[Facts], hypervisors: Sequence[Facts], inventories: Mapping[str, frozenset[str]]
) -> list[Finding]:
    """Every compute host is a hypervisor, and known to placement with what it has: otherwise it gets no servers.

    `inventories`: resource provider's name → the resource classes it has.
    """
    if not computes:
        mend = "start its agent, and look into the log for why it does not register"
        return [Finding("compute hosts", "problem", "none has registered", mend)]
    again = "restart the host's agent: it registers everywhere anew"
    names = [each["hypervisor_hostname"] for each in hypervisors]
    unknown = [name for name in names if name not in inventories]
    if len(names) < len(computes) or unknown:
        what = f"not mapped: {', '.join(unknown) or 'some compute service has no hypervisor'}"
        return [Finding("compute hosts", "problem", what, again)]
    bare = [
        f"{name} has no {', '.join(sorted(NEEDED_RESOURCES - inventories[name]))}"
        for name in names
        if NEEDED_RESOURCES - inventories[name]
    ]
    if bare:
        return [Finding("compute hosts", "problem", f"placement cannot offer them: {'; '.join(bare)}", again)]
    return [Finding("compute hosts", "ok", f"{len(computes)} registered, mapped and known to placement")]


class DatabaseFile(msgspec.Struct, frozen=True):
    """What one service's database lacks of the tables it needs: `table` or `table.column`. None: there is no file."""

    service: str
    path: str
    needs: int
    """How many tables."""
    lacks: tuple[str, ...] | None


def check_databases(files: Sequence[DatabaseFile]) -> list[Finding]:
    """Each service has the database that is its own. Compute's is the region's and its cells', too (decision 15)."""
    findings = []
    for file in files:
        if file.lacks is None:
            what, mend = f"{file.service} has none at {file.path}", "it is made at the next start, empty"
        elif len([each for each in file.lacks if "." not in each]) == file.needs:
            what = f"{file.path} is not {file.service}'s: it has none of its tables"
            mend = "stop the cloud, and put the right file in its place"
        elif file.lacks:
            what = f"{file.path} lacks {', '.join(file.lacks)}"
            mend = "it is another release's: start that release with it, or put a copy of its own in its place"
        else:
            continue
        findings.append(Finding("databases", "problem", what, mend))
    return findings or [Finding("databases", "ok", "each service has its own")]


class CellFacts(msgspec.Struct, frozen=True):
    """What compute's database says of its cells. `cells`: their names."""

    cells: tuple[str, ...]
    unmapped_hosts: tuple[str, ...]
    unmapped_servers: int


def check_cells(facts: CellFacts) -> list[Finding]:
    """Every host and server is in a cell, or is on its way into one: a server without a mapping counts for no quota."""
    findings = []
    if facts.unmapped_hosts:
        what, mend = f"not mapped: {', '.join(facts.unmapped_hosts)}", "restart the host's agent: it is mapped then"
        findings.append(Finding("cells", "problem", what, mend))
    if facts.unmapped_servers:
        mend = "it is an older copy of the database, or was written by hand: put a copy of its own in its place"
        findings.append(Finding("cells", "problem", f"{facts.unmapped_servers} servers have no mapping", mend))
    names = " and ".join(facts.cells) or "none before the first start"
    return findings or [Finding("cells", "ok", f"{names}; every host and server is mapped")]


def check_settings(file: Path, idle: Sequence[tuple[str, str]]) -> list[Finding]:
    """Options that change nothing are mistyped, or belong to a way of running that this is not."""
    if not idle:
        return [Finding("settings", "ok", "every option of the configuration is read")]
    mend = f"correct or remove them in {file}: what they say is not done"
    shown = "; ".join(f"{name}: {reason}" for name, reason in idle)
    return [Finding("settings", "warning", f"options have no effect: {shown}", mend)]


def check_host_name(configured: str, actual: str, computes: Sequence[Facts], *, simulated: bool) -> list[Finding]:
    """A host that changed its name would register a second time, and its servers would belong to nobody."""
    hosts = {each["host"] for each in computes}
    if simulated or (configured == actual and configured in hosts):
        return [Finding("host name", "ok", f"this host is {configured}")]
    if configured in hosts:
        what = f"this host is called {actual} now, but the cloud knows it as {configured}"
        return [
            Finding("host name", "warning", what, "leave `host` in the configuration as it is: servers belong to it")
        ]
    mend = f"set host = {sorted(hosts)[0]} in [DEFAULT] if this is that host" if hosts else "start the agent"
    return [Finding("host name", "problem", f"{configured} is not among the compute hosts", mend)]


def check_agents(computes: Sequence[Facts], agents: Sequence[Facts]) -> list[Finding]:
    silent = [f"{each['binary']} on {each['host']}" for each in computes if each["state"] != "up"]
    silent += [f"{each['binary']} on {each['host']}" for each in agents if not each["alive"]]
    if silent:
        return [_silence("agents", silent)]
    disabled = [each["host"] for each in computes if each["status"] == "disabled"]
    if disabled:
        mend = f"openstack compute service set --enable {disabled[0]} nova-compute"
        return [Finding("agents", "warning", f"disabled: {', '.join(disabled)}", mend)]
    return [Finding("agents", "ok", "all answer")]


def _silence(check: str, silent: Sequence[str]) -> Finding:
    mend = "look whether the process runs on that host and reaches the message bus"
    return Finding(check, "problem", f"do not answer: {', '.join(silent)}", mend)


def check_volumes(services: Sequence[Facts], pools: Sequence[Facts]) -> list[Finding]:
    """A pool tells what is wrong in its back end's own words: its volume group is missing, its share not mounted."""
    silent = [f"{each['binary']} on {each['host']}" for each in services if each["state"] != "up"]
    if silent:
        return [_silence("volumes", silent)]
    findings = []
    for each in pools:
        if trouble := each["capabilities"].get("trouble"):
            host = each["name"].partition("@")[0]
            mend = f"mend it on {host}: its cinder-volume looks again within a minute"
            findings.append(Finding("volumes", "problem", f"{each['name']}: {trouble}", mend))
    if findings:
        return findings
    disabled = [each for each in services if each["status"] == "disabled"]
    if disabled:
        mend = f"openstack volume service set --enable {disabled[0]['host']} {disabled[0]['binary']}"
        what = ", ".join(f"{each['binary']} on {each['host']}" for each in disabled)
        return [Finding("volumes", "warning", f"disabled: {what}", mend)]
    if not pools:
        return [Finding("volumes", "problem", "no back end has told of a pool", "start cinder-volume on a host")]
    return [Finding("volumes", "ok", f"{', '.join(each['name'] for each in pools)} can take volumes")]
