"""`kilonova doctor`: checks what people stumble over when they run such a cloud, and says how to mend each.

Every check is a pure question about facts that were gathered before; a check that finds nothing says so. Exit status 0
when there is no problem, warnings or not.
"""

import argparse
import json
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from kilonova.cli.rest import Session, login_from
from kilonova.cli.state import PASSWORD_USERS, StateDir, default_path, read_config
from kilonova.cli.status import render_table
from kilonova.compute.agent.drivers.libvirtd import pick_virt_type
from kilonova.kit.http.client import RemoteFault

SERVICE_TYPES = ("identity", "image", "placement", "compute", "network")
INTERFACES = ("public", "internal", "admin")
PORTS = {5000: "identity", 9292: "image", 8778: "placement", 8774: "compute", 8775: "metadata", 9696: "network"}
GUESSED_PASSWORDS = frozenset(
    "admin password secret openstack devstack changeme demo nova glance neutron placement cinder welcome123".split()
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


class Finding(msgspec.Struct, frozen=True):
    check: str
    verdict: Verdict
    what: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    state = StateDir(arguments.state_dir or default_path())
    findings = examine(state, read_config(state))
    print(json.dumps(msgspec.to_builtins(findings), indent=2) if arguments.json else render(findings))
    return 1 if any(finding.verdict == "problem" for finding in findings) else 0


def examine(state: StateDir, config: Any) -> list[Finding]:
    """Gathers the facts of this host and of the running cloud, and asks every check."""
    running = state.running_pid() is not None
    findings = [
        *_host_findings(state, config),
        *check_passwords({user: getattr(config.passwords, user) for user in PASSWORD_USERS}),
        *check_address(config.my_ip),
    ]
    if not running:
        stop = "run `kilonova up`; then ask the doctor again"
        findings.append(Finding("process", "problem", "the cloud does not run", stop))
        findings += check_ports(_taken_ports(config.my_ip))
        return findings
    findings.append(Finding("process", "ok", "the cloud runs"))
    with Session(login_from(config, "admin")) as session:
        try:
            findings += _cloud_findings(session, config)
        except RemoteFault as fault:
            mend = f"look at the end of {state.log_file}"
            findings.append(Finding("services", "problem", f"{fault}", mend))
    return findings


def _host_findings(state: StateDir, config: Any) -> list[Finding]:
    if config.compute_driver == "fake":
        return [Finding("virtualization", "ok", "hosts are simulated")]
    cpuinfo = Path("/proc/cpuinfo").read_text()
    free = shutil.disk_usage(state.path).free
    missing = [tool for tool in TOOLS if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists()]
    return [
        *check_virtualization(cpuinfo, has_kvm_node=Path("/dev/kvm").exists(), virt_type=config.libvirt.virt_type),
        *check_tools(missing),
        *check_disk(state.path, free),
        *check_bridge_filter(Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()),
    ]


def _cloud_findings(session: Session, config: Any) -> list[Finding]:
    session.log_in()
    token_time = session.issued_at
    services = session.get("identity", "/services")["services"]
    endpoints = session.get("identity", "/endpoints")["endpoints"]
    computes = session.get("compute", "/os-services", binary="nova-compute")["services"]
    hypervisors = session.get("compute", "/os-hypervisors")["hypervisors"]
    providers = session.get("placement", "/resource_providers")["resource_providers"]
    agents = session.get("network", "/v2.0/agents")["agents"]
    return [
        *check_catalog(services, endpoints, config.region_name),
        *check_clock(token_time, datetime.now(UTC)),
        *check_hosts(computes, hypervisors, [each["name"] for each in providers]),
        *check_host_name(config.host, socket.gethostname(), computes, simulated=config.compute_driver == "fake"),
        *check_agents(computes, agents),
    ]


# --- the checks ------------------------------------------------------------------------------------------------------


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
    mend = "put long random ones into [passwords] and run `kilonova up` again: it sets them"
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


def _taken_ports(address: str) -> list[int]:
    taken = []
    for port in PORTS:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                taken.append(port)
    return taken


def check_catalog(
    services: Sequence[Mapping[str, Any]], endpoints: Sequence[Mapping[str, Any]], region: str
) -> list[Finding]:
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


def check_clock(theirs: datetime, ours: datetime) -> list[Finding]:
    skew = (theirs - ours).total_seconds()
    if abs(skew) > MOST_SKEW_SECONDS:
        mend = "run a time daemon (chrony) on both hosts: tokens expire early or late otherwise"
        return [Finding("clock", "problem", f"identity's clock is {skew:+.0f} s off this host's", mend)]
    return [Finding("clock", "ok", "identity's clock agrees with this host's")]


def check_hosts(
    computes: Sequence[Mapping[str, Any]], hypervisors: Sequence[Mapping[str, Any]], providers: Sequence[str]
) -> list[Finding]:
    """Every compute host is a hypervisor, and known to placement: otherwise nothing is ever scheduled to it."""
    if not computes:
        mend = "start its agent, and look into the log for why it does not register"
        return [Finding("compute hosts", "problem", "none has registered", mend)]
    names = [each["hypervisor_hostname"] for each in hypervisors]
    unknown = [name for name in names if name not in providers]
    if len(names) < len(computes) or unknown:
        what = f"not mapped: {', '.join(unknown) or 'some compute service has no hypervisor'}"
        return [Finding("compute hosts", "problem", what, "restart the host's agent: it registers everywhere anew")]
    return [Finding("compute hosts", "ok", f"{len(computes)} registered, mapped and known to placement")]


def check_host_name(
    configured: str, actual: str, computes: Sequence[Mapping[str, Any]], *, simulated: bool
) -> list[Finding]:
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


def check_agents(computes: Sequence[Mapping[str, Any]], agents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    silent = [f"{each['binary']} on {each['host']}" for each in computes if each["state"] != "up"]
    silent += [f"{each['binary']} on {each['host']}" for each in agents if not each["alive"]]
    if silent:
        mend = "look whether the process runs on that host and reaches the message bus"
        return [Finding("agents", "problem", f"do not answer: {', '.join(silent)}", mend)]
    disabled = [each["host"] for each in computes if each["status"] == "disabled"]
    if disabled:
        mend = f"openstack compute service set --enable {disabled[0]} nova-compute"
        return [Finding("agents", "warning", f"disabled: {', '.join(disabled)}", mend)]
    return [Finding("agents", "ok", "all answer")]


def render(findings: Sequence[Finding]) -> str:
    """One line a check, what to do below those that found something, and a sentence at the end."""
    rows = [
        (finding.verdict.upper() if finding.verdict != "ok" else "ok", finding.check, finding.what)
        for finding in findings
    ]
    lines = render_table(("", "Check", "Finding"), rows)
    shown = [lines[0]]
    for line, finding in zip(lines[1:], findings, strict=True):
        shown.append(line)
        if finding.verdict != "ok" and finding.mend:
            shown.append(f"{'':9}{'':2}→ {finding.mend}")
    problems = sum(finding.verdict == "problem" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    shown += ["", f"{problems} problems, {warnings} warnings, {len(findings) - problems - warnings} checks passed"]
    return "\n".join(shown)
